//! The official verdicts on registries that we did not write.

use std::collections::{BTreeMap, BTreeSet};

use spinreg::conformance::Report;

use crate::support::judged::{EVERYTHING, causes, complaints, judge, undocumented, verdicts};
use crate::support::peers::{Door, Foreign, Speech};
use crate::support::root;

/// What has changed since the official tool was run: 3.1.1 answered 400 to a closing `PUT` in the wrong place and 500 to a
/// digest that is none; 3.1.2, which runs here, answers 416 and 400 (<https://github.com/distribution/distribution/pull/4945>).
const MOVED: [(&str, &str, &str); 2] =
    [("distribution", "Blobs sha256", "Pass"), ("distribution", "Invalid Manifest Digest", "Pass")];

/// Reads a column of the fixture, by its heading; what the official tool never reached is absent.
fn official(heading: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root("fixtures/conformance/official-verdicts.tsv")).expect("a fixture");
    let mut rows = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let column = rows.next().expect("headings").iter().position(|found| found == heading).expect(heading);
    rows.filter(|row| row[column] != "-").map(|row| (row[0].clone(), row[column].clone())).collect()
}

/// Judges a registry with the settings of one column, and compares every verdict.
async fn compare(registry: &Foreign, name: &str, how: &str, variables: &[(&str, &str)]) -> Report {
    let report = judge(&registry.address().to_string(), variables).await;
    let ours: BTreeMap<String, String> =
        verdicts(&report).into_iter().map(|(label, status)| (label.to_owned(), status.to_owned())).collect();
    let mut official = official(&format!("{name} {how}"));
    for (_, label, status) in MOVED.iter().filter(|(moved, ..)| *moved == name) {
        official.insert((*label).to_owned(), (*status).to_owned());
    }
    let labels = ours.keys().chain(official.keys()).collect::<BTreeSet<_>>();
    let differences: Vec<String> = labels
        .into_iter()
        .filter(|label| ours.get(*label) != official.get(*label))
        .map(|label| format!("{label}: {:?}, official {:?}", ours.get(label), official.get(label)))
        .collect();
    assert!(differences.is_empty(), "{name} {how}:\n{}\n\n{}", differences.join("\n"), complaints(&report).join("\n"));
    assert_eq!(undocumented(&report, name, usize::from(how == "everything")), Vec::<String>::new());
    assert_eq!((report.aborted.as_ref(), report.leftovers.len()), (None, 0), "{:?}", report.leftovers);
    report
}

#[tokio::test]
async fn distribution_is_judged_as_the_official_suite_judges_it() {
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    compare(&registry, "distribution", "stable", &[]).await;
    let report = compare(&registry, "distribution", "everything", &EVERYTHING).await;
    let expected = [
        "empty/referrers",
        "sha512 blobs/post+put/blob-post-put",
        "non-distributable-layers/push/manifest-by-digest",
        "sparse/push/manifest-by-digest",
        "sparse/push/manifest-by-digest",
    ];
    assert_eq!(causes(&report), expected);
}

#[tokio::test]
async fn docker_registry_is_judged_as_the_official_suite_judges_it() {
    let registry = Foreign::distribution("docker-registry", Door::Open, &Speech::Plain).await;
    compare(&registry, "docker-registry", "stable", &[]).await;
    let report = compare(&registry, "docker-registry", "everything", &EVERYTHING).await;
    let expected = [
        "empty/referrers",
        "sha256 blobs/chunked out-of-order/blob-patch-chunked",
        "sha256 blobs/chunked out-of-order and put chunk/blob-patch-chunked",
        "sha256 blobs/range requests/range 500-0",
        "sha256 blobs/range requests/range 5000-10000",
        "sha512 blobs/post+put/blob-post-put",
        "non-distributable-layers/push/manifest-by-digest",
        "sparse/push/manifest-by-digest",
        "sparse/push/manifest-by-digest",
        "tag-param-sha256/tag-list",
        "bad-digest-image/tag-list",
        "invalid-digest-format/manifest-put",
        "invalid-digest-format/manifest-get",
    ];
    assert_eq!(causes(&report), expected);
}

#[tokio::test]
async fn crane_is_judged_as_the_official_suite_judges_it() {
    for (how, variables) in [("stable", &[][..]), ("everything", &EVERYTHING[..])] {
        let report = compare(&Foreign::crane().await, "crane", how, variables).await;
        assert!(causes(&report).len() <= 10, "{:?}", causes(&report));
    }
}
