//! What there is to say of one command, whatever it is written in.

use clap::{Arg, Command};

/// A command.
pub(in crate::cli) struct Page {
    /// Its words, the program first.
    pub(super) path: Vec<String>,
    /// What it does, in a line.
    pub(super) about: String,
    /// What else there is to know, by paragraphs.
    pub(super) text: Vec<String>,
    /// How it is written.
    pub(super) usage: String,
    /// Its arguments and flags, by headings.
    pub(super) groups: Vec<(String, Vec<Entry>)>,
    /// Lines that show it at work.
    pub(super) examples: Vec<String>,
    /// What stands below the examples.
    pub(super) notes: Vec<String>,
    /// The commands below it.
    pub(in crate::cli) below: Vec<Page>,
}

/// An argument or a flag.
pub(super) struct Entry {
    /// How it is written.
    pub(super) term: String,
    /// What it means, by paragraphs.
    pub(super) text: Vec<String>,
}

impl Page {
    /// Reads a command that has been built, and those below it; hidden ones are left out, and `help` says nothing new.
    pub(in crate::cli) fn of(command: &Command) -> Self {
        Self::below(command, &[])
    }

    fn below(command: &Command, above: &[String]) -> Self {
        let path = [above, &[command.get_name().to_owned()]].concat();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let text = paragraphs(&long).into_iter().filter(|text| text.trim_end_matches('.') != about).collect();
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim().to_owned();
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (examples, notes) = match after.strip_prefix("Examples:\n").or_else(|| after.strip_prefix("Example:\n")) {
            Some(rest) => {
                let (examples, notes) = rest.split_once("\n\n").unwrap_or((rest, ""));
                let line = |line: &str| line.strip_prefix("  ").unwrap_or(line).to_owned();
                (examples.lines().map(line).collect(), paragraphs(notes))
            }
            None => (Vec::new(), paragraphs(&after)),
        };
        let children = command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help");
        let below = children.map(|child| Self::below(child, &path)).collect();
        Self { about, text, usage, groups: groups(command), examples, notes, below, path }
    }

    /// Returns the last word of the command.
    pub(in crate::cli) fn word(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Returns the name of its page: `spinreg-manifest-get`.
    pub(in crate::cli) fn file(&self) -> String {
        self.path.join("-")
    }

    /// Returns the words of the command.
    pub(super) fn name(&self) -> String {
        self.path.join(" ")
    }

    /// Returns it and everything below.
    pub(in crate::cli) fn all(&self) -> Vec<&Self> {
        let below = self.below.iter().flat_map(Self::all);
        [self].into_iter().chain(below).collect()
    }

    /// Returns the page above, if there is one.
    pub(super) fn above(&self) -> Option<&[String]> {
        let above = &self.path[..self.path.len() - 1];
        (!above.is_empty()).then_some(above)
    }
}

/// Sorts the arguments of a command by headings; what all commands take comes last.
fn groups(command: &Command) -> Vec<(String, Vec<Entry>)> {
    let mut groups: Vec<(String, Vec<Entry>)> = Vec::new();
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help");
    let (common, own): (Vec<&Arg>, Vec<&Arg>) = shown.partition(|arg| arg.is_global_set());
    let own = own.into_iter().map(|arg| {
        let heading = match arg.get_help_heading() {
            Some(heading) => heading,
            None if arg.is_positional() => "Arguments",
            None => "Options",
        };
        (heading, arg)
    });
    for (heading, arg) in own.chain(common.into_iter().map(|arg| (COMMON, arg))) {
        let entry = Entry::of(arg);
        match groups.iter_mut().find(|(known, _)| known == heading) {
            Some((_, entries)) => entries.push(entry),
            None => groups.push((heading.to_owned(), vec![entry])),
        }
    }
    // Arguments first, whatever the order in which they are defined.
    groups.sort_by_key(|(heading, _)| heading != "Arguments");
    groups
}

impl Entry {
    fn of(arg: &Arg) -> Self {
        let takes_values = arg.get_action().takes_values();
        let names = arg.get_value_names().unwrap_or_default();
        let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        let values = names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
        let values = if many { format!("{values}…") } else { values };
        let mut forms: Vec<String> = arg.get_short().map(|short| format!("-{short}")).into_iter().collect();
        forms.extend(arg.get_long().map(|long| format!("--{long}")));
        let term = match (forms.is_empty(), takes_values) {
            (true, _) => values,
            (false, true) => format!("{} {values}", forms.join(", ")),
            (false, false) => forms.join(", "),
        };
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let mut text = paragraphs(&help);
        if takes_values && !arg.is_hide_possible_values_set() {
            let possible = arg.get_possible_values();
            let shown = possible.iter().filter(|value| !value.is_hide_set());
            let lines = shown.map(|value| match value.get_help() {
                Some(help) => format!("`{}`: {}", value.get_name(), sentence(&help.to_string())),
                None => format!("`{}`", value.get_name()),
            });
            text.extend(lines);
        }
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if takes_values && !defaults.is_empty() {
            text.push(format!("Default: `{}`.", defaults.join(" ")));
        }
        if let Some(variable) = arg.get_env() {
            text.push(format!("Variable: `{}`.", variable.display()));
        }
        Self { term, text }
    }
}

/// Splits a text at its empty lines; what was one sentence gets its full stop back, which help texts go without.
fn paragraphs(text: &str) -> Vec<String> {
    let joined = |part: &str| sentence(&part.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    text.split("\n\n").map(joined).filter(|part| !part.is_empty()).collect()
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', ':', '!', '?', ';']) { text.to_owned() } else { format!("{text}.") }
}

/// The heading of what every command takes.
pub(super) const COMMON: &str = "Options of every command";
