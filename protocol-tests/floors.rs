//! The floors look down only, and every file keeps to one subject.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::{files, root};

/// What each module may touch inside the crate, and nothing else. `content::Body` allows that item alone.
const FLOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("error", &["model"]),
    ("content", &["error", "model"]),
    ("disk", &["error"]),
    ("transport", &["content::Body", "error", "model"]),
    ("auth", &["transport", "disk", "content", "error", "model"]),
    ("registry", &["auth", "transport", "content", "error", "model"]),
    ("store", &["disk", "content", "error", "model"]),
    ("copy", &["content", "error", "model"]),
    ("copy/endpoint.rs", &["registry", "store", "content", "error", "model"]),
    ("spin", &["store", "disk", "content", "error", "model"]),
    ("serve", &["store", "content", "error", "model"]),
    ("conformance", &["auth", "transport", "content", "error", "model"]),
    (
        "cli",
        &[
            "conformance",
            "serve",
            "spin",
            "copy",
            "registry",
            "store",
            "auth",
            "transport",
            "disk",
            "content",
            "error",
            "model",
        ],
    ),
    ("main.rs", &["cli"]),
];

#[test]
fn every_module_looks_down_only() {
    let source = root("src");
    let exports = exports(&fs::read_to_string(source.join("lib.rs")).expect("the crate's root"));
    let mut wrong = Vec::new();
    for path in files(&source, "rs") {
        let path = path.strip_prefix(&source).expect("a file below src").to_owned();
        if path != Path::new("lib.rs") {
            let text = fs::read_to_string(source.join(&path)).expect("a file of the crate");
            wrong.extend(violations(path.to_str().expect("a name of ASCII"), &text, &exports));
        }
    }
    assert!(wrong.is_empty(), "the floors are broken:\n  {}", wrong.join("\n  "));
}

#[test]
fn every_module_has_a_floor() {
    let known: BTreeSet<_> = FLOORS.iter().map(|(module, _)| *module).collect();
    for entry in fs::read_dir(root("src")).expect("the crate's source") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name of ASCII");
        let module = if name == "main.rs" { "main.rs" } else { name.trim_end_matches(".rs") };
        assert!(module == "lib" || known.contains(module), "`src/{name}` is not in the table of floors");
    }
}

#[test]
fn a_planted_violation_is_caught() {
    let exports =
        exports("pub use error::Error;\npub use model::{Digest, reference::Tag as Label};\npub use copy::copy;");
    for (path, text, expected) in [
        ("model/tag.rs", "use crate::error::Error;", Some("1: `model` uses `error`")),
        ("transport/retry.rs", "\nfn f() { crate::auth::go() }", Some("2: `transport` uses `auth`")),
        ("transport/retry.rs", "use crate::{error::{Error, Place}, registry};", Some("1: `transport` uses `registry`")),
        ("transport/retry.rs", "use crate::content::{Blob, Body};", Some("1: `transport` uses `content::Blob`")),
        ("transport/retry.rs", "use crate::content::Body;", None),
        ("store/a/b.rs", "use super::super::super::spin::Cache;", Some("1: `store` uses `spin`")),
        ("store/a.rs", "mod inner { use super::super::super::spin::Cache; }", Some("1: `store` uses `spin`")),
        ("store/a.rs", "mod inner { use super::super::layout::Layout; }", None),
        ("store/mod.rs", "use super::serve::Server;", Some("1: `store` uses `serve`")),
        ("store/layout.rs", "use crate::{self as all};", Some("1: `store` uses `self`")),
        ("store/layout.rs", "use crate::*;", Some("1: `store` uses `*`")),
        ("disk/lock.rs", "use crate::Digest;", Some("1: `disk` uses `model`")),
        ("disk/lock.rs", "use crate::Label;", Some("1: `disk` uses `model`")),
        ("disk/lock.rs", "use crate::Error;", None),
        ("disk/lock.rs", "macro_rules! m { () => { $crate::store::Ingest } }", Some("1: `disk` uses `store`")),
        (
            "disk/lock.rs",
            "// crate::model\n/* crate::model /* crate::cli */ */ const A: &str = \"crate::model\";",
            None,
        ),
        (
            "disk/lock.rs",
            "const A: char = '\"'; use crate::model::Tag; const B: char = '\"';",
            Some("1: `disk` uses `model`"),
        ),
        ("disk/lock.rs", "const A: &str = r#\"\" crate::model\"#; pub(crate) fn a<'a>(_: &'a str) {}", None),
        ("copy/plan.rs", "use crate::registry::Repository;", Some("1: `copy` uses `registry`")),
        ("copy/endpoint.rs", "use crate::registry::Repository;", None),
        ("main.rs", "fn main() { spinreg::cli::main() }", None),
        ("main.rs", "use spinreg::store::Layout;", Some("1: `main.rs` uses `store`")),
        ("novelty.rs", "use crate::error::Error;", Some("1: `novelty` uses `error`")),
    ] {
        let found = violations(path, text, &exports);
        let expected: Vec<_> = expected.map(|edge| format!("src/{path}:{edge}")).into_iter().collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn no_file_has_two_subjects() {
    for path in ["src", "protocol-tests"].iter().flat_map(|directory| files(&root(directory), "rs")) {
        let lines = fs::read_to_string(&path).expect("a file of the crate").lines().count();
        assert!(lines <= LONGEST, "`{}` has {lines} lines; split it by subject", path.display());
    }
}

/// A file that wants more has two subjects.
const LONGEST: usize = 600;

/// Returns the forbidden edges of a file, as `src/store/layout.rs:12: `store` uses `spin``.
fn violations(path: &str, text: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let module = match path.split_once('/') {
        Some((module, _)) => module,
        None if path == "main.rs" => path,
        None => path.trim_end_matches(".rs"),
    };
    let floor = |name: &str| FLOORS.iter().find(|(module, _)| *module == name).map(|(_, allowed)| *allowed);
    let allowed = floor(path).or_else(|| floor(module)).unwrap_or(&[]);
    let mut found = Vec::new();
    for (line, edge) in edges(path, text) {
        let (first, second) = edge.split_once("::").unwrap_or((&edge, ""));
        let (first, second) = match exports.get(first) {
            // An item that the root hands on belongs to the module that it comes from.
            Some(home) if second.is_empty() => (home.as_str(), first),
            _ => (first, second),
        };
        let item = format!("{first}::{second}");
        if first == module || allowed.contains(&first) || allowed.contains(&item.as_str()) {
            continue;
        }
        let partly = allowed.iter().any(|entry| entry.starts_with(&format!("{first}::")));
        found.push(format!("src/{path}:{line}: `{module}` uses `{}`", if partly { &item } else { first }));
    }
    found
}

/// Returns each use of a path from the crate's root, with its line: `store::Layout`.
fn edges(path: &str, text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    let words: Vec<&str> = tokens.iter().map(|(_, word)| word.as_str()).collect();
    let file = path.trim_end_matches(".rs").trim_end_matches("/mod");
    // `main.rs` is the root of its own crate and calls the library by its name.
    let (base, name) = if path == "main.rs" { (0, "spinreg") } else { (file.split('/').count(), "crate") };
    let (mut braces, mut edges, mut at) = (Vec::new(), Vec::new(), 0);
    while at < words.len() {
        match words[at] {
            "{" => braces.push(at >= 2 && words[at - 2] == "mod"),
            "}" => drop(braces.pop()),
            word if word == name && words.get(at + 1) == Some(&"::") => {
                edges.extend(firsts(&words[at + 2..]).map(|edge| (tokens[at].0, edge)));
            }
            "super" if at == 0 || words[at - 1] != "::" => {
                let supers = words[at..].chunks(2).take_while(|pair| *pair == ["super", "::"]).count();
                let depth = base + braces.iter().filter(|inline| **inline).count();
                if supers >= depth && supers > 0 {
                    edges.extend(firsts(&words[at + 2 * supers..]).map(|edge| (tokens[at].0, edge)));
                }
            }
            _ => {}
        }
        at += 1;
    }
    edges
}

/// Returns the first two names of each path of a tree: `{a::b::c, d}` gives `a::b` and `d`.
fn firsts<'a>(words: &'a [&'a str]) -> impl Iterator<Item = String> {
    leaves(words).into_iter().map(|(path, _)| path[..path.len().min(2)].join("::"))
}

/// Returns the paths of a use tree, and the name under which each is known afterwards.
fn leaves(words: &[&str]) -> Vec<(Vec<String>, String)> {
    let (mut found, mut prefixes, mut path) = (Vec::new(), Vec::<Vec<String>>::new(), Vec::<String>::new());
    let mut leaf = |path: &[String], name: Option<&str>| {
        if let Some(last) = path.last() {
            found.push((path.to_vec(), name.unwrap_or(last).to_owned()));
        }
    };
    let (mut at, mut closed) = (0, false);
    while let Some(word) = words.get(at) {
        match *word {
            "::" => {}
            "{" if at == 0 || words[at - 1] == "::" || words[at - 1] == "," || words[at - 1] == "{" => {
                prefixes.push(path.clone());
            }
            "as" if !closed => {
                leaf(&path, words.get(at + 1).copied());
                (closed, at) = (true, at + 1);
            }
            "," | "}" if !prefixes.is_empty() => {
                if !closed && words[at - 1] != "," {
                    leaf(&path, None);
                }
                let prefix = if *word == "}" { prefixes.pop() } else { prefixes.last().cloned() };
                (path, closed) = (prefix.unwrap_or_default(), *word == "}");
                if prefixes.is_empty() {
                    return found;
                }
            }
            name if !closed && (at == 0 || ["::", "{", ","].contains(&words[at - 1])) => path.push(name.to_owned()),
            _ if prefixes.is_empty() => break,
            _ => {}
        }
        at += 1;
    }
    if !closed {
        leaf(&path, None);
    }
    found
}

/// Returns what the crate's root hands on, and the module that it comes from.
fn exports(root: &str) -> BTreeMap<String, String> {
    let tokens = tokens(root);
    let words: Vec<&str> = tokens.iter().map(|(_, word)| word.as_str()).collect();
    let uses = words.iter().enumerate().filter(|(_, word)| **word == "use");
    let leaves = uses.flat_map(|(at, _)| leaves(&words[at + 1..]));
    leaves
        .filter(|(path, _)| path.len() > 1)
        .map(|(path, name)| (name, path[0].clone()))
        // A function may be called like its module; the name then means the module.
        .filter(|(name, module)| name != module)
        .collect()
}

/// Splits Rust into words and signs with their lines, without comments, texts and characters.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let (mut rest, mut line, mut tokens) = (text, 1, Vec::new());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = raw_text(rest) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A lifetime has no closing quote right after its first character.
            let inner = rest[1..].chars().next().map_or(0, char::len_utf8);
            if rest[1..].starts_with('\\') || rest[1 + inner..].starts_with('\'') { quoted(rest, '\'') } else { 1 }
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push((line, rest[..length].to_owned()));
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.push((line, rest[..length].to_owned()));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of a block comment, which may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Returns the length of a raw text, if this is one.
fn raw_text(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}
