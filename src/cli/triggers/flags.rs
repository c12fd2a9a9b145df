//! Flags that are not for us: told from ours, and handed to the triggers that know them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;

use clap::Command;
use serde::Deserialize;

use crate::cli::misuse::Misuse;
use crate::model::excerpt;
use crate::spin::nearest;

/// Puts the arguments of `up` in the order in which they can be parsed: ours first, and behind a `--` those that this tool
/// does not know, each with the word that follows it. The arguments of other commands stay as they are.
///
/// What stands behind a `--` is never ours. A word that follows neither a flag of ours nor an unknown one stays with ours,
/// where it is an error: triggers take no words, and whoever writes one mostly means `--from`.
pub(crate) fn sort(arguments: Vec<OsString>, tool: &Command) -> Sorted {
    let mut mistyped = Vec::new();
    let Some(start) = position_of_up(&arguments, tool) else { return Sorted { arguments, mistyped } };
    let up = tool.find_subcommand(UP).expect("the tool has a command `up`");
    let mut rest = arguments[start + 1..].iter().cloned().peekable();
    let (mut ours, mut theirs) = (arguments[..=start].to_vec(), Vec::new());
    while let Some(word) = rest.next() {
        if word == "--" {
            theirs.extend(rest.by_ref());
            break;
        }
        let (to, wants_value) = match Word::of(&word, up) {
            Word::Ours { wants_value } => (&mut ours, wants_value),
            Word::Theirs { wants_value } => {
                mistyped.extend(Mistyped::find(&word, up));
                (&mut theirs, wants_value && rest.peek().is_some_and(|next| !is_flag(next)))
            }
        };
        to.push(word);
        if wants_value {
            to.extend(rest.next());
        }
    }
    if !theirs.is_empty() {
        ours.push("--".into());
        ours.append(&mut theirs);
    }
    Sorted { arguments: ours, mistyped }
}

/// The arguments in their order, and what is striking about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sorted {
    pub(crate) arguments: Vec<OsString>,
    /// Flags for the triggers that were probably meant to be ours.
    pub(crate) mistyped: Vec<Mistyped>,
}

/// A flag that is not ours, and almost is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistyped {
    given: String,
    meant: String,
}

impl Mistyped {
    fn find(word: &OsStr, up: &Command) -> Option<Self> {
        let given = word.to_str()?.strip_prefix("--")?;
        let given = given.split_once('=').map_or(given, |(name, _)| name);
        let ours = up.get_arguments().filter_map(|arg| arg.get_long());
        Some(Self { given: given.to_owned(), meant: nearest(given, ours)?.to_owned() })
    }
}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, meant } = self;
        write!(f, "`--{}` is no flag of `up` and goes to the triggers; did you mean `--{meant}`?", excerpt(given))
    }
}

/// Whose a word is, and whether the next one belongs to it.
enum Word {
    Ours { wants_value: bool },
    Theirs { wants_value: bool },
}

impl Word {
    fn of(word: &OsStr, up: &Command) -> Self {
        let Some(text) = word.to_str() else { return Self::Ours { wants_value: false } };
        if let Some(long) = text.strip_prefix("--") {
            let (name, attached) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
            let names = |arg: &clap::Arg| {
                arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
            };
            return match up.get_arguments().find(|arg| names(arg)) {
                Some(arg) => Self::Ours { wants_value: !attached && arg.get_action().takes_values() },
                None => Self::Theirs { wants_value: !attached },
            };
        }
        let Some(cluster) = text.strip_prefix('-').filter(|cluster| !cluster.is_empty()) else {
            return Self::Ours { wants_value: false };
        };
        let mut letters = cluster.chars().peekable();
        while let Some(letter) = letters.next() {
            match up.get_arguments().find(|arg| arg.get_short() == Some(letter)) {
                Some(arg) if arg.get_action().takes_values() => {
                    return Self::Ours { wants_value: letters.peek().is_none() };
                }
                Some(_) => {}
                None => return Self::Theirs { wants_value: cluster.chars().count() == 1 },
            }
        }
        Self::Ours { wants_value: false }
    }
}

/// Finds the word `up` where it is the command: behind nothing but flags of every command.
fn position_of_up(arguments: &[OsString], tool: &Command) -> Option<usize> {
    let mut position = 1;
    while let Some(word) = arguments.get(position) {
        if !is_flag(word) {
            return (word == UP).then_some(position);
        }
        let wants_value = matches!(Word::of(word, tool), Word::Ours { wants_value: true });
        position += if wants_value { 2 } else { 1 };
    }
    None
}

fn is_flag(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// The flags that one trigger executor takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known(BTreeSet<String>);

impl Known {
    /// Reads what an executor says about itself; `None` where it says something else.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            all_flags: Vec<Flag>,
        }
        #[derive(Deserialize)]
        struct Flag {
            short: Option<String>,
            long: Option<String>,
        }
        let metadata: Metadata = serde_json::from_slice(text).ok()?;
        Some(Self(metadata.all_flags.into_iter().flat_map(|flag| [flag.short, flag.long]).flatten().collect()))
    }

    fn has(&self, flag: &str) -> bool {
        self.0.contains(flag.split_once('=').map_or(flag, |(name, _)| name))
    }
}

/// Flags for triggers, each with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flags(Vec<Vec<OsString>>);

impl Flags {
    /// Groups words: a flag takes the word behind it along.
    pub(crate) fn of(words: Vec<OsString>) -> Self {
        let mut groups: Vec<Vec<OsString>> = Vec::new();
        for word in words {
            match groups.last_mut() {
                Some(group) if !is_flag(&word) && group.len() == 1 && is_flag(&group[0]) => group.push(word),
                _ => groups.push(vec![word]),
            }
        }
        Self(groups)
    }

    /// Adds a flag without a value.
    pub(crate) fn add(&mut self, flag: &str) {
        self.0.push(vec![flag.into()]);
    }

    /// Says whether a flag is among them.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|group| group[0] == flag)
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<OsString> {
        self.0.concat()
    }

    /// Hands each flag to the triggers that know it. A trigger that has not said what it knows gets all.
    ///
    /// # Errors
    ///
    /// [`Misuse::NobodysFlag`] where no trigger knows it.
    pub(crate) fn route(&self, triggers: &[(&str, Option<Known>)]) -> Result<Vec<Vec<OsString>>, Misuse> {
        let knows = |known: &Option<Known>, group: &[OsString]| {
            known.as_ref().is_none_or(|known| group[0].to_str().is_some_and(|flag| known.has(flag)))
        };
        if let Some(group) = self.0.iter().find(|group| !triggers.iter().any(|(_, known)| knows(known, group))) {
            let kinds: Vec<String> = triggers.iter().map(|(kind, _)| format!("`{kind}`")).collect();
            return Err(Misuse::NobodysFlag { flag: group[0].display().to_string(), triggers: kinds.join(", ") });
        }
        let of = |known: &Option<Known>| self.0.iter().filter(|group| knows(known, group)).flatten().cloned().collect();
        Ok(triggers.iter().map(|(_, known)| of(known)).collect())
    }
}

/// The command whose arguments are sorted.
pub(crate) const UP: &str = "up";

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, CommandFactory as _};

    use super::*;

    fn tool() -> Command {
        let flag = |name, short| Arg::new(name).long(name).short(short).action(ArgAction::SetTrue);
        let value = |name: &'static str| Arg::new(name).long(name);
        let up = Command::new("up")
            .arg(value("from").short('f').alias("source"))
            .arg(flag("insecure", 'k'))
            .arg(Arg::new("rest").last(true).num_args(0..));
        let quiet = flag("quiet", 'q').global(true);
        let mut tool = Command::new("t").arg(quiet).arg(value("log").global(true)).subcommand(up);
        tool.build();
        tool
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn ours_come_first() {
        for (given, sorted) in [
            ("t up", "t up"),
            ("t up -f a --listen b", "t up -f a -- --listen b"),
            ("t up --listen b -f a", "t up -f a -- --listen b"),
            ("t up --listen=b --from=a -k", "t up --from=a -k -- --listen=b"),
            ("t up --source a --flag -k -L x", "t up --source a -k -- --flag -L x"),
            ("t up -kf a -kx", "t up -kf a -- -kx"),
            ("t up -fa --log debug -q", "t up -fa --log debug -q"),
            ("t up -- -f a", "t up -- -f a"),
            ("t up -x -- -f a", "t up -- -x -f a"),
            ("t up word", "t up word"),
            ("t up -x word more", "t up more -- -x word"),
            ("t up --help", "t up --help"),
            ("t --log up up -x", "t --log up up -- -x"),
            ("t -q up -x", "t -q up -- -x"),
            ("t other up -x", "t other up -x"),
            ("t", "t"),
        ] {
            assert_eq!(sort(words(given), &tool()).arguments, words(sorted), "{given}");
        }
    }

    #[test]
    fn flags_that_are_almost_ours_are_striking() {
        let mut tool = crate::cli::Cli::command();
        tool.build();
        for (given, meant) in [
            ("--offlin", Some("offline")),
            ("--pul", Some("pull")),
            ("--form=a", Some("from")),
            ("--cachedir", Some("cache-dir")),
            ("--direct-mount", Some("direct-mounts")),
            ("--component=x", Some("component-id")),
            ("--cache", None),
            // What the triggers of Spin take.
            ("--listen", None),
            ("--find-free-port", None),
            ("--tls-cert", None),
            ("--tls-key", None),
            ("--state-dir", None),
            ("--log-dir", None),
            ("--follow", None),
            ("--variable", None),
            ("--sqlite", None),
            ("--key-value", None),
            ("--address", None),
            ("--runtime-config-file", None),
            ("--truncate-logs", None),
            ("--silence-component-logs", None),
            ("--disable-cache", None),
            ("--disable-pooling", None),
            ("--allow-transient-write", None),
        ] {
            let found = sort(words(&format!("spinreg up {given} x")), &tool);
            let found: Vec<_> = found.mistyped.into_iter().map(|mistyped| mistyped.meant).collect();
            assert_eq!(found, meant.into_iter().collect::<Vec<_>>(), "{given}");
        }
        for silent in ["spinreg up -- --offlin", "spinreg up --offline", "spinreg pull --offlin"] {
            assert_eq!(sort(words(silent), &tool).mistyped, [], "{silent}");
        }
    }

    #[test]
    fn flags_go_to_those_who_know_them() {
        let http = Known::parse(br#"{"all_flags":[{"long":"--listen"},{"short":"-q","long":"--quiet"},{}]}"#);
        let redis = Known::parse(br#"{"all_flags":[{"short":"-q","long":"--quiet"}],"later":1}"#);
        let route = |text: &str, triggers: &[(&str, Option<Known>)]| {
            Flags::of(words(text)).route(triggers).map_err(|error| error.to_string())
        };
        let both = [("http", http.clone()), ("redis", redis)];
        for (text, to_http, to_redis) in [
            ("", "", ""),
            ("--listen a -q", "--listen a -q", "-q"),
            ("--listen=a --quiet", "--listen=a --quiet", "--quiet"),
        ] {
            assert_eq!(route(text, &both), Ok(vec![words(to_http), words(to_redis)]), "{text}");
        }
        for text in ["--strange x", "--listen a b"] {
            assert!(route(text, &both).expect_err(text).contains("`http`, `redis`"), "{text}");
        }
        let silent = [("http", http), ("old", None)];
        assert_eq!(route("--strange x", &silent), Ok(vec![vec![], words("--strange x")]));
        for text in [&b"error: unknown flag"[..], b"", b"{}", b"[]"] {
            assert_eq!(Known::parse(text), None);
        }
    }
}
