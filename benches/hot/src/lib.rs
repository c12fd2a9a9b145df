//! What spinreg does most, each by itself: without a disk, a network or a clock.
//!
//! `cargo bench` times them; `main.rs` runs one of them for callgrind.

use std::hint::black_box;

use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use spinreg::content::{Blob, Pushed, Source, Target};
use spinreg::copy::{CopyOptions, Plan};
use spinreg::model::{Identifier, MediaType, Tag};
use spinreg::{Descriptor, Digest, Error, Manifest};

/// Something that is measured: its name, and what makes it ready to run once.
pub struct Subject {
    pub name: &'static str,
    pub prepare: fn() -> Box<dyn Fn()>,
}

/// All of them.
pub const ALL: [Subject; 7] = [
    Subject { name: "digest-64-kib", prepare: digest },
    Subject { name: "challenge", prepare: challenge },
    Subject { name: "manifest-481-layers", prepare: manifest },
    Subject { name: "reference", prepare: reference },
    Subject { name: "headers", prepare: headers },
    Subject { name: "plan-481-layers", prepare: plan },
    Subject { name: "interpret-application", prepare: interpret },
];

fn digest() -> Box<dyn Fn()> {
    let bytes = vec![0x5a; 64 << 10];
    Box::new(move || {
        black_box(Digest::of(black_box(&bytes)));
    })
}

fn challenge() -> Box<dyn Fn()> {
    let lines: [&[u8]; 3] = [
        br#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#,
        br#"Basic realm="https://registry.example/", charset="UTF-8""#,
        br#"Negotiate, Digest realm="a \"quoted\" one", nonce=abc, Bearer realm=https://loose.example/token"#,
    ];
    Box::new(move || {
        black_box(spinreg::auth::fuzzing::challenges(black_box(&lines)));
    })
}

fn image(layers: usize) -> Vec<u8> {
    let descriptor = |media_type: MediaType, n: usize| Descriptor::of(media_type, &n.to_le_bytes());
    let layers: Vec<_> = (1..=layers).map(|n| descriptor(MediaType::OCTET_STREAM, n)).collect();
    let image = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(MediaType::IMAGE_CONFIG, 0),
        "layers": layers,
        "annotations": { "org.opencontainers.image.title": "hot" },
    });
    serde_json::to_vec(&image).expect("plain data")
}

fn manifest() -> Box<dyn Fn()> {
    let bytes = image(481);
    Box::new(move || {
        black_box(Manifest::parse(bytes.clone(), None).expect("a manifest"));
    })
}

fn reference() -> Box<dyn Fn()> {
    let digest = Digest::of(b"");
    let text = format!("registry.example:5000/some/longer/name:v1.2.3@{digest}");
    Box::new(move || {
        let parsed: spinreg::Reference = black_box(&text).parse().expect("a reference");
        black_box(parsed.to_string());
    })
}

fn headers() -> Box<dyn Fn()> {
    use spinreg::transport::headers;
    let mut fields = HeaderMap::new();
    for (name, value) in [
        (header::RETRY_AFTER, "120"),
        (header::LINK, r#"</v2/a/tags/list?last=b&n=100>; rel="next""#),
        (header::WARNING, r#"299 - "this registry moves""#),
        (header::CONTENT_RANGE, "bytes 100-199/200"),
        (header::RANGE, "0-99"),
        (header::CONTENT_LENGTH, "100"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    let now = std::time::SystemTime::UNIX_EPOCH;
    Box::new(move || {
        let fields = black_box(&fields);
        black_box((headers::retry_after(fields, now), headers::link_next(fields), headers::warnings(fields)));
        black_box((headers::content_range(fields), headers::range(fields), headers::allowance(fields)));
    })
}

fn plan() -> Box<dyn Fn()> {
    let image = Manifest::parse(image(481), None).expect("a manifest");
    let shelf = Shelf { image };
    let id = Identifier::Digest(shelf.image.digest());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Box::new(move || {
        let options = CopyOptions::default();
        let plan = Plan::build(&shelf, &id, &shelf, None, &options);
        black_box(runtime.block_on(plan).expect("a plan"));
    })
}

/// Has one image as a source, and nothing as a target.
struct Shelf {
    image: Manifest,
}

impl Source for Shelf {
    async fn resolve(&self, _: &Identifier) -> Result<Descriptor, Error> {
        Ok(self.image.descriptor().clone())
    }

    async fn manifest(&self, _: &Identifier) -> Result<Manifest, Error> {
        Ok(self.image.clone())
    }

    fn blob(&self, descriptor: &Descriptor) -> Blob {
        Blob::file(descriptor.clone(), "")
    }
}

impl Target for Shelf {
    async fn exists(&self, _: &Descriptor) -> Result<bool, Error> {
        Ok(false)
    }

    async fn push_blob(&self, _: &Blob) -> Result<Pushed, Error> {
        Ok(Pushed::Existed)
    }

    async fn push_manifest(&self, _: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
        Ok(())
    }
}

fn interpret() -> Box<dyn Fn()> {
    let mut text = String::from("spin_manifest_version = 2\n\n[application]\nname = \"hot\"\nversion = \"1.0.0\"\n");
    for n in 0..8 {
        text += &format!(
            "\n[[trigger.http]]\nroute = \"/{n}/...\"\ncomponent = \"c{n}\"\n\n[component.c{n}]\nsource = \"c{n}.wasm\"\n\
             allowed_outbound_hosts = [\"https://example.com\", \"redis://*:6379\"]\nkey_value_stores = [\"default\"]\n\
             files = [{{ source = \"assets\", destination = \"/\" }}, \"static/*.css\"]\n"
        );
    }
    let file = std::path::Path::new("/application/spin.toml");
    Box::new(move || {
        black_box(spinreg::spin::interpret(file, black_box(&text), None).expect("an application"));
    })
}
