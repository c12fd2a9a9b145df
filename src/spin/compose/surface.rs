//! What a file of WebAssembly offers, asks for and says of itself.

use std::collections::BTreeMap;

use semver::Version;
use wasmparser::{Parser, Payload};

use super::error::Discord;
use super::scan::examine;
use super::stack::deep;

/// What a component or a core module offers, asks for and says of itself, in its own words and order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Surface {
    /// The names of what a component imports; of a core module, none.
    pub(in super::super) imports: Vec<String>,
    /// The names of what a component exports; of a core module, none.
    pub(in super::super) exports: Vec<String>,
    /// Its custom sections about its making that are text of a reasonable length, by their names: see [`SAID`].
    pub(in super::super) said: BTreeMap<&'static str, String>,
}

impl Surface {
    /// Reads it from the bytes of a component or a core module, whose structure is checked on the way.
    ///
    /// # Errors
    ///
    /// [`Discord::Unreadable`] where the bytes are neither, [`Discord::TooLarge`].
    pub(in super::super) fn read(wasm: &[u8]) -> Result<Self, Discord> {
        deep(|| {
            let mut surface = Self::default();
            let is_component = Parser::is_component(wasm);
            examine(wasm, |payload| {
                match payload {
                    Payload::ComponentImportSection(section) if is_component => {
                        for import in section.clone() {
                            surface.imports.push(import?.name.name.to_owned());
                        }
                    }
                    Payload::ComponentExportSection(section) if is_component => {
                        for export in section.clone() {
                            surface.exports.push(export?.name.name.to_owned());
                        }
                    }
                    Payload::CustomSection(section) => surface.note(section.name(), section.data()),
                    _ => {}
                }
                Ok(())
            })?;
            Ok(surface)
        })
    }

    /// Notes a custom section, where it is one of those about the making.
    pub(super) fn note(&mut self, name: &str, data: &[u8]) {
        let known = SAID.iter().find(|known| **known == name);
        let text = str::from_utf8(data).ok().map(str::trim);
        let text = text.filter(|text| !text.is_empty() && text.len() <= MAX_SAID);
        if let (Some(name), Some(text)) = (known, text) {
            self.said.insert(name, text.to_owned());
        }
    }

    /// How long the name of such a section is at most, in bytes.
    pub(super) const LONGEST_NAME: u32 = 16;
    /// How long one may be that is looked at, with what is around its text.
    pub(super) const LONGEST_TEXT: u32 = 64 << 10;

    /// Returns the world that the component was probably made for: the first one of those known here that demands nothing
    /// but what it exports and has everything that it imports.
    pub(in super::super) fn target(&self) -> Option<String> {
        WORLDS.iter().find_map(|world| Some(format!("{}@{}", world.name, world.version(self)?)))
    }
}

/// A world of WASI.
struct World {
    name: &'static str,
    /// Its versions are `0.MINOR.x`.
    minor: u64,
    /// What it demands.
    export: &'static str,
    /// What it has, in several lists; a `*` at the end stands for whatever may follow.
    imports: &'static [&'static [&'static str]],
}

impl World {
    /// Returns the version of the world that has everything of a component: that of the youngest of its parts. None where
    /// the component is of another world.
    fn version(&self, surface: &Surface) -> Option<Version> {
        let version = |text: &str| {
            let version: Version = text.parse().ok()?;
            let is_its = (version.major, version.minor) == (0, self.minor) && version.pre.is_empty();
            is_its.then_some(version)
        };
        let demanded = surface.exports.iter().map(|name| split(name)).find(|(name, _)| *name == self.export);
        let mut youngest = version(demanded?.1)?;
        for (name, of_import) in surface.imports.iter().map(|name| split(name)) {
            let matches = |pattern: &&str| match pattern.strip_suffix('*') {
                Some(package) => name.starts_with(package),
                None => name == *pattern,
            };
            if !self.imports.iter().flat_map(|list| *list).any(matches) {
                return None;
            }
            youngest = youngest.max(version(of_import)?);
        }
        Some(youngest)
    }
}

/// Splits the name of an interface from its version.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// The custom sections in which the tools of components keep what people want to know: each is called like the
/// annotation of an image that means the same, and `homepage` like its `url`.
const SAID: [&str; 7] = ["authors", "description", "homepage", "licenses", "revision", "source", "version"];

/// How long one of them may be, in bytes: registries take manifests of 4 MiB, and people read a paragraph.
const MAX_SAID: usize = 4 << 10;

/// The worlds that are known here; of several that fit, the first counts.
const WORLDS: [World; 5] = [
    World {
        name: "wasi:http/proxy",
        minor: 2,
        export: "wasi:http/incoming-handler",
        imports: &[STANDARD_STREAMS, OF_PROXIES],
    },
    World { name: "wasi:cli/command", minor: 2, export: "wasi:cli/run", imports: &[STANDARD_STREAMS, OF_COMMANDS] },
    World { name: "wasi:cli/command", minor: 3, export: "wasi:cli/run", imports: &[STANDARD_STREAMS, OF_COMMANDS] },
    World { name: "wasi:http/service", minor: 3, export: HANDLER, imports: &[STANDARD_STREAMS, OF_SERVICES] },
    World {
        name: "wasi:http/middleware",
        minor: 3,
        export: HANDLER,
        imports: &[STANDARD_STREAMS, OF_SERVICES, &[HANDLER]],
    },
];

const HANDLER: &str = "wasi:http/handler";
const STANDARD_STREAMS: &[&str] = &["wasi:cli/stderr", "wasi:cli/stdin", "wasi:cli/stdout"];
const OF_COMMANDS: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/terminal-*",
    "wasi:cli/types",
    "wasi:clocks/*",
    "wasi:filesystem/*",
    "wasi:io/*",
    "wasi:random/*",
    "wasi:sockets/*",
];
const OF_PROXIES: &[&str] = &[
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/*",
    "wasi:random/random",
];
const OF_SERVICES: &[&str] =
    &["wasi:cli/types", "wasi:clocks/*", "wasi:http/client", "wasi:http/types", "wasi:random/*"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Surface {
        Surface::read(&wat::parse_str(text).expect("code in text form")).expect("WebAssembly")
    }

    #[test]
    fn names_are_read_from_the_outermost_component() {
        let surface = read(
            r#"(component
                (import "b" (func $b))
                (import "wasi:cli/stdout@0.2.6" (instance))
                (component (import "inner" (func)) (@custom "version" "9"))
                (core module (import "c" "d" (func)) (export "e" (func 0)))
                (@custom "version" " 1.2.3\n") (@custom "description" "a\u{2013}b") (@custom "licenses" "")
                (@custom "source" "\ff") (@custom "name" "n") (@custom "authors" "x") (@custom "authors" "y")
                (instance $x) (export "z:y/x@1.0.0" (instance $x)))"#,
        );
        assert_eq!(surface.imports, ["b", "wasi:cli/stdout@0.2.6"]);
        assert_eq!(surface.exports, ["z:y/x@1.0.0"]);
        let said: Vec<_> = surface.said.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(said, [("authors", "y"), ("description", "a–b"), ("version", "1.2.3")]);

        let long = format!("(component (@custom \"description\" \"{}\"))", "x".repeat(MAX_SAID + 1));
        assert!(read(&long).said.is_empty());
        let module = read(r#"(module (import "a" "b" (func)) (export "c" (func 0)) (@custom "revision" "1"))"#);
        assert_eq!((module.imports.len(), module.exports.len(), &*module.said["revision"]), (0, 0, "1"));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let module = wat::parse_str("(module (func))").expect("a module");
        let component = wat::parse_str("(component (core module) (import \"a\" (func)))").expect("a component");
        for wasm in [&module, &component] {
            for cut in [9, wasm.len() - 1] {
                assert!(matches!(Surface::read(&wasm[..cut]), Err(Discord::Unreadable { .. })), "{cut}");
            }
        }
        assert!(matches!(Surface::read(b"<html>"), Err(Discord::Unreadable { .. })));
    }

    #[test]
    fn worlds_are_told_where_everything_is_in_them() {
        let target = |exports: &[&str], imports: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Surface { exports: names(exports), imports: names(imports), ..Surface::default() }.target()
        };
        for (exports, imports, expected) in [
            (&["wasi:http/incoming-handler@0.2.0"][..], &[][..], Some("wasi:http/proxy@0.2.0")),
            (
                &["wasi:http/incoming-handler@0.2.0", "also"],
                &["wasi:io/streams@0.2.10", "wasi:http/types@0.2.9"],
                Some("wasi:http/proxy@0.2.10"),
            ),
            (&["wasi:cli/run@0.2.6"], &["wasi:filesystem/preopens@0.2.6"], Some("wasi:cli/command@0.2.6")),
            (&["wasi:cli/run@0.3.0"], &["wasi:sockets/types@0.3.1"], Some("wasi:cli/command@0.3.1")),
            (&["wasi:http/handler@0.3.0"], &["wasi:http/client@0.3.0"], Some("wasi:http/service@0.3.0")),
            (&["wasi:http/handler@0.3.0"], &["wasi:http/handler@0.3.0"], Some("wasi:http/middleware@0.3.0")),
            // Of no such world: more is imported, in another version, or without one.
            (&["wasi:http/incoming-handler@0.2.6"], &["wasi:filesystem/preopens@0.2.6"], None),
            (&["wasi:http/incoming-handler@0.2.6"], &["fermyon:spin/llm@2.0.0"], None),
            (&["wasi:cli/run@0.2.6"], &["plain"], None),
            (&["wasi:cli/run@0.2.6"], &["wasi:cli/run@0.2.6"], None),
            (&["wasi:http/incoming-handler@0.2.6"], &["wasi:http/incoming-handler@0.2.6"], None),
            (&["wasi:cli/run@0.3.0"], &["wasi:cli/types@0.2.0"], None),
            (&["wasi:cli/run@0.3.0-rc-2026-03-15"], &[], None),
            (&["wasi:cli/run"], &[], None),
            (&["a:b/c@0.2.0"], &[], None),
            (&[], &["wasi:cli/environment@0.2.6"], None),
        ] {
            assert_eq!(target(exports, imports).as_deref(), expected, "{exports:?} {imports:?}");
        }
    }
}
