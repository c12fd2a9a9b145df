//! Three registries; open, with a password and with a token; plainly and over TLS; directly and through two proxies: every
//! combination does the main job.

use std::net::SocketAddr;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted};
use crate::support::guard::Guard;
use crate::support::peers::{Door, Foreign, Speech};
use crate::support::proxies::{Make, Proxy};
use crate::support::scenario::{app, main_job};
use crate::support::tls::Authority;
use crate::{PASSWORD, USER, login};

/// Who may use the registry, and how it finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Open,
    Basic,
    Token,
}

/// How the registry is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guise {
    Plain,
    Tls,
}

/// What a registry is called that no name server knows.
const NAME: &str = "registry.test";
/// The password for the proxies.
const PROXY: &str = "lovelace";

/// A registry of another make. Where it knows nothing of an access, somebody of ours stands before it who does, and speaks
/// TLS for it: no make has tokens without a service for them, and olareg 0.1.2 lets everybody in.
struct Site {
    registry: Foreign,
    front: Option<Fronted>,
}

impl Site {
    async fn open(make: &str, access: Access, guise: Guise, name: Option<&'static str>, authority: &Authority) -> Self {
        let guard = match (make, access) {
            (_, Access::Open) | ("distribution" | "docker-registry", Access::Basic) => None,
            (_, Access::Basic) => Some(Guard::basic(USER, PASSWORD)),
            (_, Access::Token) => Some(Guard::bearer(USER, PASSWORD)),
        };
        let (certificate, key) = authority.server_files();
        let speech = match (guise, &guard) {
            (Guise::Tls, None) => Speech::Tls { certificate, key },
            _ => Speech::Plain,
        };
        let door = if access == Access::Basic { Door::Basic } else { Door::Open };
        let registry = match make {
            "olareg" => Foreign::olareg(&speech).await,
            _ => Foreign::distribution(make, door, &speech).await,
        };
        let Some(guard) = guard else { return Self { registry, front: None } };
        let front = Front::before(registry.address()).guarded(&guard);
        let front = name.into_iter().fold(front, Front::called);
        let front = match guise {
            Guise::Plain => front.start().await,
            Guise::Tls => front.start_tls(authority).await,
        };
        Self { registry, front: Some(front) }
    }

    fn address(&self) -> SocketAddr {
        self.front.as_ref().map_or(self.registry.address(), Fronted::address)
    }
}

/// Does the main job at one make of registry in one way, whoever may use it and however it is spoken to.
async fn every_access(registry: &str, way: Option<Make>) {
    let authority = Authority::new();
    let ca = authority.file();
    for access in [Access::Open, Access::Basic, Access::Token] {
        for guise in [Guise::Plain, Guise::Tls] {
            eprintln!("{registry}, {access:?}, {guise:?}, through {way:?}");
            let site = Site::open(registry, access, guise, way.map(|_| NAME), &authority).await;
            let address = site.address();
            let cli = Cli::new().secret(PASSWORD).secret("incorrect horse").secret(PROXY);
            let Some(make) = way else {
                match guise {
                    Guise::Plain => job(&cli, access, &address.to_string(), &[]).await,
                    Guise::Tls => {
                        let name = format!("localhost:{}", address.port());
                        job(&cli, access, &name, &["--ca-file", ca.to_str().expect("a path")]).await;
                    }
                }
                continue;
            };
            let proxy = Proxy::start(make, address).await;
            cli.configure(&format!(
                "ca = '{}'\n[host.\"{NAME}\"]\nconnect = \"{address}\"\nplain_http = {}\n",
                ca.display(),
                guise == Guise::Plain,
            ));
            let cli = cli.env("HTTPS_PROXY", proxy.uri(PROXY)).env("HTTP_PROXY", proxy.uri(PROXY));
            // Behind a proxy nothing is loopback: a password over plain HTTP has to be asked for.
            let flags: &[&str] = if guise == Guise::Plain { &["--insecure-credentials"] } else { &[] };
            job(&cli, access, NAME, flags).await;
            assert!(proxy.has_logged(&format!("CONNECT {address} ")), "{registry}, {access:?}, {guise:?}, {make:?}");
        }
    }
}

/// The main job; where there are credentials, a stranger is refused before the login and after the logout.
async fn job(cli: &Cli, access: Access, registry: &str, flags: &[&str]) {
    if access != Access::Open {
        let (application, target) = (app("static-site"), format!("{registry}/a/b:v1"));
        let refused = cli.run([&["push", "-f", &application, &target], flags].concat()).await.failure(4);
        assert!(refused.contains("spinreg login"), "{refused}");
        login(cli, registry, flags).await;
    }
    main_job(cli, registry, flags).await;
    if access != Access::Open {
        cli.run(["logout", registry]).await.success();
        let source = format!("{registry}/apps/static-site:v1");
        cli.run([&["pull", &source, "--cache-dir", "other"], flags].concat()).await.failure(4);
    }
}

#[tokio::test]
async fn docker_registry_directly() {
    every_access("docker-registry", None).await;
}

#[tokio::test]
async fn distribution_directly() {
    every_access("distribution", None).await;
}

#[tokio::test]
async fn docker_registry_through_tinyproxy() {
    every_access("docker-registry", Some(Make::Tinyproxy)).await;
}

#[tokio::test]
async fn distribution_through_tinyproxy() {
    every_access("distribution", Some(Make::Tinyproxy)).await;
}

#[tokio::test]
async fn docker_registry_through_squid() {
    every_access("docker-registry", Some(Make::Squid)).await;
}

#[tokio::test]
async fn distribution_through_squid() {
    every_access("distribution", Some(Make::Squid)).await;
}

#[tokio::test]
async fn olareg_directly() {
    every_access("olareg", None).await;
}

#[tokio::test]
async fn olareg_through_tinyproxy() {
    every_access("olareg", Some(Make::Tinyproxy)).await;
}

#[tokio::test]
async fn olareg_through_squid() {
    every_access("olareg", Some(Make::Squid)).await;
}
