//! Reading applications on disk: where their files go, and how bad input is refused, with its place and a way out.

use std::fs;

use spinreg::spin::{LoadOptions, Notice, Outside, WasmKind, load};
use tempfile::TempDir;

/// A directory with an empty component and a manifest around `rest`.
pub(crate) fn app(rest: &str) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("empty.wasm"), b"\0asm\x0d\0\x01\0").expect("written");
    let text = format!("spin_manifest_version = 2\n[application]\nname = \"t\"\n{rest}");
    fs::write(dir.path().join("spin.toml"), text).expect("written");
    dir
}

pub(crate) fn write(dir: &TempDir, path: &str, content: &str) {
    let path = dir.path().join(path);
    fs::create_dir_all(path.parent().expect("inside")).expect("made");
    fs::write(path, content).expect("written");
}

async fn mounted(dir: &TempDir, outside: Outside) -> Result<(Vec<String>, Vec<Notice>), String> {
    let options = LoadOptions { outside, ..LoadOptions::default() };
    let app = load(dir.path(), &options).await.map_err(|error| error.to_string())?;
    let paths = app.components()[0].files.iter().map(|file| file.path.clone()).collect();
    Ok((paths, app.warnings().iter().map(|warning| warning.notice.clone()).collect()))
}

pub(crate) fn component(files: &str) -> String {
    format!("[[trigger.x]]\ncomponent = \"c\"\n[component.c]\nsource = \"empty.wasm\"\n{files}\n")
}

#[tokio::test]
async fn files_are_placed_as_spin_places_them() {
    for (files, expected) in [
        (r#"files = []"#, &[][..]),
        (r#"files = ["assets"]"#, &["assets/assets/.h", "assets/assets/a.txt", "assets/assets/d/b.txt"]),
        (r#"files = ["assets/d/"]"#, &["assets/d/assets/d/b.txt"]),
        (r#"files = ["assets/a.txt"]"#, &["assets/a.txt"]),
        (r#"files = ["./assets/./a.txt"]"#, &["assets/a.txt"]),
        (r#"files = ["assets/*"]"#, &["assets/.h", "assets/a.txt"]),
        (r#"files = ["assets/**"]"#, &[]),
        (r#"files = ["**/*.txt"]"#, &["assets/a.txt", "assets/d/b.txt", "odd[1].txt"]),
        (r#"files = ["odd[1].txt"]"#, &["odd[1].txt"]),
        (r#"files = ["nothing*"]"#, &[]),
        (r#"files = [{ source = "assets", destination = "/" }]"#, &[".h", "a.txt", "d/b.txt"]),
        (r#"files = [{ source = "./assets/d", destination = "//x/./y/" }]"#, &["x/y/b.txt"]),
        (r#"files = [{ source = "assets/a.txt", destination = "/index" }]"#, &["index"]),
        (
            r#"files = ["assets/a.txt", { source = "assets", destination = "assets" }]"#,
            &["assets/.h", "assets/a.txt", "assets/d/b.txt"],
        ),
        ("files = [\"assets/*\"]\nexclude_files = [\"assets/.*\"]", &["assets/a.txt"]),
        ("files = [\"assets/**/*\"]\nexclude_files = [\"a*.txt\"]", &["assets/.h"]),
        ("files = [\"assets/a.txt\"]\nexclude_files = [\"**/*.txt\"]", &["assets/a.txt"]),
    ] {
        let dir = app(&component(files));
        for file in ["assets/a.txt", "assets/.h", "assets/d/b.txt", "odd[1].txt"] {
            write(&dir, file, file);
        }
        let (paths, _) = mounted(&dir, Outside::Refused).await.expect(files);
        assert_eq!(paths, expected, "{files}");
    }
}

#[tokio::test]
async fn what_is_probably_not_meant_is_said() {
    for (lines, expected) in [
        (r#"files = ["assets"]"#, "`{ source = \"assets\", destination = \"/assets\" }` mounts it at `/assets`"),
        (r#"files = ["**/*"]"#, "`./**/*` says the same"),
        (r#"files = ["assets/**"]"#, "did you mean `assets/**/*`?"),
        (r#"files = ["*.png"]"#, "`*.png` matches no file"),
        ("files = [\"assets/a\"]\nexclude_files = [\"assets/*\"]", "is mounted although `assets/*` excludes it"),
        (r#"allowed_http_hosts = ["example.com"]"#, "`allowed_http_hosts` of `c` is deprecated"),
        (r#"variables = { v = "{{ nobody }}" }"#, "uses the variable `nobody`"),
    ] {
        let dir = app(&component(lines));
        write(&dir, "assets/a", "a");
        let app = load(dir.path(), &LoadOptions::default()).await.expect(lines);
        let [warning] = app.warnings() else { panic!("{lines}: {:?}", app.warnings()) };
        assert!(warning.to_string().contains(expected), "{warning}");
        assert!(warning.to_string().contains("spin.toml:8:"), "{warning}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_inside_and_nowhere_else() {
    use std::os::unix::fs::symlink;
    let out = TempDir::new().expect("a directory");
    fs::write(out.path().join("secret"), "s").expect("written");
    for (link, target, files, expected) in [
        ("assets/l", "a", "assets/*", Ok(&["assets/a", "assets/l"][..])),
        ("assets/d", "../more", "assets/**/*", Ok(&["assets/a", "assets/d/m"])),
        ("assets/d", "../more", "assets/*", Ok(&["assets/a"])),
        ("assets/gone", "nowhere", "assets/*", Ok(&["assets/a"])),
        ("assets/me", ".", "assets/**/*", Err("leads back to its own parent")),
        ("assets/up", "..", "assets/**/*", Err("leads back to its own parent")),
        ("assets/me", ".", "assets/*/a", Ok(&["assets/me/a"])),
        ("assets/out", "OUT", "assets/**/*", Err("outside the application's directory")),
        ("assets/out", "OUT/secret", "assets/*", Err("outside the application's directory")),
        ("assets/out", "OUT/secret", "assets/out", Err("outside the application's directory")),
    ] {
        let dir = app(&component(&format!("files = [\"{files}\"]")));
        write(&dir, "assets/a", "a");
        write(&dir, "more/m", "m");
        let target = target.replace("OUT", &out.path().display().to_string());
        symlink(target, dir.path().join(link)).expect("linked");
        match (mounted(&dir, Outside::Refused).await, expected) {
            (Ok((paths, _)), Ok(expected)) => assert_eq!(paths, expected, "{link}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (outcome, _) => panic!("{link}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn sources_outside_need_leave() {
    let dir = app("");
    for (files, allowed) in [
        (r#"[{ source = "../beside", destination = "/" }]"#, Some(&["b"][..])),
        (r#"[{ source = "ROOT/beside", destination = "/" }]"#, Some(&["b"])),
        (r#"["../beside/b"]"#, None),
        (r#"["ROOT/beside/*"]"#, None),
    ] {
        let files = files.replace("ROOT", &dir.path().display().to_string());
        write(
            &dir,
            "inner/spin.toml",
            &format!(
                "spin_manifest_version = 2\napplication = {{ name = \"t\" }}\n{}",
                component(&format!("files = {files}"))
            ),
        );
        fs::copy(dir.path().join("empty.wasm"), dir.path().join("inner/empty.wasm")).expect("copied");
        write(&dir, "beside/b", "b");
        for (outside, expected) in [(Outside::Refused, None), (Outside::Allowed, allowed)] {
            let options = LoadOptions { outside, ..LoadOptions::default() };
            match (load(&dir.path().join("inner"), &options).await, expected) {
                (Ok(app), Some(expected)) => {
                    let paths: Vec<_> = app.components()[0].files.iter().map(|file| file.path.as_str()).collect();
                    assert_eq!(paths, expected);
                }
                (Err(error), None) => assert!(error.to_string().contains("outside"), "{error}"),
                (outcome, _) => panic!("{files}: {outcome:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_application_may_live_below_odd_names() {
    let dir = TempDir::new().expect("a directory");
    let odd = dir.path().join("[wip] *");
    fs::create_dir_all(odd.join("assets")).expect("made");
    fs::write(odd.join("assets/a"), "a").expect("written");
    fs::write(odd.join("empty.wasm"), b"\0asm\x01\0\0\0").expect("written");
    let text = component("files = [\"assets/*\", { source = \"assets\", destination = \"/x\" }]");
    fs::write(odd.join("spin.toml"), format!("spin_manifest_version = 2\napplication = {{ name = \"t\" }}\n{text}"))
        .expect("written");
    let app = load(&odd.join("spin.toml"), &LoadOptions::default()).await.expect("it loads");
    assert_eq!(app.components()[0].kind, WasmKind::Module);
    let paths: Vec<_> = app.components()[0].files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["assets/a", "x/a"]);
}

#[tokio::test]
async fn bad_manifests_are_refused_with_place_and_reason() {
    for (rest, expected) in [
        ("x = \n", ":4:"),
        ("nmae = 1", ":4:1: unknown key `nmae` in `application`; did you mean `name`?"),
        ("[trigger]\n[compnent.a]", ":5:2: unknown key `compnent`; did you mean `component`?"),
        ("version = 1", ":4:11: `application.version` has to be a string, and this is an integer"),
        ("", ":1:1: the key `trigger` is missing"),
        (
            "[trigger]\nhttp = 1",
            ":5:8: `trigger.http` has to be an array of tables, each under two brackets: `[[trigger.TYPE]]`",
        ),
        ("[trigger]\n[component.A_b]\nsource = \"x\"", ":5:12: the component id `A_b` has to be kebab-case"),
        ("[trigger]\n[component.c]", ":5:1: the key `source` is missing in `component.c`"),
        (
            "[[trigger.http]]\ncomponent = \"hello\"\n[component.helo]\nsource = \"empty.wasm\"",
            ":5:13: the component `hello` is not defined; did you mean `helo`?",
        ),
        ("[trigger]\n[variables]\nv = { required = true, default = \"x\" }", ":6:1: the variable `v` has both"),
        ("[trigger]\n[variables]\nv = { secret = true }", ":6:1: the variable `v` has neither"),
        ("[trigger]\n[variables]\nV = { default = \"\" }", ":6:1: the variable `V` has to be snake_case"),
    ] {
        let dir = app(rest);
        let error = load(dir.path(), &LoadOptions::default()).await.expect_err(rest).to_string();
        assert!(error.contains(&format!("spin.toml{expected}")), "{rest}: {error}");
    }
    for (lines, expected) in [
        ("sourc = 1", "unknown key `sourc` in `component.c`; did you mean `source`?"),
        ("files = \"a\"", ":8:9: `component.c.files` has to be an array, and this is a string"),
        ("files = [1]", ":8:10: `component.c.files` has to be a path, a pattern or `{ source, destination }`"),
        ("files = [{ source = \"a\" }]", ":8:10: the key `destination` is missing in `component.c.files`"),
        ("files = [\"gone\"]", ":8:10: `gone` is neither a file, a directory nor a glob"),
        ("files = [\".\"]", "would mount a whole directory"),
        ("files = [\"[\"]", "the pattern `[` is no glob"),
        ("files = [{ source = \"spin.toml\", destination = \"/\" }]", "has to be the full name of the file"),
        ("files = [{ source = \"spin.toml\", destination = \"../x\" }]", "without `..`"),
        (
            "files = [{ source = \"spin.toml\", destination = \"x\" }, { source = \"empty.wasm\", destination = \"x\" }]",
            "are both mounted at `/x`",
        ),
        (
            "files = [{ source = \"spin.toml\", destination = \"x\" }, { source = \"empty.wasm\", destination = \"x/y\" }]",
            "are both mounted at `/x`",
        ),
        (
            "allowed_outbound_hosts = [\"https://a\", \"example.com\"]",
            ":8:40: the outbound host `example.com` has to have a scheme",
        ),
        ("key_value_stores = [\"a b\"]", ":8:21: the key-value store `a b` has to be kebab-case or snake_case"),
        ("build = { comand = \"x\" }", "unknown key `comand` in `component.c.build`; did you mean"),
        (
            "dependencies = { \"a:b/c\" = \"1.0\" }",
            ":8:18: the dependency `a:b/c` of the component `c` wants the package `a:b` `^1.0`: nothing is there that could",
        ),
    ] {
        let dir = app(&component(lines));
        let error = load(dir.path(), &LoadOptions::default()).await.expect_err(lines).to_string();
        assert!(error.contains(expected), "{lines}: {error}");
    }
}

#[tokio::test]
async fn manifests_of_other_versions_are_refused() {
    let dir = TempDir::new().expect("a directory");
    for (text, expected) in [
        ("", ":1:1: the key `spin_manifest_version` is missing"),
        ("spin_manifest_version = \"2\"", "the manifest version `\"2\"` has to be the number `2`"),
        ("spin_manifest_version = 3", "the manifest version `3` has to be the number `2`"),
    ] {
        write(&dir, "spin.toml", text);
        let error = load(dir.path(), &LoadOptions::default()).await.expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(dir.path().join("spin.toml"), b"a = 1\nb = \"\xff\"").expect("written");
    let error = load(dir.path(), &LoadOptions::default()).await.expect_err("no text").to_string();
    assert!(error.ends_with("spin.toml:2:6: this is not UTF-8 text"), "{error}");
}

#[tokio::test]
async fn missing_and_wrong_files_are_named() {
    let dir = TempDir::new().expect("a directory");
    let missing = dir.path().join("spin.toml");
    let error = load(dir.path(), &LoadOptions::default()).await.expect_err("nothing there");
    assert_eq!(error.to_string(), format!("there is no Spin manifest at `{}`", missing.display()));

    let source = |source: &str, more: &str| {
        let text = component(&format!("files = [\"gone\"]\n{more}"));
        app(&text.replace("\"empty.wasm\"", source))
    };
    let build = "build = { command = [\"make a\", \"make b\"], workdir = \"src\" }";
    for (written, more, expected) in [
        ("\"gone.wasm\"", "", "gone.wasm` of the component `c` does not exist"),
        ("\"gone.wasm\"", build, "does not exist; build it with `make a && make b` in `src`"),
        (
            "\"spin.toml\"",
            "",
            "spin.toml` of the component `c` is not WebAssembly: it begins with 73 70 69 6e 5f 6d 61 6e",
        ),
        ("\".\"", "", "of the component `c` is not a file"),
        ("\"text.wasm\"", "", "is WebAssembly text, which is assembled only from files whose names end in `.wat`"),
        (
            "{ url = \"https://a:b@x\", digest = \"\" }",
            "",
            "spin.toml: the url at `x` has a user or a password in it; leave that out",
        ),
        ("{ url = \"https://\", digest = \"\" }", "", "the url `https://` has to be an address that begins with"),
        ("{ url = \"ftp://x\", digest = \"\" }", "", "the url `ftp://x` has to be an address that begins with"),
        ("{ url = \"https://x\" }", "", "the key `digest` is missing in `component.c.source`"),
        ("1", "", "has to be a path, `{ url, digest }` or `{ registry, package, version }`"),
    ] {
        let dir = source(written, more);
        write(&dir, "text.wasm", "(module)");
        let error = load(dir.path(), &LoadOptions::default()).await.expect_err(written).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_file_needs_a_way_to_it() {
    for (written, expected) in [
        (URL, ":7:10: the component `c` wants `https://x/`: nothing is there that could fetch it"),
        (
            "{ package = \"a:b\", version = \"1.0.0\" }",
            "the component `c` wants the package `a:b` `=1.0.0`: nothing is there",
        ),
    ] {
        let dir = app(&component("").replace("\"empty.wasm\"", written));
        let error = load(dir.path(), &LoadOptions::default()).await.expect_err(written).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

const URL: &str =
    "{ url = \"https://x\", digest = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }";
