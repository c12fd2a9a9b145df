//! A door for `fuzz/` to the configuration file. No part of the API, and no logic.
#![allow(missing_docs, reason = "no part of the API")]

use std::path::Path;

use super::config::{self, Paths};
use crate::registry::{HostConfig, Hosts};
use crate::spin::Error;
use crate::spin::document::Text;
use crate::transport::Policy;

/// What a configuration file says: where authorities are, how long is waited, and what is special about which host.
#[derive(Debug)]
pub struct Configuration {
    pub policy: Policy,
    pub hosts: Vec<(String, HostConfig)>,
}

pub fn configuration(text: &str) -> Result<Configuration, Error> {
    let paths = Paths { directory: Path::new("/etc/x"), home: Some(Path::new("/home/ada")) };
    let blamed = |flaw| Text { file: "config.toml".into(), text: text.to_owned() }.blame(flaw);
    let config = config::understand(text, &paths).map_err(blamed)?;
    let hosts = |hosts: &Hosts| hosts.iter().map(|(name, host)| (name.to_string(), host.clone())).collect();
    Ok(Configuration { hosts: hosts(&config.hosts), policy: config.policy })
}
