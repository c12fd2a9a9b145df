//! Artifacts of other people, from the registry to the directory that a host runs: indexes, sizes that lie, archives that
//! break off, and what is no application at all.

use std::fs;

use serde_json::{Value, json};
use spinreg::Digest;
use spinreg::content::{Blob, Target as _};
use spinreg::model::{Descriptor, Manifest, MediaType};
use spinreg::registry::Repository;
use spinreg::spin::{Cache, LockedApp, Runnable, media};

use crate::cache::{Artifact, archive, reference, root, tree};
use crate::load;
use crate::support::cli::Cli;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::repository::plain;
use crate::support::scenario::push;
use crate::support::script::Script;

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

/// A registry, and a repository of it as its publisher sees it.
struct Publisher {
    registry: Embedded,
    repository: Repository,
}

impl Publisher {
    async fn start() -> Self {
        let registry = Embedded::start().await;
        let client = plain().build().expect("options that fit");
        let repository = client.repository(&reference(&registry.reference("app"))).for_push();
        Self { registry, repository }
    }

    async fn blob(&self, media_type: MediaType, content: &[u8]) -> Descriptor {
        let blob = Blob::from_bytes(media_type, content.to_vec());
        self.repository.push_blob(&blob).await.expect("an upload");
        blob.descriptor().clone()
    }

    async fn manifest(&self, text: &Value, tag: Option<&str>) -> Descriptor {
        let manifest = Manifest::parse(text.to_string(), None).expect("a manifest");
        let tag = tag.map(|tag| tag.parse().expect("a tag"));
        self.repository.push_manifest(&manifest, tag.as_ref()).await.expect("an upload");
        manifest.descriptor().clone()
    }

    /// Publishes an application whose only file says `text`.
    async fn application(&self, text: &str, tag: Option<&str>) -> Descriptor {
        let lock = site(&json!([{"path": "text", "digest": Digest::of(text.as_bytes())}]));
        let layers = [
            self.blob(media::WASM, WASM).await,
            self.blob(media::DATA, text.as_bytes()).await,
            self.blob(media::APPLICATION, lock.to_string().as_bytes()).await,
        ];
        let config = self.blob(MediaType::IMAGE_CONFIG, b"{}").await;
        let media_type = MediaType::IMAGE_MANIFEST;
        let image = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        self.manifest(&image, tag).await
    }

    /// Publishes an index of manifests, each for a platform or for none.
    async fn index(&self, children: &[(&Descriptor, Option<&str>)], tag: &str) -> Digest {
        let child = |(descriptor, platform): &(&Descriptor, Option<&str>)| {
            let mut descriptor = Descriptor::clone(descriptor);
            descriptor.platform = platform.map(|platform| platform.parse().expect("a platform"));
            descriptor
        };
        let children: Vec<_> = children.iter().map(child).collect();
        let index = json!({"schemaVersion": 2, "mediaType": MediaType::IMAGE_INDEX, "manifests": children});
        self.manifest(&index, Some(tag)).await.digest
    }

    fn reference(&self, rest: &str) -> String {
        self.registry.reference(&format!("app{rest}"))
    }
}

/// The lock file of an application with one component that sees these files.
fn site(files: &Value) -> Value {
    let source = json!({"content_type": "application/wasm", "digest": Digest::of(WASM)});
    json!({
        "spin_lock_version": 0,
        "triggers": [{"id": "t", "trigger_type": "http", "trigger_config": {"component": "site"}}],
        "components": [{"id": "site", "source": source, "files": files}],
    })
}

async fn prepare(cli: &Cli, flags: &[&str]) -> String {
    cli.run([&["prepare", "--to", "out"], flags].concat()).await.success();
    fs::read_to_string(cli.path("work/out/assets/site/text")).expect("the only file")
}

#[tokio::test]
async fn of_an_index_the_application_for_webassembly_is_taken() {
    let publisher = Publisher::start().await;
    let (wasm, linux) = (publisher.application("wasm", None).await, publisher.application("linux", None).await);
    let host = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    for (tag, children, expected) in [
        // Whatever stands first.
        ("both", vec![(&linux, Some(host.as_str())), (&wasm, Some("wasip1/wasm"))], "wasm"),
        // What Spin takes.
        ("host", vec![(&linux, Some(host.as_str())), (&wasm, Some("plan9/mips"))], "linux"),
        // What can only be meant, and what is about it.
        ("alone", vec![(&wasm, None), (&linux, Some("unknown/unknown"))], "wasm"),
    ] {
        publisher.index(&children, tag).await;
        let cli = Cli::new();
        let place = publisher.reference(&format!(":{tag}"));
        assert_eq!(prepare(&cli, &[&place]).await, expected, "{tag}");
        // Again: the index, and nothing below it.
        publisher.registry.wire().take();
        assert_eq!(prepare(&cli, &[&place]).await, expected, "{tag}");
        assert_eq!(publisher.registry.wire().take(), [format!("GET /v2/app/manifests/{tag} 200")]);
        let run = cli.run(["--log", "debug", "prepare", "--to", "out", &place]).await;
        let chosen = if expected == "wasm" { &wasm } else { &linux };
        let said = run.stderr.lines().find(|line| line.contains("of the index")).unwrap_or_default().to_owned();
        assert!(said.contains(&chosen.digest.to_string()), "which one is not said: {run}");
    }
    for (tag, children, there) in [
        ("neither", vec![(&linux, Some("plan9/mips"))], "serves plan9/mips)"),
        ("which", vec![(&linux, None), (&wasm, None)], "serves none, and 2 that name no platform)"),
        ("empty", vec![], "serves none)"),
    ] {
        publisher.index(&children, tag).await;
        let cli = Cli::new();
        let complaint = cli.run(["prepare", "--to", "out", &publisher.reference(&format!(":{tag}"))]).await.failure(3);
        assert!(complaint.contains("wasip1/wasm") && complaint.contains(there), "{complaint}");
        assert!(!cli.path("work/out").exists() && !cli.path("cache/spin/registry/manifests").exists());
    }
}

/// The digest of an index was known only where asking for the index counts.
#[tokio::test]
async fn r5_an_index_is_known_by_its_digest_offline() {
    let publisher = Publisher::start().await;
    let first = publisher.application("first", None).await;
    let index = publisher.index(&[(&first, Some("wasip1/wasm"))], "v1").await;
    let cli = Cli::new();
    let (tagged, pinned, alone) = (
        publisher.reference(":v1"),
        publisher.reference(&format!(":v1@{index}")),
        publisher.reference(&format!("@{index}")),
    );
    for pulled in [&pinned, &alone] {
        cli.run(["pull", pulled]).await.success();
        assert_eq!(prepare(&cli, &["--offline", pulled]).await, "first");
        assert_eq!(prepare(&cli, &["--offline", pulled]).await, "first", "again");
    }
    // The tag moves on; what is in the cache is then no longer what the digest says.
    publisher.application("second", Some("v1")).await;
    assert_eq!(prepare(&cli, &[&tagged]).await, "second");
    let complaint = cli.run(["prepare", "--offline", "--to", "out", &pinned]).await.failure(3);
    assert!(complaint.contains(&index.to_string()), "{complaint}");
    assert_eq!(prepare(&cli, &["--offline", &alone]).await, "first");
    assert_eq!(prepare(&cli, &["--pull", "missing", &pinned]).await, "first");
}

#[tokio::test]
async fn sizes_that_lie_are_refused() {
    let wasm = [WASM, b"\0\x02\x01x"].concat();
    let lock = site(&json!([])).to_string().replace(&Digest::of(WASM).to_string(), &Digest::of(&wasm).to_string());
    for (layer, size, code, said) in [
        (0, json!(wasm.len() + 1), 5, Digest::of(&wasm).to_string()),
        (0, json!(wasm.len() - 1), 5, Digest::of(&wasm).to_string()),
        (0, json!(0), 5, Digest::of(&wasm).to_string()),
        (0, json!(u64::MAX), 5, Digest::of(&wasm).to_string()),
        (0, json!(-1), 1, "-1".to_owned()),
        (0, json!("12"), 1, "manifest".to_owned()),
        (1, json!(lock.len() - 1), 5, Digest::of(lock.as_bytes()).to_string()),
        (1, json!(u64::MAX), 1, "64 MiB".to_owned()),
        (2, json!(3), 5, Digest::of(b"{}").to_string()),
    ] {
        let layers = [Descriptor::of(media::WASM, &wasm), Descriptor::of(media::APPLICATION, lock.as_bytes())];
        let config = Descriptor::of(MediaType::IMAGE_CONFIG, b"{}");
        let media_type = MediaType::IMAGE_MANIFEST;
        let mut image = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        let place = if layer == 2 { "/config".to_owned() } else { format!("/layers/{layer}") };
        image.pointer_mut(&place).expect("it is there")["size"] = size.clone();
        // A good registry would not take it.
        let manifest = Reply::ok(image.to_string()).header("content-type", MediaType::IMAGE_MANIFEST.as_str());
        let mut script = Script::new().always("GET /v2/app/manifests/v1", manifest);
        for content in [wasm.as_slice(), lock.as_bytes(), b"{}"] {
            script = script.always(&format!("GET /v2/app/blobs/{}", Digest::of(content)), Reply::ok(content.to_vec()));
        }
        let script = script.start().await;
        let cli = Cli::new();
        let place = format!("{}/app:v1", script.address());
        let complaint = cli.run(["prepare", "--plain-http", "--to", "out", &place]).await.failure(code);
        assert!(complaint.contains(&said), "{layer} {size}: {complaint}");
        assert!(!cli.path("work/out").exists(), "{layer} {size}");
        assert!(!cli.path("cache/spin/registry/manifests").exists(), "{layer} {size}");
        for folder in ["wasm", "data"] {
            let there = fs::read_dir(cli.path("cache/spin/registry").join(folder)).into_iter().flatten();
            assert!(there.count() <= 1, "{layer} {size}: what is whole by itself, and nothing else");
        }
        script.finish();
    }
}

#[tokio::test]
async fn of_an_archive_that_breaks_off_nothing_can_be_run() {
    let (one, two) = (b"the first file".as_slice(), [7; 100_000].as_slice());
    let files = json!([{"path": "1", "digest": Digest::of(one)}, {"path": "2", "digest": Digest::of(two)}]);
    let whole = archive([one, two]);
    // In the first header, in the content, in the last bytes of the checksum.
    for cut in [5, whole.len() / 2, whole.len() - 1] {
        let root = root();
        let cache = Cache::at(root.path());
        let place = reference("r.example/team/app:1");
        let artifact = Artifact::application(&site(&files), &[(media::WASM, WASM), (media::ARCHIVE, &whole[..cut])]);
        let error = artifact.pull(&cache.application(&place)).await.expect_err("it breaks off").to_string();
        assert!(error.contains("a gzip-compressed tar archive"), "{error}");
        assert!(Runnable::cached(&cache, &place).await.expect_err("nothing").to_string().contains("not in the cache"));
        assert!(!cache.root().join("manifests").exists());
        // A blob beside it may wait to be gone on with; nothing of the archive does.
        let begun = fs::read_dir(cache.root().join(".spinreg/partial")).into_iter().flatten();
        let mut begun = begun.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        assert!(begun.all(|name| !name.starts_with("unpack")), "{cut}");
        let statements = fs::read_dir(cache.root().join(".spinreg/unpacked")).expect("our folder");
        let statements = statements.map(|entry| entry.expect("an entry").path());
        assert!(statements.into_iter().all(|path| path.extension().is_some_and(|extension| extension == "lock")));
        // What has come out is what its name says.
        for (name, content) in tree(&cache.root().join("data")) {
            assert_eq!(name, Digest::of(&content).to_string());
        }
    }
}

#[tokio::test]
async fn what_is_optional_need_not_be_known() {
    let mut lock = site(&json!([]));
    lock["host_requirements"] = json!({"teleport": "optional"});
    lock["components"][0]["host_requirements"] = json!({"teleport": "optional"});
    let told = |lock: &Value| LockedApp::parse(lock.to_string().as_bytes()).expect("a lock file").understood();
    assert_eq!(told(&lock), Ok(()));
    for place in ["", "/components/0"] {
        let mut lock = lock.clone();
        lock.pointer_mut(place).expect("it is there")["host_requirements"]["teleport"] = "required".into();
        assert!(told(&lock).expect_err("unknown").to_string().contains("`host_requirements` `teleport`"), "{place}");
    }
}

#[tokio::test]
async fn what_is_no_application_is_said_to_be_none() {
    let publisher = Publisher::start().await;
    let tar = MediaType::constant("application/vnd.oci.image.layer.v1.tar+gzip");
    let chart = MediaType::constant("application/vnd.cncf.helm.config.v1+json");
    for (tag, config, layers) in [
        ("container", (MediaType::IMAGE_CONFIG, br#"{"os":"linux"}"#.as_slice()), vec![b"1".as_slice(), b"2"]),
        ("scratch", (MediaType::IMAGE_CONFIG, b"{}"), vec![]),
        ("chart", (chart, br#"{"name":"chart"}"#), vec![b"1", b"2"]),
        // One layer, and that is no WebAssembly.
        ("busybox", (MediaType::IMAGE_CONFIG, br#"{"os":"linux"}"#), vec![b"\x1f\x8b 1"]),
        ("text", (MediaType::constant("text/plain"), b"hello"), vec![b"1"]),
    ] {
        let config = publisher.blob(config.0, config.1).await;
        let mut described = Vec::new();
        for layer in layers {
            described.push(publisher.blob(tar.clone(), layer).await);
        }
        let image = json!({
            "schemaVersion": 2, "mediaType": MediaType::IMAGE_MANIFEST, "config": config, "layers": described,
        });
        publisher.manifest(&image, Some(tag)).await;
        let cli = Cli::new();
        let complaint = cli.run(["prepare", "--to", "out", &publisher.reference(&format!(":{tag}"))]).await.failure(1);
        assert!(complaint.contains(" a Spin ") && complaint.contains("hint: "), "{tag}: {complaint}");
        assert!(!cli.path("work/out").exists(), "{tag}");
    }
}

#[tokio::test]
async fn files_of_every_size_make_the_round_trip() {
    let registry = Embedded::start().await;
    let dir = load::app(&load::component("files = [{ source = \"assets\", destination = \"/\" }]"));
    let assets = dir.path().join("assets");
    fs::create_dir_all(assets.join("nothing/in/it")).expect("a directory");
    fs::create_dir_all(assets.join("a b/.hidden")).expect("a directory");
    // Inline and not, in one piece and in more than one.
    for size in [0, 1, 128, 129, 4 << 20, (4 << 20) + 1] {
        for place in ["", "a b/", "a b/.hidden/ü"] {
            let content: Vec<u8> = (0_u8..251).cycle().take(size).collect();
            fs::write(assets.join(format!("{place}{size}")), content).expect("a file");
        }
    }
    let reference = registry.reference("app:v1");
    for archives in ["", "1"] {
        let cli = Cli::new().env("SPIN_OCI_ARCHIVE_LAYERS", archives);
        push(&cli, dir.path().to_str().expect("UTF-8"), &reference, &[]).await;
        cli.run(["prepare", "--to", "out", &reference]).await.success();
        let out = cli.path("work/out/assets/c");
        assert!(tree(&out) == tree(&assets), "{:?}", tree(&out).keys());
        assert!(!out.join("nothing").exists(), "what is empty does not travel");
    }
}
