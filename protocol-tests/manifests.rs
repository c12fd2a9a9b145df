//! The corpus of manifests: what each comes to, or what is said about it. `SPINREG_BLESS=1` rewrites what is expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use spinreg::content::Source as _;
use spinreg::spin::compose::Discord;
use spinreg::spin::{
    Composition, ContentRef, Error, LoadOptions, LockedApp, PackOptions, interpret, load, media, pack,
};
use tempfile::TempDir;

use crate::support::wire::difference;
use crate::support::{files, files_below, root};

/// A manifest of the corpus: its name, its text, and the profile that its first line asks for.
struct Sample {
    name: String,
    text: String,
    profile: Option<String>,
}

fn corpus() -> Vec<Sample> {
    let files = files(&root(CORPUS), "toml");
    assert!(files.len() >= 60, "{} manifests", files.len());
    let sample = |path: PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = fs::read_to_string(path).expect("a file of the crate");
        let profile = text.lines().next().and_then(|line| line.strip_prefix("# profile: ")).map(str::to_owned);
        Sample { name, text, profile }
    };
    files.into_iter().map(sample).collect()
}

impl Sample {
    fn interpret(&self) -> Result<(LockedApp, String), Error> {
        let (lock, warnings) = interpret(Path::new("spin.toml"), &self.text, self.profile.as_deref())?;
        let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        Ok((lock, warnings))
    }

    /// Says what the manifest comes to.
    fn verdict(&self) -> String {
        match self.interpret() {
            Ok((lock, warnings)) => {
                let lock = serde_json::to_string_pretty(&lock).expect("JSON");
                format!("{warnings}{lock}\n")
            }
            Err(error) => {
                let mut text = format!("error: {error}\n");
                if let Error::Manifest(fault) = &error
                    && let Some(excerpt) = fault.excerpt()
                {
                    writeln!(text, "\n{excerpt}").expect("a string takes text");
                }
                text
            }
        }
    }
}

#[test]
fn each_manifest_comes_to_what_is_written_down() {
    let bless = std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1");
    let mut expected = BTreeSet::new();
    for sample in corpus() {
        let path = root(CORPUS).join(format!("{}.txt", sample.name));
        let actual = sample.verdict();
        assert_eq!(sample.name.starts_with("bad-"), actual.starts_with("error: "), "{}: {actual}", sample.name);
        if bless {
            fs::write(&path, &actual).expect("a file of the crate");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        let lines: (Vec<_>, Vec<_>) = (written.lines().collect(), actual.lines().collect());
        assert!(written == actual, "`{}` comes to something else:\n{}", sample.name, difference(&lines.0, &lines.1));
        expected.insert(path);
    }
    let there = files(&root(CORPUS), "txt").into_iter().collect();
    assert_eq!(expected, there, "each manifest has its verdict, and each verdict its manifest");
    assert_eq!(files_below(&root(CORPUS)).len(), 2 * expected.len(), "nothing else is in the corpus");
}

#[tokio::test]
async fn what_is_accepted_packs_to_one_digest_and_reads_back() {
    let mut packed = 0;
    for sample in corpus() {
        let Ok((lock, _)) = sample.interpret() else { continue };
        packed += usize::from(packs_alike(&sample.text, sample.profile.as_deref(), &lock).await);
    }
    assert!(packed >= 40, "{packed} were packed");
}

/// What Spin made of an application with a dependency: the same but for the dependency, which it composed.
#[test]
fn dependencies_change_nothing_else() {
    let text = fs::read_to_string(root("fixtures/spin/apps/dep-app/spin.toml")).expect("a fixture");
    let (mut ours, _) = interpret(Path::new("spin.toml"), &text, None).expect("it is understood");
    let golden = fs::read(root("fixtures/spin/golden/dep-app/lock.json")).expect("a fixture");
    let mut golden = LockedApp::parse(&golden).expect("a lock file");
    for component in &mut golden.components {
        component.source.content = ContentRef::default();
        component.files.clear();
    }
    assert_ne!(ours, golden);
    ours.components.iter_mut().for_each(|component| component.dependencies.clear());
    assert_eq!(ours, golden);
}

/// Packs an application twice, in two places, and compares: digest, lock file, and that against what was announced.
/// Returns whether it can be packed; what needs more than files is refused with a word about it.
async fn packs_alike(text: &str, profile: Option<&str>, announced: &LockedApp) -> bool {
    let options = LoadOptions { profile: profile.map(str::to_owned), ..LoadOptions::default() };
    let mut packages = Vec::new();
    for _ in 0..2 {
        let room = room(text);
        match load(room.path(), &options).await {
            Ok(app) => {
                // What the manifests name does not fit together: that is another test's.
                let options = PackOptions { composition: Composition::Layers, ..PackOptions::default() };
                let package = match pack(&app, &options).await {
                    Err(Error::Compose(error)) if matches!(error.discord, Discord::Separate) => return false,
                    package => package.expect("it packs"),
                };
                let image = package.manifest().image().expect("an image manifest");
                let layer = image.layers.last().expect("the lock file is a layer");
                assert_eq!(layer.media_type, media::APPLICATION);
                let json = package.blob(layer).read(layer.size).await.expect("its own blob");
                packages.push((package.manifest().digest(), json));
            }
            Err(error) => {
                let understood = matches!(&error, Error::Source(_))
                    || error.to_string().contains("is not supported by this release");
                assert!(understood, "{error}\n{text}");
                return false;
            }
        }
    }
    assert_eq!(packages[0], packages[1], "{text}");
    let mut lock = LockedApp::parse(&packages[0].1).expect("a lock file");
    assert_eq!(lock.to_json(), packages[0].1, "{text}");
    for component in &mut lock.components {
        component.source.content = ContentRef::default();
        component.dependencies.values_mut().for_each(|dependency| dependency.source.content = ContentRef::default());
        component.files.clear();
    }
    assert_eq!(&lock, announced, "{text}");
    true
}

/// Makes a directory with a manifest and all that the manifests of the corpus name.
fn room(text: &str) -> TempDir {
    let room = TempDir::new().expect("a directory");
    let write = |path: &str, content: &[u8]| fs::write(room.path().join(path), content).expect("written");
    for (index, name) in ["a", "b", "c", "debug"].into_iter().enumerate() {
        // Components that differ: an empty custom section each, of another name.
        let section = [0, 2, 1, b'0' + u8::try_from(index).expect("few")];
        write(&format!("{name}.wasm"), &[&b"\0asm\x0d\0\x01\0"[..], &section[..]].concat());
    }
    fs::create_dir_all(room.path().join("assets/d")).expect("made");
    write("assets/a.txt", b"a");
    write("assets/b.bak", b"b");
    write("assets/d/b.txt", "b".repeat(200).as_bytes());
    write("spin.toml", text.as_bytes());
    room
}

/// Manifests of version 2 made of parts, most of them acceptable.
fn manifests() -> impl Strategy<Value = String> {
    let component = (select(IDS), select(SOURCES), subsequence(KEYS, 0..=KEYS.len()));
    let component = component.prop_map(|(id, source, keys)| {
        let keys: String = keys.into_iter().map(|key| format!("{key}\n")).collect();
        (id, format!("source = \"{source}\"\n{keys}"))
    });
    let trigger = (select(&["http", "redis", "x"][..]), select(IDS), any::<bool>(), prop::option::of("[a-z0-9-]{1,9}"));
    let components = prop::collection::vec(component, 0..4);
    (prop::collection::vec(trigger, 0..5), components, "[^\"\\\\\\p{Cc}]{0,12}").prop_map(
        |(triggers, components, name)| {
            let components: BTreeMap<_, _> = components.into_iter().collect();
            let mut text = format!("spin_manifest_version = 2\n[application]\nname = \"{name}\"\n[variables]\n");
            text.push_str("v = { default = \"x\" }\n");
            if triggers.is_empty() {
                text.push_str("[trigger]\n");
            }
            for (kind, component, inline, id) in triggers {
                writeln!(text, "[[trigger.{kind}]]").expect("a string takes text");
                id.iter().for_each(|id| writeln!(text, "id = \"{id}\"").expect("a string takes text"));
                let written = match inline {
                    true => "{ source = \"c.wasm\" }".to_owned(),
                    false => format!("\"{component}\""),
                };
                writeln!(text, "component = {written}").expect("a string takes text");
            }
            for (id, rest) in components {
                writeln!(text, "[component.{id}]\n{rest}").expect("a string takes text");
            }
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// An accepted manifest gives a lock file that reads back the same; triggers and components have names of their own.
    #[test]
    fn accepted_manifests_read_back(text in manifests()) {
        let Ok((lock, _)) = interpret(Path::new("spin.toml"), &text, None) else { return Ok(()) };
        let printed = lock.to_json();
        let again = LockedApp::parse(&printed).expect("what we print is a lock file");
        prop_assert_eq!(&again, &lock);
        prop_assert_eq!(again.to_json(), printed);
        prop_assert!(again.understood().is_ok());
        let ids: BTreeSet<&str> = lock.components.iter().map(|component| component.id.as_str()).collect();
        prop_assert_eq!(ids.len(), lock.components.len());
        for trigger in &lock.triggers {
            prop_assert!(!trigger.id.is_empty());
            prop_assert!(ids.contains(trigger.trigger_config["component"].as_str().expect("all have one")));
        }
    }

    /// Whatever is done to a manifest, it is understood or refused, shortly and with a place inside it.
    #[test]
    fn broken_manifests_are_refused(which in any::<Index>(), at in any::<Index>(), cut in 0..4usize, new in "[ -~\n]{0,3}") {
        let corpus = corpus();
        let sample = &corpus[which.index(corpus.len())];
        let mut text: Vec<char> = sample.text.chars().collect();
        let at = at.index(text.len());
        text.splice(at..(at + cut).min(text.len()), new.chars());
        let text: String = text.into_iter().collect();
        match interpret(Path::new("spin.toml"), &text, sample.profile.as_deref()) {
            Ok((lock, _)) => prop_assert_eq!(LockedApp::parse(&lock.to_json()).expect("a lock file"), lock),
            Err(Error::Manifest(fault)) => {
                prop_assert!(fault.to_string().len() < 8_000, "{}", fault);
                let lines = text.matches('\n').count() + 1;
                prop_assert!(fault.at.is_none_or(|at| at.line <= lines), "{}", fault);
                prop_assert!(fault.excerpt().is_none_or(|excerpt| excerpt.lines().count() == 2), "{:?}", fault.excerpt());
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

proptest! {
    // Each one writes files.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Packing twice gives one digest.
    #[test]
    fn packing_twice_gives_one_digest(text in manifests()) {
        let Ok((lock, _)) = interpret(Path::new("spin.toml"), &text, None) else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        prop_assert!(runtime.block_on(packs_alike(&text, None, &lock)));
    }
}

const CORPUS: &str = "fixtures/spin/manifests";
/// Ids that components of generated manifests may have; few, so that triggers often meet one.
const IDS: &[&str] = &["a", "two-words", "UP-down", "http-trigger1-component", "inline-component1"];
const SOURCES: &[&str] = &["a.wasm", "b.wasm", "./c.wasm"];
/// Lines of components.
const KEYS: &[&str] = &[
    "description = \"d\"",
    "environment = { K = \"v\", \"odd key\" = \"\" }",
    "variables = { v = \"{{ v }}{{ w }}\" }",
    "files = [\"assets/*\", { source = \"assets\", destination = \"/x\" }]",
    "exclude_files = [\"**/a*\"]",
    "allowed_http_hosts = [\"example.com\"]",
    "allowed_outbound_hosts = [\"https://example.com\", \"http://b.spin.internal\", \"https://{{ v }}\"]",
    "key_value_stores = [\"default\"]",
    "sqlite_databases = [\"default\", \"snake_case\"]",
    "ai_models = [\"m\"]",
    "build = { command = [\"make\"], workdir = \"w\" }",
    "profile.debug.source = \"debug.wasm\"",
    "tool.x = {}",
];
