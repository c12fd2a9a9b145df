//! `--fault` of `spinreg serve`.

use std::fmt::Write as _;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, Error};

use crate::serve::faults::{Fault, Faulty, catalogue};

/// Misbehaviour to rehearse.
#[derive(Args)]
pub(crate) struct Faults {
    /// Misbehave, as real registries do: `cut=1000`, `status=503,times=2`, `tags-unsorted`. May be given several times;
    /// `--fault help` lists all, and docs/faults.md tells how they are used in tests.
    #[arg(long = "fault", value_name = "NAME[=ARGS]", value_parser = Parser)]
    faults: Vec<Given>,
}

impl Faults {
    /// Puts the faults before a handler.
    pub(super) fn before<H: crate::serve::Handler>(&self, handler: H) -> Faulty<H> {
        let parse = |given: &Given| given.0.parse::<Fault>().expect("the text was parsed when it was given");
        Faulty::new(handler, self.faults.iter().map(parse))
    }
}

/// The text of a fault: clap wants to copy values, and a fault counts.
#[derive(Clone, Debug)]
struct Given(String);

#[derive(Clone)]
struct Parser;

impl TypedValueParser for Parser {
    type Value = Given;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &std::ffi::OsStr) -> Result<Given, Error> {
        if value == "help" {
            // As the help of a command of its own: a message of ours would be printed as an error.
            let listing = Command::new("faults").help_template(help()).try_get_matches_from(["faults", "--help"]);
            return Err(listing.expect_err("help is no match"));
        }
        let parser = StringValueParser::new().try_map(|text| text.parse::<Fault>().map(|_| Given(text)));
        parser.parse_ref(command, arg, value)
    }
}

/// Lists every fault.
fn help() -> String {
    let mut text = String::from("Faults:\n");
    for fault in catalogue() {
        writeln!(text, "  {}\n          {}", fault.form, fault.does).expect("a string takes text");
    }
    text.push_str(CONDITIONS);
    text
}

const CONDITIONS: &str = "
Conditions, after the fault and each other, separated by commas:
  method=GET+HEAD       requests with one of these methods
  path=PATTERN          requests whose path and query match; `*` stands for anything
  not=PATTERN           requests whose path and query do not match
  with=NAME[:PATTERN]   requests with this header
  without=NAME          requests without this header
  when=STATUS           answers with this status; for faults of answers
  after=N               not the first N exchanges that are meant
  times=N               the first N of them, and no others
In arguments and values `%2C` stands for a comma.
";
