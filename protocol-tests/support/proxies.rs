//! Proxies of other makes, for `ada` with the password `lovelace`.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::listen::closed_port;
use super::peers::program;

/// A proxy that we did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Tinyproxy,
    Squid,
}

/// A proxy on a loopback port of its own; ended when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    _child: Child,
    log: Arc<Mutex<Vec<String>>>,
    _drain: JoinHandle<()>,
    _data: TempDir,
}

impl Proxy {
    /// Starts the proxy. Plain requests for names below `.test`, which nobody resolves, are passed on to `upstream`.
    pub(crate) async fn start(make: Make, upstream: SocketAddr) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        // Started by root, squid goes on as somebody else.
        std::fs::set_permissions(data.path(), Permissions::from_mode(0o777)).expect("a directory of our own");
        // They want to be told a port, and somebody else may take the free one first.
        for _ in 0..5 {
            let address = closed_port().await;
            let mut command = make.command(data.path(), address, upstream);
            let mut child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("the peer starts");
            let output: Box<dyn AsyncRead + Send + Unpin> = match make {
                Make::Tinyproxy => Box::new(child.stdout.take().expect("a pipe")),
                Make::Squid => Box::new(child.stderr.take().expect("a pipe")),
            };
            let mut lines = BufReader::new(output).lines();
            let mut ready = false;
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains(make.ready()) {
                    ready = true;
                    break;
                }
            }
            if !ready {
                continue;
            }
            let log = Arc::new(Mutex::new(Vec::new()));
            let written = log.clone();
            let drain = tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    written.lock().expect("no test panics in here").push(line);
                }
            });
            return Self { address, _child: child, log, _drain: drain, _data: data };
        }
        panic!("{make:?} does not start");
    }

    /// Returns the proxy as the variables name it, with this password.
    pub(crate) fn uri(&self, password: &str) -> String {
        format!("http://ada:{password}@{}", self.address)
    }

    /// Says whether the log has this text by now.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.lock().expect("no test panics in here").iter().any(|line| line.contains(text))
    }
}

impl Make {
    /// Writes the configuration, and says how the proxy is started: in the foreground, its log on one pipe.
    fn command(self, data: &Path, address: SocketAddr, upstream: SocketAddr) -> Command {
        let (file, port, data) = (data.join("proxy.conf"), address.port(), data.display());
        let configuration = match self {
            Self::Tinyproxy => format!(
                "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Info\n\
                 BasicAuth ada lovelace\nUpstream http {upstream} \".test\"\n",
            ),
            Self::Squid => {
                let users = format!("{data}/users");
                std::fs::write(&users, LOVELACE).expect("a file in a temporary directory");
                format!(
                    "http_port 127.0.0.1:{port}\nauth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\n\
                     auth_param basic realm test\nacl known proxy_auth REQUIRED\nacl test dstdomain .test\n\
                     http_access deny !known\nhttp_access allow all\n\
                     cache_peer {} parent {} 0 no-query no-digest originserver\nnever_direct allow test !CONNECT\n\
                     cache deny all\ncache_mem 0 MB\npid_filename none\naccess_log none\ncache_log {data}/cache.log\n\
                     debug_options ALL,1 11,2\npinger_enable off\nshutdown_lifetime 0 seconds\n\
                     visible_hostname proxy.test\ncoredump_dir none\n",
                    upstream.ip(),
                    upstream.port(),
                )
            }
        };
        std::fs::write(&file, configuration).expect("a file in a temporary directory");
        let mut command;
        match self {
            Self::Tinyproxy => {
                command = Command::new(program("tinyproxy"));
                command.args(["-d", "-c"]).arg(file).stdout(Stdio::piped());
            }
            Self::Squid => {
                command = Command::new(program("squid"));
                command.args(["-N", "-d", "2", "-f"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped());
            }
        }
        command
    }

    /// What it says when it is there.
    fn ready(self) -> &'static str {
        match self {
            Self::Tinyproxy => "Accepting connections",
            Self::Squid => "Accepting HTTP Socket connections",
        }
    }
}

/// `lovelace`, as `openssl passwd -apr1` writes it for squid.
const LOVELACE: &str = "ada:$apr1$spinreg0$GfV5YSiQ3xfyHzPXsjNnm0\n";
