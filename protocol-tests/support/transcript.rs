//! The wire cost of push and pull, pinned.

use super::cli::Cli;
use super::front::Fronted;
use super::scenario::{app_of, pull, push};
use super::wire::{compare, settled};

/// Compares what push and pull of `static-site` ask of the registry behind `front` with the golden transcripts.
pub(crate) async fn main_job(front: &Fronted) {
    let cli = Cli::new();
    let (app, wire) = (app_of(&cli, "static-site"), front.wire());
    let first = format!("{}/app:v1", front.registry());
    let second = format!("{}/app:v2", front.registry());
    wire.take();

    let digest = push(&cli, &app, &first, &[]).await;
    compare("push-cold", &settled(wire.take()));
    push(&cli, &app, &first, &[]).await;
    compare("push-unchanged", &wire.take());
    push(&cli, &app, &second, &[]).await;
    compare("push-new-tag", &wire.take());
    pull(&cli, &first, &[]).await;
    compare("pull-cold", &settled(wire.take()));
    pull(&cli, &first, &[]).await;
    compare("pull-cached", &wire.take());
    pull(&cli, &format!("{first}@{digest}"), &[]).await;
    assert_eq!(wire.take(), [""; 0], "what is in the cache is known by its digest");
    // Under the digest alone it has a place of its own, where nothing is yet.
    for name in ["pull-by-digest", "pull-by-digest-cached"] {
        pull(&cli, &format!("{}/app@{digest}", front.registry()), &[]).await;
        compare(name, &settled(wire.take()));
    }

    std::fs::write(cli.path("work/static-site/assets/index.html"), "changed ".repeat(100)).expect("a file of ours");
    push(&cli, &app, &first, &[]).await;
    compare("push-one-changed", &settled(wire.take()));
    pull(&cli, &first, &[]).await;
    compare("pull-one-changed", &settled(wire.take()));
    // What another tag points to goes back under the first one: its manifest says all.
    std::fs::write(cli.path("work/static-site/single.cfg"), "changed as well ".repeat(100)).expect("a file of ours");
    push(&cli, &app, &second, &[]).await;
    wire.take();
    push(&cli, &app, &first, &[]).await;
    compare("push-moved-tag", &settled(wire.take()));
}
