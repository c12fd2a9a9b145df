//! `spinreg push`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::app_source;
use super::build;
use super::context::Context;
use super::copy_report::{Place, Report};
use super::credentials::{self, variable};
use super::endpoint::{self, Purpose};
use super::failure::Problem;
use super::fetch::Remote;
use super::interrupts::Interrupts;
use super::misuse::Misuse;
use super::options::{self, Account, Annotation, CacheDir, Connection, Transfer};
use super::output;
use super::status::Status;
use super::told::{DigestFile, DryRun};
use crate::auth::Given;
use crate::content::{Source, Target as _};
use crate::copy::{Endpoint, Plan, copy};
use crate::error::Error;
use crate::model::{Identifier, Location, ParseError, Tag};
use crate::spin::{
    self, Ahead, Application, Archives, ArtifactOptions, Composition, Created, KnownDigests, LoadOptions, Outside,
    PackOptions, Stale,
};

/// Push a Spin application, or one WebAssembly component, to a registry.
///
/// The same application gives the same digest on every computer, and an unchanged one costs a single request. With
/// `--quiet` the result is `REFERENCE@DIGEST`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Push {
    /// Where to: `REGISTRY/NAME[:TAG]`, `oci:DIRECTORY[:TAG]` for an OCI image layout, or `oci-archive:FILE[:TAG]` for a tar
    /// archive of one; the tag `latest` if none is named.
    reference: Location,

    /// The application: a `spin.toml`, or a directory with one; or a `.wasm` or `.wat` file, which becomes a package by
    /// itself, as wkg makes them [default: `spin.toml` here or in a directory above].
    #[arg(short = 'f', long = "from", alias = "file", value_name = "FILE_OR_DIR")]
    from: Option<PathBuf>,

    /// The build profile, as defined under `[component.NAME.profile.PROFILE]` [default: none].
    #[arg(long)]
    profile: Option<String>,

    /// Run the components' build commands first, those of the profile where it has its own [env: SPIN_ALWAYS_BUILD].
    #[arg(long)]
    build: bool,

    /// An annotation of the manifest; the first `=` ends the key; may be repeated.
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<Annotation>,

    /// When it was made, as RFC 3339 or in seconds since 1970 [env: SOURCE_DATE_EPOCH] [default: not said, so that the
    /// digest depends on the content alone].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created: Option<Created>,

    /// Let `files` lead outside the application's directory, to what others may not have [default: refused]. A component's
    /// `source` may be anywhere, as in Spin.
    #[arg(long)]
    allow_outside_sources: bool,

    /// Whether components are made one with their dependencies; `--compose=false` leaves that to the host, in layers of their
    /// own.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", hide_possible_values = true
    )]
    compose: bool,

    #[command(flatten)]
    plan: DryRun,
    #[command(flatten)]
    digest: DigestFile,
    #[command(flatten)]
    cache: CacheDir,
    #[command(flatten)]
    transfer: Transfer,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    connection: Connection,
}

impl Push {
    pub(super) fn reference(&self) -> &Location {
        &self.reference
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let Self {
            reference,
            from,
            profile,
            build,
            annotations,
            created,
            allow_outside_sources,
            compose,
            plan,
            digest,
            cache,
            transfer,
            account,
            connection,
        } = self;
        let tag = endpoint::tag(&reference)?;
        let created = match created {
            Some(created) => Some(created),
            None => created_from(variable("SOURCE_DATE_EPOCH")?)?,
        };
        let annotations = options::annotations(annotations);
        let given = credentials::given(&account, &reference)?;
        let sending = Sending { reference, tag, given, plan, digest, transfer, connection };
        let mut interrupts = Interrupts::listen()?;
        if let Some(path) = from.as_deref().filter(|path| app_source::is_wasm(path)) {
            for (flag, is_given) in [("--build", build), ("--profile", profile.is_some())] {
                if is_given {
                    return Err(Misuse::NoManifest(flag).into());
                }
            }
            let options = ArtifactOptions { annotations, created, ..ArtifactOptions::default() };
            let artifact = tokio::select! {
                artifact = spin::pack_component(path, &options) => artifact?,
                () = interrupts.next() => return Err(Problem::Interrupted),
            };
            let status = sending.begin(context);
            let id = artifact.identifier();
            return sending.send(&artifact, &id, None, &status, &mut interrupts, context).await;
        }

        let archives = if is_set("SPIN_OCI_ARCHIVE_LAYERS")? { Archives::Always } else { Archives::WhenNeeded };
        let build = build || is_set("SPIN_ALWAYS_BUILD")?;
        let manifest = manifest(from)?;
        let outside = if allow_outside_sources { Outside::Allowed } else { Outside::Refused };
        let options = LoadOptions { profile, outside, ..LoadOptions::default() };
        if build {
            build::run(&spin::builds(&manifest, &options).await?, context.voice, &mut interrupts).await?;
            spin::note_build(&manifest, options.profile.as_deref()).await;
        }
        let registry = match &sending.reference {
            Location::Registry(reference) => Some(reference.registry().clone()),
            Location::Layout { .. } | Location::Archive { .. } => None,
        };
        let remote = Remote::new(&sending.connection, context.voice).about(registry, sending.given.clone());
        let ask = if context.offline { spin::Ask::Never } else { spin::Ask::Always };
        let remotes = remote.sources(&cache, ask).await?;
        let app = async {
            let app = remotes.load(&manifest, &options).await?;
            if build {
                remotes.check_targets(&app).await?;
            }
            Ok::<_, Problem>(app)
        };
        let app = tokio::select! {
            app = app => app?,
            () = interrupts.next() => return Err(Problem::Interrupted),
        };
        // Only now there is something to push.
        let status = sending.begin(context);
        app.warnings().iter().for_each(|warning| status.warn(&warning.to_string()));
        if !build && let Some(stale) = app.stale().await {
            status.warn(&warning(&stale, &app));
        }
        app.other_build().await.iter().for_each(|other| status.warn(&build::warning(other)));
        let composition = if compose { Composition::Composed } else { Composition::Layers };
        let options = PackOptions { annotations, created, archives, composition, ..PackOptions::default() };
        // Who has no home has files that are read again.
        let known = match cache.open() {
            Ok(cache) => KnownDigests::open(cache.known_digests()).await,
            Err(_) => KnownDigests::none(),
        };
        let target = sending.early(&status).await?;
        let mut again = false;
        loop {
            let packed = async {
                let Some(target) = &target else { return spin::pack_with(&app, &options, &known).await };
                let transfers = sending.transfer.options(&status);
                let (tag, at_once) = (&sending.tag, transfers.transfers.large());
                let ahead = Ahead { target, tag, at_once, progress: transfers.progress };
                spin::pack_ahead(&app, &options, &known, &ahead).await
            };
            let package = tokio::select! {
                package = packed => package?,
                () = interrupts.next() => return Err(interrupted(target.as_ref()).await),
            };
            known.save().await;
            let (id, target) = (package.identifier(), target.clone());
            let sent = sending.send(&package, &id, target, &status, &mut interrupts, context).await;
            match sent {
                // A file that has changed and does not look it: everything is read, once.
                Err(problem) if !again && problem.is_about_content() && known.distrust() => {
                    again = true;
                    tracing::debug!(%problem, "reading all files again");
                    known.save().await;
                }
                sent => return sent,
            }
        }
    }
}

/// Where something goes, and how it gets there.
struct Sending {
    reference: Location,
    tag: Tag,
    given: Option<Given>,
    plan: DryRun,
    digest: DigestFile,
    transfer: Transfer,
    connection: Connection,
}

impl Sending {
    /// Begins to tell how it goes.
    fn begin(&self, context: &Context) -> Arc<Status> {
        let words = if self.plan.dry_run { ("planning to push", "planned") } else { ("pushing", "pushed") };
        Arc::new(Status::begin(context.voice, words, self.reference.to_string()))
    }

    /// Opens a registry that may be sent something before everything is packed. Nothing is asked yet.
    async fn early(&self, status: &Arc<Status>) -> Result<Option<Endpoint>, Problem> {
        match &self.reference {
            Location::Registry(_) if !self.plan.dry_run => Ok(Some(self.open(Purpose::Push, status).await?)),
            // A directory or a file begins when there is something to put into it.
            _ => Ok(None),
        }
    }

    async fn open(&self, purpose: Purpose, status: &Arc<Status>) -> Result<Endpoint, Problem> {
        endpoint::open(&self.reference, purpose, self.given.clone(), &self.connection, status).await
    }

    /// Sends what was packed, to where that is open already or else is opened now, and prints what became of it.
    async fn send(
        &self,
        package: &impl Source,
        id: &Identifier,
        target: Option<Endpoint>,
        status: &Arc<Status>,
        interrupts: &mut Interrupts,
        context: &Context,
    ) -> Result<(), Problem> {
        let Self { reference, tag, plan: wanted, digest, transfer, .. } = self;
        let options = transfer.options(status);
        if wanted.dry_run {
            let target = self.open(Purpose::Look, status).await?;
            let foreseen = async {
                let plan = Plan::build(package, id, &target, Some(tag), &options).await?;
                let forecast = plan.forecast(package, &target).await?;
                Ok::<_, Error>((plan, forecast))
            };
            let (plan, forecast) = tokio::select! {
                foreseen = foreseen => foreseen?,
                () = interrupts.next() => return Err(Problem::Interrupted),
            };
            let here = Place::Here("the application");
            let mut report = Report::of(here, reference).called("push");
            report.foreseen(here, reference, Some(tag), &plan, &forecast);
            let pinned = endpoint::pinned(reference, plan.root().digest);
            return Ok(wanted.show(&report, &pinned, context)?);
        }
        let target = match target {
            Some(target) => target,
            None => self.open(Purpose::Push, status).await?,
        };
        let summary = tokio::select! {
            summary = copy(package, id, &target, Some(tag), &options) => summary?,
            () = interrupts.next() => return Err(interrupted(Some(&target)).await),
        };
        status.finish();
        digest.write(&summary.root.digest)?;
        output::line(&if context.quiet {
            endpoint::pinned(reference, summary.root.digest)
        } else {
            format!("Pushed with digest {}", summary.root.digest)
        })?;
        Ok(())
    }
}

/// Ends what an interruption has left open: upload sessions that nobody ends stay with the registry for days.
async fn interrupted(target: Option<&Endpoint>) -> Problem {
    if let Some(target) = target {
        target.tidy().await;
    }
    Problem::Interrupted
}

fn created_from(epoch: Option<String>) -> Result<Option<Created>, Misuse> {
    let parsed = epoch.map(|text| seconds(&text).and_then(Created::from_epoch)).transpose();
    parsed.map_err(|cause| Misuse::Variable { variable: "SOURCE_DATE_EPOCH", cause: Box::new(cause) })
}

/// Reads what `--created` takes: seconds, or a date and time.
fn moment(text: &str) -> Result<Created, ParseError> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return seconds(text).and_then(Created::from_epoch);
    }
    text.parse()
}

fn seconds(text: &str) -> Result<u64, ParseError> {
    // `u64` by itself would also take a `+`.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let parsed = digits.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| ParseError::new("moment", text, "seconds since 1970"))
}

/// Says whether a variable switches something on.
pub(super) fn is_set(name: &'static str) -> Result<bool, Misuse> {
    variable(name).map(|value| switches_on(value.as_deref()))
}

fn switches_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| !matches!(value, "" | "0" | "false"))
}

/// Says what is older than its sources, with paths as the manifest has them.
pub(super) fn warning(stale: &Stale, app: &Application) -> String {
    let root = app.manifest().parent();
    let short = |path: &Path| root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path).display().to_string();
    let (newer, wasm) = (short(&stale.newer), short(&stale.wasm));
    let others = match stale.others {
        0 => String::new(),
        1 => ", and one more component is older than its sources".to_owned(),
        others => format!(", and {others} more components are older than their sources"),
    };
    format!("`{newer}` is newer than `{wasm}` of the component `{}`{others}; `--build` builds first", stale.component)
}

/// Returns the manifest to push: what was named, or the nearest `spin.toml` from here upwards.
pub(super) fn manifest(named: Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(path) = named {
        return Ok(path);
    }
    let here = std::env::current_dir().map_err(|error| Error::io("find", "the current directory", error))?;
    let is_there = |path: &Path| path.try_exists().unwrap_or_default();
    Ok(search(&here, is_there).unwrap_or_else(|| PathBuf::from(MANIFEST)))
}

/// Looks for a manifest as Spin does: here and upwards, not beyond the root of a Git repository.
fn search(here: &Path, is_there: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    for directory in here.ancestors().take(MAX_LEVELS) {
        let manifest = directory.join(MANIFEST);
        if is_there(&manifest) {
            return Some(manifest);
        }
        if is_there(&directory.join(".git")) {
            return None;
        }
    }
    None
}

const MANIFEST: &str = "spin.toml";
/// As many levels as Spin looks at.
const MAX_LEVELS: usize = 20;

const EXAMPLES: &str = "\
Examples:
  spinreg push ghcr.io/me/app:v1
  spinreg push --build ghcr.io/me/app:v1
  spinreg push --dry-run ghcr.io/me/app:v1      (what would move)
  spinreg push -f app/spin.toml --annotation team=web ghcr.io/me/app:v1
  spinreg push -f component.wasm ghcr.io/me/component:1.0.0
  spinreg push oci:out:v1             (into a directory, for other tools)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_looked_for_up_to_the_git_root() {
        for (there, found) in [
            (vec!["/a/b/c/spin.toml", "/a/spin.toml"], Some("/a/b/c/spin.toml")),
            (vec!["/a/spin.toml"], Some("/a/spin.toml")),
            (vec!["/a/spin.toml", "/a/b/.git"], None),
            (vec!["/a/spin.toml", "/a/.git"], Some("/a/spin.toml")),
            (vec![], None),
        ] {
            let is_there = |path: &Path| there.iter().any(|known| Path::new(known) == path);
            assert_eq!(search(Path::new("/a/b/c"), is_there), found.map(PathBuf::from), "{there:?}");
        }
    }

    #[test]
    fn variables_are_understood() {
        for (value, on) in
            [(None, false), (Some(""), false), (Some("0"), false), (Some("false"), false), (Some("1"), true)]
        {
            assert_eq!(switches_on(value), on, "{value:?}");
        }
        assert!(matches!(created_from(None), Ok(None)));
        for (text, year) in [("0", "1970-"), ("1767225600", "2026-")] {
            let created = created_from(Some(text.into())).expect(text).expect("it is set");
            assert!(created.to_string().starts_with(year), "{created}");
            assert_eq!(moment(text), Ok(created));
        }
        for text in ["soon", "-1", "+1", "1.5", "99999999999999999999", "2026-01-31T12:00:00Z"] {
            assert!(matches!(created_from(Some(text.into())), Err(Misuse::Variable { .. })), "{text}");
        }
        assert!(moment("2026-01-31T12:00:00Z").is_ok());
        for text in ["", "soon", "2026-01-31", "99999999999999999999"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
