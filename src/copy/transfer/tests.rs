use std::sync::Mutex;

use http::{Method, Uri};

use super::*;
use crate::content::{Blob, Tagged};
use crate::error::{Details, Refused, RequestLine};
use crate::model::{ErrorEntry, MediaType};

/// A source of one image, and a target that seems to have its layers; `lies` says how often it then does not.
struct Forgetful {
    image: Manifest,
    lies: Mutex<u32>,
    log: Mutex<Vec<String>>,
    /// What the tag points to.
    tagged: Option<Manifest>,
    /// What becomes of the layer when it is pushed.
    layer: Pushed,
    /// How it refuses a manifest.
    refusal: (StatusCode, ErrorCode),
}

impl Forgetful {
    fn new(lies: u32) -> Self {
        let refusal = (StatusCode::BAD_REQUEST, ErrorCode::ManifestBlobUnknown);
        let (image, lies) = (image("config"), Mutex::new(lies));
        Self { image, lies, log: Mutex::default(), tagged: None, layer: Pushed::Existed, refusal }
    }

    fn note(&self, doing: &str, digest: Digest) {
        let what = if digest == Digest::of(b"config") { "config" } else { "layer" };
        self.log.lock().expect("no test panics in here").push(format!("{doing} {what}"));
    }
}

fn image(config: &str) -> Manifest {
    let descriptor = |text: &str| Descriptor::of(MediaType::OCTET_STREAM, text.as_bytes());
    let (config, layer) = (descriptor(config), descriptor("layer"));
    let text = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    Manifest::parse(text.to_string(), None).expect("a manifest")
}

impl Source for Forgetful {
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

impl Target for Forgetful {
    async fn exists(&self, _: &Descriptor) -> Result<bool, Error> {
        Ok(false)
    }

    async fn tagged(&self, _: &Tag, _: &Descriptor) -> Result<Tagged, Error> {
        Ok(self.tagged.clone().map_or(Tagged::Unknown, |manifest| Tagged::Other(Box::new(manifest))))
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        let digest = blob.descriptor().digest;
        self.note("push", digest);
        Ok(if digest == Digest::of(b"config") { Pushed::Uploaded } else { self.layer })
    }

    async fn repush_blob(&self, blob: &Blob) -> Result<Pushed, Error> {
        self.note("repush", blob.descriptor().digest);
        Ok(Pushed::Uploaded)
    }

    async fn push_manifest(&self, _: &Manifest, _: Option<&Tag>) -> Result<(), Error> {
        let mut lies = self.lies.lock().expect("no test panics in here");
        if *lies == 0 {
            return Ok(());
        }
        *lies -= 1;
        let request = RequestLine::new(&Method::PUT, &Uri::from_static("/v2/a/manifests/v1"));
        let (status, code) = self.refusal.clone();
        let (errors, details) = (vec![ErrorEntry::new(code, "")], Details::default());
        Err(Box::new(Refused { request, status, errors, attempts: 1, details }).into())
    }

    async fn tidy(&self) {
        self.log.lock().expect("no test panics in here").push("tidy".to_owned());
    }
}

#[tokio::test]
async fn what_seemed_to_be_there_is_pushed_again_once() {
    let cold = ["push config", "push layer"];
    for (lies, more, counts) in
        [(0, &[][..], Some((1, 1, 6))), (1, &["repush layer"], Some((0, 2, 11))), (2, &["repush layer", "tidy"], None)]
    {
        let shelf = Forgetful::new(lies);
        let id = Identifier::Tag(Tag::latest());
        let one = NonZeroUsize::new(1).expect("not zero");
        let options = CopyOptions { transfers: Transfers::at_most(one), ..CopyOptions::default() };
        let outcome = copy(&shelf, &id, &shelf, None, &options).await;
        let summary = outcome.ok().map(|summary| (summary.existed, summary.moved, summary.bytes));
        assert_eq!(summary, counts, "{lies} lies");
        assert_eq!(*shelf.log.lock().expect("no test panics in here"), [&cold, more].concat(), "{lies} lies");
    }
}

#[tokio::test]
async fn what_was_believed_is_asked_for_when_the_target_complains() {
    let unknown = (StatusCode::BAD_REQUEST, ErrorCode::ManifestBlobUnknown);
    let invalid = (StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid);
    let own = |status: StatusCode, code: &str| (status, ErrorCode::Other(code.to_owned()));
    let (asks, pushes) = (["push layer"].as_slice(), ["push layer", "repush layer"].as_slice());
    for (lies, refusal, layer, more, counts) in [
        (0, unknown.clone(), Pushed::Existed, &[][..], Some((1, 1, 6))),
        // It has lost the blob, and says so when it is asked.
        (1, unknown.clone(), Pushed::Uploaded, asks, Some((0, 2, 11))),
        // It does not say so.
        (1, unknown.clone(), Pushed::Existed, pushes, Some((0, 2, 11))),
        (2, unknown.clone(), Pushed::Existed, pushes, None),
        // It says so, and complains all the same.
        (2, unknown, Pushed::Uploaded, asks, None),
        // It complains in words of its own.
        (1, invalid.clone(), Pushed::Uploaded, asks, Some((0, 2, 11))),
        (1, invalid, Pushed::Existed, asks, None),
        (1, own(StatusCode::BAD_REQUEST, "LayersNotFound"), Pushed::Uploaded, asks, Some((0, 2, 11))),
        // It complains of something else.
        (1, own(StatusCode::BAD_REQUEST, "TAG_INVALID"), Pushed::Uploaded, &[], None),
        (1, own(StatusCode::FORBIDDEN, "LayersNotFound"), Pushed::Uploaded, &[], None),
        (1, (StatusCode::BAD_REQUEST, ErrorCode::Unsupported), Pushed::Uploaded, &[], None),
    ] {
        let tagged = Some(image("another config"));
        let shelf = Forgetful { tagged, layer, refusal, ..Forgetful::new(lies) };
        let id = Identifier::Tag(Tag::latest());
        let outcome = copy(&shelf, &id, &shelf, Some(&Tag::latest()), &CopyOptions::default()).await;
        let summary = outcome.ok().map(|summary| (summary.existed, summary.moved, summary.bytes));
        let tidy = counts.is_none().then_some("tidy");
        let log = [&["push config"], more].concat().into_iter().chain(tidy).collect::<Vec<_>>();
        assert_eq!(*shelf.log.lock().expect("no test panics in here"), log, "{:?}, {layer:?}", shelf.refusal);
        assert_eq!(summary, counts, "{:?}, {layer:?}", shelf.refusal);
    }
}

#[test]
fn the_number_of_transfers_is_never_exceeded() {
    for (n, small, large) in [(1, 1, 0), (3, 3, 0), (4, 3, 1), (16, 12, 4)] {
        let transfers = Transfers::at_most(NonZeroUsize::new(n).expect("not zero"));
        assert_eq!(transfers, Transfers { small, large });
    }
}
