//! The two ends of a copy on the command line: the flags of one registry, once as `--from-…` and once as `--to-…`.

use std::ffi::OsString;
use std::marker::PhantomData;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::credentials::Variables;
use super::failure::{self, Failure, Invocation, Problem};
use super::options::{Account, Connection};
use crate::error::{Error, Place, RequestLine};
use crate::model::{Location, Reference};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    From,
    To,
}

impl Side {
    /// Returns where its credentials are looked for in the environment. Those without `FROM` and `TO` in their names are
    /// not looked at: nobody could tell whose they are.
    pub(super) fn variables(self) -> &'static Variables {
        match self {
            Self::From => &FROM,
            Self::To => &TO,
        }
    }

    /// Puts this side's names of flags and variables into a text that was written for one registry.
    pub(super) fn speak(self, text: &str) -> String {
        let mut text = text.replace("`-k`", "`--insecure`");
        for name in ["USERNAME", "PASSWORD", "TOKEN"] {
            text = text.replace(&format!("SPINREG_{name}"), &format!("{}{name}", self.variables().prefix));
        }
        for arg in plain().get_arguments() {
            let long = arg.get_long().unwrap_or_default();
            text = replace_word(&text, &format!("--{long}"), &format!("--{}", self.long(long)));
        }
        text
    }

    /// Finds out at which end something has failed.
    pub(super) fn of(error: &Error, from: &Location, to: &Location) -> Self {
        match error {
            Error::Unauthorized(unmet) => Self::of_request(&unmet.request, from, to),
            Error::Refused(refused) => Self::of_request(&refused.request, from, to),
            Error::Protocol(violation) => Self::of_request(&violation.request, from, to),
            Error::Unreachable(failure) => Self::of_request(&failure.request, from, to),
            Error::NotFound(missing) => Self::of_place(&missing.place, from, to),
            Error::Mismatch(mismatch) => Self::of_place(&mismatch.place, from, to),
            Error::Io(failure) if is_below(from, &failure.path) && !is_below(to, &failure.path) => Self::From,
            Error::Io(_) | Error::Helper(_) => Self::To,
            _ => Self::From,
        }
    }

    fn of_place(place: &Place, from: &Location, to: &Location) -> Self {
        match place {
            Place::Request(request) => Self::of_request(request, from, to),
            Place::File(path) if is_below(to, path) && !is_below(from, path) => Self::To,
            Place::File(_) | Place::Unknown => Self::From,
        }
    }

    fn of_request(request: &RequestLine, from: &Location, to: &Location) -> Self {
        let uri = request.uri.reveal();
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let is_at = |location: &Location| matches!(location, Location::Registry(r) if r.registry().api_host() == host);
        let is_in = |location: &Location| matches!(location, Location::Registry(r) if is_within(uri.path(), r));
        match (is_at(from), is_at(to)) {
            (true, false) => Self::From,
            (false, true) => Self::To,
            _ if is_in(from) != is_in(to) => {
                if is_in(from) {
                    Self::From
                } else {
                    Self::To
                }
            }
            // What is sent goes to the target; what is read from elsewhere comes from a storage of the source.
            _ if request.method == http::Method::GET || request.method == http::Method::HEAD => Self::From,
            _ => Self::To,
        }
    }

    /// Returns the name of a flag at this end, without the hyphens before it.
    fn long(self, long: &str) -> String {
        format!("{}-{long}", self.word())
    }

    fn id(self, arg: &Arg) -> String {
        format!("{}_{}", self.word(), arg.get_id())
    }

    fn word(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

/// A problem at one end of a copy.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct Sided {
    side: Side,
    #[source]
    problem: Problem,
}

impl Sided {
    /// Says what people are told about it: what they are told about a pull or a push, with the flags of that end.
    pub(super) fn explain(&self, invocation: &Invocation) -> Failure {
        let Self { side, problem } = self;
        let alone = match (invocation, side) {
            // There is no cache, and what is not there need not be an application.
            _ if matches!(problem, Problem::Transfer(Error::Io(_))) => Invocation::Local,
            _ if matches!(problem, Problem::Transfer(Error::NotFound(missing)) if missing.place == Place::Unknown) => {
                Invocation::Local
            }
            (Invocation::Diff(from, _), Side::From) => Invocation::Look(from.clone()),
            (Invocation::Diff(_, to), Side::To) => Invocation::Look(to.clone()),
            (Invocation::Copy(from, _), Side::From) => Invocation::Pull(from.clone()),
            (Invocation::Copy(_, to), Side::To) => Invocation::Push(to.clone()),
            (other, _) => other.clone(),
        };
        let mut failure = failure::explain(problem, &alone);
        failure.hint = failure.hint.map(|hint| side.speak(&hint));
        if let Problem::Misuse(_) = problem {
            failure.message = side.speak(&failure.message);
        }
        failure
    }
}

impl Problem {
    /// Says at which end of a copy it is.
    pub(super) fn at(side: Side, problem: Self) -> Self {
        match problem {
            Self::Interrupted => problem,
            problem => Self::At(Box::new(Sided { side, problem })),
        }
    }
}

/// How one end is reached, and as whom.
#[derive(Args, Debug)]
pub(crate) struct Way {
    #[command(flatten)]
    pub(crate) account: Account,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// An end that flags can be of.
pub(crate) trait End {
    const SIDE: Side;
    const HEADING: &'static str;
}

/// Where it comes from.
#[derive(Debug)]
pub(crate) struct Source;

impl End for Source {
    const SIDE: Side = Side::From;
    const HEADING: &'static str = "The registry of FROM, and no other";
}

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Target;

impl End for Target {
    const SIDE: Side = Side::To;
    const HEADING: &'static str = "The registry of TO, and no other";
}

/// The flags of a [`Way`], under the names of one end.
#[derive(Debug)]
pub(crate) struct At<E> {
    pub(crate) way: Way,
    end: PhantomData<E>,
}

impl<E: End> Args for At<E> {
    fn augment_args(command: Command) -> Command {
        let plain = plain();
        plain.get_arguments().fold(command, |command, arg| command.arg(named_for::<E>(arg, &plain)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<E: End> FromArgMatches for At<E> {
    /// Hands what was given on to the flags as they are for one registry.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for arg in plain().get_arguments() {
            let id = E::SIDE.id(arg);
            if matches.value_source(&id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let flag = OsString::from(format!("--{}", arg.get_long().unwrap_or_default()));
            if matches!(arg.get_action(), ArgAction::SetTrue) {
                given.push(flag);
                continue;
            }
            for value in matches.get_raw(&id).into_iter().flatten() {
                let mut flag = flag.clone();
                flag.push("=");
                flag.push(value);
                given.push(flag);
            }
        }
        let matches = plain().no_binary_name(true).try_get_matches_from(given)?;
        Ok(Self { way: Way::from_arg_matches(&matches)?, end: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns a command that has the flags of one registry and nothing else.
fn plain() -> Command {
    Way::augment_args(Command::new("way")).disable_help_flag(true)
}

/// Returns the flag that does the same at one end.
fn named_for<E: End>(arg: &Arg, plain: &Command) -> Arg {
    let side = E::SIDE;
    let long = side.long(arg.get_long().unwrap_or_default());
    let mut named = Arg::new(side.id(arg))
        .long(long)
        .help_heading(E::HEADING)
        .action(arg.get_action().clone())
        .value_parser(arg.get_value_parser().clone());
    if let Some(names) = arg.get_value_names().filter(|_| arg.get_action().takes_values()) {
        named = named.value_names(names.iter().cloned());
    }
    if let Some(help) = arg.get_help() {
        named = named.help(side.speak(&help.to_string()));
    }
    if let Some(help) = arg.get_long_help() {
        named = named.long_help(side.speak(&help.to_string()));
    }
    for other in plain.get_arg_conflicts_with(arg) {
        named = named.conflicts_with(side.id(other));
    }
    // What a flag requires cannot be asked of it.
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if arg.get_id() == one {
            named = named.requires(format!("{}_{other}", side.word()));
        }
    }
    named
}

/// Replaces a flag where it is not the beginning of a longer one.
fn replace_word(text: &str, flag: &str, by: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(flag) {
        let (before, after) = (&rest[..at], &rest[at + flag.len()..]);
        let is_longer = after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        replaced.push_str(before);
        replaced.push_str(if is_longer { flag } else { by });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

fn is_below(location: &Location, file: &std::path::Path) -> bool {
    match location {
        Location::Layout { path, .. } => file.starts_with(path),
        // What is not finished stands beside it.
        Location::Archive { path, .. } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            file.parent() == path.parent() && file.to_string_lossy().contains(&*name)
        }
        Location::Registry(_) => false,
    }
}

fn is_within(path: &str, reference: &Reference) -> bool {
    path.strip_prefix("/v2/").and_then(|rest| rest.strip_prefix(reference.name().as_str())).is_some_and(|rest| {
        rest.starts_with("/manifests/")
            || rest.starts_with("/blobs/")
            || rest.starts_with("/tags/")
            || rest.starts_with("/referrers/")
    })
}

const FROM: Variables = Variables {
    prefix: "SPINREG_FROM_",
    username: "SPINREG_FROM_USERNAME",
    password: "SPINREG_FROM_PASSWORD",
    token: "SPINREG_FROM_TOKEN",
};
const TO: Variables = Variables {
    prefix: "SPINREG_TO_",
    username: "SPINREG_TO_USERNAME",
    password: "SPINREG_TO_PASSWORD",
    token: "SPINREG_TO_TOKEN",
};

#[cfg(test)]
mod tests {
    use clap::Parser;
    use http::Method;

    use super::*;

    #[derive(Parser)]
    struct Both {
        #[command(flatten)]
        from: At<Source>,
        #[command(flatten)]
        to: At<Target>,
    }

    fn parse(arguments: &[&str]) -> Result<Both, clap::Error> {
        Both::try_parse_from([&["copy"], arguments].concat())
    }

    #[test]
    fn every_flag_of_a_registry_is_there_twice() {
        let both = Both::augment_args(Command::new("copy"));
        let names: Vec<&str> = both.get_arguments().filter_map(Arg::get_long).collect();
        let plain = plain();
        let expected = ["from", "to"].iter().flat_map(|side| {
            plain.get_arguments().map(move |arg| format!("{side}-{}", arg.get_long().expect("each is long")))
        });
        assert_eq!(names, expected.collect::<Vec<_>>());
        assert!(names.contains(&"from-password-stdin") && names.contains(&"to-plain-http"), "{names:?}");
    }

    #[test]
    fn each_end_gets_its_own() {
        let arguments = ["--from-username", "ada", "--to-plain-http", "--to-ca-file", "a", "--to-ca-file=b"];
        let both = parse(&arguments).unwrap_or_else(|error| panic!("{error}"));
        let (from, to) = (both.from.way, both.to.way);
        assert_eq!((from.account.username.as_deref(), to.account.username), (Some("ada"), None));
        assert_eq!((from.connection.plain_http, to.connection.plain_http), (false, true));
        assert_eq!((from.connection.ca_file.len(), to.connection.ca_file.len()), (0, 2));
    }

    #[test]
    fn what_contradicts_itself_is_refused_in_the_words_of_the_end() {
        for arguments in [
            &["--from-username", "ada", "--from-token-stdin"][..],
            &["--to-password-stdin", "--to-token-stdin"],
            &["--from-cert", "c"],
        ] {
            let error = parse(arguments).err().expect("a contradiction").to_string();
            assert!(error.contains(arguments[0]), "{error}");
        }
        assert!(parse(&["--from-cert", "c", "--from-key", "k"]).is_ok());
        assert!(parse(&["--from-token-stdin", "--to-username", "ada"]).is_ok());
    }

    #[test]
    fn texts_speak_of_one_end() {
        for (text, spoken) in [
            ("use `--cert` and `--key`, not `--keys`", "use `--to-cert` and `--to-key`, not `--keys`"),
            ("switch it off with `-k`", "switch it off with `--to-insecure`"),
            ("`--insecure-credentials`", "`--to-insecure-credentials`"),
            ("or SPINREG_PASSWORD", "or SPINREG_TO_PASSWORD"),
            ("`SPINREG_CONFIG`, `SPINREG_OFFLINE`", "`SPINREG_CONFIG`, `SPINREG_OFFLINE`"),
        ] {
            assert_eq!(Side::To.speak(text), spoken);
        }
        let mut command = Both::augment_args(Command::new("copy"));
        let help = command.render_long_help().to_string();
        for wrong in [" --username", "SPINREG_USERNAME", "`--cert`"] {
            assert!(!help.contains(wrong), "{wrong}: {help}");
        }
    }

    #[test]
    fn failures_have_a_side() {
        let location = |text: &str| text.parse::<Location>().expect(text);
        let request = |method: Method, uri: &'static str| RequestLine::new(&method, &uri.parse().expect("a URI"));
        let rows = [
            ("a.example/x", "b.example/x", request(Method::GET, "https://b.example/v2/x/manifests/v1"), Side::To),
            ("a.example/x", "b.example/x", request(Method::PUT, "https://a.example/v2/x/manifests/v1"), Side::From),
            ("a.example/x", "a.example/y", request(Method::HEAD, "https://a.example/v2/y/manifests/v1"), Side::To),
            ("a.example/x", "a.example/y", request(Method::GET, "https://a.example/v2/x/blobs/z"), Side::From),
            ("a.example/x", "a.example/x", request(Method::PUT, "https://a.example/v2/x/manifests/v1"), Side::To),
            ("a.example/x", "oci:out", request(Method::GET, "https://storage.example/z"), Side::From),
        ];
        for (from, to, request, side) in rows {
            assert_eq!(Side::of_request(&request, &location(from), &location(to)), side, "{request}");
        }
        let io = |path: &str| Error::io("read", path, std::io::ErrorKind::PermissionDenied.into());
        for (path, side) in
            [("in/index.json", Side::From), ("./.spinreg-out.tar.partial", Side::To), ("/etc/x", Side::To)]
        {
            assert_eq!(Side::of(&io(path), &location("oci:in"), &location("oci-archive:./out.tar")), side, "{path}");
        }
    }
}
