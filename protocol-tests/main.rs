//! Everything that crosses a socket, a disk or a process: one binary, Rust alone is enough to run it.

/// The dependencies, their number, and the manners of the sources.
mod dependencies;
/// The architecture: which floor may look at which.
mod floors;

/// Several accounts at one registry.
mod accounts;
/// Names with several addresses, and addresses of the longer kind.
mod addresses;
/// Large files that are sent while they are hashed.
mod ahead;
/// Pulls in nobody's name.
mod anonymous;
/// Who we are: challenges, tokens, refusals, proofs.
mod auth;
/// Downloads: what breaks, lies or is something else, blob by blob.
mod download;
/// What is not asked and not sent, and what becomes of it where that was wrong.
mod frugal;
/// Credential helpers, good and bad.
#[cfg(unix)]
mod helpers;
/// Hosts that are treated specially: where they are, who they are, who stands in for them.
mod hosts;
/// Which accounts there are, and logins to parts of a registry.
mod logins;
/// Manners: waits, paces, warnings.
mod manners;
/// Ways through proxies.
mod proxy;
/// Where requests may be sent on to, and with what.
mod redirect;
/// What is tried again, how often, and what is not.
mod retry;
/// Who is believed, and what a peer speaks.
mod tls;
/// Tokens: how they are got, how long they last, and uploads that outlast them.
mod tokens;

/// The writer: resume, poison, lies, two processes, a kill, a full disk.
mod ingest;
/// Image layouts: ours, other tools', broken ones.
mod layout;
/// What refers to what: the registry's list, and ours where it has none.
mod referrers;
/// Lists of tags, and deletion.
mod tags;
/// Uploads: plans carried out against registries that play by other rules.
mod upload;

/// One file of WebAssembly, pushed by itself.
mod artifact;
/// Build commands: run, failed, forgotten.
#[cfg(unix)]
mod build;
/// Spin's cache: filled as Spin fills it, read as Spin left it.
mod cache;
/// The cache, looked after: damage, and what nobody needs.
mod cache_care;
/// Composition: what fits together, what a dependency is denied, and what is refused.
mod compose;
/// Judging registries: the official steps on ours, and on some that misbehave.
mod conformance;
/// The corners of composition: versions, dependencies of dependencies, types of others.
mod connections;
/// The examples of library use, run.
mod examples;
/// Faults on demand, and the checks that notice them.
mod faults;
/// What holds for every composition, and what becomes of components that are damaged or strange.
mod hostile;
/// Digests that are remembered: which files are not read again.
mod known;
/// Manifests and mounts, good and bad.
mod load;
/// The corpus of manifests.
mod manifests;
/// Core modules among what is composed.
mod modules;
/// Packing: what Spin makes of the same applications.
mod pack;
/// Packages from registries: where they are, which version is taken, what that costs.
mod packages;
/// From the cache to a directory that a host can run; what is hostile in it.
mod prepare;
/// Artifacts of other people: indexes, lies, breaks, and what is no application.
mod reading;
/// The embedded registry, request by request.
mod serve;
/// Upload sessions that the judge leaves open, and gives up.
mod sessions;
/// Components by URL: verified, kept, gone on with.
mod sources;
/// Registries that refuse what they may refuse, and the checks that do not mind.
mod strict;
/// Environments: whether components can run where their manifest says that they should.
#[cfg(unix)]
mod targets;
/// Components in text form.
mod text;
/// Archive layers: what is taken out of them, and what is not.
mod unpack;

/// The action for GitHub's runners.
#[cfg(unix)]
mod action;
/// The tool's words: help, wrong input, exit codes.
mod cli;
/// The configuration file, docker's certificates, client certificates.
mod config;
/// Copies between registries, layouts and archives.
#[cfg(unix)]
mod copy;
/// Every line of the documentation, run.
#[cfg(target_os = "linux")]
mod docs;
/// What the tool finds out about a registry, and that nothing of that stays.
mod doctor;
/// Which source of credentials answers, and why the others do not.
#[cfg(unix)]
mod explain;
/// What `-k` does, and what it does not.
mod insecure;
/// The tool, killed at random moments of pull, push and login.
mod killed;
/// Secrets in every source, and everything that must not show them.
#[cfg(unix)]
mod leaks;
/// Logins: proved, saved, found, removed.
mod login;
/// What is published: looked at, tagged, deleted, taken apart.
#[cfg(unix)]
mod look;
/// Push and pull from end to end.
mod main_job;
/// What is found without a network, and that nothing is connected to.
mod offline;
/// The tool as a plugin of Spin.
#[cfg(unix)]
mod plugin;
/// Registries as people really meet them, by name.
mod profiles;
/// Pulls on bad days.
mod pull;
/// Running applications with a stand-in for Spin.
#[cfg(target_os = "linux")]
mod running;
/// Running what is elsewhere: registries, layouts, archives, downloads and packages.
#[cfg(target_os = "linux")]
mod running_sources;
/// The progress of transfers, as terminals show it.
#[cfg(unix)]
mod screens;
/// What scripts rely on: variables, exit codes, JSON.
mod scripting;
/// Completions, manual pages, the reference.
mod shell;
/// What the commands print, word for word.
#[cfg(target_os = "linux")]
mod snapshots;
/// Hundreds of bad days, from a seed.
mod soak;
/// The embedded registry as a team runs it: logins, rules, TLS, signals; by our own client.
mod team;
/// The wire cost of push and pull, pinned.
mod transcripts;
/// What the tool says of a registry that it judges, what it writes, and how it ends.
mod verdicts;

mod support;
