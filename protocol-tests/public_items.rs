//! Everything that a library user can name, in a file that is held equal to it: nothing becomes public, or another thing,
//! unnoticed. `SPINREG_BLESS=1 cargo test --features api-tests --test public-items` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_list_of_public_items_is_that_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = rustdoc(root);
    let format = &document["format_version"];
    assert_eq!(
        *format, FORMAT,
        "rustdoc writes another format of its JSON: look at what has changed, then at this test"
    );
    let mut walk = Walk { index: &document["index"], lines: BTreeSet::new(), above: Vec::new() };
    walk.item(&document["root"], "", None);
    let found = walk.lines.into_iter().map(|line| line + "\n").collect::<String>();
    assert!(found.contains("fn spinreg::copy::copy("), "the document was not understood:\n{found}");

    let file = root.join("fixtures/public-items.txt");
    if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&file, found).expect("a file of the crate");
        return;
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let (known, found): (BTreeSet<_>, BTreeSet<_>) = (known.lines().collect(), found.lines().collect());
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}\ngone: {gone:#?}\n`SPINREG_BLESS=1` writes it anew");
}

/// The format of rustdoc 1.95.
const FORMAT: u64 = 57;

/// Has rustdoc write what it knows of the crate with its usual features, and reads it.
fn rustdoc(root: &Path) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["rustdoc", "--lib", "--locked", "--offline", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .env("RUSTDOC", root.join(".ci/rustdoc-json"))
        .output()
        .expect("cargo has built this test");
    assert!(output.status.success(), "rustdoc failed: {}", String::from_utf8_lossy(&output.stderr));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let text = std::fs::read(target.join("doc/spinreg.json")).expect("rustdoc has written it");
    serde_json::from_slice(&text).expect("JSON")
}

/// A walk through what is public, by the names under which it can be reached.
struct Walk<'a> {
    index: &'a Value,
    lines: BTreeSet<String>,
    /// The modules that are walked through, which may export each other.
    above: Vec<Value>,
}

impl<'a> Walk<'a> {
    fn get(&self, id: &Value) -> Option<&'a Value> {
        let key = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        self.index.get(key).filter(|item| item["crate_id"] == 0)
    }

    /// Notes an item that is reached at `path`, perhaps under another name.
    fn item(&mut self, id: &Value, path: &str, renamed: Option<&str>) {
        let Some(item) = self.get(id) else { return };
        let public = item["visibility"] == "public" || item["visibility"] == "default";
        if !public {
            return;
        }
        let (kind, inner) = only(&item["inner"]);
        let name = renamed.or(item["name"].as_str()).unwrap_or_default();
        let here = if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
        match kind {
            "use" if inner["is_glob"] == true => {
                let module = self.get(&inner["id"]).map(|item| &item["inner"]["module"]["items"]);
                self.items(module.unwrap_or(&Value::Null), path);
            }
            "use" => {
                if self.get(&inner["id"]).is_some() {
                    self.item(&inner["id"], path, inner["name"].as_str());
                } else {
                    self.note("use", &here, &format!(" = {}", text(&inner["source"])));
                }
            }
            "module" if self.above.contains(id) => {}
            "module" => {
                self.note("mod", &here, "");
                self.above.push(id.clone());
                self.items(&inner["items"], &here);
                self.above.pop();
            }
            "struct" | "union" => {
                self.note(kind, &here, "");
                self.items(&inner["kind"]["plain"]["fields"], &here);
                self.items(&inner["kind"]["tuple"], &here);
                self.impls(&inner["impls"], &here);
            }
            "enum" => {
                self.note(kind, &here, "");
                self.items(&inner["variants"], &here);
                self.impls(&inner["impls"], &here);
            }
            "variant" => {
                self.note(kind, &here, "");
                self.items(&inner["kind"]["struct"]["fields"], &here);
                self.items(&inner["kind"]["tuple"], &here);
            }
            "trait" => {
                self.note(kind, &here, "");
                self.items(&inner["items"], &here);
            }
            "function" => self.note(&function(&inner["header"]), &here, &signature(&inner["sig"])),
            "struct_field" => self.note("field", &here, &format!(": {}", of(inner))),
            "constant" | "static" | "assoc_const" => self.note("const", &here, &format!(": {}", of(&inner["type"]))),
            "type_alias" => self.note("type", &here, &format!(" = {}", of(&inner["type"]))),
            "assoc_type" => self.note("type", &here, ""),
            other => self.note(other, &here, ""),
        }
    }

    fn items(&mut self, ids: &Value, path: &str) {
        ids.as_array().into_iter().flatten().for_each(|id| self.item(id, path, None));
    }

    fn impls(&mut self, ids: &Value, path: &str) {
        for id in ids.as_array().into_iter().flatten() {
            let Some(implementation) = self.get(id).map(|item| &item["inner"]["impl"]) else { continue };
            let is_written = implementation["is_synthetic"] == false && implementation["blanket_impl"].is_null();
            match &implementation["trait"] {
                Value::Null => self.items(&implementation["items"], path),
                // What the compiler adds to a derived `PartialEq` is nothing that anybody names.
                of_trait if is_written && of_trait["path"] != "StructuralPartialEq" => {
                    self.note("impl", path, &format!(": {}", path_of(of_trait)));
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, kind: &str, path: &str, rest: &str) {
        self.lines.insert(format!("{kind} {path}{rest}"));
    }
}

/// Returns the one key of an object, and its value.
fn only(object: &Value) -> (&str, &Value) {
    match object {
        Value::Object(map) => map.iter().next().map_or(("", &Value::Null), |(key, value)| (key.as_str(), value)),
        Value::String(text) => (text, &Value::Null),
        _ => ("", &Value::Null),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn function(header: &Value) -> String {
    let words = [("is_const", "const "), ("is_async", "async "), ("is_unsafe", "unsafe ")];
    let words = words.into_iter().filter(|(key, _)| header[*key] == true).map(|(_, word)| word);
    words.chain(["fn"]).collect()
}

fn signature(sig: &Value) -> String {
    let inputs = sig["inputs"].as_array().into_iter().flatten();
    let inputs = inputs.map(|input| match text(&input[0]) {
        "self" => of(&input[1]).replace("Self", "self"),
        name => format!("{name}: {}", of(&input[1])),
    });
    let output = if sig["output"].is_null() { String::new() } else { format!(" -> {}", of(&sig["output"])) };
    format!("({}){output}", inputs.collect::<Vec<_>>().join(", "))
}

/// Writes a type as it is written in sources, more or less.
fn of(value: &Value) -> String {
    let (kind, inner) = only(value);
    match kind {
        "primitive" | "generic" => text(inner).to_owned(),
        "resolved_path" => path_of(inner),
        "borrowed_ref" => {
            let mutable = if inner["is_mutable"] == true { "mut " } else { "" };
            format!("&{mutable}{}", of(&inner["type"]))
        }
        "raw_pointer" => format!("*{}", of(&inner["type"])),
        "tuple" => format!("({})", list(inner)),
        "slice" => format!("[{}]", of(inner)),
        "array" => format!("[{}; {}]", of(&inner["type"]), text(&inner["len"])),
        "impl_trait" => format!("impl {}", bounds(inner)),
        "dyn_trait" => {
            let traits = inner["traits"].as_array().into_iter().flatten().map(|one| path_of(&one["trait"]));
            format!("dyn {}", traits.collect::<Vec<_>>().join(" + "))
        }
        "qualified_path" => format!("{}::{}", of(&inner["self_type"]), text(&inner["name"])),
        "function_pointer" => format!("fn{}", signature(&inner["sig"])),
        other => other.to_owned(),
    }
}

fn list(types: &Value) -> String {
    types.as_array().into_iter().flatten().map(of).collect::<Vec<_>>().join(", ")
}

fn bounds(bounds: &Value) -> String {
    let one = |bound: &Value| match only(bound) {
        ("trait_bound", bound) => path_of(&bound["trait"]),
        ("outlives", lifetime) => text(lifetime).to_owned(),
        (other, _) => other.to_owned(),
    };
    bounds.as_array().into_iter().flatten().map(one).collect::<Vec<_>>().join(" + ")
}

/// Writes a name, without the modules by which the sources happen to reach it, and with what is between its angle brackets.
fn path_of(path: &Value) -> String {
    let name = text(&path["path"]).rsplit("::").next().unwrap_or_default();
    let (kind, args) = only(&path["args"]);
    if kind == "parenthesized" {
        let output = if args["output"].is_null() { String::new() } else { format!(" -> {}", of(&args["output"])) };
        return format!("{name}({}){output}", list(&args["inputs"]));
    }
    let written = args["args"].as_array().into_iter().flatten().filter_map(|arg| match only(arg) {
        ("type", kind) => Some(of(kind)),
        ("const", value) => Some(text(&value["expr"]).to_owned()),
        _ => None,
    });
    let bound = args["constraints"].as_array().into_iter().flatten().map(|constraint| {
        let (kind, value) = only(&constraint["binding"]);
        let value = match kind {
            "equality" => of(&value["type"]),
            _ => bounds(value),
        };
        format!("{} = {value}", text(&constraint["name"]))
    });
    let all = written.chain(bound).collect::<Vec<_>>();
    if all.is_empty() { name.to_owned() } else { format!("{name}<{}>", all.join(", ")) }
}
