//! What is judged, how and as whom: flags before `OCI_*` variables before the file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Conformance, Login, Reading};
use crate::auth::{Credential, Exposure, Found, Given, Secret};
use crate::cli::credentials::{self, COMMAND_LINE};
use crate::cli::failure::Problem;
use crate::cli::misuse::Misuse;
use crate::cli::options::{Account, Connection};
use crate::cli::server::{Scheme, Server};
use crate::conformance::{Settings, Tls};
use crate::disk;
use crate::error::Error;
use crate::model::{Location, Name, ParseError, Reference, Registry};
use crate::transport;

/// A registry and perhaps a repository, as typed: `[http[s]://]HOST[:PORT][/NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    registry: Registry,
    scheme: Scheme,
    repository: Option<Name>,
}

impl FromStr for Target {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let start = text.find("://").map_or(0, |at| at + 3);
        let end = text[start..].find('/').map_or(text.len(), |at| start + at);
        let Server { registry, scheme, .. } = text[..end].parse()?;
        let rest = text[end..].trim_matches('/');
        let within = |error: ParseError| error.within("repository", text, end + 1);
        let repository = if rest.is_empty() { None } else { Some(rest.parse().map_err(within)?) };
        Ok(Self { registry, scheme, repository })
    }
}

/// Everything that a run is told.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) connection: Connection,
    pub(super) scheme: Scheme,
    pub(super) exposure: Exposure,
    /// Credentials for this run alone.
    pub(super) given: Option<Given>,
}

impl Plan {
    /// Puts the plan together; `own` is the registry of `--self`. May ask for a password. Makes no request.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and whatever makes no sense.
    pub(super) fn make(flags: &Conformance, own: Option<Registry>) -> Result<Self, Problem> {
        let file = configuration()?;
        let version = flags.version.clone();
        let variable = |name: &str| match name {
            "OCI_VERSION" if version.is_some() => version.clone(),
            _ => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        };
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let mut settings = Settings::load(variable, file).map_err(|error| Misuse::Settings(Box::new(error)))?;
        aim(&mut settings, flags, own);
        narrow(&mut settings, flags);
        let Conformance { connection, account, .. } = flags;
        let scheme = if settings.tls == Tls::Disabled { Scheme::Http } else { Scheme::Https };
        let connection =
            Connection { insecure: settings.tls == Tls::Insecure, plain_http: false, ..connection.clone() };
        // Who writes both into the settings of the suite means both.
        let is_meant = settings.tls == Tls::Disabled && !settings.username.is_empty() && account.username.is_none();
        let exposure = if is_meant { Exposure::Allowed } else { Exposure::Guarded };
        let given = identify(&mut settings, account)?;
        Ok(Self { settings, connection, scheme, exposure, given })
    }
}

/// Takes down what has turned out since the plan was made, for the report.
pub(super) fn settle(settings: &mut Settings, scheme: transport::Scheme, found: Option<&Found>) {
    if scheme == transport::Scheme::Http {
        settings.tls = Tls::Disabled;
    }
    if let (Some(found), true) = (found, settings.username.is_empty()) {
        // A token has no name; that somebody is logged in is what the report has to say.
        settings.username = match found.credential.username() {
            "" => "token".to_owned(),
            name => name.to_owned(),
        };
    }
}

/// Reads the file that `OCI_CONFIGURATION` names, or else the one in the working directory, if it is there.
fn configuration() -> Result<Option<(String, String)>, Problem> {
    let named = std::env::var_os("OCI_CONFIGURATION").filter(|name| !name.is_empty()).map(PathBuf::from);
    let path = named.as_deref().unwrap_or(Path::new(Settings::FILE));
    let bytes = match (disk::read_bounded(path, MAX_FILE)?, &named) {
        (Some(bytes), _) => bytes,
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Error::io("read", path, std::io::ErrorKind::NotFound.into()).into()),
    };
    let text = String::from_utf8(bytes).map_err(|_| Misuse::ConfigEncoding(path.to_owned()))?;
    Ok(Some((path.display().to_string(), text)))
}

/// Says which registry and repositories.
fn aim(settings: &mut Settings, flags: &Conformance, own: Option<Registry>) {
    let usual = Settings::default();
    if let Some(registry) = own {
        (settings.registry, settings.tls) = (registry, Tls::Disabled);
        return;
    }
    if let Some(Target { registry, scheme, repository }) = &flags.target {
        settings.registry = registry.clone();
        match scheme {
            Scheme::Unsaid => {}
            Scheme::Http => settings.tls = Tls::Disabled,
            Scheme::Https => settings.tls = Tls::Enabled,
        }
        if let Some(name) = repository {
            settings.repo1 = name.clone();
            // Beside the one that was named: who may push there can mostly push here.
            if let (true, Ok(beside)) = (settings.repo2 == usual.repo2, format!("{name}-2").parse()) {
                settings.repo2 = beside;
            }
        }
    }
    if let Some(name) = &flags.repo2 {
        settings.repo2 = name.clone();
    }
    if flags.connection.insecure {
        settings.tls = Tls::Insecure;
    }
    if flags.connection.plain_http {
        settings.tls = Tls::Disabled;
    }
}

/// Says what is judged there, and where the results go.
fn narrow(settings: &mut Settings, flags: &Conformance) {
    if let Some(filter) = &flags.filter {
        settings.filter.clone_from(filter);
    }
    if let Some(directory) = &flags.outputs.results {
        settings.results.clone_from(directory);
    }
    let Reading { read_only, tags, manifests, blobs, subjects } = &flags.reading;
    if *read_only {
        let apis = &mut settings.apis;
        apis.push = false;
        apis.blobs.upload_cancel = false;
        for delete in [&mut apis.blobs.delete, &mut apis.manifests.delete, &mut apis.tags.delete] {
            *delete = false;
        }
    }
    settings.seed = flags.seed.or(settings.seed);
    settings.read_only.tags.extend(tags.iter().cloned());
    settings.read_only.manifests.extend(manifests);
    settings.read_only.blobs.extend(blobs);
    settings.read_only.referrers.extend(subjects);
}

/// Finds the credentials that are given outright: by flags, by the settings, by `SPINREG_*` variables.
fn identify(settings: &mut Settings, login: &Login) -> Result<Option<Given>, Problem> {
    let given = |settings: &Settings, source: &str| {
        let (username, secret) = (settings.username.clone(), settings.password.clone());
        let found = Found { credential: Credential::Password { username, secret }, source: source.to_owned() };
        Given::new(settings.registry.clone(), found)
    };
    if let Some(username) = &login.username {
        credentials::check_username(username)?;
        let secret = match &login.password {
            Some(password) if password.is_empty() => return Err(Misuse::EmptySecret("password").into()),
            Some(password) => Secret::new(password.clone()),
            None if login.password_stdin => credentials::secret_from_stdin("password")?,
            None if !settings.password.is_empty() => settings.password.clone(),
            None => credentials::ask_secret("Password: ")?,
        };
        (settings.username, settings.password) = (username.clone(), secret);
        return Ok(Some(given(settings, COMMAND_LINE)));
    }
    // As the official suite has it: one without the other is nothing.
    if !settings.username.is_empty() && !settings.password.is_empty() {
        return Ok(Some(given(settings, "the settings of the suite")));
    }
    settings.username.clear();
    let account = Account { username: None, password_stdin: false, token_stdin: false };
    let repository = Reference::new(settings.registry.clone(), settings.repo1.clone(), None, None);
    credentials::given(&account, &Location::Registry(repository))
}

/// Bytes of a configuration file that are read: some hundred times the longest that makes sense.
const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_and_repositories() {
        for (text, registry, scheme, repository) in [
            ("r.example", "r.example", Scheme::Unsaid, None),
            ("r.example:5000/", "r.example:5000", Scheme::Unsaid, None),
            ("r.example/ada/app", "r.example", Scheme::Unsaid, Some("ada/app")),
            ("http://[::1]:5000/a", "[::1]:5000", Scheme::Http, Some("a")),
            ("https://r.example/", "r.example", Scheme::Https, None),
        ] {
            let target: Target = text.parse().expect(text);
            let found = (target.registry.as_str(), target.scheme, target.repository.as_ref().map(Name::as_str));
            assert_eq!(found, (registry, scheme, repository), "{text}");
        }
        for (text, said) in [("", "a host"), ("r.example/UP", "repository"), ("ada:hunter2@r.example/a", "user name")] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(said) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
