//! Bad days by the hundred: pushes and pulls while everything goes wrong that a seed can think of.
//!
//! Each round ends in a correct artifact or in a clear error, and the next attempt on a good day succeeds. A wrong byte
//! under a final name, an upload session that could have been cancelled, or a secret in the open is a failure.
//!
//! `SPINREG_SOAK_ROUNDS` sets the number of rounds, `SPINREG_SOAK_SEED` the first one's seed; a failure names its own.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spinreg::auth::{Credential, Found, Given, Secret};
use spinreg::content::Target as _;
use spinreg::copy::{CopyOptions, Summary, copy};
use spinreg::model::{Digest, Identifier, Reference, Registry, Tag};
use spinreg::registry::{Client, Repository, Uploads};
use spinreg::spin::{self, Cache, LoadOptions, PackOptions, Package};
use spinreg::{Error, Manifest};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::faults::Faults;
use crate::support::files_below;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::repository::{options, plain};
use crate::support::scenario::app;

/// What the ordinary run does, in about ten seconds.
const ROUNDS: u64 = 100;
const SEED: u64 = 3;
/// How many rounds are played at a time.
const SIDE_BY_SIDE: u32 = 4;

const USER: &str = "ada";
const PASSWORD: &str = "soaked-to-the-bone";
/// What no log, no error and no other origin may see: the password, `ada:` and it in base64, and any token.
const SECRETS: &[&str] = &[PASSWORD, "YWRhOnNvYWtlZC10by10aGUtYm9uZQ", "test-token-"];

/// How long the network is waited for. A good peer on loopback takes a thousandth of that, but
/// this process may be kept from listening by others.
const PATIENCE: Duration = Duration::from_millis(120);

#[test]
fn every_bad_day_ends_well_or_clearly() {
    let number = |name, default| {
        let text = std::env::var(name).ok();
        text.map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}: `{text}`: {error}")))
    };
    let (rounds, seed) = (number("SPINREG_SOAK_ROUNDS", ROUNDS), number("SPINREG_SOAK_SEED", SEED));
    println!("the soak's seed is {seed}");
    let seeds = Mutex::new(seed..seed + rounds);
    let tally = Mutex::new(Tally::default());
    // Rounds mostly wait: for peers that never answer, and for the disk.
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(play(&seeds, &tally));
            });
        }
    });
    let tally = tally.into_inner().expect("no thread has panicked");
    println!("{tally:?}");
    assert!(rounds < ROUNDS || tally.is_worth_something(), "nothing went wrong, or everything: {tally:?}");
}

/// Plays rounds until there is no seed left.
async fn play(seeds: &Mutex<std::ops::Range<u64>>, tally: &Mutex<Tally>) {
    let manifest = Path::new(&app("static-site")).join("spin.toml");
    let application = spin::load(&manifest, &LoadOptions::default()).await.expect("an application of the fixtures");
    let package = spin::pack(&application, &PackOptions::default()).await.expect("an application that fits");
    loop {
        // The lock is not held while the round is played.
        let next = seeds.lock().expect("no test panics in here").next();
        let Some(seed) = next else { return };
        let [pushed, pulled] = Round::new(seed).await.play(&package).await;
        tally.lock().expect("no test panics in here").count(pushed, pulled);
    }
}

/// How it went.
#[derive(Debug, Default)]
struct Tally {
    pushed: u32,
    not_pushed: u32,
    pulled: u32,
    not_pulled: u32,
}

impl Tally {
    fn count(&mut self, pushed: bool, pulled: bool) {
        *if pushed { &mut self.pushed } else { &mut self.not_pushed } += 1;
        *if pulled { &mut self.pulled } else { &mut self.not_pulled } += 1;
    }

    fn is_worth_something(&self) -> bool {
        [self.pushed, self.not_pushed, self.pulled, self.not_pulled].iter().all(|count| *count > 0)
    }
}

struct Round {
    seed: u64,
    registry: Embedded,
    faults: Faults,
    cache: tempfile::TempDir,
    log: Log,
}

impl Round {
    async fn new(seed: u64) -> Self {
        let registry = Embedded::start().await;
        let faults = Faults::before(registry.address(), Guard::bearer(USER, PASSWORD), seed).await;
        let cache = tempfile::tempdir().expect("a temporary directory");
        Self { seed, registry, faults, cache, log: Log::default() }
    }

    /// Says whether the push and the pull of the bad day succeeded.
    async fn play(self, package: &Package) -> [bool; 2] {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let rate = [20, 50, 100, 250, 500][rng.usize(0..5)];
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(self.log.clone());
        let listening = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());

        self.faults.rate(rate);
        let chunk = rng.bool().then(|| std::num::NonZeroU64::new(64 << 10).expect("not zero"));
        let bad_day = self.repository(&Self::hasty(), chunk);
        let pushed = push(package, &bad_day).await;
        bad_day.tidy().await;
        self.faults.rate(0);
        if let Err(error) = &pushed {
            self.assert_clear(error);
        }
        let abandoned = self.faults.abandoned();
        assert!(abandoned.is_empty(), "{self}\n{pushed:?}\nsessions that could have been cancelled: {abandoned:?}");
        let good_day = self.repository(&options(), None);
        if pushed.is_ok() {
            self.assert_whole(package);
        }
        push(package, &good_day).await.unwrap_or_else(|error| panic!("{self}\na push on the day after: {error:?}"));
        self.assert_whole(package);

        self.faults.rate(rate);
        let id = if rng.bool() { package.identifier() } else { Identifier::Tag(tag()) };
        let pulled = self.pull(&self.repository(&Self::hasty(), None), &id).await;
        self.faults.rate(0);
        if let Err(error) = &pulled {
            self.assert_clear(error);
        }
        self.assert_cached(package, pulled.is_ok()).await;
        let again = self.pull(&good_day, &id).await;
        again.unwrap_or_else(|error| panic!("{self}\na pull on the day after: {error:?}"));
        self.assert_cached(package, true).await;

        assert_eq!(self.faults.leaks(), 0, "{self}\ncredentials went to another origin");
        drop(listening);
        let log = self.log.text();
        assert!(log.contains("answered"), "nobody listens to the log");
        for secret in SECRETS {
            assert!(!log.contains(secret), "{self}\n`{secret}` is in the log");
        }
        [pushed.is_ok(), pulled.is_ok()]
    }

    /// Returns a client that does not wait for long.
    fn hasty() -> spinreg::transport::Options {
        let mut options = options();
        (options.policy.headers, options.policy.stall) = (PATIENCE, PATIENCE);
        options
    }

    fn repository(&self, options: &spinreg::transport::Options, chunk: Option<std::num::NonZeroU64>) -> Repository {
        let registry: Registry = self.faults.registry().parse().expect("a registry");
        let credential = Credential::Password { username: USER.to_owned(), secret: Secret::new(PASSWORD) };
        let found = Found { credential, source: "the test".to_owned() };
        let keychain = Arc::new(Given::new(registry.clone(), found));
        let client: Client = plain().transport(options.clone()).keychain(keychain).build().expect("options that fit");
        let uploads = chunk.map_or_else(Uploads::default, |chunk| Uploads::default().in_chunks_of(chunk));
        client.open(&registry, &"app".parse().expect("a name")).for_push().uploading(uploads)
    }

    async fn pull(&self, from: &Repository, id: &Identifier) -> Result<Summary, Error> {
        copy(from, id, &Cache::at(self.cache.path()).application(&reference()), None, &CopyOptions::default()).await
    }

    /// Checks what people would be told.
    fn assert_clear(&self, error: &Error) {
        let text = format!("{error} {error:?}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{self}\n`{secret}` is in {text}");
        }
        let known = match error {
            Error::Unreachable(_) | Error::Refused(_) | Error::Unauthorized(_) => true,
            Error::Mismatch(_) | Error::Protocol(_) | Error::NotFound(_) => true,
            // Nothing is wrong with our disk, and nobody gave us anything to parse.
            _ => false,
        };
        assert!(known && !error.to_string().is_empty(), "{self}\nthe wrong one is blamed: {error:?}");
    }

    /// Checks what the registry has stored: everything, and all of it right.
    fn assert_whole(&self, package: &Package) {
        let blobs = self.registry.root().join("app/blobs");
        let found = hashed(&blobs, self);
        let manifest = package.manifest();
        for descriptor in manifest.blobs().chain([manifest.descriptor()]) {
            assert!(found.contains(&descriptor.digest), "{self}\n`{}` is not stored", descriptor.digest);
        }
    }

    /// Checks what is in the cache: nothing wrong, and everything where the pull succeeded.
    async fn assert_cached(&self, package: &Package, whole: bool) {
        let root = self.cache.path().join("registry");
        let found = [hashed(&root.join("wasm"), self), hashed(&root.join("data"), self)].concat();
        let there = Cache::at(self.cache.path()).application(&reference()).manifest().await;
        let there: Option<Manifest> = there.unwrap_or_else(|error| panic!("{self}\nwhat is cached: {error:?}"));
        assert!(there.is_some() || !whole, "{self}\nthere is no manifest after a pull that succeeded");
        let Some(manifest) = there else { return };
        assert_eq!(manifest.bytes(), package.manifest().bytes(), "{self}\nanother manifest");
        let kept_apart = [spin::media::APPLICATION, spinreg::model::MediaType::IMAGE_CONFIG];
        for layer in manifest.blobs().filter(|layer| !kept_apart.contains(&layer.media_type)) {
            assert!(found.contains(&layer.digest), "{self}\n`{}` is not in the cache", layer.digest);
        }
    }
}

/// Says how to play a round again, and what went by.
impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, faults, log, .. } = self;
        writeln!(f, "SPINREG_SOAK_SEED={seed} SPINREG_SOAK_ROUNDS=1 plays it again\n{}", faults.story())?;
        log.text().lines().filter(|line| line.contains("left behind")).try_for_each(|line| writeln!(f, "{line}"))
    }
}

async fn push(package: &Package, to: &Repository) -> Result<Summary, Error> {
    copy(package, &package.identifier(), to, Some(&tag()), &CopyOptions::default()).await
}

fn tag() -> Tag {
    "v1".parse().expect("a tag")
}

fn reference() -> Reference {
    "registry.test/app:v1".parse().expect("a reference")
}

/// Reads every blob below a directory; each has to be what its name says.
fn hashed(directory: &Path, round: &Round) -> Vec<Digest> {
    let read = |path: &Path| {
        let digest = Digest::of(&std::fs::read(path).expect("a file of the test"));
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        assert_eq!(
            name.trim_start_matches("sha256:").trim_start_matches("sha256_"),
            digest.hex(),
            "{round}\na wrong byte under a final name"
        );
        digest
    };
    files_below(directory).iter().map(|path| read(path)).collect()
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panics in here")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics in here").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
