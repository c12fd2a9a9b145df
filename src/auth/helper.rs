//! Credential helpers: the programs `docker-credential-NAME` (docker-credential-helpers, "Development").

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Credential, Secret};
use crate::error::{Error, ParseError};

/// A credential helper.
#[derive(Clone, Debug)]
pub(crate) struct Helper {
    program: String,
    limit: Duration,
}

impl Helper {
    /// How long a helper may take, unless told otherwise: enough for one that asks a cloud, not for one that hangs.
    pub(crate) const LIMIT: Duration = Duration::from_secs(5);

    /// Names the helper `docker-credential-NAME`; `None` where that would be no program's name but a path.
    pub(crate) fn named(name: &str, limit: Duration) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let valid = !name.is_empty() && name.bytes().all(plain);
        valid.then(|| Self { program: format!("docker-credential-{name}"), limit })
    }

    /// Returns the name of the program.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Runs the helper once to ask what it has for `server`. `None` where it has nothing, and — with a warning —
    /// where it is not installed: configuration outlives the programs that it names, and much needs no credentials.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be run, fails, or is not done after the limit; it is killed then.
    /// [`Error::Parse`] where it talks nonsense. Neither repeats what it printed.
    pub(crate) async fn get(&self, server: &str) -> Result<Option<Credential>, Error> {
        let failed = |error| Error::io("run", &self.program, error);
        let answer = match tokio::time::timeout(self.limit, self.run(server)).await {
            Ok(answer) => answer,
            Err(_) => {
                let late = format!("it did not answer within {:?}", self.limit);
                return Err(failed(io::Error::new(io::ErrorKind::TimedOut, late)));
            }
        };
        match answer {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!("the credential helper `{}` is not installed; going on without", self.program);
                Ok(None)
            }
            Err(error) => Err(failed(error)),
            Ok((exit, output)) => self.understand(exit, &output),
        }
    }

    async fn run(&self, server: &str) -> io::Result<(Exit, Zeroizing<Vec<u8>>)> {
        let mut command = Command::new(&self.program);
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            match input.write_all(server.as_bytes()).await {
                // It may know its answer without reading the question.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        let mut output = Zeroizing::new(Vec::new());
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX + 1).read_to_end(&mut output).await?;
        }
        let status = child.wait().await?;
        let exit = if status.success() { Exit::Success } else { Exit::Failure(status.to_string()) };
        Ok((exit, output))
    }

    fn understand(&self, exit: Exit, output: &[u8]) -> Result<Option<Credential>, Error> {
        if let Exit::Failure(status) = exit {
            let printed = output.to_ascii_lowercase();
            if printed.windows(NOT_FOUND.len()).any(|window| window == NOT_FOUND) {
                return Ok(None);
            }
            return Err(Error::io("run", &self.program, io::Error::other(format!("it ended with {status}"))));
        }
        let answer: Answer = match serde_json::from_slice(output) {
            Ok(answer) if output.len() as u64 <= MAX => answer,
            _ => return Err(self.nonsense()),
        };
        Ok(match (answer.username.as_str(), answer.secret) {
            (_, secret) if secret.is_empty() => None,
            ("<token>", token) => Some(Credential::Identity { token }),
            (_, secret) => Some(Credential::Password { username: answer.username, secret }),
        })
    }

    fn nonsense(&self) -> Error {
        ParseError::new("the answer of the helper", &self.program, "JSON with `Username` and `Secret`").into()
    }
}

enum Exit {
    Success,
    Failure(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// What helpers print, and docker looks for, where they have nothing.
const NOT_FOUND: &[u8] = b"credentials not found";
/// Bytes of an answer: a Google key, the longest secret known, has some 2 400.
const MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn helper() -> Helper {
        Helper::named("test", Helper::LIMIT).expect("a plain name")
    }

    #[test]
    fn answers_are_understood() {
        let password = Credential::Password { username: "ada".into(), secret: Secret::new("pw") };
        let identity = Credential::Identity { token: Secret::new("tok") };
        for (answer, expected) in [
            (r#"{"ServerURL":"https://r.example","Username":"ada","Secret":"pw"}"#, Some(password)),
            (r#"{"Username":"<token>","Secret":"tok"}"#, Some(identity)),
            (r#"{"Username":"","Secret":""}"#, None),
        ] {
            let understood = helper().understand(Exit::Success, answer.as_bytes());
            assert_eq!(understood.expect(answer), expected);
        }
    }

    #[test]
    fn nothing_found_is_no_error() {
        for output in ["credentials not found in native keychain\n", "Credentials not found"] {
            let understood = helper().understand(Exit::Failure("exit status: 1".into()), output.as_bytes());
            assert_eq!(understood.expect(output), None);
        }
    }

    #[test]
    fn errors_do_not_repeat_what_was_printed() {
        for (exit, output, message) in [
            (Exit::Failure("exit status: 3".into()), "hunter2", "cannot run `docker-credential-test`"),
            (
                Exit::Success,
                r#"{"Username":"ada","Secret":["hunter2"]}"#,
                "the answer of the helper `docker-credential-test` expects JSON with `Username` and `Secret`",
            ),
        ] {
            let error = helper().understand(exit, output.as_bytes()).expect_err(output);
            assert_eq!(error.to_string(), message);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_helper_is_a_name_and_not_a_path() {
        for (name, valid) in
            [("pass", true), ("ecr-login", true), ("", false), ("../x", false), ("a b", false), ("a/b", false)]
        {
            assert_eq!(Helper::named(name, Helper::LIMIT).is_some(), valid, "{name}");
        }
    }
}
