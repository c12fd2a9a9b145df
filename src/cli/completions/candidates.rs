//! What a command line could go on with. Pure, but for the names that are asked for.

use std::any::TypeId;

use clap::{Arg, ArgAction, Command};

use crate::cli::server::Server;
use crate::model::{Location, Reference, Registry, Tag};

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    word: String,
    help: String,
}

impl Candidate {
    fn new(word: impl Into<String>, help: impl Into<String>) -> Self {
        Self { word: word.into(), help: help.into() }
    }

    /// Returns the line for the scripts.
    pub(super) fn line(&self) -> String {
        let Self { word, help } = self;
        if help.is_empty() { word.clone() } else { format!("{word}\t{help}") }
    }

    /// Says whether no shell takes any of the word for something else than itself. Names in a cache are those of other
    /// people: what a shell could expand or run is not offered.
    fn is_plain(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@=+,%".contains(&byte);
        !self.word.is_empty() && self.word.bytes().all(is_plain)
    }
}

/// Names that only the disk knows.
pub(super) trait Names {
    /// Returns the references of what is in the cache; where the command line names that, of this one.
    fn references(&self, cache_dir: Option<&str>) -> Vec<Reference>;
    /// Returns the registries that there are credentials for.
    fn registries(&self) -> Vec<Registry>;
}

/// Says what the word that is being typed could become. `tool` has been built.
pub(super) fn complete(tool: &Command, before: &[String], current: &str, names: &impl Names) -> Vec<Candidate> {
    let place = Place::behind(tool, before);
    let mut found = match (place.pending, current.strip_prefix("--")) {
        (Some(arg), _) => place.values(arg, current, "", names),
        (None, Some(long)) if !place.only_words => match long.split_once('=') {
            Some((name, value)) => {
                let start = format!("--{name}=");
                place.long(name).map(|arg| place.values(arg, value, &start, names)).unwrap_or_default()
            }
            None => place.flags(),
        },
        (None, None) if current == "-" && !place.only_words => place.flags(),
        (None, _) => place.words(current, names),
    };
    found.retain(|candidate| candidate.word.starts_with(current) && candidate.is_plain());
    found.truncate(MAX_CANDIDATES);
    found
}

/// Where a command line has got to.
struct Place<'a> {
    command: &'a Command,
    /// The flag that waits for its value.
    pending: Option<&'a Arg>,
    given: Vec<&'a str>,
    words: Vec<&'a str>,
    only_words: bool,
    cache_dir: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn behind(tool: &'a Command, before: &'a [String]) -> Self {
        let (given, words) = (Vec::new(), Vec::new());
        let mut place = Self { command: tool, pending: None, given, words, only_words: false, cache_dir: None };
        before.iter().for_each(|word| place.go_on(word));
        place
    }

    fn go_on(&mut self, word: &'a str) {
        if let Some(flag) = self.pending.take() {
            self.take_value(flag, word);
        } else if self.only_words {
            self.words.push(word);
        } else if word == "--" {
            self.only_words = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some(arg) = self.long(name) else { return };
            self.given.push(arg.get_id().as_str());
            match value {
                Some(value) => self.take_value(arg, value),
                None => self.pending = Some(arg).filter(|arg| arg.get_action().takes_values()),
            }
        } else if let Some(cluster) = word.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            self.pending = self.cluster(cluster);
        } else if let Some(command) = self.command.find_subcommand(word).filter(|_| self.words.is_empty()) {
            self.command = command;
        } else {
            self.words.push(word);
        }
    }

    fn take_value(&mut self, flag: &Arg, value: &'a str) {
        if flag.get_long() == Some("cache-dir") {
            self.cache_dir = Some(value);
        }
    }

    /// Returns the flag at the end of some short ones, where that waits for a value.
    fn cluster(&mut self, cluster: &str) -> Option<&'a Arg> {
        let mut letters = cluster.chars().peekable();
        while let Some(letter) = letters.next() {
            let arg = self.command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
            self.given.push(arg.get_id().as_str());
            if arg.get_action().takes_values() {
                return letters.peek().is_none().then_some(arg);
            }
        }
        None
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        })
    }

    /// Lists the flags that may still be given.
    fn flags(&self) -> Vec<Candidate> {
        let repeats = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let given = |arg: &Arg| self.given.contains(&arg.get_id().as_str());
        let args = self.command.get_arguments().filter(|arg| !arg.is_hide_set() && (repeats(arg) || !given(arg)));
        args.filter_map(|arg| Some(Candidate::new(format!("--{}", arg.get_long()?), about(arg.get_help())))).collect()
    }

    /// Lists commands below this one, and values of the next argument.
    fn words(&self, current: &str, names: &impl Names) -> Vec<Candidate> {
        let mut found = Vec::new();
        if self.words.is_empty() && !self.only_words {
            let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            found.extend(commands.map(|command| Candidate::new(command.get_name(), about(command.get_about()))));
        }
        let mut args = self.command.get_positionals().filter(|arg| !arg.is_hide_set());
        let repeats = |arg: &&Arg| arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        let many = self.command.get_positionals().filter(|arg| !arg.is_hide_set()).find(repeats);
        if let Some(arg) = args.nth(self.words.len()).or(many) {
            found.extend(self.values(arg, current, "", names));
        }
        found
    }

    /// Lists values of an argument, each behind `start`.
    fn values(&self, arg: &Arg, current: &str, start: &str, names: &impl Names) -> Vec<Candidate> {
        let possible = arg.get_possible_values();
        if !possible.is_empty() {
            let shown = possible.iter().filter(|value| !value.is_hide_set());
            let candidate = |name: &str, help| Candidate::new(format!("{start}{name}"), about(help));
            return shown.map(|value| candidate(value.get_name(), value.get_help())).collect();
        }
        let kind = arg.get_value_parser().type_id();
        let is = |id: TypeId| kind == id;
        let host = |registry: Registry, end: &str| Candidate::new(format!("{start}{registry}{end}"), LOGGED_IN);
        if is(TypeId::of::<Registry>()) || is(TypeId::of::<Server>()) {
            return names.registries().into_iter().map(|registry| host(registry, "")).collect();
        }
        if is(TypeId::of::<Tag>()) {
            return self.tags(start, names);
        }
        // An application is named by a path as well; shells complete paths where there is nothing else.
        let is_source = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == SOURCE));
        if !is_source && !is(TypeId::of::<Location>()) && !is(TypeId::of::<Reference>()) {
            return Vec::new();
        }
        let references = names.references(self.cache_dir).into_iter();
        let mut found: Vec<_> =
            references.map(|reference| Candidate::new(format!("{start}{reference}"), CACHED)).collect();
        if !current.contains('/') {
            found.extend(names.registries().into_iter().map(|registry| host(registry, "/")));
        }
        found
    }

    /// Lists the tags of the repository that was named before, as far as they are in the cache.
    fn tags(&self, start: &str, names: &impl Names) -> Vec<Candidate> {
        let named = self.words.first().and_then(|word| word.parse::<Reference>().ok());
        let is_there =
            |known: &Reference, named: &Reference| (known.registry(), known.name()) == (named.registry(), named.name());
        let known = names.references(self.cache_dir).into_iter();
        let known = known.filter(|known| named.as_ref().is_some_and(|named| is_there(known, named)));
        known.filter_map(|known| Some(Candidate::new(format!("{start}{}", known.tag()?), CACHED))).collect()
    }
}

/// Returns the first line of a help text.
fn about(help: Option<&clap::builder::StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().replace('\t', " ")
}

/// What arguments are called that take a reference or a path.
const SOURCE: &str = "SOURCE";
const CACHED: &str = "in the cache";
const LOGGED_IN: &str = "logged in";
/// Nobody reads more, and shells become slow.
const MAX_CANDIDATES: usize = 500;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// What a disk could have.
    struct Disk;

    impl Names for Disk {
        fn references(&self, cache_dir: Option<&str>) -> Vec<Reference> {
            let texts = match cache_dir {
                None => &["ghcr.io/me/app:v1", "ghcr.io/me/app:v2", "localhost:5000/app:v1"][..],
                Some(_) => &["other.example/app:v3"],
            };
            texts.iter().map(|text| text.parse().expect(text)).collect()
        }

        fn registries(&self) -> Vec<Registry> {
            vec!["ghcr.io".parse().expect("a registry")]
        }
    }

    fn found(line: &str) -> Vec<String> {
        let mut tool = Cli::command();
        tool.build();
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let current = words.pop().unwrap_or_default();
        complete(&tool, &words, &current, &Disk).into_iter().map(|candidate| candidate.word).collect()
    }

    #[test]
    fn lines_go_on() {
        for (line, expected) in [
            ("pus", &["push"][..]),
            ("registry pu", &["push", "pull"]),
            ("pull --con", &["--concurrency"]),
            ("pull --quiet --qui", &[]),
            ("tags --sort s", &["semver"]),
            ("tags --sort=n", &["--sort=name"]),
            ("-q tags --sort n", &["name"]),
            ("pull gh", &["ghcr.io/me/app:v1", "ghcr.io/me/app:v2", "ghcr.io/"]),
            ("pull ghcr.io/me/app:v2", &["ghcr.io/me/app:v2"]),
            ("pull --cache-dir c ", &["other.example/app:v3", "ghcr.io/"]),
            ("pull --cache-dir=c o", &["other.example/app:v3"]),
            ("up -f local", &["localhost:5000/app:v1"]),
            ("up --from=local", &["--from=localhost:5000/app:v1"]),
            ("prepare local", &["localhost:5000/app:v1"]),
            ("copy a local", &["localhost:5000/app:v1"]),
            ("login g", &["ghcr.io"]),
            ("tag ghcr.io/me/app v", &["v1", "v2"]),
            ("tag ghcr.io/me/app v3 v2", &["v2"]),
            ("tag ghcr.io/me/other v", &[]),
            ("push --ca-file x", &[]),
            ("completions f", &["fish"]),
            ("pull -- --", &[]),
            ("no-such-command ", &[]),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
        let all = found("");
        assert!(all.contains(&"serve".to_owned()) && !all.iter().any(|word| word.starts_with('_')), "{all:?}");
    }

    #[test]
    fn what_a_shell_could_run_is_not_offered() {
        for word in ["a$(id)", "a`id`", "a;b", "a b", "a'b", "a*", "~a", "a\u{1b}[2J", "", "a\nb", "größe", "a|b", "!x"]
        {
            assert!(!Candidate::new(word, "").is_plain(), "{word:?}");
        }
        assert!(Candidate::new("localhost:5000/a_b-c.d:v1@sha256:0", "").is_plain());
    }
}
