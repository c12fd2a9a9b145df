//! `spinreg copy`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::copy_report::Report;
use super::copy_sides::{At, End, Side, Source, Target, Way};
use super::copy_source::Listed;
use super::credentials;
use super::endpoint::{self, Purpose};
use super::failure::Problem;
use super::interrupts::Interrupts;
use super::misuse::Misuse;
use super::options::Transfer;
use super::output;
use super::status::Status;
use super::tag_pattern::Pattern;
use crate::content::{Source as _, Target as _};
use crate::copy::{CopyOptions, Endpoint, Plan, Referrers, is_referrers_list};
use crate::error::{Details, Error, Missing, Place};
use crate::model::{Digest, Identifier, Location, Platform, Tag};

/// Copy images, Spin applications and other artifacts between registries, directories and archives.
///
/// Every byte is carried as it is: the digest at the target is that of the source. What the target has is not sent, what
/// its registry has elsewhere is mounted, and a copy that changes nothing costs one request to each side. An index is
/// copied with everything below it. With `--quiet` the result is `REFERENCE@DIGEST`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Copy {
    /// What to copy: `REGISTRY/NAME[:TAG][@DIGEST]`, `oci:DIRECTORY[:TAG]` for an OCI image layout, or
    /// `oci-archive:FILE[:TAG]` for a tar archive of one; the tag `latest` if neither tag nor digest is named.
    from: Location,

    /// Where to, in the same forms; a digest alone stores it without a tag. Layouts and archives are made where there are
    /// none, and extended where there are.
    to: Location,

    /// Of an index, copy only the manifest for this platform.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Copy what refers to it as well, such as signatures and SBOMs: referrers, what refers to them, and tags such as
    /// `sha256-….sig`.
    #[arg(long)]
    referrers: bool,

    /// Copy all tags that match this pattern, such as `v1.*`, under their own names; may be repeated. The tags of FROM and
    /// TO do not count then.
    #[arg(long, value_name = "PATTERN", conflicts_with = "all_tags")]
    tags: Vec<Pattern>,

    /// Copy all tags, under their own names.
    #[arg(long)]
    all_tags: bool,

    /// Find out what would have to move, and move nothing.
    #[arg(long)]
    dry_run: bool,

    /// Write the digest into this file when everything is there.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tags", "all_tags", "dry_run"])]
    digest_file: Option<PathBuf>,

    /// Print what was done, or would be, as JSON; docs/copy.md describes the document.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    transfer: Transfer,
    #[command(flatten)]
    source: At<Source>,
    #[command(flatten)]
    target: At<Target>,
}

impl Copy {
    pub(super) fn ends(&self) -> (&Location, &Location) {
        (&self.from, &self.to)
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let several = (self.all_tags || !self.tags.is_empty()).then_some(self.tags);
        let Self { from, to, platform, referrers, dry_run, digest_file, json, transfer, source, target, .. } = self;
        if source.way.account.reads_stdin() && target.way.account.reads_stdin() {
            return Err(Misuse::OneStdin.into());
        }
        let what = format!("{from} to {to}");
        let words = if dry_run { ("planning to copy", "planned to copy") } else { ("copying", "copied") };
        let status = Arc::new(Status::begin(context.voice, words, what));
        let options = CopyOptions {
            platforms: platform.into_iter().collect(),
            referrers: if referrers { Referrers::Taken } else { Referrers::Left },
            ..transfer.options(&status)
        };
        let source = open::<Source>(&from, Purpose::Pull, &source.way, &status).await?;
        let purpose = if dry_run { Purpose::Look } else { Purpose::Push };
        let target = open::<Target>(&to, purpose, &target.way, &status).await?;
        let carrier =
            Carrier { from: &from, to: &to, source: Listed::of(source), target, options, dry_run, status: &status };
        let mut interrupts = Interrupts::listen()?;
        let copied = tokio::select! {
            copied = carrier.carry(several.as_deref()) => copied,
            () = interrupts.next() => {
                // Upload sessions that nobody ends stay with the registry for days.
                carrier.target.tidy().await;
                return Err(Problem::Interrupted);
            }
        };
        let (report, results) = copied?;
        if !dry_run {
            status.finish();
        }
        if let Some(file) = digest_file {
            let digest = results.first().map(|result| result.1.to_string()).unwrap_or_default();
            std::fs::write(&file, format!("{digest}\n")).map_err(|error| Error::io("write", file, error))?;
        }
        let text = match (json, context.quiet) {
            (true, _) => report.json(),
            (false, true) => {
                let pinned = results.iter().map(|(location, digest)| endpoint::pinned(location, *digest));
                pinned.collect::<Vec<_>>().join("\n")
            }
            (false, false) => report.text(),
        };
        Ok(output::page(&text)?)
    }
}

/// Opens one end; what fails there is told in its words.
pub(super) async fn open<E: End>(
    location: &Location,
    purpose: Purpose,
    way: &Way,
    status: &Arc<Status>,
) -> Result<Endpoint, Problem> {
    let opened = async {
        let given = credentials::given_by(&way.account, location, E::SIDE.variables())?;
        endpoint::open(location, purpose, given, &way.connection, status).await
    };
    opened.await.map_err(|problem| Problem::at(E::SIDE, problem))
}

/// What copies.
struct Carrier<'a> {
    from: &'a Location,
    to: &'a Location,
    source: Listed,
    target: Endpoint,
    options: CopyOptions,
    dry_run: bool,
    status: &'a Status,
}

impl Carrier<'_> {
    /// Copies all that is wanted; returns what is to be said of it, and what is where.
    async fn carry(&self, several: Option<&[Pattern]>) -> Result<(Report, Vec<(Location, Digest)>), Problem> {
        let jobs = match several {
            Some(patterns) => self.matching(patterns).await?,
            None => vec![Job::of(self.from, self.to)],
        };
        let mut report = Report::of(self.from, self.to);
        let mut results = Vec::new();
        for (n, job) in jobs.iter().enumerate() {
            match self.copy(job, &mut report).await {
                Ok(digest) => results.push((job.to.clone(), digest)),
                Err(problem) => {
                    if n > 0 && !self.dry_run && matches!(self.target, Endpoint::Repository(_) | Endpoint::Layout(_)) {
                        let all = jobs.len();
                        self.status.warn(&format!("{n} of {all} tags were copied before `{}` failed", job.from));
                    }
                    return Err(problem);
                }
            }
        }
        if !self.dry_run {
            self.target.finish().await.map_err(|error| self.blame(error))?;
        }
        Ok((report, results))
    }

    async fn copy(&self, job: &Job, report: &mut Report) -> Result<Digest, Problem> {
        let Self { source, target, options, .. } = self;
        let id = job.from.identifier();
        let plan = Plan::build(source, &id, target, job.tag.as_ref(), options).await;
        let plan = plan.map_err(|error| self.blame(error))?;
        for referrer in plan.dangling() {
            let digest = referrer.digest;
            self.status.warn(&format!("`{digest}` is listed as a referrer, and `{}` has it not", self.from));
        }
        let digest = plan.root().digest;
        if let Some(expected) = job.expected.filter(|expected| *expected != digest) {
            return Err(Misuse::OtherDigest { expected: expected.into(), actual: digest.into() }.into());
        }
        if self.dry_run {
            let forecast = plan.forecast(source, target).await.map_err(|error| self.blame(error))?;
            report.foreseen(&job.from, &job.to, job.tag.as_ref(), &plan, &forecast);
        } else {
            let summary = plan.carry_out(source, target, options).await.map_err(|error| self.blame(error))?;
            report.done(&job.from, &job.to, job.tag.as_ref(), &plan, &summary);
        }
        Ok(digest)
    }

    /// Lists what bears a tag that matches, or any tag.
    async fn matching(&self, patterns: &[Pattern]) -> Result<Vec<Job>, Problem> {
        let digests = [self.from, self.to].into_iter().find(|end| matches!(end.identifier(), Identifier::Digest(_)));
        if let Some(end) = digests {
            return Err(Misuse::TagsOfDigest(Box::new(end.clone())).into());
        }
        let tags = self.source.all_tags().await.map_err(|error| self.blame(error))?;
        // Lists of referrers are kept by whoever writes them, of what is there.
        let wanted = tags.into_iter().filter(|tag| Pattern::any(patterns, tag) && !is_referrers_list(tag));
        let jobs: Vec<Job> = wanted.map(|tag| Job::tagged(self.from, self.to, tag)).collect();
        if jobs.is_empty() {
            let what = match patterns {
                [] => "a tag".to_owned(),
                [pattern, ..] => format!("a tag that matches `{pattern}`"),
            };
            let missing = Missing { what, place: Place::Unknown, errors: Vec::new(), details: Details::default() };
            return Err(Problem::at(Side::From, Error::NotFound(Box::new(missing)).into()));
        }
        Ok(jobs)
    }

    /// Says at which end something has failed.
    fn blame(&self, error: Error) -> Problem {
        Problem::at(Side::of(&error, self.from, self.to), error.into())
    }
}

/// One manifest that is to be copied.
struct Job {
    from: Location,
    to: Location,
    tag: Option<Tag>,
    /// What it has to be.
    expected: Option<Digest>,
}

impl Job {
    fn of(from: &Location, to: &Location) -> Self {
        let (tag, expected) = match to {
            Location::Registry(reference) => (reference.tag().cloned(), reference.digest().copied()),
            Location::Layout { identifier, .. } | Location::Archive { identifier, .. } => match identifier {
                Identifier::Tag(tag) => (Some(tag.clone()), None),
                Identifier::Digest(digest) => (None, Some(*digest)),
            },
        };
        Self { from: from.clone(), to: to.clone(), tag, expected }
    }

    fn tagged(from: &Location, to: &Location, tag: Tag) -> Self {
        let named = |location: &Location| location.with(Identifier::Tag(tag.clone()));
        Self { from: named(from), to: named(to), tag: Some(tag), expected: None }
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg copy ghcr.io/me/app:v1 registry.example/team/app:v1
  spinreg copy --referrers ghcr.io/me/app:v1 oci-archive:app.tar:v1     (with its signatures, to carry it away)
  spinreg copy oci-archive:app.tar:v1 registry.example/team/app:v1
  spinreg copy --tags 'v1.*' ghcr.io/me/app registry.example/team/app
  spinreg copy --platform linux/arm64 docker.io/library/alpine:3 oci:out:arm64
  spinreg copy --dry-run ghcr.io/me/app:v1 oci:out:v1                   (what would move)
  spinreg copy --to-username ada --to-password-stdin oci:out:v1 registry.example/ada/app:v1 < secret";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_a_tag_a_digest_or_both() {
        let digest = Digest::of(b"x");
        let from: Location = "r.example/a".parse().expect("a location");
        for (to, tag, expected) in [
            ("s.example/b".to_owned(), Some("latest"), None),
            ("s.example/b:v1".to_owned(), Some("v1"), None),
            (format!("s.example/b@{digest}"), None, Some(digest)),
            (format!("s.example/b:v1@{digest}"), Some("v1"), Some(digest)),
            (format!("oci:out@{digest}"), None, Some(digest)),
            ("oci-archive:out.tar:v1".to_owned(), Some("v1"), None),
        ] {
            let job = Job::of(&from, &to.parse().expect("a location"));
            assert_eq!((job.tag.as_ref().map(Tag::as_str), job.expected), (tag, expected), "{to}");
        }
    }
}
