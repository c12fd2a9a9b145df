//! Hosts that are treated specially: where they are, who they are, who stands in for them.
//!
//! Names end in `.test` and are never resolved.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::Version;
use spinreg::Error;
use spinreg::auth::{Credential, Found, Given, Secret};
use spinreg::content::{Blob, Source as _, Tagged, Target as _};
use spinreg::error::UnreachableKind;
use spinreg::model::{Descriptor, Digest, Identifier, Manifest, MediaType, Registry, Tag};
use spinreg::registry::{
    Client, ClientBuilder, HostConfig, Hosts, Listing, Mirror, MirrorMode, Notice, Protection, Repository,
};
use spinreg::transport::{Identity, Options, Protocol};

use crate::support::client::unreachable;
use crate::support::front::{Front, Fronted, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::{End, Reply};
use crate::support::repository::options;
use crate::support::script::Script;
use crate::support::tls::Authority;

fn registry(name: &str) -> Registry {
    name.parse().expect("a registry")
}

/// Makes a host special.
type Change<'a> = &'a dyn Fn(&mut HostConfig);

fn hosts<const N: usize>(hosts: [(&str, Change<'_>); N]) -> Hosts {
    let mut all = Hosts::new();
    for (name, change) in hosts {
        change(all.entry(&registry(name)));
    }
    all
}

fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    change(Client::builder().transport(options())).build().expect("options that fit")
}

fn trusting(authority: &Authority) -> Options {
    let mut options = options();
    options.tls.ca_files.push(authority.file());
    options
}

fn app(client: &Client, name: &str) -> Repository {
    client.repository(&format!("{name}/team/app:v1").parse().expect("a reference"))
}

/// Speaks plain HTTP to `address` for a name.
fn plainly(address: SocketAddr) -> impl Fn(&mut HostConfig) {
    move |host| (host.protection, host.connect) = (Some(Protection::Plain), Some(address))
}

fn v1() -> Identifier {
    Identifier::Tag("v1".parse().expect("a tag"))
}

#[tokio::test]
async fn a_name_is_connected_to_an_address_and_stays_what_it_is() {
    let authority = Authority::new();
    let script = Script::new()
        .on("HEAD /v2/team/app/manifests/v1", Reply::status(401).header("www-authenticate", "Basic realm=\"x\""))
        .without("authorization")
        .on("HEAD /v2/team/app/manifests/v1", Reply::status(404))
        .with("authorization", "Basic YWRhOmxvdmVsYWNl")
        .start_as(authority.server_named(&["registry.test"], &["http/1.1"]))
        .await;
    let credential = Credential::Password { username: "ada".to_owned(), secret: Secret::new("lovelace") };
    let given = Given::new(registry("registry.test"), Found { credential, source: "the test".to_owned() });
    let client = client(|client| {
        let client = client.transport(trusting(&authority)).keychain(Arc::new(given));
        client.connect_to(&registry("registry.test"), script.address())
    });
    let error = app(&client, "registry.test").resolve(&v1()).await.expect_err("nobody has it");
    assert!(error.is_not_found(), "{error}");
    for seen in script.seen() {
        assert_eq!(seen.headers["host"], "registry.test");
    }
    script.finish();
    // Nobody else is connected there, and the certificate is for the name alone.
    let script = Script::new().start_as(authority.server_named(&["registry.test"], &["http/1.1"])).await;
    let client = self::client(|client| {
        client.transport(trusting(&authority)).connect_to(&registry("other.test"), script.address())
    });
    unreachable(app(&client, "other.test").resolve(&v1()).await, UnreachableKind::Tls);
    script.finish();
}

#[tokio::test]
async fn a_connected_name_is_no_part_of_this_machine() {
    // What answers is on loopback; the name is not, and may not lead there.
    let script = Script::new()
        .on("HEAD /v2/team/app/manifests/v1", Reply::status(307).header("location", "http://127.0.0.1:9/"))
        .start()
        .await;
    let client = client(|client| client.hosts(hosts([("registry.test", &plainly(script.address()))])));
    let error = app(&client, "registry.test").resolve(&v1()).await.expect_err("refused");
    assert!(matches!(error, Error::Protocol(_)) && error.to_string().contains("this machine"), "{error}");
    script.finish();
}

/// The session of an upload was opened wherever the registry said.
#[tokio::test]
async fn r3_an_upload_of_a_connected_name_does_not_lead_to_this_machine() {
    let inside = Script::new().start().await;
    for location in [inside.uri("/u").to_string(), "http://169.254.169.254/u".into(), "http://10.0.0.1/u".into()] {
        let script = Script::new()
            .always("POST /v2/team/app/blobs/uploads/*", Reply::status(202).header("location", &location))
            .start()
            .await;
        let client = client(|client| client.hosts(hosts([("registry.test", &plainly(script.address()))])));
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, "content");
        let error = app(&client, "registry.test").for_push().push_blob(&blob).await.expect_err("refused");
        let (said, why) = (error.to_string(), std::error::Error::source(&error).map(ToString::to_string));
        assert!(said.contains("the `Location` of the upload session leads nowhere"), "{location}: {said}");
        assert!(why.is_some_and(|why| why.contains("it leads to ")), "{location}: {said}");
        script.finish();
    }
    inside.finish();
}

/// Passwords go to a token service over TLS alone, and to none that only this machine or its network can reach.
#[tokio::test]
async fn a_token_service_of_a_connected_name_is_not_inside() {
    let (authority, inside) = (Authority::new(), Script::new().start().await);
    for realm in [
        inside.uri("/token").to_string(),
        format!("https://{}/token", inside.address()),
        "https://localhost/token".to_owned(),
        "https://[::1]/token".to_owned(),
        "https://169.254.169.254/token".to_owned(),
        "https://10.0.0.1/token".to_owned(),
        "http://auth.test/token".to_owned(),
        "https://ada:lovelace@auth.test/token".to_owned(),
    ] {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"test\"");
        let script = Script::new()
            .on("HEAD /v2/team/app/manifests/v1", Reply::status(401).header("www-authenticate", challenge))
            .start_as(authority.server_named(&["registry.test"], &["http/1.1"]))
            .await;
        let credential = Credential::Password { username: "ada".to_owned(), secret: Secret::new("lovelace") };
        let given = Given::new(registry("registry.test"), Found { credential, source: "the test".to_owned() });
        let client = client(|client| {
            let client = client.transport(trusting(&authority)).keychain(Arc::new(given));
            // Where it would be, were it asked.
            let client = client.connect_to(&registry("auth.test"), inside.address());
            client.connect_to(&registry("registry.test"), script.address())
        });
        let error = app(&client, "registry.test").resolve(&v1()).await.expect_err("refused");
        assert!(matches!(error, Error::Protocol(_)), "{realm}: {error}");
        assert!(!format!("{error:?}").contains("lovelace"), "{error:?}");
        script.finish();
    }
    inside.finish();
}

/// The first half may come from storage, and the way to the second half is judged anew.
#[tokio::test]
async fn a_download_that_goes_on_is_not_led_to_this_machine() {
    let (bytes, inside) = (Bytes::from_static(b"0123456789"), Script::new().start().await);
    let storage = Script::new().on("GET /blob", Reply::ok(bytes.clone()).cut_after(4, End::Close)).start().await;
    let script = Script::new()
        .on("GET /v2/team/app/blobs/*", Reply::redirect(307, "http://storage.test/blob"))
        .on("GET /v2/team/app/blobs/*", Reply::redirect(307, inside.uri("/blob").to_string()))
        .with("range", "bytes=4-")
        .start()
        .await;
    let client = client(|client| {
        let [registry, storage] = [script.address(), storage.address()].map(plainly);
        client.hosts(hosts([("registry.test", &registry), ("storage.test", &storage)]))
    });
    let blob = app(&client, "registry.test").blob(&Descriptor::of(MediaType::OCTET_STREAM, &bytes));
    let (read, end) = crate::support::client::read(blob.open(0).await.expect("the first half")).await;
    assert_eq!(read, bytes.slice(..4));
    let error = end.expect_err("refused");
    assert!(error.to_string().contains("the redirect leads to this machine"), "{error}");
    for script in [script, storage, inside] {
        script.finish();
    }
}

#[tokio::test]
async fn the_files_of_one_host_do_not_keep_us_from_another() {
    let authority = Authority::new();
    let script = Script::new()
        .always("HEAD /v2/team/app/manifests/v1", Reply::status(404))
        .start_as(authority.server_named(&["registry.test"], &["h2"]))
        .await;
    let ours = |host: &mut HostConfig| {
        host.ca_files.push(authority.file());
        host.connect = Some(script.address());
    };
    let broken = |host: &mut HostConfig| {
        host.ca_files.push("/absent/ca.pem".into());
        host.connect = Some(script.address());
    };
    let stranger = |host: &mut HostConfig| host.connect = Some(script.address());
    let all = hosts([("registry.test", &ours), ("broken.test", &broken), ("stranger.test", &stranger)]);
    let client = client(|client| client.hosts(all));
    let error = app(&client, "registry.test").resolve(&v1()).await.expect_err("nobody has it");
    assert!(error.is_not_found(), "{error}");
    let error = app(&client, "broken.test").resolve(&v1()).await.expect_err("no such file");
    assert!(matches!(&error, Error::Io(failure) if failure.path.ends_with("ca.pem")), "{error}");
    // Trust is for one name.
    unreachable(app(&client, "stranger.test").resolve(&v1()).await, UnreachableKind::Tls);
    script.finish();
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_belongs() {
    let (authority, people) = (Authority::new(), Authority::new());
    let script = Script::new()
        .always("HEAD /v2/team/app/manifests/v1", Reply::status(404))
        .start_as(authority.server_for_clients_of(&people, &["registry.test", "other.test"]))
        .await;
    let (certificate, key) = people.client_files();
    let (_, other_key) = authority.client_files();
    let identity = Identity { certificate, key };
    let known = |host: &mut HostConfig| {
        (host.identity, host.connect) = (Some(identity.clone()), Some(script.address()));
    };
    let unknown = |host: &mut HostConfig| host.connect = Some(script.address());
    let mixed = |host: &mut HostConfig| host.identity = Some(Identity { key: other_key.clone(), ..identity.clone() });
    let swapped = |host: &mut HostConfig| {
        let Identity { certificate, key } = identity.clone();
        host.identity = Some(Identity { certificate: key, key: certificate });
    };
    let all = hosts([
        ("registry.test", &known),
        ("other.test", &unknown),
        ("mixed.test", &mixed),
        ("swapped.test", &swapped),
    ]);
    let client = client(|client| {
        let mut options = trusting(&authority);
        options.policy.attempts = 1;
        client.transport(options).hosts(all)
    });
    let error = app(&client, "registry.test").resolve(&v1()).await.expect_err("nobody has it");
    assert!(error.is_not_found(), "{error}");
    unreachable(app(&client, "other.test").resolve(&v1()).await, UnreachableKind::ClientCertificate);
    for (name, said) in [("mixed.test", "the key of the client certificate"), ("swapped.test", "in PEM form")] {
        let error = app(&client, name).resolve(&v1()).await.expect_err("files that do not fit");
        assert!(matches!(error, Error::Parse(_)) && error.to_string().contains(said), "{error}");
    }
    script.finish();
}

#[tokio::test]
async fn a_directory_of_authorities_is_read() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().expect("a temporary directory"));
    std::fs::write(directory.path().join("readme.txt"), "no certificate").expect("a file");
    std::fs::copy(authority.file(), directory.path().join("corp.crt")).expect("a file");
    let script = Script::new()
        .always("HEAD /v2/team/app/manifests/v1", Reply::status(404))
        .start_as(authority.server_named(&["registry.test"], &["http/1.1"]))
        .await;
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).expect("a directory");
    let trusted = |host: &mut HostConfig| {
        host.ca_files.push(directory.path().to_owned());
        host.connect = Some(script.address());
    };
    let untrusted = |host: &mut HostConfig| host.ca_files.push(empty.clone());
    let client = client(|client| client.hosts(hosts([("registry.test", &trusted), ("empty.test", &untrusted)])));
    assert!(app(&client, "registry.test").resolve(&v1()).await.expect_err("nobody has it").is_not_found());
    let error = app(&client, "empty.test").resolve(&v1()).await.expect_err("nothing in it");
    assert!(matches!(error, Error::Parse(_)), "{error}");
    script.finish();
}

#[tokio::test]
async fn one_host_is_spoken_to_in_http_1() {
    let authority = Authority::new();
    let script = Script::new()
        .always("HEAD /v2/team/app/manifests/v1", Reply::status(404))
        .start_as(authority.server_named(&["old.test", "new.test"], &["h2", "http/1.1"]))
        .await;
    let old = |host: &mut HostConfig| {
        (host.protocol, host.connect) = (Some(Protocol::Http1Only), Some(script.address()));
    };
    let new = |host: &mut HostConfig| host.connect = Some(script.address());
    let all = hosts([("old.test", &old), ("new.test", &new)]);
    let client = client(|client| client.transport(trusting(&authority)).hosts(all));
    for (name, version) in [("old.test", Version::HTTP_11), ("new.test", Version::HTTP_2)] {
        assert!(app(&client, name).resolve(&v1()).await.expect_err("nobody has it").is_not_found());
        assert_eq!(script.seen().last().expect("a request").version, version, "{name}");
    }
    script.finish();
}

#[tokio::test]
async fn one_host_gets_chunks() {
    let upstream = Embedded::start().await;
    let front = Front::before(upstream.address()).start().await;
    let address = front.registry().parse().expect("an address");
    let chunked = |host: &mut HostConfig| {
        plainly(address)(host);
        host.chunk = std::num::NonZeroU64::new(64 << 10);
    };
    let client = client(|client| client.hosts(hosts([("registry.test", &chunked)])));
    let blob = Blob::from_bytes(MediaType::OCTET_STREAM, vec![7; 150 << 10]);
    app(&client, "registry.test").for_push().push_blob(&blob).await.expect("an upload");
    assert_eq!(front.wire().count("PATCH "), 3, "{:?}", front.wire().lines());
}

/// A registry and its mirror.
struct Pair {
    registry: Fronted,
    mirror: Fronted,
    client: Client,
    told: Arc<Mutex<Vec<String>>>,
    _content: [Embedded; 2],
}

impl Pair {
    async fn start(
        mode: MirrorMode,
        prefix: Option<&str>,
        mirror: impl FnOnce(Front) -> Front,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Self {
        let content = [Embedded::start().await, Embedded::start().await];
        let registry_front = Front::before(content[0].address()).start().await;
        let mirror_front = mirror(Front::before(content[1].address())).start().await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let addresses = [&registry_front, &mirror_front].map(|front| front.registry().parse().expect("an address"));
        let named = |host: &mut HostConfig| {
            plainly(addresses[0])(host);
            let prefix = prefix.map(|prefix| prefix.parse().expect("a name"));
            host.mirror = Some(Mirror { registry: registry("mirror.test"), prefix, mode });
        };
        let second = plainly(addresses[1]);
        let noted = told.clone();
        let client = client(|client| {
            let client = client.hosts(hosts([("registry.test", &named), ("mirror.test", &second)]));
            change(client.notify(move |notice| {
                if let Notice::MirrorFailed(mirror, error) = notice {
                    noted.lock().expect("no test panics in here").push(format!("{mirror}: {error}"));
                }
            }))
        });
        Self { registry: registry_front, mirror: mirror_front, client, told, _content: content }
    }

    /// Puts an application into the registry, and into its mirror where that has a name for it.
    async fn fill(&self, mirrored: Option<&str>) -> (Manifest, Descriptor) {
        let blob = Blob::from_bytes(MediaType::OCTET_STREAM, Bytes::from_static(CONTENT));
        let config = Blob::from_bytes(MediaType::OCTET_STREAM, Bytes::from_static(b"{}"));
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor(), "layers": [blob.descriptor()],
        });
        let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
        let tag: Tag = "v1".parse().expect("a tag");
        for (front, name) in [(&self.registry, Some("team/app")), (&self.mirror, mirrored)] {
            let Some(name) = name else { continue };
            let target = directly(front, name);
            for blob in [&blob, &config] {
                target.push_blob(blob).await.expect("an upload");
            }
            target.push_manifest(&manifest, Some(&tag)).await.expect("an upload");
            front.wire().take();
        }
        (manifest, blob.descriptor().clone())
    }

    /// Puts something that refers to `subject` where [`Pair::fill`] has put that.
    async fn refer(&self, subject: &Manifest, mirrored: Option<&str>) -> Digest {
        let empty = Blob::from_bytes(MediaType::OCTET_STREAM, Bytes::from_static(b"{}"));
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": empty.descriptor(), "layers": [], "subject": subject.descriptor(),
        });
        let manifest = Manifest::parse(manifest.to_string(), None).expect("a manifest");
        for (front, name) in [(&self.registry, Some("team/app")), (&self.mirror, mirrored)] {
            let Some(name) = name else { continue };
            directly(front, name).push_manifest(&manifest, None).await.expect("an upload");
            front.wire().take();
        }
        manifest.digest()
    }

    async fn pull(&self, blob: &Descriptor) -> Result<Digest, Error> {
        let source = app(&self.client, "registry.test");
        let manifest = source.manifest(&v1()).await?;
        assert_eq!(source.blob(blob).read(1 << 20).await?, CONTENT);
        Ok(manifest.digest())
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().expect("no test panics in here").clone()
    }
}

/// Opens a repository at an address, whatever stands for it.
fn directly(front: &Fronted, name: &str) -> Repository {
    let client = Client::builder().transport(options()).protection(Protection::Plain).build();
    let reference = format!("{}/{name}", front.registry()).parse().expect("a reference");
    client.expect("options that fit").repository(&reference).for_push()
}

const CONTENT: &[u8] = b"the very content of the application";

#[tokio::test]
async fn a_mirror_serves_pulls_and_the_registry_pushes() {
    for mode in [MirrorMode::Fallback, MirrorMode::Replace] {
        let pair = Pair::start(mode, Some("hub"), |front| front, |client| client).await;
        let (manifest, blob) = pair.fill(Some("hub/team/app")).await;
        assert_eq!(pair.pull(&blob).await.expect("a pull"), manifest.digest());
        let [first, second] = &pair.mirror.wire().take()[..] else { panic!("two requests") };
        assert!(first.ends_with("/v2/hub/team/app/manifests/v1 200") && second.contains("/v2/hub/team/app/blobs/"));
        assert!(pair.registry.wire().lines().is_empty(), "{:?}", pair.registry.wire().lines());
        let target = app(&pair.client, "registry.test").for_push();
        let tagged = target.tagged(&"v1".parse().expect("a tag"), manifest.descriptor()).await;
        assert!(matches!(tagged, Ok(Tagged::Wanted)), "{tagged:?}");
        target.push_manifest(&manifest, Some(&"v2".parse().expect("a tag"))).await.expect("an upload");
        assert!(pair.mirror.wire().lines().is_empty(), "{:?}", pair.mirror.wire().lines());
        assert!(pair.told().is_empty());
    }
}

#[tokio::test]
async fn what_a_mirror_lacks_the_registry_has_or_not() {
    let pair = Pair::start(MirrorMode::Fallback, None, |front| front, |client| client).await;
    let (manifest, blob) = pair.fill(None).await;
    assert_eq!(pair.pull(&blob).await.expect("a pull"), manifest.digest());
    assert!(pair.told().is_empty(), "that is what mirrors are like: {:?}", pair.told());

    let pair = Pair::start(MirrorMode::Replace, None, |front| front, |client| client).await;
    let (_, blob) = pair.fill(None).await;
    assert!(pair.pull(&blob).await.expect_err("the mirror lacks it").is_not_found());
    assert!(pair.registry.wire().lines().is_empty());
}

/// Lists were always asked for at the registry itself, which `replace` is to spare.
#[tokio::test]
async fn r3_lists_are_a_mirrors_as_well() {
    for (mode, mirrored, tags, asked) in [
        (MirrorMode::Replace, Some("hub/team/app"), Some(1), [true, false]),
        (MirrorMode::Fallback, Some("hub/team/app"), Some(1), [true, false]),
        (MirrorMode::Replace, None, None, [true, false]),
        (MirrorMode::Fallback, None, Some(1), [true, true]),
    ] {
        let pair = Pair::start(mode, Some("hub"), |front| front, |client| client).await;
        let (manifest, _) = pair.fill(mirrored).await;
        let wires = || [&pair.mirror, &pair.registry].map(|front| !front.wire().take().is_empty());
        let source = app(&pair.client, "registry.test");
        let listed: Result<Vec<Tag>, Error> = source.tags(Listing::default()).try_collect().await;
        assert_eq!(listed.as_ref().ok().map(Vec::len), tags, "{mode:?} {mirrored:?}: {listed:?}");
        assert_eq!(wires(), asked, "{mode:?} {mirrored:?}");

        let referrer = pair.refer(&manifest, mirrored).await;
        let found = source.referrers(&manifest.digest(), None).await.expect("a list");
        let found: Vec<_> = found.iter().map(|found| found.digest).collect();
        let there = mirrored.is_some() || mode == MirrorMode::Fallback;
        assert_eq!(found, if there { vec![referrer] } else { vec![] }, "{mode:?} {mirrored:?}");
        assert_eq!(wires(), asked, "{mode:?} {mirrored:?}");
        assert!(pair.told().is_empty(), "nothing has failed: {:?}", pair.told());

        // Whoever changes something asks the registry itself.
        let target = app(&pair.client, "registry.test").for_push();
        let listed: Vec<Tag> = target.tags(Listing::default()).try_collect().await.expect("a list");
        assert_eq!((listed.len(), wires()), (1, [false, true]), "{mode:?} {mirrored:?}");
        target.delete_manifest(&referrer).await.expect("a deletion");
        assert_eq!(wires(), [false, true], "{mode:?} {mirrored:?}");
    }
}

#[tokio::test]
async fn lists_that_a_mirror_fails_are_the_registrys() {
    let refusing = |front: Front| front.meddle("GET *", [Meddle::Instead(Reply::status(403))]);
    let babbling = |front: Front| front.meddle("GET *", [Meddle::Instead(Reply::ok("<html>"))]);
    for front in [&refusing as &dyn Fn(_) -> _, &babbling] {
        let pair = Pair::start(MirrorMode::Fallback, None, front, |client| client).await;
        pair.fill(Some("team/app")).await;
        let listed: Vec<Tag> =
            app(&pair.client, "registry.test").tags(Listing::default()).try_collect().await.expect("a list");
        assert_eq!(listed.len(), 1);
        assert_eq!(pair.told().len(), 1, "{:?}", pair.told());
    }
}

#[tokio::test]
async fn a_mirror_that_fails_is_made_good_for() {
    for (what, front) in [
        (
            "a refusal",
            &(|front: Front| front.meddle("GET *", [Meddle::Instead(Reply::status(403))])) as &dyn Fn(_) -> _,
        ),
        ("no registry", &|front: Front| front.meddle("GET *", [Meddle::Instead(Reply::ok("<html>"))])),
        ("a blob that ends early", &|front: Front| {
            front.meddle("GET /v2/team/app/blobs/*", [Meddle::Cut(9, End::Close), Meddle::Instead(Reply::status(403))])
        }),
    ] {
        let pair = Pair::start(MirrorMode::Fallback, None, front, |client| client).await;
        let (manifest, blob) = pair.fill(Some("team/app")).await;
        assert_eq!(pair.pull(&blob).await.expect(what), manifest.digest());
        let [told] = &pair.told()[..] else { panic!("{what}: {:?}", pair.told()) };
        assert!(told.starts_with("mirror.test: "), "{told}");
    }
}

#[tokio::test]
async fn a_mirror_that_lies_about_a_digest_is_not_believed() {
    for mode in [MirrorMode::Fallback, MirrorMode::Replace] {
        let spoil = |front: Front| front.meddle("GET *", [Meddle::Spoil, Meddle::Spoil]);
        let pair = Pair::start(mode, None, spoil, |client| client).await;
        let (manifest, blob) = pair.fill(Some("team/app")).await;
        let source = app(&pair.client, "registry.test");
        let outcome = source.manifest(&Identifier::Digest(manifest.digest())).await;
        match mode {
            MirrorMode::Fallback => assert_eq!(outcome.expect("the registry's").digest(), manifest.digest()),
            _ => assert!(matches!(outcome, Err(Error::Mismatch(_))), "{outcome:?}"),
        }
        // The bytes of a blob are on their way before anybody can know.
        let outcome = source.blob(&blob).read(1 << 20).await;
        assert!(matches!(outcome, Err(Error::Mismatch(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_mirror_gets_no_credentials_of_the_registry() {
    let guard = Guard::basic("grace", "hopper");
    for (name, known) in [("registry.test", false), ("mirror.test", true)] {
        let credential = Credential::Password { username: "grace".to_owned(), secret: Secret::new("hopper") };
        let given = Given::new(registry(name), Found { credential, source: "the test".to_owned() });
        let front = |front: Front| front.guarded(&guard);
        let exposed =
            |client: ClientBuilder| client.keychain(Arc::new(given)).exposure(spinreg::auth::Exposure::Allowed);
        let pair = Pair::start(MirrorMode::Replace, None, front, exposed).await;
        let error = app(&pair.client, "registry.test").manifest(&v1()).await.expect_err("nothing was pushed");
        match error {
            Error::NotFound(_) => assert!(known, "{error}"),
            Error::Unauthorized(unmet) => {
                assert!(!known);
                assert_eq!(unmet.registry, registry("mirror.test"));
            }
            error => panic!("{error}"),
        }
    }
}
