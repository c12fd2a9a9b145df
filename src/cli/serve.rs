//! `spinreg serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::failure::Problem;
use super::interrupts::Interrupts;
use super::misuse::Misuse;
use super::output;
use super::serve_gc::age;
use crate::disk;
use crate::serve::{Exchange, Registry, Server, ServerOptions};

/// Run a registry on this computer.
///
/// Every repository is an OCI image layout directory below DIR, which other tools can read. There is no access control.
/// Ctrl-C lets open requests end, for 10 seconds at most; a second one ends at once.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// The directory that holds the repositories; made if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,

    /// Let other computers in: everybody who can reach the address may read, write and delete.
    #[arg(long)]
    insecure_listen: bool,

    /// Throw away upload sessions that nobody has written to for this long: `90s`, `30m`, `24h` or `7d`.
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    upload_expiry: Duration,
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        if !self.listen.ip().is_loopback() && !self.insecure_listen {
            return Err(Misuse::OpenListener(self.listen).into());
        }
        // Better now than at the first push, which would be somebody else's.
        disk::create_dirs(&self.dir)?;
        let registry = Registry::open(self.dir.as_path()).await?.with_upload_expiry(self.upload_expiry);
        let tended = registry.clone();
        let mut options = ServerOptions::default();
        if !context.quiet {
            options.observer = Some(std::sync::Arc::new(|exchange: &Exchange| output::remark(&exchange.to_string())));
        }
        let server = Server::bind(self.listen, registry, options).await?;
        // Needed even when quiet: with port 0 nobody else knows it.
        output::remark(&format!("serving `{}` at http://{}", self.dir.display(), server.address()));
        let mut interrupts = Interrupts::listen()?;
        let mut second = Interrupts::listen()?;
        let hurried = async {
            second.next().await;
            second.next().await;
        };
        tokio::select! {
            () = server.run(async move { interrupts.next().await }) => {}
            () = hurried => {}
            never = tended.tend() => match never {},
        }
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg serve --dir registry
  spinreg serve --dir registry --listen 127.0.0.1:0
  spinreg serve --dir registry --listen 0.0.0.0:5000 --insecure-listen
  spinreg serve gc registry           (remove what no manifest needs any more)";
