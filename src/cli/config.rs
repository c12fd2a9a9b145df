//! The one configuration file: what holds for all hosts, and what for some.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_spanned::Spanned;

use super::failure::Problem;
use super::misuse::Misuse;
use crate::error::Error;
use crate::model::{ParseError, Registry};
use crate::registry::{HostConfig, Hosts, Mirror, MirrorMode, Protection};
use crate::spin::document::{Flaw, Item, Table, Text, parse};
use crate::spin::{self, Problem as Wrong};
use crate::transport::{Identity, Policy, Protocol};

/// What the file says; without a file it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// Authorities that are trusted everywhere.
    pub(super) ca_files: Vec<PathBuf>,
    /// How long a credential helper may take, where that is not what the library gives it.
    pub(super) helper_limit: Option<Duration>,
    /// All waits and limits.
    pub(super) policy: Policy,
    /// The hosts that are treated specially.
    pub(super) hosts: Hosts,
}

impl Config {
    /// Reads the file that `SPINREG_CONFIG` names, or else `spinreg/config.toml` in the user's configuration directory.
    ///
    /// # Errors
    ///
    /// A file that is named and not there, that cannot be read, or that says something that makes no sense.
    pub(super) fn read() -> Result<Self, Problem> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        let Some((file, named)) = place(variable, home.as_deref()) else { return Ok(Self::default()) };
        let text = match std::fs::read(&file) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| Misuse::ConfigEncoding(file.clone()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(Self::default()),
            Err(error) => return Err(Error::io("read", &file, error).into()),
        };
        let text = Text { file, text };
        let directory = text.file.parent().unwrap_or(Path::new(""));
        let config = understand(&text.text, &Paths { directory, home: home.as_deref() });
        config.map_err(|flaw| match text.blame(flaw) {
            spin::Error::Manifest(fault) => Misuse::Config(fault).into(),
            error => error.into(),
        })
    }
}

/// Says where the file is, and whether somebody named it.
fn place(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Option<(PathBuf, bool)> {
    if let Some(named) = variable("SPINREG_CONFIG") {
        return Some((named.into(), true));
    }
    let stated = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = stated.or_else(|| Some(home?.join(".config")))?;
    Some((directory.join("spinreg").join("config.toml"), false))
}

/// What paths in the file begin at.
pub(super) struct Paths<'a> {
    pub(super) directory: &'a Path,
    pub(super) home: Option<&'a Path>,
}

impl Paths<'_> {
    /// Returns a path as it is meant: `~/` is the home directory, and all others begin at the file's own.
    fn resolve(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.directory.join(text),
        }
    }
}

/// Reads the text of the file.
pub(super) fn understand(text: &str, paths: &Paths<'_>) -> Result<Config, Flaw> {
    let mut top = parse(text)?;
    top.only(&["ca", "helper_timeout", "network", "host"])?;
    let mut config = Config { ca_files: files(&mut top, "ca", paths)?, ..Config::default() };
    config.helper_limit = top.take("helper_timeout").map(wait).transpose()?;
    if let Some(network) = top.take("network") {
        config.policy = policy(network.table()?)?;
    }
    for (name, item) in top.table("host")? {
        let registry: Registry = value(&name, "host", "a host name or address, perhaps with a port")?;
        *config.hosts.entry(&registry) = host(item.table()?, paths)?;
    }
    Ok(config)
}

fn policy(mut table: Table<'_>) -> Result<Policy, Flaw> {
    table.only(NETWORK)?;
    let mut policy = Policy::default();
    for (key, field) in [
        ("backoff_min", &mut policy.backoff_min),
        ("backoff_max", &mut policy.backoff_max),
        ("retry_after_max", &mut policy.retry_after_max),
        ("connect_timeout", &mut policy.connect),
        ("happy_eyeballs", &mut policy.happy_eyeballs),
        ("response_timeout", &mut policy.headers),
        ("stall_timeout", &mut policy.stall),
    ] {
        if let Some(item) = table.take(key) {
            *field = wait(item)?;
        }
    }
    for (key, field) in [("attempts", &mut policy.attempts), ("redirects", &mut policy.redirects)] {
        if let Some(item) = table.take(key) {
            *field = number(item, "from 0 to 4294967295", |number| u32::try_from(number).ok())?;
        }
    }
    if let Some(item) = table.take("concurrency") {
        let number = number(item, "above 0", positive)?.get();
        (policy.down, policy.up) = (number, number);
    }
    Ok(policy)
}

fn host(mut table: Table<'_>, paths: &Paths<'_>) -> Result<HostConfig, Flaw> {
    table.only(HOST)?;
    let mut host = HostConfig { ca_files: files(&mut table, "ca", paths)?, ..HostConfig::default() };
    let insecure = table.take("insecure").map(|item| Ok((item.span(), item.boolean()?))).transpose()?;
    let insecure = insecure.filter(|(_, said)| *said).map(|(span, _)| span);
    host.protection = match (flag(&mut table, "plain_http")?, insecure) {
        (true, Some(span)) => {
            let rule = "exclude each other: plain HTTP has no certificates";
            return Err(Flaw::at(span, Wrong::Conflict { what: "`plain_http` and `insecure`".to_owned(), rule }));
        }
        (true, None) => Some(Protection::Plain),
        (false, Some(_)) => Some(Protection::Unverified),
        (false, None) => None,
    };
    if flag(&mut table, "http1")? {
        host.protocol = Some(Protocol::Http1Only);
    }
    host.identity = match (table.take("cert"), table.take("key")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let [certificate, key] =
                [certificate, key].map(|item| item.text().map(|text| paths.resolve(text.get_ref())));
            Some(Identity { certificate: certificate?, key: key? })
        }
        (Some(item), None) | (None, Some(item)) => {
            let rule = "need each other: a certificate and its key";
            return Err(Flaw::at(item.span(), Wrong::Conflict { what: "`cert` and `key`".to_owned(), rule }));
        }
    };
    if let Some(item) = table.take("chunk_size") {
        host.chunk = Some(if item.is_text() {
            parsed(item, "size", "a number of bytes, or with `KiB`, `MiB` or `GiB`, and not 0", size)?
        } else {
            number(item, "above 0", |number| NonZeroU64::new(u64::try_from(number).ok()?))?
        });
    }
    if let Some(item) = table.take("concurrency") {
        host.concurrency = Some(number(item, "above 0", positive)?);
    }
    if let Some(item) = table.take("connect") {
        let address = "an address and a port, as in `127.0.0.1:5000` or `[::1]:5000`";
        host.connect = Some(parsed(item, "address", address, |text| text.parse::<SocketAddr>().ok())?);
    }
    if let Some(item) = table.take("mirror") {
        host.mirror = Some(mirror(item.table()?)?);
    }
    Ok(host)
}

fn mirror(mut table: Table<'_>) -> Result<Mirror, Flaw> {
    table.only(MIRROR)?;
    let registry = value(&table.need("registry")?.text()?, "registry", "a host name or address, perhaps with a port")?;
    let prefix = table.take("prefix").map(|item| value(&item.text()?, "prefix", "a repository name")).transpose()?;
    let mode = |text: &str| match text {
        "fallback" => Some(MirrorMode::Fallback),
        "replace" => Some(MirrorMode::Replace),
        _ => None,
    };
    let given = table.take("mode").map(|item| parsed(item, "mode", "`fallback` or `replace`", mode)).transpose()?;
    Ok(Mirror { registry, prefix, mode: given.unwrap_or_default() })
}

/// Takes files out: one as a text, several as an array.
fn files(table: &mut Table<'_>, key: &'static str, paths: &Paths<'_>) -> Result<Vec<PathBuf>, Flaw> {
    let items = match table.take(key) {
        None => Vec::new(),
        Some(item) if item.is_text() => vec![item],
        Some(item) if item.is_array() => item.array()?,
        Some(item) => return Err(item.wrong("a path, or an array of paths")),
    };
    items.into_iter().map(|item| Ok(paths.resolve(item.text()?.get_ref()))).collect()
}

fn flag(table: &mut Table<'_>, key: &str) -> Result<bool, Flaw> {
    table.take(key).map_or(Ok(false), Item::boolean)
}

/// Understands a text that has its own grammar.
fn value<T: FromStr<Err = ParseError>>(
    text: &Spanned<String>,
    what: &'static str,
    expected: &'static str,
) -> Result<T, Flaw> {
    let invalid = |_| Flaw::at(text.span(), Wrong::Invalid { what, value: text.get_ref().clone(), expected });
    text.get_ref().parse().map_err(invalid)
}

fn parsed<T>(
    item: Item<'_>,
    what: &'static str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Flaw> {
    let text = item.text()?;
    let invalid = || Flaw::at(text.span(), Wrong::Invalid { what, value: text.get_ref().clone(), expected });
    read(text.get_ref()).ok_or_else(invalid)
}

fn number<T>(item: Item<'_>, expected: &'static str, read: impl FnOnce(i64) -> Option<T>) -> Result<T, Flaw> {
    let span = item.span();
    let number = item.integer()?;
    let wrong = || Wrong::Invalid { what: "number", value: number.to_string(), expected };
    read(number).ok_or_else(|| Flaw::at(span, wrong()))
}

fn positive(number: i64) -> Option<NonZeroUsize> {
    NonZeroUsize::new(usize::try_from(number).ok()?)
}

fn wait(item: Item<'_>) -> Result<Duration, Flaw> {
    parsed(item, "duration", "a number and `ms`, `s` or `m`, as in `500ms`", duration)
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
    .filter(|duration| *duration <= LONGEST)
}

/// Reads a size as a flag has it.
pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    size(text).map(NonZeroU64::get).ok_or("a size is a number of bytes, or one with `KiB`, `MiB` or `GiB`, and not 0")
}

fn size(text: &str) -> Option<NonZeroU64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor: u64 = match unit.trim_start() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    NonZeroU64::new(digits.parse::<u64>().ok()?.checked_mul(factor)?)
}

const NETWORK: &[&str] = &[
    "attempts",
    "backoff_min",
    "backoff_max",
    "retry_after_max",
    "connect_timeout",
    "happy_eyeballs",
    "response_timeout",
    "stall_timeout",
    "redirects",
    "concurrency",
];
const HOST: &[&str] =
    &["plain_http", "insecure", "ca", "cert", "key", "http1", "chunk_size", "concurrency", "connect", "mirror"];
const MIRROR: &[&str] = &["registry", "prefix", "mode"];
/// Longer waits are typing mistakes, and timers have their limits: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let paths = Paths { directory: Path::new("/etc/x"), home: Some(Path::new("/home/ada")) };
        let wrap = |flaw| Text { file: "c.toml".into(), text: text.to_owned() }.blame(flaw).to_string();
        understand(text, &paths).map_err(wrap)
    }

    #[test]
    fn the_file_is_found() {
        for (named, config, home, expected) in [
            (None, None, None, None),
            (None, None, Some("/h"), Some(("/h/.config/spinreg/config.toml", false))),
            (None, Some("/x"), Some("/h"), Some(("/x/spinreg/config.toml", false))),
            (None, Some("relative"), Some("/h"), Some(("/h/.config/spinreg/config.toml", false))),
            (Some("my.toml"), Some("/x"), Some("/h"), Some(("my.toml", true))),
        ] {
            let variable = |name: &str| match name {
                "SPINREG_CONFIG" => named.map(OsString::from),
                _ => config.map(OsString::from),
            };
            let expected = expected.map(|(file, named)| (PathBuf::from(file), named));
            assert_eq!(place(variable, home.map(Path::new)), expected);
        }
    }

    #[test]
    fn every_key_is_understood() {
        let config = read(
            r#"
            ca = "corp.pem"
            helper_timeout = "30s"
            [network]
            attempts = 3
            backoff_min = "10ms"
            backoff_max = "1 s"
            retry_after_max = "2m"
            connect_timeout = "4s"
            happy_eyeballs = "100ms"
            response_timeout = "5s"
            stall_timeout = "6s"
            redirects = 2
            concurrency = 7
            [host."docker.io"]
            mirror = { registry = "mirror.lan:5000", prefix = "hub", mode = "replace" }
            [host."registry.lan:5000"]
            plain_http = true
            http1 = true
            ca = ["/a.pem", "~/b", "c"]
            cert = "client.pem"
            key = "~/client.key"
            chunk_size = "16MiB"
            concurrency = 4
            connect = "[::1]:5000"
            [host."lab.lan"]
            insecure = true
            plain_http = false
            "#,
        );
        let config = config.expect("a configuration");
        assert_eq!(config.ca_files, [PathBuf::from("/etc/x/corp.pem")]);
        assert_eq!(config.helper_limit, Some(Duration::from_secs(30)));
        let Policy { attempts, redirects, down, up, backoff_min, backoff_max, retry_after_max, .. } = config.policy;
        assert_eq!((attempts, redirects, down, up), (3, 2, 7, 7));
        let millis = [backoff_min, backoff_max, retry_after_max].map(|duration| duration.as_millis());
        assert_eq!(millis, [10, 1_000, 120_000]);
        let Policy { connect, happy_eyeballs, headers, stall, .. } = config.policy;
        let millis = [connect, happy_eyeballs, headers, stall].map(|duration| duration.as_millis());
        assert_eq!(millis, [4_000, 100, 5_000, 6_000]);

        let mirror = Mirror {
            registry: "mirror.lan:5000".parse().expect("a registry"),
            prefix: Some("hub".parse().expect("a name")),
            mode: MirrorMode::Replace,
        };
        let hub = config.hosts.get(&"docker.io".parse().expect("a registry")).expect("it is there");
        assert_eq!(hub.mirror, Some(mirror));
        let host = config.hosts.get(&"registry.lan:5000".parse().expect("a registry")).expect("it is there");
        assert_eq!((host.protection, host.protocol), (Some(Protection::Plain), Some(Protocol::Http1Only)));
        assert_eq!(host.ca_files, ["/a.pem", "/home/ada/b", "/etc/x/c"].map(PathBuf::from));
        let identity = Identity { certificate: "/etc/x/client.pem".into(), key: "/home/ada/client.key".into() };
        assert_eq!(host.identity, Some(identity));
        assert_eq!((host.chunk, host.concurrency), (NonZeroU64::new(16 << 20), NonZeroUsize::new(4)));
        assert_eq!(host.connect, Some("[::1]:5000".parse().expect("an address")));
        let lab = config.hosts.get(&"lab.lan".parse().expect("a registry")).expect("it is there");
        assert_eq!(lab.protection, Some(Protection::Unverified));
        assert_eq!(read(""), Ok(Config::default()));
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, said) in [
            ("hots = 1", "c.toml:1:1: unknown key `hots`; did you mean `host`?"),
            ("[host.\"r.example\"]\nplain-http = true", "c.toml:2:1: unknown key `plain-http`"),
            ("[host.\"r.example\"]\nplain_http = 1", "c.toml:2:14: `host.r.example.plain_http` has to be"),
            ("[host.\"https://r.example\"]\n", "c.toml:1:7: the host `https://r.example` has to be a host name"),
            ("[host.r]\nchunk_size = 0", "c.toml:2:14: the number `0` has to be above 0"),
            ("[host.r]\nchunk_size = \"5MB\"", "c.toml:2:14: the size `5MB` has to be"),
            ("[host.r]\nchunk_size = true", "c.toml:2:14: `host.r.chunk_size` has to be an integer"),
            ("[host.r]\nconcurrency = -1", "c.toml:2:15: the number `-1`"),
            ("[host.r]\nconnect = \"r.example:1\"", "c.toml:2:11: the address `r.example:1`"),
            (
                "[host.r]\nplain_http = true\ninsecure = true",
                "c.toml:3:12: `plain_http` and `insecure` exclude each other",
            ),
            ("[host.r]\ncert = \"a\"", "c.toml:2:8: `cert` and `key` need each other"),
            ("[host.r]\nca = 7", "c.toml:2:6: `host.r.ca` has to be a path"),
            (
                "[host.r]\nmirror = { mode = \"replace\" }",
                "c.toml:2:10: the key `registry` is missing in `host.r.mirror`",
            ),
            ("[host.r]\nmirror = { registry = \"m\", mode = \"x\" }", "the mode `x` has to be `fallback` or `replace`"),
            ("[host.r]\nmirror = { registry = \"m\", prefix = \"X\" }", "the prefix `X` has to be a repository name"),
            ("[network]\nstall_timeout = 7", "c.toml:2:17: `network.stall_timeout` has to be a string"),
            ("[network]\nstall_timeout = \"7\"", "c.toml:2:17: the duration `7` has to be"),
            ("[network]\nstall_timeout = \"9999999999m\"", "c.toml:2:17: the duration"),
            ("helper_timeout = 5", "c.toml:1:18: `helper_timeout` has to be a string"),
            ("helper_timeout = \"5\"", "c.toml:1:18: the duration `5` has to be"),
            ("[network]\nattempts = 4294967296", "c.toml:2:12: the number"),
            ("ca = [", "c.toml:1:"),
        ] {
            let complaint = read(text).expect_err(text);
            assert!(complaint.contains(said), "{text}: {complaint}");
        }
    }
}
