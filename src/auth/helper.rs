//! Credential helpers: the programs `docker-credential-NAME` (docker-credential-helpers, "Development").

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::{Credential, Secret};
use crate::error::{HelperFailure, HelperTrouble};

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

    /// Asks for each of `servers` in turn; returns what it has for the first one that it knows, and which one that is.
    ///
    /// # Errors
    ///
    /// As for [`Self::get`]: one that fails for the first name is not asked for the others.
    pub(crate) async fn first<'a>(
        &self,
        servers: &'a [String],
    ) -> Result<Option<(&'a str, Credential)>, HelperFailure> {
        for server in servers {
            if let Some(credential) = self.get(server).await? {
                return Ok(Some((server, credential)));
            }
        }
        Ok(None)
    }

    /// Runs the helper once to ask what it has for `server`; `None` where it has nothing.
    ///
    /// # Errors
    ///
    /// [`HelperFailure`] where it is not installed, cannot be run, fails, talks nonsense, or is not done after the limit:
    /// it is killed then, with whatever it has started. So it is where the future is dropped before its end.
    pub(crate) async fn get(&self, server: &str) -> Result<Option<Credential>, HelperFailure> {
        let answer = match tokio::time::timeout(self.limit, self.run("get", server)).await {
            Ok(answer) => answer,
            Err(_) => return Err(self.failed(HelperTrouble::Late(self.limit))),
        };
        match answer {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.failed(HelperTrouble::Missing)),
            Err(error) => Err(self.failed(HelperTrouble::Broken(error.kind()))),
            Ok((status, output)) if status.success() => self.understand(&output),
            Ok((status, output)) => match says_not_found(&output) {
                true => Ok(None),
                false => Err(self.failed(HelperTrouble::Ended(status.code()))),
            },
        }
    }

    /// Runs the helper once to ask for which servers it has something, and for whom. Not every helper knows them all.
    ///
    /// # Errors
    ///
    /// As for [`Self::get`].
    pub(crate) async fn list(&self) -> Result<BTreeMap<String, String>, HelperFailure> {
        match tokio::time::timeout(self.limit, self.run("list", "")).await {
            Err(_) => Err(self.failed(HelperTrouble::Late(self.limit))),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(self.failed(HelperTrouble::Missing)),
            Ok(Err(error)) => Err(self.failed(HelperTrouble::Broken(error.kind()))),
            Ok(Ok((status, _))) if !status.success() => Err(self.failed(HelperTrouble::Ended(status.code()))),
            Ok(Ok((_, output))) => self.understand_list(&output),
        }
    }

    /// Reads a list of servers and users.
    pub(super) fn understand_list(&self, output: &[u8]) -> Result<BTreeMap<String, String>, HelperFailure> {
        match serde_json::from_slice::<BTreeMap<String, String>>(output) {
            // One that answers everything as if it was asked for a secret must not have it shown.
            Ok(list) if output.len() as u64 <= MAX && !list.contains_key("Secret") => Ok(list),
            _ => Err(self.failed(HelperTrouble::Unlisted)),
        }
    }

    async fn run(&self, verb: &str, server: &str) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>)> {
        let mut command = Command::new(&self.program);
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        for name in OURS {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let brood = Brood::of(&child);
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
        // What it leaves behind now, an agent for instance, it has left on purpose.
        brood.release();
        Ok((status, output))
    }

    /// Reads the answer of a helper that succeeds.
    pub(super) fn understand(&self, output: &[u8]) -> Result<Option<Credential>, HelperFailure> {
        let answer: Answer = match serde_json::from_slice(output) {
            Ok(answer) if output.len() as u64 <= MAX => answer,
            _ => return Err(self.failed(HelperTrouble::Nonsense)),
        };
        Ok(match (answer.username.as_str(), answer.secret) {
            (_, secret) if secret.is_empty() => None,
            ("<token>", token) => Some(Credential::Identity { token }),
            (_, secret) => Some(Credential::Password { username: answer.username, secret }),
        })
    }

    fn failed(&self, trouble: HelperTrouble) -> HelperFailure {
        HelperFailure { program: self.program.clone(), trouble }
    }
}

/// A helper that runs, and the programs that it has started: a script that hangs mostly waits for one of them. Dropping it
/// kills them all.
struct Brood {
    /// The number of their process group, which is the helper's own.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

impl Brood {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { group: id.and_then(rustix::process::Pid::from_raw) }
    }

    /// The helper itself ends with its handle; nothing tells us what it has started.
    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }

    /// Lets them live.
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there is nothing to forget"))]
    fn release(mut self) {
        #[cfg(unix)]
        {
            self.group = None;
        }
    }
}

#[cfg(unix)]
impl Drop for Brood {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // The helper has not been waited for, so the number still is its own.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Says whether a helper that failed only had nothing to give.
fn says_not_found(output: &[u8]) -> bool {
    let printed = output.to_ascii_lowercase();
    printed.windows(NOT_FOUND.len()).any(|window| window == NOT_FOUND)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Variables with secrets that are for us. All others a helper may need: how to reach its cloud, and who it is there.
const OURS: [&str; 3] = ["SPINREG_PASSWORD", "SPINREG_TOKEN", "DOCKER_AUTH_CONFIG"];
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
            assert_eq!(helper().understand(answer.as_bytes()).expect(answer), expected);
        }
        for (printed, expected) in [
            ("credentials not found in native keychain\n", true),
            ("Credentials not found", true),
            ("no credentials", false),
        ] {
            assert_eq!(says_not_found(printed.as_bytes()), expected, "{printed}");
        }
    }

    #[test]
    fn failures_do_not_repeat_what_was_printed() {
        let long = format!(r#"{{"Username":"ada","Secret":"hunter2{}"}}"#, "x".repeat(MAX as usize));
        for output in [r#"{"Username":"ada","Secret":["hunter2"]}"#, "hunter2", "", &long] {
            let failure = helper().understand(output.as_bytes()).expect_err("nonsense");
            let said =
                "the credential helper `docker-credential-test` does not answer in JSON with `Username` and `Secret`";
            assert_eq!(failure.to_string(), said);
            assert!(!format!("{failure:?}").contains("hunter2"));
        }
        for (trouble, said) in [
            (HelperTrouble::Missing, "is not installed"),
            (HelperTrouble::Broken(io::ErrorKind::PermissionDenied), "cannot be run: permission denied"),
            (HelperTrouble::Ended(Some(3)), "ended with exit code 3"),
            (HelperTrouble::Ended(None), "was killed"),
            (HelperTrouble::Late(Helper::LIMIT), "did not answer within 5s"),
        ] {
            assert_eq!(
                helper().failed(trouble).to_string(),
                format!("the credential helper `docker-credential-test` {said}")
            );
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
