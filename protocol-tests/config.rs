//! The configuration file, as every command obeys it; docker's `certs.d`; client certificates.

use std::path::Path;

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::scenario::{app, main_job, pull, push};
use crate::support::script::{Script, Scripted};
use crate::support::tls::Authority;

const PASSWORD: &str = "correct-horse";

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file in a temporary directory");
}

/// Returns a path as it is written in TOML.
fn literal(path: &Path) -> String {
    format!("'{}'", path.to_str().expect("a path in Unicode"))
}

#[tokio::test]
async fn login_push_and_pull_trust_what_the_file_says() {
    let upstream = Embedded::start().await;
    let (authority, guard) = (Authority::new(), Guard::bearer("ada", PASSWORD));
    let front = Front::before(upstream.address()).guarded(&guard).start_tls(&authority).await;
    let registry = front.registry();
    let cli = Cli::new().secret(PASSWORD);
    let login = ["login", &registry, "-u", "ada", "--password-stdin"];
    cli.run_with_input(login, PASSWORD).await.failure(6);
    cli.configure(&format!("[host.\"{registry}\"]\nca = {}\nhttp1 = true\n", literal(&authority.file())));
    cli.run_with_input(login, PASSWORD).await.success();
    main_job(&cli, &registry, &[]).await;
    // For everybody it is as good.
    cli.configure(&format!("ca = [{}]\n", literal(&authority.file())));
    pull(&cli, &format!("{registry}/apps/static-site:v1"), &[]).await;
}

#[tokio::test]
async fn names_lead_where_the_file_says() {
    let upstream = Embedded::start().await;
    let front = Front::before(upstream.address()).start().await;
    let cli = Cli::new();
    let address = front.registry();
    cli.configure(&format!(
        "[host.\"registry.test\"]\nplain_http = true\nconnect = \"{address}\"\nchunk_size = \"64KiB\"\nconcurrency = 1\n"
    ));
    push(&cli, &app("static-site"), "registry.test/app:v1", &[]).await;
    assert!(front.wire().count("PATCH ") > 0, "{:?}", front.wire().lines());
    pull(&cli, "registry.test/app:v1", &[]).await;
}

/// As other tools have it that bring their own TLS: whom the system trusts may be said by a variable.
#[tokio::test]
async fn the_systems_authorities_are_those_that_a_variable_names() {
    let upstream = Embedded::start().await;
    let authority = Authority::new();
    let front = Front::before(upstream.address()).start_tls(&authority).await;
    let target = format!("{}/app:v1", front.registry());
    let folder = tempfile::tempdir().expect("a temporary directory");
    // By the name that OpenSSL looks for would be enough, and is not needed.
    std::fs::copy(authority.file(), folder.path().join("own.pem")).expect("a copy");
    for (variable, place) in [("SSL_CERT_FILE", authority.file()), ("SSL_CERT_DIR", folder.path().to_owned())] {
        let cli = Cli::new().env(variable, place);
        push(&cli, &app("inline-trigger"), &target, &[]).await;
        pull(&cli, &target, &[]).await;
    }
    let stranger = Cli::new().env("SSL_CERT_FILE", Authority::new().file());
    let complaint = stranger.run(["pull", &target]).await.failure(6);
    assert!(complaint.contains("--ca-file"), "{complaint}");
}

/// Not only login, push and pull: whatever goes to a registry goes where the file says, as the file says.
#[tokio::test]
async fn all_other_commands_obey_the_file_as_well() {
    let upstream = Embedded::start().await;
    let (authority, guard) = (Authority::new(), Guard::bearer("ada", PASSWORD));
    let front = Front::before(upstream.address()).called("registry.test").guarded(&guard);
    let front = front.start_tls(&authority).await;
    let cli = Cli::new().secret(PASSWORD);
    let (ca, address) = (literal(&authority.file()), front.address());
    cli.configure(&format!("[host.\"registry.test\"]\nca = {ca}\nconnect = \"{address}\"\n"));
    let login = ["login", "registry.test", "-u", "ada", "--password-stdin"];
    cli.run_with_input(login, PASSWORD).await.success();
    push(&cli, &app("inline-trigger"), "registry.test/app:v1", &[]).await;
    for command in [
        &["doctor", "registry.test/app:v1"][..],
        &["conformance", "registry.test", "--filter", "sha256 blobs/post only", "--no-results"],
        &["prepare", "registry.test/app:v1", "--to", "out"],
        &["auth", "explain", "registry.test/app"],
    ] {
        front.wire().take();
        cli.run(command).await.success();
        let asked = front.wire().lines();
        assert_eq!(asked.is_empty(), command[0] == "auth", "{command:?}: {asked:#?}");
        let exposed = asked.iter().filter(|line| line.contains(" 401")).count();
        assert!(exposed < asked.len() || asked.is_empty(), "{command:?} knows nobody: {asked:#?}");
    }
    // Nor does one go on where the file makes no sense.
    cli.configure("[host.\"registry.test\"]\nconnect = 7\n");
    for command in [
        &["doctor", "registry.test/app:v1"][..],
        &["conformance", "registry.test", "--no-results"],
        &["prepare", "registry.test/app:v1", "--to", "other"],
        &["auth", "explain", "registry.test/app"],
        &["pull", "registry.test/app:v1"],
        &["logout", "registry.test"],
    ] {
        let complaint = cli.run(command).await.failure(2);
        assert!(complaint.contains("config.toml:2:11: `host.registry.test.connect` has to be"), "{complaint}");
    }
}

#[tokio::test]
async fn a_mirror_is_pulled_from() {
    let (upstream, mirror) = (Embedded::start().await, Embedded::start().await);
    let cli = Cli::new();
    let hosts = |mirror: &str, mode: &str| {
        format!(
            "[host.\"registry.test\"]\nplain_http = true\nconnect = \"{}\"\n\
             mirror = {{ registry = \"{mirror}\", prefix = \"hub/a\", mode = \"{mode}\" }}\n",
            upstream.address()
        )
    };
    let mirror_name = mirror.address().to_string();
    cli.configure(&hosts(&mirror_name, "replace"));
    let digest = push(&cli, &app("static-site"), "registry.test/app:v1", &[]).await;
    let asked = mirror.wire().lines();
    assert!(asked.is_empty(), "a push is not the mirror's: {asked:?}");
    cli.run(["pull", "registry.test/app:v1"]).await.failure(3);
    push(&cli, &app("static-site"), &format!("{mirror_name}/hub/a/app:v1"), &[]).await;
    upstream.wire().take();
    let quiet = cli.run(["pull", "--quiet", "registry.test/app:v1"]).await.success();
    assert_eq!(quiet, format!("registry.test/app@{digest}\n"));
    assert!(upstream.wire().lines().is_empty(), "{:?}", upstream.wire().lines());

    // A mirror that is away is told of, once, and the registry itself asked.
    let nobody = crate::support::listen::closed_port().await.to_string();
    let text = hosts(&nobody, "fallback") + "[network]\nbackoff_max = \"1ms\"\n";
    cli.configure(&text);
    let run = cli.run(["pull", "registry.test/app:v1", "--cache-dir", "other"]).await;
    let warnings = run.stderr.matches("warning: the mirror `").count();
    assert_eq!(warnings, 1, "{run}");
    run.success();
}

#[tokio::test]
async fn mistakes_in_the_file_are_told_with_their_place() {
    let cli = Cli::new();
    cli.configure("[network]\nconnect_timeout = \"5 parsecs\"\n");
    for command in [&["pull", "127.0.0.1:9/app"][..], &["login", "127.0.0.1:9", "-u", "a", "-p", "b"]] {
        let complaint = cli.run(command).await.failure(2);
        assert!(complaint.contains("config.toml:2:19: the duration `5 parsecs` has to be"), "{complaint}");
        assert!(complaint.contains("hint: ") && complaint.contains("SPINREG_CONFIG"), "{complaint}");
    }
    // What needs no registry needs no configuration.
    push(&cli, &app("static-site"), "oci:out:v1", &[]).await;
    write(&cli.path("work/mine.toml"), "[hosts.x]\n");
    let cli = cli.env("SPINREG_CONFIG", "mine.toml");
    let complaint = cli.run(["pull", "127.0.0.1:9/app"]).await.failure(2);
    assert!(complaint.contains("mine.toml:1:2: unknown key `hosts`; did you mean `host`?"), "{complaint}");
    std::fs::remove_file(cli.path("work/mine.toml")).expect("a file");
    let complaint = cli.run(["pull", "127.0.0.1:9/app"]).await.failure(1);
    assert!(complaint.contains("cannot read `mine.toml`"), "{complaint}");
}

/// A registry that has nothing and lets in whom `people` know, and how it is called.
async fn mutual(authority: &Authority, people: &Authority) -> (Scripted, String) {
    let script = Script::new()
        .always("GET /v2/app/manifests/v1", Reply::refusal(404, "MANIFEST_UNKNOWN", ""))
        .start_as(authority.server_for_clients_of(people, &["localhost"]))
        .await;
    let registry = format!("localhost:{}", script.address().port());
    (script, registry)
}

#[tokio::test]
async fn dockers_certificates_are_used_and_unreadable_ones_passed_over() {
    let (authority, people) = (Authority::new(), Authority::new());
    let (script, registry) = mutual(&authority, &people).await;
    let reference = format!("{registry}/app:v1");
    let (certificate, key) = people.client_files();
    let cli = Cli::new();
    cli.run(["pull", &reference]).await.failure(6);
    let directory = cli.path(format!("home/.docker/certs.d/{registry}"));
    std::fs::create_dir_all(&directory).expect("a directory");
    for (from, to) in [(&authority.file(), "corp.crt"), (&certificate, "me.cert"), (&key, "me.key")] {
        std::fs::copy(from, directory.join(to)).expect("a file");
    }
    let complaint = cli.run(["pull", &reference]).await.failure(3);
    assert!(!complaint.contains("warning: "), "{complaint}");
    #[cfg(unix)]
    {
        // Not even for those who may read everything.
        std::os::unix::fs::symlink("/absent/ca.crt", directory.join("gone.crt")).expect("a link");
        let complaint = cli.run(["pull", &reference]).await.failure(3);
        assert!(complaint.contains("warning: cannot read `") && complaint.contains("gone.crt"), "{complaint}");
    }
    script.finish();
}

#[tokio::test]
async fn a_certificate_is_given_by_flags() {
    let (authority, people) = (Authority::new(), Authority::new());
    let (script, registry) = mutual(&authority, &people).await;
    let reference = format!("{registry}/app:v1");
    let [ca, certificate, key] = {
        let (certificate, key) = people.client_files();
        [authority.file(), certificate, key].map(|path| path.to_str().expect("a path in Unicode").to_owned())
    };
    let cli = Cli::new();
    let common = ["pull", &reference, "--ca-file", &ca];
    let complaint = cli.run(common).await.failure(6);
    assert!(complaint.contains("lets nobody in without a client certificate"), "{complaint}");
    assert!(
        complaint.contains("`--cert FILE`") && complaint.contains("`cert` and `key` under `[host.\"localhost"),
        "{complaint}"
    );
    cli.run([&common[..], &["--cert", &certificate, "--key", &key]].concat()).await.failure(3);
    let identity = format!("[host.\"{registry}\"]\ncert = '{certificate}'\nkey = '{key}'\n");
    for verification in [&format!("ca = '{ca}'\n"), "insecure = true\n"] {
        cli.configure(&format!("{identity}{verification}"));
        cli.run(["pull", &reference]).await.failure(3);
    }
    cli.configure("");
    let complaint = cli.run([&common[..], &["--cert", &certificate]].concat()).await.failure(2);
    assert!(complaint.contains("--key"), "{complaint}");
    let complaint = cli.run([&common[..], &["--cert", &certificate, "--key", &certificate]].concat()).await.failure(1);
    assert!(complaint.contains("client key") && complaint.contains("not encrypted"), "{complaint}");
    script.finish();
}
