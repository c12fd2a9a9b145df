//! What holds for every composition: what is denied, and what becomes of components that are damaged or strange.

use std::error::Error as StdError;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use spinreg::spin::compose::{ComposeError, Dependency, Middleware, chain, compose};
use spinreg::spin::{DependencyName, Inherit};

use crate::support::cli::Cli;
use crate::support::components::{HOSTS, dummy, names};
use crate::support::{files_below, root};

/// Interfaces that a dependency may import, and the set that grants each; none where everything has to be inherited.
const INTERFACES: &[(&str, Option<&str>)] = &[
    ("acme:vault/vault@1.0.0", None),
    ("fermyon:spin/llm", Some("ai_models")),
    ("fermyon:spin/variables@2.0.0", Some("variables")),
    ("spin:redis/redis@3.0.0", Some("allowed_outbound_hosts")),
    ("spin:sqlite/sqlite@3.1.0", Some("sqlite_databases")),
    ("wasi:cli/environment@0.2.6", Some("environment")),
    ("wasi:filesystem/preopens@0.2.6", Some("files")),
    ("wasi:http/outgoing-handler@0.2.6", Some("allowed_outbound_hosts")),
    ("wasi:keyvalue/store@0.2.0-draft2", Some("key_value_stores")),
];

const SETS: &[&str] = &[
    "ai_models",
    "allowed_outbound_hosts",
    "environment",
    "files",
    "key_value_stores",
    "sqlite_databases",
    "unheard-of",
    "variables",
];

fn fixture() -> DependencyName {
    "spinreg:fixture/ask".parse().expect("a name of a dependency")
}

/// The component that asks, made once.
fn asking() -> &'static [u8] {
    static ASKING: OnceLock<Vec<u8>> = OnceLock::new();
    ASKING.get_or_init(|| dummy(HOSTS, "asking"))
}

/// The seeds of the fuzzer: name, what is inherited, and the component.
fn seeds() -> &'static [(DependencyName, Vec<u8>)] {
    static SEEDS: OnceLock<Vec<(DependencyName, Vec<u8>)>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let read = |path| {
            let text = std::fs::read_to_string(path).expect("a seed");
            let mut parts = text.splitn(3, '\n');
            let (name, _, code) = (parts.next(), parts.next(), parts.next().expect("three parts"));
            let wasm = wat::parse_str(code).unwrap_or_else(|error| panic!("{error}"));
            (name.expect("three parts").parse().expect("a name of a dependency"), wasm)
        };
        files_below(&root("fuzz/seeds/composition")).into_iter().map(read).collect()
    })
}

/// Holds what is said of what does not fit to be short, however hostile the names in it are.
fn assert_said<T>(outcome: Result<T, ComposeError>) {
    let error = outcome.err();
    let mut cause = error.as_ref().map(|error| error as &dyn StdError);
    while let Some(error) = cause {
        assert!(error.to_string().len() < 4_000, "{error}");
        cause = error.source();
    }
}

/// Readers of another make give up on some components that are valid and strange: that is an error like others.
#[tokio::test]
async fn what_a_reader_gives_up_on_is_an_error() {
    let cli = Cli::new();
    let app = cli.path("tmp/app");
    std::fs::create_dir(&app).expect("a directory");
    let (_, strange) = seeds().iter().find(|(name, _)| name.to_string() == "a:b/c@1.0.0").expect("a seed");
    std::fs::write(app.join("strange.wasm"), strange).expect("a file");
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"main\"\n\
        [component.main]\nsource = \"strange.wasm\"\n[component.main.dependencies]\n\"a:b/c@1.0.0\" = { path = \"strange.wasm\" }\n";
    std::fs::write(app.join("spin.toml"), manifest).expect("a file");
    let target = format!("oci:{}:v1", cli.path("tmp/out").display());
    let complaint = cli.run(["push", "-f", app.to_str().expect("a path"), &target]).await.failure(1);
    let said =
        ":10:1: the dependency `a:b/c@1.0.0` of component `main` cannot be read: a reader of components gave up: ";
    assert!(complaint.contains(said) && !complaint.contains("panicked"), "{complaint}");
}

/// A type may contain itself twice over, often; what is done for each value in it is bounded.
#[test]
fn types_that_double_are_bounded() {
    let doubled = |times: usize, functions: usize| {
        let types: String = (1..=times).map(|n| format!("type t{n} = tuple<t{}, t{}>; ", n - 1, n - 1)).collect();
        let functions: String = (0..functions).map(|n| format!("f{n}: func(it: t{times}); ")).collect();
        let wit = format!(
            "package a:b; interface many {{ resource thing; type t0 = thing; {types} {functions} }}
            interface ask {{ ask: func(); }} world out {{ import many; export ask; }} world root {{ import ask; export run: func(); }}"
        );
        (dummy(&wit, "root"), dummy(&wit, "out"))
    };
    let name: DependencyName = "a:b/ask".parse().expect("a name of a dependency");
    for (times, functions, inherit, fits) in
        [(10, 20, Inherit::default(), true), (15, 5, Inherit::default(), false), (15, 5, Inherit::All, true)]
    {
        let (root, out) = doubled(times, functions);
        let dependency = Dependency { name: &name, wasm: &out, export: None, inherit: &inherit };
        match compose("main", &root, &[dependency]) {
            Ok(_) => assert!(fits, "{times}"),
            Err(error) => {
                let reason = error.source().map(ToString::to_string);
                assert!(!fits && reason.as_deref() == Some("its types are too large"), "{times}: {error}: {reason:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Exactly what is inherited stays connected, and the same parts always make the same whole.
    #[test]
    fn what_is_inherited_stays_and_nothing_else(
        imported in subsequence(INTERFACES, 0..=INTERFACES.len()),
        sets in subsequence(SETS, 0..=SETS.len()),
    ) {
        let imports: String = imported.iter().map(|(name, _)| format!("import {name}; ")).collect();
        let wit = format!("{HOSTS} world answering {{ {imports} export ask; }}");
        let wasm = dummy(&wit, "answering");
        let inherit = Inherit::Some(sets.iter().map(|set| (*set).to_owned()).collect());
        let dependency = Dependency { name: &fixture(), wasm: &wasm, export: None, inherit: &inherit };
        let composed = compose("main", asking(), std::slice::from_ref(&dependency)).unwrap_or_else(|error| panic!("{error}"));
        let (left, _) = names(&composed);
        for (name, set) in INTERFACES {
            let is_granted = set.is_some_and(|set| sets.contains(&set));
            let is_imported = imported.iter().any(|(imported, _)| imported == name);
            prop_assert_eq!(left.iter().any(|left| left == name), is_granted && is_imported, "{}: {:?}", name, left);
        }
        prop_assert_eq!(compose("main", asking(), &[dependency]).expect("the same"), composed);
    }

    /// Whatever becomes of the bytes of a component, the answer is a whole or an error.
    #[test]
    fn damage_is_told(
        seed in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        end in prop::option::of(any::<Index>()),
    ) {
        let (name, whole) = seed.get(seeds());
        let mut wasm = whole.clone();
        for (at, byte) in changes {
            let at = at.index(wasm.len());
            wasm[at] = byte;
        }
        if let Some(end) = end {
            wasm.truncate(end.index(wasm.len()));
        }
        let inherit = Inherit::default();
        let dependency = |wasm| [Dependency { name, wasm, export: None, inherit: &inherit }];
        assert_said(compose("main", asking(), &dependency(&wasm)));
        assert_said(compose("main", whole, &dependency(&wasm)));
        assert_said(compose("main", &wasm, &dependency(whole)));
        assert_said(chain("main", &wasm, &[Middleware { name: "layer", wasm: &wasm, inherit: &inherit }]));
    }
}
