//! What refers to what is published, attached and found; and annotations.

use spinreg::Digest;

use super::{json, spread};
use crate::support::cli::Cli;
use crate::support::front::{Front, Meddle};
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::pull;

const SBOM: &str = "application/x.sbom";

/// Returns the digest at the end of a line of result.
fn digest_of(printed: &str) -> Digest {
    let text = printed.trim_end().rsplit_once('@').map_or(printed, |(_, digest)| digest).trim_end();
    text.parse().unwrap_or_else(|error| panic!("{error}: {printed}"))
}

async fn attach(cli: &Cli, place: &str, flags: &[&str]) -> Digest {
    let arguments = ["attach", "-q", "sbom.json:application/json", "notes", place, "--artifact-type", SBOM];
    digest_of(&cli.run([&arguments, flags].concat()).await.success())
}

fn room() -> Cli {
    let cli = Cli::new();
    std::fs::write(cli.path("work/sbom.json"), "{\"packages\":[]}").expect("a file");
    std::fs::write(cli.path("work/notes"), "some notes").expect("a file");
    cli
}

#[tokio::test]
async fn what_is_attached_is_found_wherever_it_is() {
    let cli = room();
    let registry = Embedded::start().await;
    let subject = spread(&cli, &registry).await;
    let mut attached = Vec::new();
    for place in [registry.reference("app"), "oci:out".to_owned(), "oci-archive:out.tar".to_owned()] {
        let reference = format!("{place}:v1");
        assert_eq!(cli.run(["referrers", &reference]).await.success(), "");
        let digest = attach(&cli, &reference, &[]).await;
        assert_eq!(attach(&cli, &reference, &[]).await, digest, "the same files are the same artifact");
        attached.push(digest);
        assert_eq!(
            cli.run(["resolve", &reference]).await.success(),
            format!("{place}@{subject}\n"),
            "the tag has moved"
        );
        let size = cli.run(["manifest", "get", &format!("{place}@{digest}")]).await.success().len();
        let listed = cli.run(["referrers", &reference]).await.success();
        assert_eq!(listed, format!("{digest}  {SBOM}  {size}\n"));
        let quiet =
            cli.run(["referrers", "-q", &format!("{place}@{subject}"), "--artifact-type", SBOM]).await.success();
        assert_eq!(quiet, format!("{place}@{digest}\n"));
        assert_eq!(cli.run(["referrers", "--artifact-type", "application/other", &reference]).await.success(), "");
        let listed = json(&cli.run(["referrers", "--json", &reference]).await.success());
        let expected = serde_json::json!({
            "schema": 1, "reference": reference, "subject": subject,
            "referrers": [{
                "digest": digest, "media_type": "application/vnd.oci.image.manifest.v1+json", "size": size,
                "artifact_type": SBOM, "annotations": {},
            }],
        });
        assert_eq!(listed, expected);
        let manifest = json(&cli.run(["manifest", "get", &format!("{place}@{digest}")]).await.success());
        let layer = &manifest["layers"][0];
        assert_eq!(layer["mediaType"], "application/json");
        assert_eq!(layer["annotations"]["org.opencontainers.image.title"], "sbom.json");
    }
    assert!(attached.iter().all(|digest| *digest == attached[0]), "{attached:?}");
    // And it travels.
    cli.run(["copy", "--referrers", &registry.reference("app:v1"), "oci:there:v1"]).await.success();
    assert_eq!(cli.run(["referrers", "-q", "oci:there:v1"]).await.success(), format!("oci:there@{}\n", attached[0]));
}

/// Where a registry has no referrers API the list is kept under a tag.
#[tokio::test]
async fn the_referrers_tag_is_kept_where_there_is_no_api() {
    let cli = room();
    let registry = Embedded::start().await;
    let subject = spread(&cli, &registry).await;
    // As a registry that knows nothing of subjects: no API, and no word about the subject.
    let front = Front::before(registry.address())
        .meddle("GET /v2/app/referrers/*", vec![Meddle::Instead(Reply::status(404)); 40])
        .meddle("PUT /v2/app/manifests/sha256:*", vec![Meddle::Instead(Reply::status(201)); 4])
        .start()
        .await;
    let reference = format!("{}/app:v1", front.registry());
    let digest = attach(&cli, &reference, &["--annotation", "by=ada"]).await;
    let listed = json(&cli.run(["referrers", "--json", &reference]).await.success());
    assert_eq!(listed["referrers"][0]["digest"], digest.to_string());
    assert_eq!(listed["referrers"][0]["annotations"]["by"], "ada");
    let tag = subject.to_string().replace(':', "-");
    let tags = cli.run(["tags", &reference]).await.success();
    assert!(tags.lines().any(|line| line == tag), "{tags}");
}

#[tokio::test]
async fn attachments_are_to_what_is_there() {
    let cli = room();
    let registry = Embedded::start().await;
    spread(&cli, &registry).await;
    let reference = registry.reference("app:v1");
    for (arguments, code, said) in [
        (vec!["absent", &reference, "--artifact-type", SBOM], 3, "there is no file `absent`"),
        (vec!["notes", &registry.reference("app:v9"), "--artifact-type", SBOM], 3, "manifest `v9`"),
        (vec!["notes", &reference], 2, "--artifact-type"),
        (vec!["notes", &reference, "--artifact-type", "no type"], 2, "media type"),
        (vec!["notes:no type/x", &reference, "--artifact-type", SBOM], 2, "media type"),
        (vec!["notes", "oci:absent:v1", "--artifact-type", SBOM], 3, "absent"),
        (vec![&reference, "--artifact-type", SBOM], 2, "REFERENCE"),
    ] {
        let complaint = cli.run([&["attach"], &arguments[..]].concat()).await.failure(code);
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
    assert!(!cli.path("work/absent").exists());
    let printed =
        cli.run(["attach", "notes", &reference, "--artifact-type", SBOM, "--digest-file", "d"]).await.success();
    let digest = std::fs::read_to_string(cli.path("work/d")).expect("a file");
    assert_eq!(printed, format!("Attached with digest {digest}"));
}

#[tokio::test]
async fn annotations_change_the_digest_and_say_so() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let old = spread(&cli, &registry).await;
    let mut results = Vec::new();
    for place in [registry.reference("app"), "oci:out".to_owned(), "oci-archive:out.tar".to_owned()] {
        let reference = format!("{place}:v1");
        registry.wire().take();
        let run = cli.run(["annotate", &reference, "team=web", "note=a=b"]).await;
        let note = "such as signatures, does not refer to";
        assert!(run.stderr.contains(&format!("note: what refers to {old}, {note}")), "{run}");
        let printed = run.success();
        let new: Digest = printed.split(' ').nth(3).expect("a digest").trim_end_matches(',').parse().expect("a digest");
        assert_eq!(printed, format!("Annotated with digest {new}, which had {old}\n"));
        if place.contains("/app") {
            assert_eq!(registry.wire().take(), ["GET /v2/app/manifests/v1 200", "PUT /v2/app/manifests/v1 201"]);
        }
        results.push(new);
        assert_eq!(cli.run(["resolve", &reference]).await.success(), format!("{place}@{new}\n"));
        let manifest = json(&cli.run(["manifest", "get", &reference]).await.success());
        assert_eq!(
            (&manifest["annotations"]["team"], &manifest["annotations"]["note"]),
            (&"web".into(), &"a=b".into())
        );
        let again = cli.run(["annotate", &reference, "team=web"]).await.success();
        assert_eq!(again, format!("Nothing to change: the digest is {new}\n"));
        let report =
            json(&cli.run(["annotate", "--json", &reference, "--remove", "note", "--remove", "team"]).await.success());
        assert_eq!((&report["previous"], &report["changed"]), (&new.to_string().into(), &true.into()));
    }
    assert!(results.iter().all(|digest| *digest == results[0]), "{results:?}");
    pull(&cli, &registry.reference("app:v1"), &[]).await;
    for (arguments, code, said) in [
        (vec!["annotate", "oci:out:v1"], 2, "KEY=VALUE"),
        (vec!["annotate", "oci:out:v1", "novalue"], 2, "`novalue`"),
        (vec!["annotate", "oci:out:v9", "a=b"], 3, "manifest `v9`"),
    ] {
        let complaint = cli.run(&arguments).await.failure(code);
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
}
