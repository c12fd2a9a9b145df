//! `spinreg attach`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::context::Context;
use super::copy_sides::Way;
use super::failure::Problem;
use super::files::Upload;
use super::interrupts::Interrupts;
use super::options::{self, Annotation};
use super::sight::Site;
use super::told::Telling;
use crate::content::{Blob, Target as _};
use crate::copy::Endpoint;
use crate::error::Error;
use crate::model::{Annotations, Descriptor, ImageManifest, Location, Manifest, MediaType, ParseError, Platform};

/// Attach files to something that is published, such as an SBOM.
///
/// They become an artifact that refers to it.
/// What it refers to stays as it is, and `spinreg referrers` and `spinreg copy --referrers` find the artifact. The same files
/// give the same digest. With `--quiet` the result is `REFERENCE@DIGEST`, of the artifact.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Attach {
    /// The files, each with its media type after a colon, as in `sbom.json:application/spdx+json` [default:
    /// `application/octet-stream`].
    #[arg(value_name = "FILE[:TYPE]", required = true, num_args = 1..)]
    files: Vec<Attachment>,

    /// To what: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest` if
    /// neither tag nor digest is named.
    #[arg(required = true)]
    reference: Location,

    /// What kind of artifact it is: a media type.
    #[arg(long, value_name = "TYPE", value_parser = MediaType::from_header)]
    artifact_type: MediaType,

    /// Of an index, attach to the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// An annotation of the artifact; the first `=` ends the key; may be repeated.
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<Annotation>,

    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    way: Way,
}

/// A file and its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attachment {
    path: PathBuf,
    media_type: MediaType,
}

impl Attach {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { files, reference, artifact_type, platform, annotations, telling, way } = self;
        let mut uploads = Vec::new();
        for file in files {
            let title = file.title();
            uploads.push((Upload::read(&file.path, file.media_type).await?, title));
        }
        let site = Site::open_to_change(&reference, &way).await?;
        let subject = site.resolve(&reference.identifier(), platform.as_ref()).await?;
        let layers = uploads.iter().map(|(upload, title)| {
            let mut layer = upload.blob.descriptor().clone();
            layer.annotations.extend(title.clone().map(|title| (TITLE.to_owned(), title)));
            layer
        });
        let annotations = options::annotations(annotations);
        let manifest = artifact(&artifact_type, subject, layers.collect(), annotations)?;
        let mut interrupts = Interrupts::listen()?;
        tokio::select! {
            sent = send(&site.end, uploads.iter().map(|(upload, _)| &upload.blob), &manifest) => sent?,
            () = interrupts.next() => {
                // Upload sessions that nobody ends stay with the registry for days.
                site.end.tidy().await;
                return Err(Problem::Interrupted);
            }
        }
        Ok(telling.tell("Attached", &reference, manifest.descriptor(), context)?)
    }
}

/// Makes the manifest of an artifact that refers to `subject` (image-spec 1.1, "Guidelines for Artifact Usage").
fn artifact(
    artifact_type: &MediaType,
    subject: Descriptor,
    layers: Vec<Descriptor>,
    annotations: Annotations,
) -> Result<Manifest, Error> {
    let manifest = ImageManifest {
        annotations,
        artifact_type: Some(artifact_type.to_string()),
        config: Blob::from_bytes(MediaType::EMPTY_JSON, EMPTY).descriptor().clone(),
        layers,
        media_type: Some(MediaType::IMAGE_MANIFEST),
        schema_version: 2,
        subject: Some(Descriptor::new(subject.media_type, subject.digest, subject.size)),
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
    Ok(Manifest::parse(bytes, Some(MediaType::IMAGE_MANIFEST))?)
}

/// Sends the files, and then the manifest that has them.
async fn send(end: &Endpoint, blobs: impl Iterator<Item = &Blob>, manifest: &Manifest) -> Result<(), Error> {
    end.push_blob(&Blob::from_bytes(MediaType::EMPTY_JSON, EMPTY)).await?;
    for blob in blobs {
        end.push_blob(blob).await?;
    }
    end.push_manifest(manifest, None).await?;
    end.finish().await
}

impl Attachment {
    /// Returns the name under which those who fetch it find it: that of the file alone.
    fn title(&self) -> Option<String> {
        if self.path == Path::new("-") {
            return None;
        }
        self.path.file_name().map(|name| name.to_string_lossy().into_owned())
    }
}

impl FromStr for Attachment {
    type Err = ParseError;

    /// Takes what stands after the last colon for a media type where it has a slash; a path that has both needs one.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (path, media_type) = match text.rsplit_once(':') {
            Some((path, media_type)) if media_type.contains('/') && !path.is_empty() => {
                (path, MediaType::from_header(media_type)?)
            }
            _ => (text, MediaType::OCTET_STREAM),
        };
        if path.is_empty() {
            return Err(ParseError::new("file", text, "a path, and perhaps a colon and a media type"));
        }
        Ok(Self { path: path.into(), media_type })
    }
}

/// The content of a config that says nothing.
const EMPTY: &str = "{}";
/// The name of a file (image-spec 1.1, annotations.md).
const TITLE: &str = "org.opencontainers.image.title";

const EXAMPLES: &str = "\
Examples:
  spinreg attach sbom.json:application/spdx+json ghcr.io/me/app:v1 --artifact-type application/spdx+json
  spinreg attach report.txt log.txt oci:out:v1 --artifact-type application/vnd.example.report
  spinreg attach notes.md ghcr.io/me/app@sha256:… --artifact-type text/markdown --annotation by=ada";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_their_media_types() {
        for (text, path, media_type) in [
            ("a.json", "a.json", "application/octet-stream"),
            ("dir/a.json:application/json", "dir/a.json", "application/json"),
            ("a:b", "a:b", "application/octet-stream"),
            ("a:b:text/plain", "a:b", "text/plain"),
            ("-:text/plain", "-", "text/plain"),
        ] {
            let parsed: Attachment = text.parse().expect(text);
            assert_eq!((parsed.path.to_str(), parsed.media_type.as_str()), (Some(path), media_type), "{text}");
        }
        for text in ["", "a:not a/type", "a:/"] {
            assert!(text.parse::<Attachment>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_files_are_the_same_artifact() {
        let subject = Descriptor::of(MediaType::IMAGE_MANIFEST, b"{}");
        let layer = Descriptor::of(MediaType::OCTET_STREAM, b"x");
        let make = || artifact(&MediaType::OCTET_STREAM, subject.clone(), vec![layer.clone()], Annotations::new());
        let manifest = make().expect("a manifest");
        assert_eq!(manifest.digest(), make().expect("a manifest").digest());
        assert_eq!(manifest.subject(), Some(&subject));
        assert_eq!(manifest.image().map(|image| image.config.digest), Some(crate::model::Digest::of(b"{}")));
    }
}
