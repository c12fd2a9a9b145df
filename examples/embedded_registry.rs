//! A registry in your own program, for tests or for a machine without a network: it keeps image layouts in a directory.
//!
//! ```sh
//! cargo run --example embedded_registry --no-default-features --features serve -- registry 127.0.0.1:5000
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use spinreg::serve::{Registry, Server, ServerOptions};

/// Opens a registry over a directory, and begins to listen. [`Server::run`] serves until its future is dropped, or done.
pub async fn open(directory: &Path, address: SocketAddr) -> Result<Server<Registry>, spinreg::Error> {
    let registry = Registry::open(directory).await?;
    Server::bind(address, registry, ServerOptions::default()).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, address] = arguments.as_slice() else {
        return Err("usage: embedded_registry DIRECTORY ADDRESS:PORT".into());
    };
    let server = open(Path::new(directory), address.parse()?).await?;
    println!("http://{}", server.address());
    server.run(std::future::pending()).await;
    Ok(())
}
