//! end-11: blobs that another repository has.

use http::{Method, StatusCode};

use super::super::Level;
use super::super::answer::Answer;
use super::bench::{Bench, expect, said, succeeded};
use super::content::Blob;
use super::rule::{Rule, Verdict, broken, ensure, seen_in, unsupported};
use super::uploads::leads_to;

const MOUNTS: &str = "Mounting a blob from another repository";

pub(super) static FROM: Rule = Rule::new(
    "mount.from",
    "end-11",
    Level::Should,
    MOUNTS,
    "a blob of another repository is mounted with 201, and is then there; or a session is opened with 202",
)
.unseen("the step without the blob passes, and hides that nothing is mounted");
pub(super) static LOCATION: Rule = Rule::new(
    "mount.location",
    "end-11",
    Level::Must,
    MOUNTS,
    "the `Location` of the 201 to a mount leads to the blob",
);
pub(super) static ANONYMOUS: Rule = Rule::new(
    "mount.anonymous",
    "end-11",
    Level::May,
    MOUNTS,
    "a blob is mounted with 201 without saying from where, and is then there; or a session is opened with 202",
);
pub(super) static MISSING: Rule = Rule::new(
    "mount.missing",
    "end-11",
    Level::Should,
    MOUNTS,
    "a blob that is not to be found opens a session, with 202, that takes it",
);

pub(super) static ALL: &[&Rule] = &[&FROM, &LOCATION, &ANONYMOUS, &MISSING];

pub(super) async fn run(bench: &Bench) {
    let algorithm = bench.algorithm();
    let (from, anonymous) = (Blob::random(algorithm, 128), Blob::random(algorithm, 128));
    let mut mounted = Answer::default();
    let source = async {
        bench.push_to(&bench.other, &from).await?;
        bench.push_to(&bench.other, &anonymous).await
    };
    let source: Verdict = source.await;
    bench
        .check(&FROM, async {
            source.clone()?;
            let target = format!("{}?from={}&mount={}", bench.uploads(), bench.other, from.digest);
            mounted = mount(bench, &target, &from).await;
            judged(&mounted)?;
            there(bench, &from).await
        })
        .await;
    bench
        .check(&LOCATION, async {
            source.clone()?;
            if !succeeded(&mounted) || mounted.is(StatusCode::ACCEPTED) {
                return unsupported("nothing is mounted");
            }
            leads_to(bench, &mounted, &from).await
        })
        .await;
    bench
        .check(&ANONYMOUS, async {
            source.clone()?;
            let target = format!("{}?mount={}", bench.uploads(), anonymous.digest);
            judged(&mount(bench, &target, &anonymous).await)?;
            there(bench, &anonymous).await
        })
        .await;
    bench.check(&MISSING, missing(bench, &Blob::random(algorithm, 128))).await;
    bench.clean().await;
}

async fn mount(bench: &Bench, target: &str, blob: &Blob) -> Answer {
    bench.litter(&blob.path(&bench.name));
    bench.bare(Method::POST, target).await
}

fn judged(answer: &Answer) -> Verdict {
    if !answer.is(StatusCode::ACCEPTED) {
        return expect(answer, StatusCode::CREATED);
    }
    seen_in(answer, answer.place().map_or_else(broken, |_| unsupported("a session is opened instead")))
}

async fn there(bench: &Bench, blob: &Blob) -> Verdict {
    let got = bench.get(&blob.path(&bench.name)).await;
    ensure(succeeded(&got), || format!("the blob is not there after it was mounted: {}", said(&got)))
}

async fn missing(bench: &Bench, blob: &Blob) -> Verdict {
    let digest = blob.digest.to_string();
    let target = format!("{}?from={}&mount={digest}", bench.uploads(), bench.other);
    let answer = bench.bare(Method::POST, &target).await;
    expect(&answer, StatusCode::ACCEPTED)?;
    let place = answer.place().or_else(broken)?;
    bench.litter(&blob.path(&bench.name));
    let closed = bench.close(&place, &digest, &blob.bytes).await;
    ensure(succeeded(&closed), || format!("the session that was opened instead: {}", said(&closed)))
}
