//! The corners of composition: versions, dependencies of dependencies, types of others; and errors that lead to the line.

use std::error::Error as _;

use spinreg::spin::compose::{ComposeError, Dependency, Discord, compose};
use spinreg::spin::{DependencyName, Inherit};

use crate::support::cli::Cli;
use crate::support::components::{dummy, names};

const WIT: &str = "package a:b;
    package x:y@1.0.0 { interface c { f: func() -> string; } }
    package x:y@2.0.0 { interface c { f: func() -> string; } }
    package x:y@2.1.0 { interface c { f: func() -> string; } }
    package p:q { interface d { g: func() -> string; } }
    package r:s {
      interface types { resource thing { name: func() -> string; } }
      interface user { use types.{thing}; take: func(it: thing); }
    }
    world both { import x:y/c@1.0.0; import x:y/c@2.0.0; export run: func(); }
    world near { import x:y/c@2.0.0; import p:q/d; export run: func(); }
    world one { export x:y/c@1.0.0; }
    world two { export x:y/c@2.0.0; }
    world later { export x:y/c@2.1.0; }
    world all { export x:y/c@1.0.0; export x:y/c@2.0.0; }
    world chained { import x:y/c@2.1.0; export p:q/d; }
    world thing { import r:s/types; import r:s/user; export run: func(); }
    world maker { export r:s/types; export r:s/user; }
    world taker { import r:s/types; export r:s/user; }";

fn composed(root: &str, dependencies: &[(&str, &str, Inherit)]) -> Result<(Vec<String>, Vec<String>), ComposeError> {
    let parts: Vec<(DependencyName, Vec<u8>, &Inherit)> = dependencies
        .iter()
        .map(|(name, world, inherit)| (name.parse().expect("a name of a dependency"), dummy(WIT, world), inherit))
        .collect();
    let dependencies: Vec<_> =
        parts.iter().map(|(name, wasm, inherit)| Dependency { name, wasm, export: None, inherit }).collect();
    compose("main", &dummy(WIT, root), &dependencies).map(|wasm| names(&wasm))
}

/// Two versions of an interface are two imports, and a name may mean one of them, or both.
#[test]
fn each_version_is_an_import_of_its_own() {
    let none = Inherit::default;
    for (dependencies, left) in [
        (vec![("x:y/c@1.0.0", "one", none()), ("x:y/c@2.0.0", "two", none())], vec![]),
        (vec![("x:y@1.0.0", "one", none()), ("x:y@2.0.0", "two", none())], vec![]),
        (vec![("x:y/c", "all", none())], vec![]),
        (vec![("x:y", "all", none())], vec![]),
        (vec![("x:y/c@2.0.0", "all", none())], vec!["x:y/c@1.0.0"]),
    ] {
        let named: Vec<_> = dependencies.iter().map(|(name, world, _)| (*name, *world)).collect();
        let (imports, exports) = composed("both", &dependencies).unwrap_or_else(|error| panic!("{named:?}: {error}"));
        assert_eq!((imports, exports), (left.iter().map(|name| (*name).to_owned()).collect(), vec!["run".to_owned()]));
    }
    for (name, world, said) in [
        // A version that fits would do for a host, and not here: what is named is what is meant.
        ("x:y/c@2.0.0", "later", "does not export `x:y/c@2.0.0`; did you mean `x:y/c@2.1.0`?"),
        ("x:y/c@2.1.0", "later", "has no import to satisfy; did you mean `x:y/c@2.0.0`? the component imports "),
        ("x:y/c", "two", "does not export `x:y/c@1.0.0`; did you mean `x:y/c@2.0.0`?"),
    ] {
        let error = composed("both", &[(name, world, none())]).expect_err(said).to_string();
        assert!(error.starts_with(&format!("the dependency `{name}` of component `main` {said}")), "{error}");
    }
    let twice = [("x:y/c", "all", none()), ("x:y/c@2.0.0", "two", none())];
    let error = composed("both", &twice).expect_err("both want it").to_string();
    let said =
        "`x:y/c@2.0.0` of component `main` satisfies the import `x:y/c@2.0.0`, and so does the dependency `x:y/c`";
    assert!(error.ends_with(said), "{error}");
}

/// What a dependency imports is not taken from other dependencies: it is imported by the whole, or denied.
#[test]
fn dependencies_of_dependencies_are_not_looked_at() {
    let two = ("x:y/c", "two", Inherit::default());
    let chained = |inherit| ("p:q/d", "chained", inherit);
    let imports = |dependencies: &[(&str, &str, Inherit)]| composed("near", dependencies).expect("a composition").0;
    assert_eq!(imports(&[two.clone(), chained(Inherit::All)]), ["x:y/c@2.1.0"]);
    assert_eq!(imports(&[two, chained(Inherit::default())]), Vec::<String>::new());
    // The root's own import, and the dependency's: those of compatible versions are one import, the later one.
    assert_eq!(imports(&[chained(Inherit::All)]), ["x:y/c@2.1.0"]);
    let error = composed("near", &[("x:y/c@2.1.0", "later", Inherit::default())]).expect_err("only by a dependency");
    assert!(matches!(error.discord, Discord::NoImport { .. }), "{error}");
}

/// Types that both sides have from a third one have to be from the same.
#[test]
fn resources_of_others_connect_or_are_told() {
    assert_eq!(composed("thing", &[("r:s", "maker", Inherit::default())]).expect("both").0, Vec::<String>::new());
    assert_eq!(composed("thing", &[("r:s/user", "taker", Inherit::All)]).expect("the host's").0, ["r:s/types"]);
    // Denied, the types of the dependency would be others than those of the component.
    let error = composed("thing", &[("r:s/user", "taker", Inherit::default())]).expect_err("two kinds of things");
    let said = "the dependency `r:s/user` of component `main` imports `r:s/types`, which it does not inherit";
    assert!(error.to_string().starts_with(said), "{error}");
    let reason = error.source().expect("why").to_string();
    assert_eq!(reason, "`r:s/user`, which the component uses, is made of its types");
}

#[tokio::test]
async fn errors_lead_to_the_line_of_the_manifest() {
    let cli = Cli::new();
    let app = cli.path("tmp/app");
    std::fs::create_dir(&app).expect("a directory");
    for (name, world) in [("root", "both"), ("one", "one"), ("old", "chained")] {
        std::fs::write(app.join(name).with_extension("wasm"), dummy(WIT, world)).expect("a file");
    }
    let start = "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"main\"\n";
    let component = "[component.main]\nsource = \"root.wasm\"\n";
    for (rest, place, said) in [
        (
            format!(
                "{component}[component.main.dependencies]\n\"x:y/c@1.0.0\" = {{ path = \"one.wasm\" }}\n\"x:y/c@3.0.0\" = {{ path = \"one.wasm\" }}\n"
            ),
            "11:1",
            "the dependency `x:y/c@3.0.0` of component `main` has no import to satisfy",
        ),
        (
            format!("dependencies = {{ middleware = [\n  {{ path = \"old.wasm\" }} ] }}\n{component}"),
            "10:10",
            "component `main` has no export `wasi:http/handler@0.3.0`",
        ),
    ] {
        std::fs::write(app.join("spin.toml"), format!("{start}{rest}")).expect("a file");
        let target = format!("oci:{}:v1", cli.path("tmp/out").display());
        let complaint = cli.run(["push", "-f", app.to_str().expect("a path"), &target]).await.failure(1);
        let said = format!("error: {}:{place}: {said}", app.join("spin.toml").display());
        assert!(complaint.contains(&said), "{complaint}");
    }
}
