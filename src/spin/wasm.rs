//! Telling components, core modules and other files apart by their first bytes, and assembling what is text.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;

use super::app_manifest::Build;
#[cfg(feature = "compose")]
use super::error::Position;
use super::error::{Error, Found, Wasm};

/// What a WebAssembly file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmKind {
    /// A component.
    Component,
    /// A core module, which hosts turn into a component when they load it.
    Module,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    pub(super) component: &'a str,
    /// The dependency of the component; none where the file is its own.
    pub(super) dependency: Option<&'a str>,
    /// What builds it.
    pub(super) build: Option<&'a Build>,
}

/// Looks at the file of a component: what it is, and what was assembled from it where it is text.
pub(super) fn inspect(owner: Owner<'_>, path: &Path) -> Result<(WasmKind, Option<Bytes>), Error> {
    look(path)?.map_err(|found| {
        let (component, dependency) = (Some(owner.component.to_owned()), owner.dependency.map(str::to_owned));
        let (build, workdir) = match owner.build {
            Some(build) => (build.command.commands(), build.workdir.as_ref().map(|workdir| workdir.get_ref().clone())),
            None => (Vec::new(), None),
        };
        Error::Wasm(Box::new(Wasm { component, dependency, path: path.to_owned(), found, build, workdir }))
    })
}

/// Looks at a file that belongs to no application.
#[cfg(feature = "compose")]
pub(super) fn inspect_alone(path: &Path) -> Result<(WasmKind, Option<Bytes>), Error> {
    look(path)?.map_err(|found| alone(path, found))
}

/// Says what is wrong with a file that belongs to no application.
#[cfg(feature = "compose")]
pub(super) fn alone(path: &Path, found: Found) -> Error {
    let path = path.to_owned();
    Error::Wasm(Box::new(Wasm { component: None, dependency: None, path, found, build: Vec::new(), workdir: None }))
}

/// Looks at a file: what it is, and what was assembled from it where it is text; or what is there instead.
fn look(path: &Path) -> Result<Result<(WasmKind, Option<Bytes>), Found>, crate::error::Error> {
    let failed = |error: io::Error| crate::error::Error::io("read", path, error);
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Ok(Err(Found::NoFile)),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Err(Found::Nothing));
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(match classify(&header(path).map_err(failed)?) {
        Ok(kind) => Ok((kind, None)),
        Err(_) if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wat")) => {
            assemble(path).map_err(failed)?.and_then(|made| {
                let kind = classify(&made[..made.len().min(HEADER as usize)])?;
                Ok((kind, Some(made.into())))
            })
        }
        Err(found) => Err(found),
    })
}

/// Says what the file is; `None` where it is no WebAssembly.
pub(super) fn kind(path: &Path) -> Result<Option<WasmKind>, io::Error> {
    Ok(classify(&header(path)?).ok())
}

fn header(path: &Path) -> Result<Vec<u8>, io::Error> {
    let mut header = Vec::with_capacity(HEADER as usize);
    File::open(path)?.take(HEADER).read_to_end(&mut header)?;
    Ok(header)
}

/// Assembles the text in a file.
#[cfg(feature = "compose")]
fn assemble(path: &Path) -> Result<Result<Vec<u8>, Found>, io::Error> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_TEXT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_TEXT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "WebAssembly text has at most 64 MiB"));
    }
    Ok(wat::parse_bytes(&text).map(std::borrow::Cow::into_owned).map_err(|error| mistake(&error.to_string())))
}

#[cfg(not(feature = "compose"))]
fn assemble(_: &Path) -> Result<Result<Vec<u8>, Found>, io::Error> {
    Ok(Err(Found::Text))
}

/// Takes apart what the assembler says: a message, then `<anon>:LINE:COLUMN`, then the line, which people can look up.
#[cfg(feature = "compose")]
fn mistake(said: &str) -> Found {
    let Some((message, rest)) = said.split_once("<anon>:") else {
        return Found::Mistake { at: None, said: said.to_owned() };
    };
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let at = match (numbers.next(), numbers.next()) {
        (Some(Ok(line)), Some(Ok(column))) => Some(Position { line, column }),
        _ => None,
    };
    let message = message.lines().next().unwrap_or_default().trim_end_matches(" at ");
    Found::Mistake { at, said: message.to_owned() }
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
/// How long WebAssembly text may be, in bytes: people write it, or tools for people.
#[cfg(feature = "compose")]
const MAX_TEXT: u64 = 64 << 20;

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

    #[cfg(feature = "compose")]
    #[test]
    fn mistakes_in_text_have_a_place() {
        let wide = format!("{}(module (func call $x))", " ".repeat(600));
        for (text, line, column, expected) in [
            ("(module\n  (func call $x))", 2, 14, "unknown func: failed to find name `$x`"),
            ("(modul)", 1, 2, "expected valid module field"),
            (&wide, 1, 620, "unknown func: failed to find name `$x`"),
        ] {
            let error = wat::parse_str(text).expect_err("a mistake").to_string();
            let expected = Found::Mistake { at: Some(Position { line, column }), said: expected.to_owned() };
            assert_eq!(mistake(&error), expected);
        }
        let error = wat::parse_bytes(b"\xff").expect_err("no text").to_string();
        assert_eq!(mistake(&error), Found::Mistake { at: None, said: "input bytes aren't valid utf-8".to_owned() });
    }
}
