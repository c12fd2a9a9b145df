//! `spinreg man`.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, ValueEnum};

use super::failure::Problem;
use super::manual::{Page, markdown, roff};
use super::misuse::Misuse;
use super::{Cli, output};
use crate::error::Error;

/// Print the manual page of a command, or write all of them.
///
/// They are made of what `--help` says, so they are those of this very program.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// The command, such as `push` or `manifest get` [default: spinreg itself].
    #[arg(conflicts_with = "dir")]
    command: Vec<String>,

    /// In which form.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Form::Roff)]
    format: Form,

    /// Write the pages of all commands into this directory, which is made: `spinreg.1`, `spinreg-push.1` and so on.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A form of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// What `man` reads.
    Roff,
    /// One document in Markdown, with the commands below the one that is named.
    Markdown,
}

impl Man {
    pub(super) fn run(self) -> Result<(), Problem> {
        let mut tool = Cli::command();
        tool.build();
        let page = Page::of(&tool);
        if let Some(directory) = self.dir {
            return Ok(self.format.write(&page, &directory)?);
        }
        let page = self.command.iter().try_fold(&page, |page, word| {
            page.below.iter().find(|page| page.word() == word).ok_or_else(|| Misuse::NoCommand(self.command.join(" ")))
        })?;
        let text = match self.format {
            Form::Roff => roff(page),
            Form::Markdown => markdown(page),
        };
        Ok(output::page(&text)?)
    }
}

impl Form {
    fn write(self, page: &Page, directory: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, error))?;
        let write = |name: String, text: String| {
            let file = directory.join(name);
            std::fs::write(&file, text).map_err(|error| Error::io("write", file, error))
        };
        match self {
            Self::Markdown => write("commands.md".to_owned(), markdown(page)),
            Self::Roff => page.all().into_iter().try_for_each(|page| write(format!("{}.1", page.file()), roff(page))),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  spinreg man push | man -l -
  spinreg man --dir ~/.local/share/man/man1
  spinreg man --format markdown > docs/commands.md      (the reference in this project's docs)";
