//! A race: each tool in turn, round after round, so that whatever else the machine does hits all of them.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::authority::{self, Papers};
use crate::goals::{self, Track};
use crate::job::{Job, Programs};
use crate::measure::Cost;
use crate::registry::{Make, Registry};
use crate::table::Table;
use crate::tools::{self, Tool};
use crate::workload::Workload;

/// What is raced.
#[derive(clap::Args)]
pub struct Options {
    /// What is moved.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "w1,w2,w3")]
    workloads: Vec<Workload>,
    /// Against which registry.
    #[arg(long, value_enum, default_value = "idle")]
    registry: Make,
    /// Over TLS, with a certificate authority of its own.
    #[arg(long)]
    tls: bool,
    /// Milliseconds of round trip to the registry.
    #[arg(long)]
    rtt_ms: Option<u64>,
    /// Megabits per second to the registry, where there is a round trip.
    #[arg(long, default_value_t = 1000)]
    megabits: u64,
    /// How often each tool runs.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Which tools, besides curl.
    #[arg(long, value_delimiter = ',')]
    tools: Vec<String>,
    /// What the content is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program `spinreg`.
    #[arg(long)]
    spinreg: PathBuf,
    /// Where `.ci/run peers` has put the others.
    #[arg(long)]
    peers: PathBuf,
    /// The program that drives the crate `oci-client` as Spin does.
    #[arg(long)]
    as_spin_does: Option<PathBuf>,
    /// Where everything is written, and removed afterwards; it needs 10 GiB for W1.
    #[arg(long)]
    room: Option<PathBuf>,
}

/// Races, and prints the table of each workload.
pub fn run(options: &Options) -> Result<()> {
    let room = match &options.room {
        Some(room) => tempfile::tempdir_in(room)?,
        None => tempfile::tempdir()?,
    };
    let papers = if options.tls { Some(authority::issue(room.path())?) } else { None };
    let programs = Programs {
        spinreg: fs::canonicalize(&options.spinreg)?,
        peers: fs::canonicalize(&options.peers)?,
        as_spin_does: options.as_spin_does.as_ref().map(fs::canonicalize).transpose()?,
    };
    let known = |name: &String| tools::ALL.iter().any(|tool| tool.name == name);
    if let Some(name) = options.tools.iter().find(|name| !known(name)) {
        let names: Vec<&str> = tools::ALL.iter().map(|tool| tool.name).collect();
        return Err(Error::other(format!("there is no tool `{name}`, but {}", names.join(", "))));
    }
    let race = Race { options, programs, papers, room: room.path() };
    println!(
        "seed {}, {} rounds; wall (the yardstick's in seconds, the others' as multiples) · CPU seconds · peak MiB · requests",
        options.seed, options.rounds
    );
    let track = Track { registry: options.registry, rtt_ms: options.rtt_ms, tls: options.tls };
    let mut reached = Vec::new();
    for workload in &options.workloads {
        let (table, blobs) = race.workload(*workload)?;
        reached.extend(goals::rows(track, *workload, blobs, &table));
        let names: Vec<&str> = tools::ALL.iter().map(|tool| tool.name).collect();
        println!("\n{}\n\n{}", workload.name().to_uppercase(), table.markdown(&names));
    }
    println!("\nGoals\n\n{}\n{}", goals::HEADING, reached.join("\n"));
    Ok(())
}

struct Race<'a> {
    options: &'a Options,
    programs: Programs,
    papers: Option<Papers>,
    room: &'a Path,
}

/// An application: its sources, and the same as an image layout.
struct App {
    sources: PathBuf,
    layout: PathBuf,
}

impl Race<'_> {
    /// Measures one workload; says as well how many blobs it has.
    fn workload(&self, workload: Workload) -> Result<(Table, u64)> {
        let apps = self.room.join(workload.name());
        let first = self.app(workload, &apps, 1)?;
        let second = if workload == Workload::W2 { Some(self.app(workload, &apps, 2)?) } else { None };
        let mut table = Table::default();
        self.pushes(&first, second.as_ref(), &mut table)?;
        self.pulls(&apps, &first, second.as_ref(), &mut table)?;
        let blobs = self.job("", String::new(), "", &first, self.room).contents()?.blobs.len() as u64;
        fs::remove_dir_all(&apps)?;
        Ok((table, blobs))
    }

    /// Writes the application, and the image layout in which all tools find the same bytes.
    fn app(&self, workload: Workload, apps: &Path, edition: u64) -> Result<App> {
        let sources = apps.join(format!("sources{edition}"));
        let layout = apps.join(format!("layouts/v{edition}"));
        workload.write(&sources, self.options.seed, edition)?;
        fs::create_dir_all(apps.join("layouts"))?;
        let mut pack = Command::new(&self.programs.spinreg);
        pack.args(["push", "--quiet", "-f"]).arg(&sources).arg(format!("oci:{}:v1", layout.display()));
        let output = pack.env_clear().env("HOME", self.room).output()?;
        if !output.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&output.stderr)));
        }
        Ok(App { sources, layout })
    }

    fn contenders(&self) -> impl Iterator<Item = (usize, &'static Tool)> {
        let wanted = |tool: &Tool| {
            let named = self.options.tools.is_empty() || self.options.tools.iter().any(|name| name == tool.name);
            let built = tool.name != "as Spin does" || self.programs.as_spin_does.is_some();
            // Without TLS it is what spinreg does anyway.
            let differs = tool.name != "spinreg --http1" || self.options.tls;
            tool.name == "curl" || (named && built && differs)
        };
        tools::ALL.iter().enumerate().filter(move |(_, tool)| wanted(tool))
    }

    fn pushes(&self, first: &App, second: Option<&App>, table: &mut Table) -> Result<()> {
        let data = tempfile::tempdir_in(self.room)?;
        let mut registry = match self.options.registry {
            Make::Idle => Registry::sink(self.papers.as_ref())?,
            Make::Distribution => self.distribution(data.path())?,
        };
        let link = self.link(&registry)?;
        let address = link.as_ref().unwrap_or(&registry).address();
        for round in 0..self.options.rounds {
            for (n, tool) in self.contenders() {
                let room = tempfile::tempdir_in(self.room)?;
                let repository = format!("race/r{round}-t{n}");
                let steps = [
                    ("push", Some(first)),
                    ("push, nothing changed (W4)", second.map(|_| first)),
                    ("push, one asset changed (W5)", second),
                ];
                for (step, app) in steps {
                    let Some(app) = app else { continue };
                    let job = self.job(&address, repository.clone(), "v1", app, room.path());
                    self.step(step, n, tool.push, &job, &mut registry, table)?;
                }
            }
        }
        Ok(())
    }

    fn pulls(&self, apps: &Path, first: &App, second: Option<&App>, table: &mut Table) -> Result<()> {
        let data = tempfile::tempdir_in(self.room)?;
        let mut registry = match self.options.registry {
            Make::Idle => Registry::served(&apps.join("layouts"), self.papers.as_ref())?,
            Make::Distribution => {
                let registry = self.distribution(data.path())?;
                for (repository, app) in [("v1", Some(first)), ("v2", second)] {
                    let Some(app) = app else { continue };
                    let (room, address) = (tempfile::tempdir_in(self.room)?, registry.address());
                    let job = self.job(&address, repository.to_owned(), "v1", app, room.path());
                    (tools::ALL[0].push)(&job)?;
                }
                registry
            }
        };
        let link = self.link(&registry)?;
        let address = link.as_ref().unwrap_or(&registry).address();
        for _ in 0..self.options.rounds {
            for (n, tool) in self.contenders() {
                let room = tempfile::tempdir_in(self.room)?;
                let steps = [
                    ("pull", "v1", Some(first)),
                    ("pull, nothing changed (W4)", "v1", second.map(|_| first)),
                    ("pull, one asset changed (W5)", "v2", second),
                ];
                for (step, repository, app) in steps {
                    let Some(app) = app else { continue };
                    let job = self.job(&address, repository.to_owned(), "v1", app, room.path());
                    self.step(step, n, tool.pull, &job, &mut registry, table)?;
                }
            }
        }
        Ok(())
    }

    fn step(
        &self,
        step: &'static str,
        n: usize,
        tool: fn(&Job) -> Result<Cost>,
        job: &Job,
        registry: &mut Registry,
        table: &mut Table,
    ) -> Result<()> {
        registry.requests()?;
        match tool(job) {
            Ok(cost) => table.add(step, n, cost, registry.requests()?),
            // A tool that cannot do it has no cell, and the others go on.
            Err(error) => eprintln!("{}: {step}: {error}", tools::ALL[n].name),
        }
        Ok(())
    }

    fn job<'a>(&'a self, registry: &'a str, repository: String, tag: &'a str, app: &'a App, room: &'a Path) -> Job<'a> {
        let authority = self.papers.as_ref().map(|papers| papers.authority.as_path());
        Job {
            registry,
            repository,
            tag,
            authority,
            app: &app.sources,
            layout: &app.layout,
            room,
            programs: &self.programs,
        }
    }

    fn distribution(&self, data: &Path) -> Result<Registry> {
        Registry::distribution(&self.programs.peers.join("registry"), data, self.papers.as_ref())
    }

    fn link(&self, registry: &Registry) -> Result<Option<Registry>> {
        self.options.rtt_ms.map(|rtt| Registry::link(registry, rtt, self.options.megabits)).transpose()
    }
}
