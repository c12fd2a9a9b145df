//! Steps with lists: tags and referrers.

use http::Method;
use serde::Deserialize;

use super::book::Subject;
use super::content::Content;
use super::judge::{Fault, Verdict};
use super::run::{Run, Tape, key};
use super::wire::encoded;
use crate::conformance::answer::Answer;
use crate::conformance::verdict::{Api, DataSet};
use crate::model::{Algorithm, Annotations, Descriptor, MediaType};

/// A list of tags, as far as it is looked at.
#[derive(Default, Deserialize)]
struct TagList {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// A list of referrers; nothing in it is believed to be well formed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    schema_version: i64,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Option<Vec<Referrer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    size: i64,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

impl Referrer {
    /// Says whether this is the referrer that was pushed, with all that has to be said of it.
    fn is(&self, goal: &Descriptor) -> bool {
        let annotations = self.annotations.as_ref();
        self.digest == goal.digest.to_string()
            && self.media_type == goal.media_type.as_str()
            && u64::try_from(self.size) == Ok(goal.size)
            && self.artifact_type.as_deref().unwrap_or_default() == type_of(goal)
            && goal.annotations.iter().all(|(key, value)| annotations.and_then(|all| all.get(key)) == Some(value))
    }
}

impl Run<'_> {
    /// Lists the tags and the referrers of a repository that has none.
    pub(super) async fn empty(&mut self) {
        if !self.book.enter("empty") {
            return;
        }
        if let Some(mut leaf) = self.begin("tag list", Subject::default()) {
            if self.wanted(&mut leaf, &[Api::TagListing]) {
                let outcome = self.list_tags(&mut leaf.tape, None).await;
                self.close(&mut leaf, outcome.map(|_| ()), &[Api::TagListing]);
            }
            self.book.end(leaf);
        }
        let algorithm = Some(Algorithm::Sha256);
        let subject = Subject { algorithm, way: Some(Api::Referrers), ..Subject::default() };
        if let Some(mut leaf) = self.begin("referrers", subject) {
            if self.wanted(&mut leaf, &[Api::Referrers]) {
                let digest = self.maker.digest(Algorithm::Sha256).to_string();
                let outcome = self.list_referrers(&mut leaf.tape, &digest, None).await;
                self.close(&mut leaf, outcome.map(|_| ()), &[Api::Referrers]);
            }
            self.book.end(leaf);
        }
        self.book.leave();
    }

    /// Looks for the tags of a data set in the list, and at what comes after the middle of it.
    pub(super) async fn tag_list(&mut self, label: DataSet, content: &Content) {
        let about = content.tags.iter().map(|tag| key(&self.settings.repo1, &tag.tag)).collect();
        let subject =
            Subject { data: Some(label), algorithm: Some(content.algorithm), about, way: Some(Api::TagListing) };
        let Some(mut leaf) = self.begin("tag-list", subject) else { return };
        if self.wanted(&mut leaf, &[Api::TagListing]) {
            let outcome = self.judge_tags(&mut leaf.tape, content).await;
            self.close(&mut leaf, outcome, &[Api::TagListing]);
        }
        self.book.end(leaf);
    }

    async fn judge_tags(&mut self, tape: &mut Tape, content: &Content) -> Result<(), Fault> {
        let mut tags = self.list_tags(tape, None).await?;
        let missing = content.tags.iter().filter(|tag| !tags.contains(&tag.tag));
        let mut faults: Vec<Fault> =
            missing.map(|tag| Fault::fail(format!("the list has no tag `{}`", tag.tag)).at_end_of(tape)).collect();
        if tags.len() >= 2 {
            tags.sort();
            let (before, after) = tags.split_at(tags.len() / 2);
            let last = before.last().expect("half of two at least");
            let rest = self.list_tags(tape, Some(last)).await?;
            for tag in before.iter().filter(|tag| rest.contains(tag)) {
                faults.push(Fault::fail(format!("the list after `{last}` has the tag `{tag}`")));
            }
            for tag in after.iter().filter(|tag| !rest.contains(tag)) {
                faults.push(Fault::fail(format!("the list after `{last}` has no tag `{tag}`")));
            }
        }
        Fault::join(faults)
    }

    /// Lists tags; a repository that is not there has none.
    async fn list_tags(&mut self, tape: &mut Tape, last: Option<&str>) -> Result<Vec<String>, Fault> {
        let last = last.map(|last| format!("?last={}", encoded(last))).unwrap_or_default();
        let path = format!("/v2/{}/tags/list{last}", self.settings.repo1);
        let answer = self.wire.send(tape, self.wire.ask(Method::GET, &path)).await?;
        if Verdict::on(&answer).status(&[404]).end().is_ok() {
            return Ok(Vec::new());
        }
        Verdict::on(&answer).status(&[200, 404]).end()?;
        Ok(answer.json::<TagList>().map_err(Fault::fail)?.tags.unwrap_or_default())
    }

    /// Looks for the referrers of a data set, in the whole list and by type.
    pub(super) async fn referrers(&mut self, label: DataSet, content: &Content) {
        if content.referrers.is_empty() {
            return;
        }
        let repo = &self.settings.repo1;
        let goals = content.referrers.iter().flat_map(|(_, goals)| goals);
        let about = goals.map(|goal| key(repo, goal.digest)).collect();
        let subject =
            Subject { data: Some(label), algorithm: Some(content.algorithm), about, way: Some(Api::Referrers) };
        let Some(mut leaf) = self.begin("referrers", subject) else { return };
        if self.wanted_strictly(&mut leaf, &[Api::Referrers], label) {
            let mut faults = Vec::new();
            for (subject, goals) in &content.referrers {
                self.judge_referrers(&mut leaf.tape, &subject.to_string(), goals, &mut faults).await;
            }
            self.close(&mut leaf, Fault::join(faults), &[Api::Referrers]);
        }
        self.book.end(leaf);
    }

    async fn judge_referrers(&mut self, tape: &mut Tape, subject: &str, goals: &[Descriptor], faults: &mut Vec<Fault>) {
        match self.list_referrers(tape, subject, None).await {
            Ok((list, _)) => faults.extend(missing(&list, goals).into_iter().map(|fault| fault.at_end_of(tape))),
            Err(fault) => faults.push(fault),
        }
        let mut types: Vec<&str> = Vec::new();
        for goal in goals {
            if !types.contains(&type_of(goal)) {
                types.push(type_of(goal));
            }
        }
        for wanted in types {
            let (list, answer) = match self.list_referrers(tape, subject, Some(wanted)).await {
                Ok(listed) => listed,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let applied = answer.header("oci-filters-applied").unwrap_or_default();
            if !applied.split(',').any(|filter| filter.trim() == "artifactType") {
                let unsaid = Fault::unsupported("no `oci-filters-applied` says that the type was looked at");
                let all = std::iter::once(unsaid).chain(missing(&list, goals));
                faults.extend(all.map(|fault| fault.at_end_of(tape)));
                continue;
            }
            let chosen: Vec<Descriptor> = goals.iter().filter(|goal| type_of(goal) == wanted).cloned().collect();
            faults.extend(missing(&list, &chosen).into_iter().map(|fault| fault.at_end_of(tape)));
            for other in list.iter().filter(|referrer| referrer.artifact_type.as_deref().unwrap_or_default() != wanted)
            {
                let why = format!("the list of `{wanted}` is said to be filtered and has `{}`", other.digest);
                faults.push(Fault::contradiction(why).at_end_of(tape));
            }
        }
    }

    async fn list_referrers(
        &mut self,
        tape: &mut Tape,
        subject: &str,
        artifact_type: Option<&str>,
    ) -> Result<(Vec<Referrer>, Answer), Fault> {
        let filter = artifact_type.map(|text| format!("?artifactType={}", encoded(text))).unwrap_or_default();
        let path = format!("/v2/{}/referrers/{subject}{filter}", self.settings.repo1);
        let answer = self.wire.send(tape, self.wire.ask(Method::GET, &path)).await?;
        Verdict::on(&answer).status(&[200]).header("content-type", MediaType::IMAGE_INDEX.as_str()).end()?;
        let list: Listed = answer.json().map_err(Fault::fail)?;
        if list.schema_version != 2 || list.media_type != MediaType::IMAGE_INDEX.as_str() {
            return Err(Fault::fail("the list of referrers is no index with its version and media type"));
        }
        Ok((list.manifests.unwrap_or_default(), answer))
    }
}

fn missing(list: &[Referrer], goals: &[Descriptor]) -> Vec<Fault> {
    let missing = goals.iter().filter(|goal| !list.iter().any(|referrer| referrer.is(goal)));
    missing.map(|goal| Fault::fail(format!("the list has no referrer `{}` as it was pushed", goal.digest))).collect()
}

fn type_of(descriptor: &Descriptor) -> &str {
    descriptor.artifact_type.as_deref().unwrap_or_default()
}
