//! The files of a run: those that it writes, and those that it is measured by.

use std::path::{Path, PathBuf};

use super::Outputs;
use crate::cli::failure::Problem;
use crate::cli::misuse::Misuse;
use crate::conformance::report::{self, Strictness};
use crate::conformance::{Report, Verdicts};
use crate::disk::{self, Mode};
use crate::error::Error;

/// A file of verdicts.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) verdicts: Verdicts,
}

impl File {
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn read(path: &Path) -> Result<Self, Problem> {
        let bytes = disk::read_bounded(path, MAX_FILE)?;
        let bytes = bytes.ok_or_else(|| Error::io("read", path, std::io::ErrorKind::NotFound.into()))?;
        let text = String::from_utf8(bytes).map_err(|_| Misuse::ConfigEncoding(path.to_owned()))?;
        let verdicts = Verdicts::parse(&text);
        let verdicts = verdicts.map_err(|cause| Misuse::Results { path: path.to_owned(), cause: Box::new(cause) })?;
        Ok(Self { path: path.to_owned(), verdicts })
    }
}

/// What a run is measured by, and where its results go.
pub(super) struct Papers {
    pub(super) compare: Option<File>,
    pub(super) baseline: Option<File>,
    is_silent: bool,
    directory: Option<PathBuf>,
}

impl Papers {
    /// Reads what the run is to be measured by.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or has no verdicts.
    pub(super) fn open(outputs: &Outputs) -> Result<Self, Problem> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(File::read).transpose();
        let (compare, baseline) = (read(&outputs.compare)?, read(&outputs.baseline)?);
        Ok(Self { compare, baseline, is_silent: outputs.no_results, directory: None })
    }

    /// Makes the directory of the results, and finds out whether it can be written to: better now than after the run.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot.
    pub(super) fn for_directory(self, directory: &Path) -> Result<Self, Problem> {
        if self.is_silent {
            return Ok(self);
        }
        disk::create_dirs(directory)?;
        let failed = |error| Error::io("write to", directory, error);
        tempfile::Builder::new().prefix(".spinreg-").tempfile_in(directory).map_err(failed)?;
        Ok(Self { directory: Some(directory.to_owned()), ..self })
    }

    /// Writes results.yaml, junit.xml and report.html, each as a whole.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where one of them cannot be written.
    pub(super) fn write(&self, report: &Report, strictness: Strictness) -> Result<(), Problem> {
        let Some(directory) = &self.directory else { return Ok(()) };
        for (name, text) in [
            ("results.yaml", report::results(report)),
            ("junit.xml", report::junit(report)),
            (REPORT, report::html(report, strictness)),
        ] {
            disk::replace(&directory.join(name), text.as_bytes(), Mode::Shared)?;
        }
        Ok(())
    }

    /// Returns the path of report.html, if it is written.
    pub(super) fn report(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(REPORT))
    }
}

const REPORT: &str = "report.html";
/// Bytes of a file of verdicts that are read: the JSON of a run in which everything failed has some 20 MiB.
const MAX_FILE: u64 = 64 << 20;
