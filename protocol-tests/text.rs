//! Components in text form.

use spinreg::content::Source as _;
use spinreg::spin::{LoadOptions, PackOptions, WasmKind, load, media, pack};

use crate::load::{app, component, write};

#[tokio::test]
async fn text_is_assembled() {
    let long = format!("(module (func (export \"f\")) (memory 1) (data (i32.const 0) \"{}\"))", "x".repeat(200));
    for (text, kind, begins) in [
        ("(module)", WasmKind::Module, &b"\0asm\x01\0\0\0"[..]),
        (";; a comment\n(component)", WasmKind::Component, b"\0asm\x0d\0\x01\0"),
        (&long, WasmKind::Module, b"\0asm\x01\0\0\0"),
    ] {
        let dir = app(&component("").replace("empty.wasm", "c.wat"));
        write(&dir, "c.wat", text);
        let app = load(dir.path(), &LoadOptions::default()).await.expect(text);
        assert_eq!(app.components()[0].kind, kind);
        let package = pack(&app, &PackOptions::default()).await.expect("it packs");
        let image = package.manifest().image().expect("an image manifest");
        let layer = &image.layers[0];
        assert_eq!(layer.media_type, media::WASM);
        let bytes = package.blob(layer).read(layer.size).await.expect("its own blob");
        assert!(bytes.starts_with(begins), "{bytes:?}");
        let content = &package.lock_file().components[0].source.content;
        assert_eq!(content.digest, Some(layer.digest));
        assert_eq!(content.inline.is_some(), layer.size <= media::MAX_INLINE);
    }
}

#[tokio::test]
async fn mistakes_in_text_are_told_with_their_place() {
    for (name, text, expected) in [
        ("c.wat", "(module\n  (func call $x))", "c.wat:2:14` of the component `c` cannot be assembled: unknown func"),
        ("c.wat", "(modul)", "c.wat:1:2` of the component `c` cannot be assembled: expected valid module field"),
        ("c.wat", "", "c.wat:1:1` of the component `c` cannot be assembled: expected at least one module field"),
        ("c.wasm", "(module)", "is WebAssembly text, which is assembled only from files whose names end in `.wat`"),
    ] {
        let dir = app(&component("").replace("empty.wasm", name));
        write(&dir, name, text);
        let error = load(dir.path(), &LoadOptions::default()).await.expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
