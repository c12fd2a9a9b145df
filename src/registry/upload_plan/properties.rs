//! What holds against every registry, however it answers: the plan ends, within the blob, and never panics.

use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// An answer near the protocol: `None` is one that was lost.
type Said = Option<(u16, Vec<(&'static str, String)>)>;

fn answers(size: u64) -> impl Strategy<Value = Said> {
    let statuses = [200, 201, 202, 204, 206, 301, 400, 401, 403, 404, 405, 408, 410, 413, 416, 429, 500, 501, 503];
    // What takes bytes comes often, so that the plan gets far.
    let status =
        prop_oneof![3 => Just(202), 1 => Just(201), 1 => Just(416), 2 => prop::sample::select(statuses.to_vec())];
    let location =
        prop::sample::select(vec!["/u", "/v?_state=a%2Fb", "https://s.example/w", "ftp://x/", "http://[::1"]);
    let near = prop_oneof![0..size.saturating_mul(2).max(2), Just(size), Just(size.saturating_sub(1)), any::<u64>()];
    let range = (prop_oneof![4 => Just(0), 1 => any::<u64>()], near.clone());
    let range = range.prop_map(|(first, last)| ("range", format!("{first}-{last}")));
    let digest = prop::sample::select(vec![Digest::of(b"any").to_string(), Digest::of(b"other").to_string()]);
    let header = prop_oneof![
        4 => location.prop_map(|value| ("location", value.to_owned())),
        4 => range,
        1 => Just(("range", "0--1".to_owned())),
        1 => near.clone().prop_map(|value| ("oci-chunk-min-length", value.to_string())),
        1 => near.clone().prop_map(|value| ("oci-chunk-max-length", value.to_string())),
        1 => near.prop_map(|value| ("content-length", value.to_string())),
        1 => digest.prop_map(|value| ("docker-content-digest", value)),
    ];
    prop_oneof![12 => (status, vec(header, 0..4)).prop_map(Some), 1 => Just(None)]
}

fn games() -> impl Strategy<Value = (u64, Option<u64>, Mount, Vec<Said>)> {
    let size = prop_oneof![0..3u64, 0..4 * MIN_CHUNK, Just(u64::MAX), any::<u64>()];
    let mount = prop_oneof![
        Just(Mount::No),
        Just(Mount::Here("app".parse().expect("a name"))),
        Just(Mount::Anywhere),
        Just(Mount::From("other/app".parse().expect("a name"))),
    ];
    size.prop_flat_map(move |size| {
        // So that what has to be sent is sent in some hundred chunks.
        let least = size / 256;
        let chunk = prop::option::of(least.max(1)..=size.max(least + 1));
        (Just(size), chunk, mount.clone(), vec(answers(size), 1..24))
    })
}

fn answer(status: u16, fields: &[(&'static str, String)]) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, HeaderValue::from_str(value).expect("printable text"));
    }
    let base = "https://r.example/v2/a/blobs/uploads/".parse().expect("a URI");
    Answer::read(&base, None, StatusCode::from_u16(status).expect("a status"), &headers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The answers come again and again: whoever says them for ever is left.
    #[test]
    fn every_upload_ends((size, chunk, mount, said) in games()) {
        let named = Plan::new(Digest::of(b"any"), size, mount, chunk);
        let plans = [named].into_iter().chain((size > 0).then(|| Plan::unnamed(size, chunk)));
        for plan in plans {
            ends(plan, size, &said)?;
        }
    }
}

fn ends(mut plan: Plan, size: u64, said: &[Said]) -> Result<(), TestCaseError> {
    let (mut waits, mut turns) = (0, 0);
    for said in said.iter().cycle() {
        if plan.wants_name() {
            plan.name(Digest::of(b"any"));
        }
        let next = plan.next();
        match &next {
            Next::Done(_) => {
                prop_assert_eq!(plan.session(), None, "nothing is left behind");
                break;
            }
            Next::Put { bytes, .. } | Next::Stream { bytes, .. } | Next::Patch { bytes, .. } => {
                prop_assert!(bytes.start <= bytes.end && bytes.end <= size, "{} of {}", next, size);
                prop_assert!(matches!(next, Next::Put { .. }) || bytes.start < bytes.end, "an empty {}", next);
            }
            _ => {}
        }
        prop_assert!(plan.offset() <= size);
        let verdict = match said {
            Some((status, fields)) => plan.answered(&answer(*status, fields)),
            None => plan.lost(),
        };
        match verdict {
            Verdict::Go => {}
            // Whoever carries the plan out has a budget for these.
            Verdict::Wait if waits < 5 => waits += 1,
            _ => break,
        }
        turns += 1;
        prop_assert!(turns < MAX_TURNS, "the upload goes on for ever: {:?}", plan);
    }
    Ok(())
}

/// A few sessions of a few thousand requests.
const MAX_TURNS: u32 = 20_000;
