//! `spinreg conformance`.

mod own;
mod papers;
mod plan;
mod ticker;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use self::own::Own;
use self::papers::{File, Papers};
use self::plan::{Plan, Target};
use self::ticker::Ticker;
use super::context::Context;
use super::failure::{Exit, Problem};
use super::interrupts::Interrupts;
use super::misuse::Misuse;
use super::options::Connection;
use super::paint::painter;
use super::reach::{Patience, Reached, reach};
use super::{credentials, output};
use crate::auth::Keychain as _;
use crate::conformance::report::{self, Json, Strictness, Verdict};
use crate::conformance::{self, Comparison, Probe, Report, Verdicts};
use crate::model::printable::line;

/// Judge a registry by the OCI distribution specification.
///
/// Takes every step of the official conformance suite, and makes precise checks besides, each of one sentence of the
/// specification. Pushes to two repositories and removes what it pushed. Obeys the `OCI_*` variables and
/// `oci-conformance.yaml` of the official suite; flags go before both. Prints the verdicts and what failed, with `curl` lines
/// that show it again; results.yaml, junit.xml and report.html tell everything.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Conformance {
    /// The registry, and perhaps the repository to push to: `HOST[:PORT][/NAME]` [default: OCI_REGISTRY and OCI_REPO1, or
    /// `localhost:5000`].
    #[arg(value_name = "REGISTRY[/REPOSITORY]")]
    target: Option<Target>,

    /// Judge spinreg's own registry, started for this on loopback over a directory of its own.
    #[arg(long = "self", conflicts_with = "target")]
    own: bool,

    /// The version of the specification that says what is judged [default: OCI_VERSION, or `stable`].
    #[arg(long, value_name = "VERSION", value_parser = ["stable", "dev", "1.0", "1.1", "1.1+dev"])]
    version: Option<String>,

    /// Take only the steps whose names begin so, as in `sha512 blobs`, and those they need [default: OCI_FILTER_TEST].
    #[arg(long, value_name = "PREFIX")]
    filter: Option<String>,

    /// The repository that blobs are mounted from [default: OCI_REPO2, or the other one's name with `-2`].
    #[arg(long, value_name = "NAME")]
    repo2: Option<crate::model::Name>,

    /// Make the content from this number, which the report of a run names, instead of a new one.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Fail for what the specification says with SHOULD, too.
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    outputs: Outputs,

    #[command(flatten)]
    account: Login,

    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    patience: Patience,
}

/// What is read where nothing may be pushed.
#[derive(Args)]
#[command(next_help_heading = "Read only")]
struct Reading {
    /// Push and delete nothing.
    #[arg(long)]
    read_only: bool,

    /// A tag that is there; may be repeated, like the others.
    #[arg(long = "tag", value_name = "TAG", requires = "read_only")]
    tags: Vec<crate::model::Tag>,

    /// The digest of a manifest that is there.
    #[arg(long = "manifest", value_name = "DIGEST", requires = "read_only")]
    manifests: Vec<crate::model::Digest>,

    /// The digest of a blob that is there.
    #[arg(long = "blob", value_name = "DIGEST", requires = "read_only")]
    blobs: Vec<crate::model::Digest>,

    /// The digest of something that others refer to.
    #[arg(long = "subject", value_name = "DIGEST", requires = "read_only")]
    subjects: Vec<crate::model::Digest>,
}

/// What comes out.
#[derive(Args)]
#[command(next_help_heading = "Output")]
struct Outputs {
    /// Where results.yaml, junit.xml and report.html go [default: OCI_RESULTS_DIR, or `results`].
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,

    /// Write no files.
    #[arg(long, conflicts_with = "results")]
    no_results: bool,

    /// Print JSON instead of text; docs/conformance.md lists its keys.
    #[arg(long)]
    json: bool,

    /// Print the verdicts beside those of this results.yaml, as the official suite writes it; fail where they differ.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// Fail only for what is worse than in this results.yaml or JSON of an earlier run.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Who to be.
#[derive(Args)]
#[command(next_help_heading = "Credentials")]
struct Login {
    /// The user name [default: OCI_USERNAME, SPINREG_USERNAME, or a login that is stored].
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,

    /// The password [default: OCI_PASSWORD, or asked for]. Other users of this computer may see it while the command runs;
    /// `--password-stdin` hides it.
    #[arg(short, long, requires = "username", conflicts_with = "password_stdin")]
    password: Option<String>,

    /// Read the password from standard input; one newline at its end is dropped.
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

/// Why a run that went well ends with a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// Something is broken.
    #[error("`{registry}` does not conform")]
    Broken {
        /// The registry.
        registry: String,
        /// Where the report is; none where none is written.
        report: Option<PathBuf>,
    },
    /// The registry stopped answering.
    #[error("the run ended early: {why}")]
    Ended {
        /// What was the matter.
        why: String,
    },
    /// The verdicts are not those of a file.
    #[error("{} differ from `{}`", verdicts(*count), file.display())]
    Differs {
        /// The file.
        file: PathBuf,
        /// How many.
        count: usize,
    },
    /// Some verdicts are worse than those of a file.
    #[error("{} got worse since `{}`", verdicts(*count), file.display())]
    Worse {
        /// The file.
        file: PathBuf,
        /// How many.
        count: usize,
    },
}

fn verdicts(count: usize) -> String {
    if count == 1 { "1 verdict".to_owned() } else { format!("{count} verdicts") }
}

impl Unfit {
    /// Says what to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Broken { report: Some(path), .. } => {
                Some(format!("`{}` shows each failure with what went over the wire", path.display()))
            }
            Self::Ended { .. } => Some("see what the registry, or what stands before it, has logged".to_owned()),
            _ => None,
        }
    }

    /// Says how the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Broken { .. } | Self::Differs { .. } | Self::Worse { .. } => Exit::Failed,
            Self::Ended { .. } => Exit::Usage,
        }
    }
}

impl Conformance {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let strictness = if self.strict { Strictness::Should } else { Strictness::Must };
        // Whatever can be wrong with files is found out before a registry is asked anything.
        let papers = Papers::open(&self.outputs)?;
        let own = if self.own { Some(Own::start().await?) } else { None };
        let plan = Plan::make(&self, own.as_ref().map(Own::registry))?;
        let papers = papers.for_directory(&plan.settings.results)?;
        let outcome = judge(plan, self.patience, context).await;
        if let Some(own) = own {
            own.stop().await;
        }
        let report = outcome?;
        papers.write(&report, strictness)?;
        let outcome = Outcome::of(&report, &papers);
        outcome.print(&self.outputs, &papers, strictness, context)?;
        outcome.end(strictness, &papers)
    }
}

/// Judges what the plan says. **Requests**: hundreds.
async fn judge(plan: Plan, patience: Patience, context: &Context) -> Result<Report, Problem> {
    let Plan { mut settings, connection, scheme, exposure, given } = plan;
    for remark in &settings.remarks {
        output::remark(&format!("warning: {remark}"));
    }
    let keychain = Arc::new(credentials::sources()?.chain(given));
    let registry = settings.registry.clone();
    let found = keychain.credential(&registry, Some(&settings.repo1)).await?;
    let Reached { authorizer, scheme, .. } =
        reach(&registry, &connection, scheme, exposure, keychain, patience).await?;
    plan::settle(&mut settings, scheme, found.as_ref());
    let who = found.as_ref().map(|found| format!(" as `{}`, from {}", settings.username, found.source));
    let what = format!("`{registry}` by version {}{}", settings.version.as_str(), who.unwrap_or_default());
    let ticker = Arc::new(Ticker::begin(context.voice, &what));
    // Weak: what the run leaves behind must not keep the line alive.
    let told = Arc::downgrade(&ticker);
    let probe = Probe::new(authorizer, registry, scheme).observed(move |exchange| {
        if let Some(ticker) = told.upgrade() {
            ticker.note(exchange);
        }
    });
    let (mut first, mut second) = (Interrupts::listen()?, Interrupts::listen()?);
    let hurried = async {
        second.next().await;
        second.next().await;
    };
    // The first Ctrl-C ends the run, which then removes what it pushed; a second one does not wait for that.
    tokio::select! {
        report = conformance::run(&settings, &probe, async move { first.next().await }) => {
            ticker.finish(&report);
            Ok(report)
        }
        () = hurried => Err(Problem::Interrupted),
    }
}

/// A run, and how it compares.
struct Outcome<'a> {
    report: &'a Report,
    compared: Option<(&'a File, Comparison)>,
    baseline: Option<(&'a File, Comparison)>,
}

impl<'a> Outcome<'a> {
    fn of(report: &'a Report, papers: &'a Papers) -> Self {
        let here = Verdicts::of(report);
        let with = |file: &'a Option<File>| file.as_ref().map(|file| (file, Comparison::new(&here, &file.verdicts)));
        Self { report, compared: with(&papers.compare), baseline: with(&papers.baseline) }
    }

    fn print(
        &self,
        outputs: &Outputs,
        papers: &Papers,
        strictness: Strictness,
        context: &Context,
    ) -> Result<(), Problem> {
        let report = self.report;
        if outputs.json {
            let compared = self.compared.as_ref().map(|(_, comparison)| comparison);
            let baseline = self.baseline.as_ref().map(|(_, comparison)| comparison);
            return Ok(output::page(&report::json(report, &Json { strictness, compared, baseline }))?);
        }
        let whole = papers.report().map_or_else(|| "`--json`".to_owned(), |path| format!("`{}`", path.display()));
        let mut page = report::text(report, strictness, &whole, painter());
        if context.quiet {
            page.truncate(page.find('\n').unwrap_or(page.len()));
        }
        if let Some((file, comparison)) = &self.compared {
            page.push_str(&report::text_compared(comparison, &file.name(), painter()));
        }
        if let Some((file, comparison)) = &self.baseline {
            page.push_str(&report::text_regressed(comparison, &file.name(), painter()));
        }
        Ok(output::page(&page)?)
    }

    /// Ends by what was asked for: agreement, no regressions, or conformance.
    fn end(&self, strictness: Strictness, papers: &Papers) -> Result<(), Problem> {
        let verdict = self.report.verdict(strictness);
        match self.report.aborted.as_deref() {
            Some("interrupted") => return Err(Problem::Interrupted),
            Some(why) => return Err(Unfit::Ended { why: line(why).into_owned() }.into()),
            None => {}
        }
        if verdict == Verdict::Nothing {
            return Err(Misuse::NothingToJudge.into());
        }
        if let Some((file, comparison)) = &self.compared {
            let count = comparison.differences().count();
            if count > 0 {
                return Err(Unfit::Differs { file: file.path.clone(), count }.into());
            }
        }
        if let Some((file, comparison)) = &self.baseline {
            let count = comparison.regressions().count();
            if count > 0 {
                return Err(Unfit::Worse { file: file.path.clone(), count }.into());
            }
        }
        let is_compared = self.compared.is_some() || self.baseline.is_some();
        if verdict == Verdict::Failed && !is_compared {
            let registry = self.report.registry.clone();
            return Err(Unfit::Broken { registry, report: papers.report() }.into());
        }
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg conformance registry.example:5000
  spinreg conformance ghcr.io/me/conformance --version dev -u me --password-stdin
  spinreg conformance registry.example --read-only --tag v1
  spinreg conformance registry.example --baseline last/results.yaml
  spinreg conformance --self

Exit codes: 0 passed, 1 failed, 2 could not run (settings, credentials, no answer, no place for results),
130 interrupted. With --compare, 0 means that every verdict is the same; with --baseline, that none is worse.";
