//! What belongs to a manifest without being below it: signatures, SBOMs, attestations, and whatever else refers to it.

use std::collections::{HashMap, HashSet};

use super::plan::{MAX_MANIFESTS, Walk};
use crate::content::{Source, Target};
use crate::error::Error;
use crate::model::{Descriptor, Digest, Identifier, Manifest, Tag};

impl<F: Source, T: Target> Walk<'_, F, T> {
    /// Plans for everything that refers to `root`, to what is below it, or to such a referrer: what names it as its
    /// subject (distribution-spec 1.1, "Listing Referrers"), and what stands under a tag that is made of its digest, as
    /// older tools of cosign's make do.
    pub(super) async fn attach(&mut self, root: &Manifest) -> Result<(), Error> {
        self.plan.questions.source += 1;
        let tags = Satellites::of(self.from.all_tags().await?);
        let mut seen = HashSet::from([root.digest()]);
        let mut left = vec![root.digest()];
        self.look_below(root.clone(), &mut seen, &mut left).await?;
        while let Some(subject) = left.pop() {
            for tag in tags.suffixed(&subject) {
                self.plan.questions.source += 1;
                let manifest = self.from.manifest(&Identifier::Tag(tag.clone())).await?;
                if seen.insert(manifest.digest()) {
                    left.push(manifest.digest());
                    self.look_below(manifest.clone(), &mut seen, &mut left).await?;
                }
                self.place(manifest, Some(tag), None).await?;
            }
            for referrer in self.referring(&subject, &tags).await? {
                if seen.len() > MAX_MANIFESTS {
                    return Err(self.too_much("at most 10000 manifests below it, and referring to them"));
                }
                if seen.insert(referrer.digest) {
                    self.follow(referrer, &mut seen, &mut left).await?;
                }
            }
        }
        Ok(())
    }

    /// Plans for a referrer, and notes it as something that may have referrers.
    async fn follow(
        &mut self,
        referrer: Descriptor,
        seen: &mut HashSet<Digest>,
        left: &mut Vec<Digest>,
    ) -> Result<(), Error> {
        self.plan.questions.target += 1;
        let is_there = self.to.exists(&referrer).await?;
        if is_there && !referrer.media_type.is_index() {
            left.push(referrer.digest);
            return Ok(());
        }
        let manifest = match self.read(referrer.digest).await {
            Ok(manifest) => manifest,
            // Lists that clients keep outlast what they name.
            Err(error) if error.is_not_found() => {
                self.misses(referrer);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        left.push(referrer.digest);
        self.look_below(manifest.clone(), seen, left).await?;
        if is_there { Ok(()) } else { self.descend_into(manifest).await }
    }

    /// Notes what is below an index: it may have referrers of its own.
    async fn look_below(
        &mut self,
        top: Manifest,
        seen: &mut HashSet<Digest>,
        left: &mut Vec<Digest>,
    ) -> Result<(), Error> {
        let mut open = vec![top];
        while let Some(manifest) = open.pop() {
            for child in manifest.manifests() {
                if seen.len() > MAX_MANIFESTS || !seen.insert(child.digest) {
                    continue;
                }
                left.push(child.digest);
                if child.media_type.is_index() {
                    open.push(self.read(child.digest).await?);
                }
            }
        }
        Ok(())
    }

    /// Lists what refers to `subject`: what the source knows of, and what is in the list that clients keep for registries
    /// which do not.
    async fn referring(&mut self, subject: &Digest, tags: &Satellites) -> Result<Vec<Descriptor>, Error> {
        self.plan.questions.source += 1;
        let mut referrers = self.from.all_referrers(subject).await?;
        if let Some(tag) = tags.list(subject) {
            self.plan.questions.source += 1;
            let list = self.from.manifest(&Identifier::Tag(tag.clone())).await?;
            referrers.extend(list.index().into_iter().flat_map(|index| index.manifests.clone()));
        }
        Ok(referrers)
    }
}

/// The tags that are made of a digest, by what they are made of: `sha256-<hex>` is a list of referrers, and
/// `sha256-<hex>.sig` and the like belong to the manifest of that digest.
struct Satellites(HashMap<String, Vec<Tag>>);

impl Satellites {
    fn of(tags: Vec<Tag>) -> Self {
        let mut found: HashMap<String, Vec<Tag>> = HashMap::new();
        for tag in tags {
            let stem = tag.as_str().split('.').next().unwrap_or_default();
            if is_stem(stem) {
                found.entry(stem.to_owned()).or_default().push(tag);
            }
        }
        Self(found)
    }

    /// Returns the tags that are the stem of `subject` and a suffix.
    fn suffixed(&self, subject: &Digest) -> impl Iterator<Item = &Tag> {
        let stem = stem(subject);
        self.0.get(&stem).into_iter().flatten().filter(move |tag| tag.as_str() != stem)
    }

    /// Returns the tag of the list of referrers of `subject`.
    fn list(&self, subject: &Digest) -> Option<&Tag> {
        let stem = stem(subject);
        self.0.get(&stem)?.iter().find(|tag| tag.as_str() == stem)
    }
}

/// Says whether a tag is that of a list of referrers, which clients keep where registries do not.
pub fn is_referrers_list(tag: &Tag) -> bool {
    is_stem(tag.as_str())
}

fn is_stem(text: &str) -> bool {
    let hex = text.strip_prefix("sha256-").or_else(|| text.strip_prefix("sha512-"));
    hex.is_some_and(|hex| hex.len() == STEM && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Returns what such tags begin with (distribution-spec 1.1, "Referrers Tag Schema").
fn stem(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm().name(), &subject.hex()[..STEM])
}

/// How many hexadecimal digits of a digest stand in a tag.
const STEM: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Algorithm;

    #[test]
    fn satellites_are_told_from_other_tags() {
        let subject = Digest::of(b"x");
        let stem = stem(&subject);
        let tags = [
            "v1".to_owned(),
            "sha256-1".to_owned(),
            stem.clone(),
            format!("{stem}.sig"),
            format!("{stem}.att.x"),
            format!("{stem}-sig"),
            self::stem(&Digest::of(b"y")),
        ];
        let satellites = Satellites::of(tags.iter().map(|tag| tag.parse().expect("a tag")).collect());
        let found: Vec<_> = satellites.suffixed(&subject).map(Tag::as_str).collect();
        assert_eq!(found, [format!("{stem}.sig"), format!("{stem}.att.x")]);
        assert_eq!(satellites.list(&subject).map(Tag::as_str), Some(stem.as_str()));
        assert!(satellites.suffixed(&Digest::of(b"z")).next().is_none());
        let long = self::stem(&Digest::of_with(Algorithm::Sha512, b"x"));
        assert!(is_stem(&long) && long.len() == 7 + 64);
    }
}
