//! How long each subject takes: `cargo bench --manifest-path benches/hot/Cargo.toml`.

use divan::Bencher;

fn main() {
    divan::main();
}

#[divan::bench(args = hot::ALL.iter().map(|subject| subject.name))]
fn subject(bencher: Bencher<'_, '_>, name: &str) {
    let subject = hot::ALL.iter().find(|subject| subject.name == name).expect("it is one of all");
    let run = (subject.prepare)();
    bencher.bench_local(run);
}
