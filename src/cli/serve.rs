//! `spinreg serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::task::spawn_blocking;

use super::config;
use super::context::Context;
use super::failure::{self, Problem};
use super::interrupts::{Hangups, Interrupts};
use super::listen::Listen;
use super::misuse::Misuse;
use super::output;
use super::serve_faults::Faults;
use super::serve_gc::age;
use super::server::{Scheme as UrlScheme, Server as Url};
use crate::disk;
use crate::error::Error;
use crate::serve::{
    Access, AccessLog, AccessOptions, Anonymous, Exchange, LogTarget, Observer, Quota, Quotas, Registry, Scheme,
    Server, ServerOptions, Tls, Warned, Warning, Writes,
};

/// Run a registry on this computer.
///
/// Every repository is an OCI image layout directory below DIR, which other tools can read. Without `--htpasswd` there is no
/// access control. docs/serve.md tells how to run it for a team.
///
/// Ctrl-C and SIGTERM let open requests end, for `--grace` seconds at most; a second one ends at once. SIGHUP reads the
/// certificate again and opens the access log anew. The files of `--htpasswd` and `--access` are read again by themselves
/// when they change.
// Whether it is meant is seen by the one flag that it cannot do without: those in groups do not count.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[group(args = ["dir"])]
pub(crate) struct Serve {
    /// The directory that holds the repositories; made if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: Listen,

    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    door: Door,
    #[command(flatten)]
    limits: Limits,

    /// Append a line of JSON for each request to this file, or write it to standard output where it is `-` [default: a short
    /// line for people on standard error]. No credentials are logged.
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,

    /// Tell everybody who asks, in the `Warning` of every answer, which clients show to people. May be given several times;
    /// 4096 bytes in all.
    #[arg(long, value_name = "TEXT")]
    warning: Vec<Warning>,

    #[command(flatten)]
    faults: Faults,
}

#[derive(Args)]
#[command(next_help_heading = "Connections")]
struct Connection {
    /// Serve HTTPS with the certificate in this PEM file, and those that lead from it to its authority.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of `--tls-cert`: a PEM file, not encrypted.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Let other computers in without TLS: everybody on the way can read passwords and content, and change it.
    #[arg(long)]
    insecure_listen: bool,

    /// Where clients find this registry, such as `https://registry.example`, where a proxy before it speaks TLS for it
    /// [default: what each client calls it].
    #[arg(long, value_name = "URL")]
    url: Option<Url>,

    /// How many seconds open requests may still take when it is told to end.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    grace: u64,
}

#[derive(Args)]
#[command(next_help_heading = "Access")]
struct Door {
    /// Let in who has a password in this file: lines `USER:HASH` with bcrypt hashes, as `htpasswd -B` writes them.
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,

    /// Who of them may do what with which repositories, by rules in this TOML file [default: everything].
    #[arg(long, value_name = "FILE", requires = "htpasswd")]
    access: Option<PathBuf>,

    /// Let everybody pull everything, without a password.
    #[arg(long, requires = "htpasswd")]
    anonymous_pull: bool,

    /// Refuse every change, by whomever.
    #[arg(long)]
    read_only: bool,

    /// What to ask clients for: `token`, which they get for the password and is good for one repository and 5 minutes, or
    /// `basic`, the password with each request.
    #[arg(long, value_name = "SCHEME", default_value = "token", requires = "htpasswd")]
    auth: Auth,
}

#[derive(Clone, Copy, ValueEnum)]
enum Auth {
    Token,
    Basic,
}

#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// How long a blob may be, in bytes or with `KiB`, `MiB` or `GiB` [default: as long as the disk has room].
    #[arg(long, value_name = "SIZE", value_parser = config::bytes)]
    max_blob: Option<u64>,

    /// How many upload sessions may be open at once; those that nobody has used for an hour do not count.
    #[arg(long, value_name = "N", default_value = "1024")]
    max_uploads: usize,

    /// How many connections may be open at once; further ones wait.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,

    /// Throw away upload sessions that nobody has written to for this long: `90s`, `30m`, `24h` or `7d`.
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    upload_expiry: Duration,
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let tls = self.connection.tls()?;
        let address = self.listen.address();
        if !address.ip().is_loopback() && tls.is_none() && !self.connection.insecure_listen {
            return Err(Misuse::OpenListener(address).into());
        }
        // Better now than at the first push, which would be somebody else's.
        disk::create_dirs(&self.dir)?;
        let registry = Registry::open(self.dir.as_path()).await?.with_upload_expiry(self.limits.upload_expiry);
        let tended = registry.clone();
        let log = self.access_log.as_deref().map(open_log).transpose()?;
        let observer: Option<Arc<dyn Observer>> = match &log {
            Some(log) => Some(log.clone()),
            None if context.quiet => None,
            None => Some(Arc::new(|exchange: &Exchange| output::remark(&exchange.to_string()))),
        };
        let options = ServerOptions {
            connections: self.limits.max_connections as usize,
            grace: Duration::from_secs(self.connection.grace),
            tls: tls.clone(),
            observer,
            ..ServerOptions::default()
        };
        let quotas = Quotas { blob: self.limits.max_blob, sessions: self.limits.max_uploads };
        let access = self.door.access(self.connection.url.as_ref());
        // What was open when an earlier process ended is open still.
        let open = registry.open_uploads().await?;
        let handler = spawn_blocking(move || Access::new(Quota::new(registry, quotas).with_open(open), access));
        let handler = handler.await.expect("opening the files does not panic")?;
        let handler = Warned::new(handler, self.warning.clone()).ok_or(Misuse::LongWarnings)?;
        let server = Server::bind(address, self.faults.before(handler), options).await?;
        self.introduce(server.address(), context);
        let mut interrupts = Interrupts::besides_hangups()?;
        let mut second = Interrupts::besides_hangups()?;
        let mut hangups = Hangups::listen()?;
        let hurried = async {
            second.next().await;
            second.next().await;
        };
        let reloads = async {
            loop {
                hangups.next().await;
                reload(tls.clone(), log.clone()).await;
            }
        };
        tokio::select! {
            () = server.run(async move { interrupts.next().await }) => {}
            () = hurried => return Ok(()),
            () = reloads => {}
            never = tended.tend() => match never {},
        }
        if let Some(log) = log {
            let flushed = spawn_blocking(move || log.flush());
            flushed.await.expect("waiting does not panic");
        }
        Ok(())
    }

    /// Says where it is, and how to push to it. With port 0 nobody else knows: the first line is for the quiet, too.
    fn introduce(&self, address: SocketAddr, context: &Context) {
        let is_secure = self.connection.tls_cert.is_some();
        let scheme = if is_secure { "https" } else { "http" };
        output::remark(&format!("serving `{}` at {scheme}://{address}", self.dir.display()));
        if context.quiet {
            return;
        }
        let (host, flags) = match &self.connection.url {
            Some(url) => (url.registry.to_string(), if url.scheme == UrlScheme::Http { " --plain-http" } else { "" }),
            None if address.ip().is_unspecified() => {
                (format!("HOST:{}", address.port()), if is_secure { "" } else { " --plain-http" })
            }
            None => (address.to_string(), if is_secure || address.ip().is_loopback() { "" } else { " --plain-http" }),
        };
        if self.door.htpasswd.is_some() {
            output::remark(&format!("log in to it with `spinreg login{flags} {host}`"));
        } else if !address.ip().is_loopback() && !self.door.read_only {
            output::remark("everybody who can reach it may read, write and delete: `--htpasswd` asks for passwords");
        }
        if !self.door.read_only {
            output::remark(&format!("push to it with `spinreg push{flags} {host}/NAME:TAG`"));
        }
    }
}

impl Connection {
    fn tls(&self) -> Result<Option<Tls>, Error> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::load(certificate, key).map(Some),
            _ => Ok(None),
        }
    }
}

impl Door {
    fn access(&self, url: Option<&Url>) -> AccessOptions {
        AccessOptions {
            passwords: self.htpasswd.clone(),
            rules: self.access.clone(),
            anonymous: if self.anonymous_pull { Anonymous::MayPull } else { Anonymous::ByRules },
            writes: if self.read_only { Writes::Refused } else { Writes::Accepted },
            scheme: match self.auth {
                Auth::Token => Scheme::Token,
                Auth::Basic => Scheme::Basic,
            },
            url: url.map(|url| match url.scheme {
                UrlScheme::Http => format!("http://{}", url.registry),
                UrlScheme::Https | UrlScheme::Unsaid => format!("https://{}", url.registry),
            }),
            notify: |error| warn(error, "; what it said before counts"),
            ..AccessOptions::default()
        }
    }
}

fn open_log(path: &Path) -> Result<Arc<AccessLog>, Error> {
    let target = if path.as_os_str() == "-" { LogTarget::Stdout } else { LogTarget::File(path.to_owned()) };
    AccessLog::start(target).map(Arc::new)
}

/// Reads the certificate again, and opens the log anew.
async fn reload(tls: Option<Tls>, log: Option<Arc<AccessLog>>) {
    let reload = spawn_blocking(move || {
        match tls.map(|tls| tls.reload()) {
            Some(Ok(())) => output::remark("read the certificate again"),
            Some(Err(error)) => warn(&error, "; the certificate stays what it was"),
            None => {}
        }
        if let Some(Err(error)) = log.map(|log| log.reopen()) {
            warn(&error, "; the access log stays where it was");
        }
    });
    reload.await.expect("reading files does not panic");
}

fn warn(error: &Error, and: &str) {
    output::remark(&format!("warning: {}{and}", failure::describe(error)));
}

const EXAMPLES: &str = "\
Examples:
  spinreg serve --dir registry
  spinreg serve --dir registry --listen 127.0.0.1:0
  spinreg serve --dir registry --htpasswd users --anonymous-pull
  spinreg serve --dir registry --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --htpasswd users
  spinreg serve --dir registry --read-only --access-log access.log
  spinreg serve --dir registry --fault status=503,times=2 --fault cut=1000,path=*/blobs/*
  spinreg serve gc registry           (remove what no manifest needs any more)";
