//! `spinreg completions`, and what the scripts that it prints ask for each time somebody presses Tab.

mod candidates;
mod known;

use clap::{Args, CommandFactory as _, ValueEnum};

use self::candidates::complete;
use self::known::Known;
use super::failure::Problem;
use super::{Cli, output};

/// Print a script that lets a shell complete command lines of spinreg.
///
/// Commands, flags and their values are completed, references and tags of what is in the cache, and registries that somebody
/// has logged in to. Each Tab asks this program, which reads names alone and makes no connection.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Problem> {
        let script = match self.shell {
            Shell::Bash => include_str!("completions/spinreg.bash"),
            Shell::Elvish => include_str!("completions/spinreg.elv"),
            Shell::Fish => include_str!("completions/spinreg.fish"),
            Shell::Powershell => include_str!("completions/spinreg.ps1"),
            Shell::Zsh => include_str!("completions/spinreg.zsh"),
        };
        Ok(output::page(script)?)
    }
}

/// Print what a command line could go on with, a line each: the word, and behind a tab what it is. For the scripts.
#[derive(Args)]
pub(crate) struct Complete {
    /// The word that is being typed, up to the cursor.
    #[arg(long, allow_hyphen_values = true, default_value = "")]
    current: String,

    /// The words before it, without the program itself.
    #[arg(last = true)]
    before: Vec<String>,
}

impl Complete {
    pub(super) fn run(self) -> Result<(), Problem> {
        let mut tool = Cli::command();
        tool.build();
        let found = complete(&tool, &self.before, &self.current, &Known);
        let lines: Vec<String> = found.iter().map(candidates::Candidate::line).collect();
        if lines.is_empty() { Ok(()) } else { Ok(output::page(&lines.join("\n"))?) }
    }
}

const EXAMPLES: &str = "\
Examples:
  source <(spinreg completions bash)                  (in ~/.bashrc)
  source <(spinreg completions zsh)                   (in ~/.zshrc, after `compinit`)
  spinreg completions fish | source                   (in ~/.config/fish/config.fish)
  spinreg completions powershell | Out-String | Invoke-Expression        (in $PROFILE)
  eval (spinreg completions elvish | slurp)           (in ~/.config/elvish/rc.elv)";
