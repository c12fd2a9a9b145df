//! `spinreg annotate`.

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::context::Context;
use super::copy_sides::Way;
use super::failure::Problem;
use super::manifest::aim;
use super::options::{self, Annotation};
use super::sight::{SCHEMA, Site};
use super::status::Voice;
use super::told::DigestFile;
use super::{endpoint, interrupts, output};
use crate::content::{Source as _, Target as _};
use crate::model::{Annotations, Digest, Location, Manifest, ParseError};

/// Change the annotations of a manifest.
///
/// A manifest is its bytes: changed, it is another one, with another digest, and the tag names that one then. What refers to the old
/// one, such as signatures, stays with it. No blob moves. With `--quiet` the result is `REFERENCE@DIGEST`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Annotate {
    /// What to annotate: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` or `oci-archive:FILE[:TAG]`; the tag `latest`
    /// if neither tag nor digest is named. By a digest alone the result gets no tag.
    reference: Location,

    /// What to say; the first `=` ends the key.
    #[arg(value_name = "KEY=VALUE", required_unless_present = "remove")]
    annotations: Vec<Annotation>,

    /// Take this annotation away; may be repeated.
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,

    /// Print what was done as JSON; docs/look.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    file: DigestFile,
    #[command(flatten)]
    way: Way,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    reference: String,
    digest: Digest,
    pinned: String,
    previous: Digest,
    changed: bool,
}

impl Annotate {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self { reference, annotations, remove, json, file, way } = self;
        let site = Site::open_to_change(&reference, &way).await?;
        let old = site.end.manifest(&reference.identifier()).await?;
        let new = annotated(&old, &options::annotations(annotations), &remove).map_err(crate::error::Error::from)?;
        let changed = new.is_some();
        let new = new.unwrap_or_else(|| old.clone());
        if changed {
            let (tag, _) = aim(&reference);
            interrupts::until(async {
                site.end.push_manifest(&new, tag.as_ref()).await?;
                site.end.finish().await
            })
            .await??;
        }
        let (digest, previous) = (new.digest(), old.digest());
        file.write(&digest)?;
        if changed && context.voice != Voice::Silent {
            output::remark(&format!("note: what refers to {previous}, such as signatures, does not refer to {digest}"));
        }
        let pinned = endpoint::pinned(&reference, digest);
        match (json, context.quiet) {
            (true, _) => {
                let reference = reference.to_string();
                output::json(&Report { schema: SCHEMA, reference, digest, pinned, previous, changed })?;
            }
            (false, true) => output::line(&pinned)?,
            (false, false) if changed => {
                output::line(&format!("Annotated with digest {digest}, which had {previous}"))?
            }
            (false, false) => output::line(&format!("Nothing to change: the digest is {digest}"))?,
        }
        Ok(())
    }
}

/// Makes the manifest with other annotations; `None` where it has them already. What we do not know in it is kept.
fn annotated(old: &Manifest, set: &Annotations, remove: &[String]) -> Result<Option<Manifest>, ParseError> {
    let mut wanted = old.annotations().clone();
    wanted.retain(|key, _| !remove.contains(key));
    wanted.extend(set.clone());
    if wanted == *old.annotations() {
        return Ok(None);
    }
    let mut document: Map<String, Value> = serde_json::from_slice(old.bytes()).map_err(|error| {
        ParseError::new("manifest", &old.digest().to_string(), "one that can be written again").because(&error)
    })?;
    if wanted.is_empty() {
        document.remove(KEY);
    } else {
        document.insert(KEY.to_owned(), serde_json::to_value(&wanted).expect("texts are plain data"));
    }
    let bytes = serde_json::to_vec(&document).expect("JSON values are plain data");
    Manifest::parse(bytes, Some(old.descriptor().media_type.clone())).map(Some)
}

/// Where annotations stand in a manifest.
const KEY: &str = "annotations";

const EXAMPLES: &str = "\
Examples:
  spinreg annotate ghcr.io/me/app:v1 org.opencontainers.image.source=https://example.com/app
  spinreg annotate oci:out:v1 team=web --remove draft";

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(extra: &str) -> Manifest {
        let digest = Digest::of(b"");
        let blob = format!(r#"{{"mediaType":"text/plain","digest":"{digest}","size":0,"x":1.10}}"#);
        let text =
            format!(r#"{{ "schemaVersion":2,{extra}"later":[{{"b":1,"a":2}}],"config":{blob},"layers":[{blob}]}}"#);
        Manifest::parse(text, None).expect("a manifest")
    }

    fn set(pairs: &[(&str, &str)]) -> Annotations {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn annotations_change_and_nothing_else() {
        let old = manifest(r#""annotations":{"a":"1","b":"2"},"#);
        let new = annotated(&old, &set(&[("a", "3"), ("c", "4")]), &["b".to_owned()]).expect("JSON").expect("a change");
        assert_eq!(*new.annotations(), set(&[("a", "3"), ("c", "4")]));
        assert_ne!(new.digest(), old.digest());
        let parse = |manifest: &Manifest| serde_json::from_slice::<Map<String, Value>>(manifest.bytes()).expect("JSON");
        let (mut before, mut after) = (parse(&old), parse(&new));
        before.remove(KEY);
        after.remove(KEY);
        assert_eq!(before, after);
        let bare = annotated(&old, &set(&[]), &["a".to_owned(), "b".to_owned()]).expect("JSON").expect("a change");
        assert!(!parse(&bare).contains_key(KEY));
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let old = manifest(r#""annotations":{"a":"1"},"#);
        for (add, remove) in
            [(set(&[("a", "1")]), vec![]), (set(&[]), vec!["b".to_owned()]), (set(&[("a", "1")]), vec!["a".to_owned()])]
        {
            assert!(annotated(&old, &add, &remove).expect("JSON").is_none(), "{add:?} {remove:?}");
        }
        assert!(annotated(&manifest(""), &set(&[("a", "")]), &[]).expect("JSON").is_some());
    }
}
