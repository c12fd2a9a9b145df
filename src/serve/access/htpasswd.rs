//! The password file: lines `USER:HASH` with bcrypt hashes, as `htpasswd -B` writes them.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use bcrypt::{BASE_64, HashParts};

use super::watched::Flaw;
use crate::model::excerpt;

/// Users and the hashes of their passwords.
#[derive(Debug)]
pub(super) struct Htpasswd {
    users: HashMap<Arc<str>, Hash>,
    decoy: Hash,
}

/// A bcrypt hash that can be verified. Is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash(Arc<str>);

impl Htpasswd {
    /// Parses the file. Empty lines and lines that begin with `#` are passed over.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let mut users = HashMap::new();
        let mut highest = LOWEST_DECOY;
        for (n, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim_end())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line may be a password in the wrong file: it is not repeated.
            let Some((user, hash)) = line.split_once(':') else {
                return Err(Flaw::at(n, "the line has no `:`"));
            };
            check_user(user).map_err(|said| Flaw::at(n, said))?;
            let (hash, cost) =
                Hash::parse(hash).map_err(|said| Flaw::at(n, format!("`{}` has {said}", excerpt(user))))?;
            highest = highest.max(cost);
            if users.insert(Arc::from(user), hash).is_some() {
                return Err(Flaw::at(n, format!("`{}` is there a second time", excerpt(user))));
            }
        }
        Ok(Self { users, decoy: Hash(format!("$2b${highest:02}${}", ".".repeat(HASH)).into()) })
    }

    /// Returns who this is, and the hash to hold the password to. An unknown user has one as well, which no password is
    /// known for: refusing takes as long as for those who are known.
    pub(super) fn find(&self, user: &str) -> (Option<Arc<str>>, Hash) {
        match self.users.get_key_value(user) {
            Some((user, hash)) => (Some(user.clone()), hash.clone()),
            None => (None, self.decoy.clone()),
        }
    }
}

impl Hash {
    /// Parses a hash and returns its cost with it; the error says what it is instead.
    fn parse(text: &str) -> Result<(Self, u32), String> {
        let scheme = text.get(..4).unwrap_or_default();
        if !matches!(scheme, "$2a$" | "$2b$" | "$2y$") {
            return Err(format!("{} instead of a bcrypt hash", scheme_of(text)));
        }
        let parts: HashParts = text.parse().map_err(|_| "a broken bcrypt hash".to_owned())?;
        let digits = text.get(7..).unwrap_or_default();
        let (salt, hash) = digits.split_at_checked(SALT).unwrap_or_default();
        if digits.len() != HASH || [salt, hash].iter().any(|part| BASE_64.decode(part).is_err()) {
            return Err("a broken bcrypt hash".to_owned());
        }
        match parts.get_cost() {
            cost @ ..=HIGHEST_COST => Ok((Self(text.into()), cost)),
            cost => Err(format!("a bcrypt hash of cost {cost}, and {HIGHEST_COST} is the highest that is worked off")),
        }
    }

    /// Returns the hash as it stands in the file.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Works out whether this is the hash of the password, which takes 2^cost rounds. The first 72 bytes of it count.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        bcrypt::verify(password, &self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash(***)")
    }
}

fn check_user(user: &str) -> Result<(), &'static str> {
    match user {
        "" => Err("the line has no user name"),
        "*" | "anonymous" => Err("this cannot be a user name: in rules it means everybody"),
        _ if user.starts_with('@') => Err("a user name cannot begin with `@`: in rules that is a group"),
        _ if user.len() > MAX_USER || user.chars().any(char::is_control) => {
            Err("a user name has at most 255 bytes and no control characters")
        }
        _ => Ok(()),
    }
}

/// Says what a hash is that is none of bcrypt's, without a piece of it.
fn scheme_of(text: &str) -> &'static str {
    const SCHEMES: [(&str, &str); 9] = [
        ("$apr1$", "an MD5 hash (`$apr1$`)"),
        ("$1$", "an MD5 hash (`$1$`)"),
        ("{SHA}", "a SHA-1 hash (`{SHA}`)"),
        ("{SSHA}", "a SHA-1 hash (`{SSHA}`)"),
        ("$5$", "a SHA-256 hash (`$5$`)"),
        ("$6$", "a SHA-512 hash (`$6$`)"),
        ("$2x$", "a hash of a broken kind of bcrypt (`$2x$`)"),
        ("$argon2", "an Argon2 hash"),
        ("$y$", "a yescrypt hash (`$y$`)"),
    ];
    let found = SCHEMES.iter().find(|(start, _)| text.starts_with(start));
    found.map_or("a DES hash, or plain text,", |(_, name)| name)
}

/// How long a salt is, in digits of bcrypt's own Base64.
const SALT: usize = 22;
/// How long salt and hash are together.
const HASH: usize = 53;
/// 2^15 rounds are some seconds; with one more a few wrong passwords would keep the machine busy for a minute.
const HIGHEST_COST: u32 = 15;
/// What an unknown user costs at least: the default of `htpasswd -B` is 5, that of most libraries 10 to 12.
const LOWEST_DECOY: u32 = 5;
/// As long as a repository name may be.
const MAX_USER: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    /// `correct horse`, at the lowest costs.
    const ADA: &str = "$2y$05$Dv89cAHVwZ2LSZfmYBkGbeNSkP25zPi5D9Q2pTy8W7r1I3I7uhbSC";

    #[test]
    fn passwords_are_held_to_their_hashes() {
        let file = Htpasswd::parse(&format!("# the team\n\nada:{ADA}\r\n")).expect("a password file");
        let (user, hash) = file.find("ada");
        assert_eq!(user.as_deref(), Some("ada"));
        assert!(hash.is_of(b"correct horse"));
        assert!(!hash.is_of(b"incorrect horse") && !hash.is_of(b""));
        let (nobody, decoy) = file.find("bob");
        assert_eq!(nobody, None);
        assert!(!decoy.is_of(b"correct horse") && !decoy.is_of(b""));
    }

    #[test]
    fn who_is_unknown_costs_as_much_as_who_is_known() {
        let costly = bcrypt::hash("x", 6).expect("a hash");
        let file = Htpasswd::parse(&format!("ada:{ADA}\nbob:{costly}")).expect("a password file");
        let (_, decoy) = file.find("eve");
        assert_eq!(decoy.0.parse::<HashParts>().expect("a hash").get_cost(), 6);
        assert_eq!(Hash::parse(&decoy.0).expect("a hash").1, 6, "it is worked off like any other");
    }

    #[test]
    fn other_hashes_are_refused_by_line_and_kind_and_never_shown() {
        for (line, said) in [
            ("ada:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "line 2: `ada` has an MD5 hash (`$apr1$`)"),
            ("ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "a SHA-1 hash (`{SHA}`)"),
            ("ada:$5$salt$hash", "a SHA-256 hash"),
            ("ada:$6$salt$hash", "a SHA-512 hash"),
            ("ada:hunter22", "a DES hash, or plain text, instead of a bcrypt hash"),
            ("ada:", "instead of a bcrypt hash"),
            ("ada:$2y$05$short", "a broken bcrypt hash"),
            ("ada:$2y$99$Dv89cAHVwZ2LSZfmYBkGbeNSkP25zPi5D9Q2pTy8W7r1I3I7uhbSC", "bcrypt hash"),
            ("ada:$2y$16$Dv89cAHVwZ2LSZfmYBkGbeNSkP25zPi5D9Q2pTy8W7r1I3I7uhbSC", "cost 16"),
            ("ada:$2y$05$Dv89cAHVwZ2LSZfmYBkGb!NSkP25zPi5D9Q2pTy8W7r1I3I7uhbSC", "a broken bcrypt hash"),
            ("hunter22", "no `:`"),
            (":x", "no user name"),
            ("@team:x", "is a group"),
            ("anonymous:x", "means everybody"),
            ("*:x", "means everybody"),
            ("a\u{7}:x", "control characters"),
        ] {
            let said_now = Htpasswd::parse(&format!("# users\n{line}\n")).expect_err(line).to_string();
            assert!(said_now.starts_with("line 2: ") && said_now.contains(said), "{line}: {said_now}");
            assert!(!["hunter22", "HqJZ", "W6ph", "Dv89"].iter().any(|hash| said_now.contains(hash)), "{said_now}");
        }
        let twice = Htpasswd::parse(&format!("ada:{ADA}\nada:{ADA}")).expect_err("two of one name").to_string();
        assert_eq!(twice, "line 2: `ada` is there a second time");
    }
}
