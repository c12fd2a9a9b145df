//! `WWW-Authenticate`, read leniently (RFC 9110, section 11.6.1).
//!
//! Servers get this header wrong in every possible way, and a hostile one may try harder. So: raw bytes in, whatever
//! was understood out, malformed tails skipped, everything bounded, never a panic.

/// One challenge: how a server wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The scheme, in lower case: `bearer`, `basic`, `negotiate`…
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Returns the parameter called `name`, which is in lower case; the first one wins.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[cfg(feature = "fuzzing")]
    pub(super) fn into_parts(self) -> (String, Vec<(String, String)>) {
        (self.scheme, self.parameters)
    }
}

/// Reads the challenges of every `WWW-Authenticate` line, in order.
pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for line in lines {
        let line = &line[..line.len().min(MAX_LINE)];
        // A parameter belongs to the challenge before it on its own line, never to one of an earlier line.
        let mut current = None;
        let mut cursor = Cursor { line, at: 0 };
        while let Some(item) = cursor.item(current.is_some()) {
            match (item, &mut current) {
                (Item::Parameter(name, value), Some(challenge)) => adopt(challenge, name, value),
                (Item::Parameter(..), None) => {}
                (Item::Scheme(scheme), _) => challenges
                    .extend(current.replace(Challenge { scheme: scheme.to_ascii_lowercase(), parameters: Vec::new() })),
            }
        }
        challenges.extend(current);
        challenges.truncate(MAX_CHALLENGES);
    }
    challenges
}

fn adopt(challenge: &mut Challenge, name: String, value: String) {
    let name = name.to_ascii_lowercase();
    if challenge.parameters.len() < MAX_PARAMETERS && challenge.parameter(&name).is_none() {
        challenge.parameters.push((name, value));
    }
}

enum Item {
    Scheme(String),
    Parameter(String, String),
}

struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads the next scheme or parameter. Outside a challenge, `name =` begins one: a parameter needs a scheme.
    fn item(&mut self, inside: bool) -> Option<Item> {
        loop {
            // A semicolon is no separator, but some servers believe it is.
            self.take_while(|byte| is_space(byte) || byte == b',' || byte == b';');
            self.peek()?;
            let name = self.take_while(is_token);
            if name.is_empty() {
                self.at += 1; // junk: try again behind it
                continue;
            }
            let name = text(name);
            let spaced = !self.take_while(is_space).is_empty();
            if inside && self.peek() == Some(b'=') {
                self.at += 1;
                self.take_while(is_space);
                return Some(Item::Parameter(name, self.value()));
            }
            if spaced {
                self.skip_token68();
            }
            return Some(Item::Scheme(name));
        }
    }

    fn value(&mut self) -> String {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        // Wider than the grammar's token: unquoted URLs do occur.
        text(self.take_while(|byte| !is_space(byte) && byte != b',' && byte != b'"'))
    }

    fn quoted(&mut self) -> String {
        self.at += 1;
        let mut value = Vec::new();
        while let Some(byte) = self.next() {
            match byte {
                b'"' => break,
                b'\\' => value.extend(self.next()),
                _ => value.push(byte),
            }
        }
        text(&value)
    }

    /// Skips the `token68` of schemes that carry one (Negotiate, NTLM); we speak none of them.
    fn skip_token68(&mut self) {
        let start = self.at;
        let body = self.take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)).len();
        self.take_while(|byte| byte == b'=');
        self.take_while(is_space);
        // `realm="…"` begins the same way; only what ends here was a token68.
        if body == 0 || !matches!(self.peek(), None | Some(b',')) {
            self.at = start;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        &self.line[start..self.at]
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// UTF-8, or else the Latin-1 that HTTP headers once were.
fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Bytes of a line that are looked at; real ones have some hundred, with long scopes a few thousand.
const MAX_LINE: usize = 16 << 10;
/// Challenges that are kept; real servers send up to four.
const MAX_CHALLENGES: usize = 16;
/// Parameters of a challenge that are kept; Digest, the richest scheme, has nine.
const MAX_PARAMETERS: usize = 16;

#[cfg(test)]
mod tests;
