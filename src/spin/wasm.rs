//! Telling components, core modules and other files apart by their first bytes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::app_manifest::Build;
use super::error::{Error, Found, Wasm};

/// What a WebAssembly file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmKind {
    /// A component.
    Component,
    /// A core module, which hosts turn into a component when they load it.
    Module,
}

/// Looks at the file of a component.
pub(super) fn inspect(component: &str, path: &Path, build: Option<&Build>) -> Result<WasmKind, Error> {
    let refuse = |found| {
        let (build, workdir) = match build {
            Some(build) => (build.command.commands(), build.workdir.as_ref().map(|workdir| workdir.get_ref().clone())),
            None => (Vec::new(), None),
        };
        Error::Wasm(Box::new(Wasm { component: component.to_owned(), path: path.to_owned(), found, build, workdir }))
    };
    let failed = |error: io::Error| Error::from(crate::error::Error::io("read", path, error));
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(refuse(Found::NoFile)),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(refuse(Found::Nothing));
        }
        Err(error) => return Err(failed(error)),
    }
    let mut header = Vec::with_capacity(HEADER as usize);
    File::open(path).and_then(|file| file.take(HEADER).read_to_end(&mut header)).map_err(failed)?;
    let as_text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wat"));
    classify(&header).map_err(|found| refuse(if as_text { Found::Text } else { found }))
}

/// Reads the preamble: magic, then version and layer (core specification 5.5.16; component model, Binary.md).
fn classify(header: &[u8]) -> Result<WasmKind, Found> {
    match header {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0] => Ok(WasmKind::Module),
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0] => Ok(WasmKind::Component),
        [b'\0', b'a', b's', b'm', a, b, c, d] => Err(Found::Version([*a, *b, *c, *d])),
        text if text.trim_ascii_start().starts_with(b"(") => Err(Found::Text),
        other => Err(Found::Bytes(other.to_vec())),
    }
}

/// How long the preamble is, in bytes.
const HEADER: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preambles_tell_kinds_apart() {
        for (header, expected) in [
            (&b"\0asm\x01\0\0\0"[..], Ok(WasmKind::Module)),
            (b"\0asm\x0d\0\x01\0", Ok(WasmKind::Component)),
            (b"\0asm\x02\0\0\0", Err(Found::Version([2, 0, 0, 0]))),
            (b"\0asm", Err(Found::Bytes(b"\0asm".to_vec()))),
            (b"", Err(Found::Bytes(Vec::new()))),
            (b"\n (modul", Err(Found::Text)),
            (b"#!/bin/s", Err(Found::Bytes(b"#!/bin/s".to_vec()))),
        ] {
            assert_eq!(classify(header), expected);
        }
    }
}
