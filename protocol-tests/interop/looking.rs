//! What other clients tag, attach and lay out, we see; what we do, they see; and the digests are equal.

use std::net::SocketAddr;
use std::path::Path;

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::peers::{self, Door, Foreign, Speech};
use crate::support::scenario::{app, pull, push};

const SBOM: &str = "application/x.sbom";

/// A registry that keeps lists of referrers and deletes tags, and one that does neither.
async fn registries() -> [Foreign; 2] {
    [Foreign::olareg(&Speech::Plain).await, Foreign::distribution("distribution", Door::Open, &Speech::Plain).await]
}

/// Runs another client in a home of its own.
async fn run(home: &Path, program: &str, arguments: &[&str]) -> String {
    peers::run(program, arguments, &[("HOME", home), ("DOCKER_CONFIG", home)]).await
}

fn plain(host: SocketAddr) -> String {
    format!("reg={host},tls=disabled")
}

async fn result(cli: &Cli, arguments: &[&str]) -> String {
    cli.run(arguments).await.success()
}

/// Each client says the same of the same tag, and lists the same tags, whoever has made them.
#[tokio::test]
async fn tags_and_digests_are_the_same_for_all() {
    for registry in registries().await {
        let cli = Cli::new();
        let home = cli.path("tmp");
        let host = registry.address();
        let app_of = |tag: &str| format!("{host}/app:{tag}");
        let digest = push(&cli, &app("static-site"), &app_of("v1"), &[]).await;
        result(&cli, &["tag", &app_of("v1"), "v2"]).await;
        run(&home, "crane", &["tag", &app_of("v1"), "crane"]).await;
        run(&home, "oras", &["tag", "--plain-http", &app_of("v1"), "oras"]).await;
        let copy = ["--host", &plain(host), "image", "copy", &app_of("v1"), &app_of("regctl")];
        run(&home, "regctl", &copy).await;
        let (from, to) = (format!("docker://{}", app_of("v1")), format!("docker://{}", app_of("skopeo")));
        let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        run(&home, "skopeo", &[&["copy", "--preserve-digests"], &insecure[..], &[&from, &to]].concat()).await;
        let tags = "crane\noras\nregctl\nskopeo\nv1\nv2\n";
        assert_eq!(result(&cli, &["tags", "--sort", "name", &app_of("v1")]).await, tags);
        assert_eq!(run(&home, "crane", &["ls", &format!("{host}/app")]).await, tags);
        assert_eq!(run(&home, "oras", &["repo", "tags", "--plain-http", &format!("{host}/app")]).await, tags);
        let regctl = ["--host", &plain(host), "tag", "ls", &format!("{host}/app")];
        assert_eq!(run(&home, "regctl", &regctl).await, tags);
        let skopeo = run(&home, "skopeo", &["list-tags", "--tls-verify=false", &format!("docker://{host}/app")]).await;
        for tag in tags.lines() {
            assert!(skopeo.contains(&format!("\"{tag}\"")), "{tag}: {skopeo}");
        }
        for tag in tags.lines() {
            assert_eq!(result(&cli, &["resolve", &app_of(tag)]).await, format!("{host}/app@{digest}\n"), "{tag}");
            assert_eq!(run(&home, "crane", &["digest", &app_of(tag)]).await.trim(), digest.to_string());
            assert_eq!(run(&home, "oras", &["resolve", "--plain-http", &app_of(tag)]).await.trim(), digest.to_string());
            let regctl = ["--host", &plain(host), "image", "digest", &app_of(tag)];
            assert_eq!(run(&home, "regctl", &regctl).await.trim(), digest.to_string());
        }
        let ours = result(&cli, &["manifest", "get", &app_of("v2")]).await;
        assert_eq!(ours, run(&home, "crane", &["manifest", &app_of("v2")]).await);
        let image = format!("docker://{host}/app:v2");
        let theirs = run(&home, "skopeo", &["inspect", "--raw", "--tls-verify=false", &image]).await;
        assert_eq!(ours, theirs);
    }
}

/// What is attached by one is found by the others, with a list of the registry's and without.
#[tokio::test]
async fn attachments_are_found_by_all() {
    for registry in registries().await {
        let cli = Cli::new();
        let home = cli.path("tmp");
        let host = registry.address();
        std::fs::write(cli.path("work/sbom.json"), "{}").expect("a file");
        let reference = format!("{host}/app:v1");
        push(&cli, &app("static-site"), &reference, &[]).await;
        let attach = ["attach", "-q", "sbom.json:application/json", &reference, "--artifact-type", SBOM];
        let ours = result(&cli, &attach).await;
        let ours = ours.trim_end().rsplit_once('@').expect("a digest").1.to_owned();
        let file = format!("{}:application/json", cli.path("work/sbom.json").display());
        let flags = ["--plain-http", "--disable-path-validation", "--artifact-type", "application/x.oras"];
        run(&home, "oras", &[&["attach"], &flags[..], &[&reference, &file]].concat()).await;
        let file = cli.path("work/sbom.json").display().to_string();
        let flags =
            ["artifact", "put", "--artifact-type", "application/x.regctl", "--subject", &reference, "-f", &file];
        run(&home, "regctl", &[&["--host", &plain(host)], &flags[..]].concat()).await;

        let listed = result(&cli, &["referrers", &reference]).await;
        let types: Vec<&str> = listed.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        let expected = [SBOM, "application/x.oras", "application/x.regctl"];
        assert!(types.len() == 3 && expected.iter().all(|wanted| types.contains(wanted)), "{listed}");
        let discovered = run(&home, "oras", &["discover", "--plain-http", &reference]).await;
        assert!(discovered.contains(&ours) && discovered.contains("application/x.oras"), "{discovered}");
        let found = run(&home, "regctl", &["--host", &plain(host), "artifact", "list", &reference]).await;
        assert!(found.contains(&ours), "{found}");
        // oras gets the file out of it again.
        let pinned = format!("{host}/app@{ours}");
        let out = cli.path("work/fetched");
        run(&home, "oras", &["pull", "--plain-http", "-o", out.to_str().expect("UTF-8"), &pinned]).await;
        assert_eq!(std::fs::read_to_string(out.join("sbom.json")).expect("the file"), "{}");
        let raw = result(&cli, &["manifest", "get", &pinned]).await;
        assert_eq!(Digest::of(raw.as_bytes()).to_string(), ours);
    }
}

/// What others have laid out is seen without a registry, and what we change there they read.
#[tokio::test]
async fn layouts_of_others_are_seen_and_changed() {
    let cli = Cli::new();
    let home = cli.path("tmp");
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let host = registry.address();
    let reference = format!("{host}/app:v1");
    let digest = push(&cli, &app("static-site"), &reference, &[]).await;
    let path = |name: &str| cli.path("work").join(name).display().to_string();
    let oras = ["cp", "--from-plain-http", &reference, "--to-oci-layout", &format!("{}:v1", path("oras"))];
    run(&home, "oras", &oras).await;
    let regctl = format!("ocidir://{}:v1", path("regctl"));
    run(&home, "regctl", &["--host", &plain(host), "image", "copy", &reference, &regctl]).await;
    let (from, to) = (format!("docker://{reference}"), format!("oci:{}:v1", path("skopeo")));
    run(&home, "skopeo", &["copy", "--src-tls-verify=false", "--preserve-digests", &from, &to]).await;
    let (from, to) = (format!("docker://{reference}"), format!("oci-archive:{}:v1", path("skopeo.tar")));
    run(&home, "skopeo", &["copy", "--src-tls-verify=false", "--preserve-digests", &from, &to]).await;
    for place in ["oci:oras", "oci:regctl", "oci:skopeo", "oci-archive:skopeo.tar"] {
        let named = format!("{place}:v1");
        assert_eq!(result(&cli, &["resolve", &named]).await, format!("{place}@{digest}\n"));
        let shown = result(&cli, &["inspect", &named]).await;
        assert!(shown.contains("Spin application static-site 1.2.3"), "{place}: {shown}");
        assert!(result(&cli, &["diff", &named, &reference]).await.ends_with("both are the same\n"), "{place}");
        result(&cli, &["tag", &named, "v2"]).await;
        assert_eq!(result(&cli, &["tags", place]).await, "v1\nv2\n", "{place}");
    }
    let tagged = format!("{}:v2", path("oras"));
    assert_eq!(run(&home, "oras", &["resolve", "--oci-layout", &tagged]).await.trim(), digest.to_string());
    let tagged = format!("oci:{}:v2", path("skopeo"));
    let raw = run(&home, "skopeo", &["inspect", "--raw", &tagged]).await;
    assert_eq!(Digest::of(raw.as_bytes()), digest);
}

/// What we have annotated the others read, and it still runs; what one deletes is gone for the other.
#[tokio::test]
async fn changes_are_seen_by_all() {
    let cli = Cli::new();
    let home = cli.path("tmp");
    let registry = Foreign::olareg(&Speech::Plain).await;
    let host = registry.address();
    let reference = format!("{host}/app:v1");
    push(&cli, &app("static-site"), &reference, &[]).await;
    let quiet = result(&cli, &["-q", "annotate", &reference, "team=web"]).await;
    let digest = quiet.trim_end().rsplit_once('@').expect("a digest").1;
    assert_eq!(run(&home, "crane", &["digest", &reference]).await.trim(), digest);
    assert!(run(&home, "crane", &["manifest", &reference]).await.contains("\"team\":\"web\""));
    pull(&cli, &reference, &[]).await;

    result(&cli, &["tag", &reference, "mine", "theirs"]).await;
    let deleted = result(&cli, &["delete", &format!("{host}/app:mine")]).await;
    assert_eq!(deleted, format!("Deleted tag mine; its manifest {digest} is still there\n"));
    run(&home, "regctl", &["--host", &plain(host), "tag", "delete", &format!("{host}/app:theirs")]).await;
    assert_eq!(run(&home, "crane", &["ls", &format!("{host}/app")]).await, "v1\n");
    assert_eq!(result(&cli, &["tags", &reference]).await, "v1\n");
}

/// Blobs that others have sent come out whole, and the other way round.
#[tokio::test]
async fn blobs_are_the_same_for_all() {
    let cli = Cli::new();
    let home = cli.path("tmp");
    let registry = Foreign::distribution("distribution", Door::Open, &Speech::Plain).await;
    let host = registry.address();
    push(&cli, &app("inline-trigger"), &format!("{host}/app:v1"), &[]).await;
    for (name, content) in [("ours", "of ours\n".repeat(1000)), ("theirs", "of theirs\n".repeat(1000))] {
        std::fs::write(cli.path("work").join(name), &content).expect("a file");
        let pinned = format!("{host}/app@{}", Digest::of(content.as_bytes()));
        let file = cli.path("work").join(name).display().to_string();
        if name == "ours" {
            result(&cli, &["blob", "put", name, &format!("{host}/app")]).await;
        } else {
            run(&home, "oras", &["blob", "push", "--plain-http", &format!("{host}/app"), &file]).await;
        }
        assert!(result(&cli, &["blob", "get", &pinned]).await == content);
        assert!(run(&home, "crane", &["blob", &pinned]).await == content);
    }
}
