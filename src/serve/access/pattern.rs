//! Patterns of repository names, such as `team/*`.

use crate::model::{Name, ParseError};

/// A set of repositories.
///
/// A pattern has components, separated by `/`, as names do. In a component `*` stands for any text, and the component
/// `{user}` for the name of who asks; the component `**` stands for any number of components, one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Component>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// `**`
    Many,
    /// `{user}`
    User,
    /// Text with `*` in it, or none.
    Text(String),
}

impl Pattern {
    /// Parses a pattern.
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        let refuse = |expected| ParseError::new("pattern", text, expected);
        if text.len() > MAX_LENGTH {
            return Err(refuse("at most 512 bytes"));
        }
        let components = text.split('/').map(|component| match component {
            "**" => Ok(Component::Many),
            "{user}" => Ok(Component::User),
            text if text.contains("**") => Err(refuse("`**` to be a component of its own")),
            // With the stars filled in it has to be something that a name can have.
            text if text.replace('*', "a").parse::<Name>().is_err() => {
                Err(refuse("the components of a repository name, `*`, `**` or `{user}`, separated by `/`"))
            }
            text => Ok(Component::Text(text.to_owned())),
        });
        let components: Vec<_> = components.collect::<Result<_, _>>()?;
        if components.iter().filter(|component| **component == Component::Many).count() > MAX_MANY {
            return Err(refuse("`**` twice at most"));
        }
        Ok(Self(components))
    }

    /// Says whether the repository is one of them, for this user.
    pub(super) fn matches(&self, name: &Name, user: Option<&str>) -> bool {
        let names: Vec<&str> = name.as_str().split('/').collect();
        fits(&self.0, &names, user)
    }
}

fn fits(pattern: &[Component], names: &[&str], user: Option<&str>) -> bool {
    match (pattern, names) {
        ([], []) => true,
        ([Component::Many, rest @ ..], [_, tail @ ..]) => fits(rest, tail, user) || fits(pattern, tail, user),
        ([component, rest @ ..], [name, tail @ ..]) => component.is(name, user) && fits(rest, tail, user),
        ([], _) | (_, []) => false,
    }
}

impl Component {
    fn is(&self, name: &str, user: Option<&str>) -> bool {
        match self {
            Self::Many => true,
            Self::User => user == Some(name),
            Self::Text(pattern) => fits_text(pattern, name).is_some(),
        }
    }
}

/// Finds the pieces between the stars one after the other, each as early as it can be.
fn fits_text(pattern: &str, text: &str) -> Option<()> {
    let mut pieces = pattern.split('*');
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let Some(last) = pieces.next_back() else { return rest.is_empty().then_some(()) };
    rest = rest.strip_suffix(last)?;
    for piece in pieces {
        rest = &rest[rest.find(piece)? + piece.len()..];
    }
    Some(())
}

/// A name has 255 bytes at most.
const MAX_LENGTH: usize = 512;

/// Each one tries all ends that it may have.
const MAX_MANY: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_sets_of_names() {
        for (pattern, inside, outside) in [
            ("app", &["app"][..], &["apps", "a/app", "app/a"][..]),
            ("*", &["app", "a"], &["a/b"]),
            ("**", &["app", "a/b", "a/b/c"], &[]),
            ("team/*", &["team/a"], &["team", "team/a/b", "teams/a"]),
            ("team/**", &["team/a", "team/a/b"], &["team", "teams/a"]),
            ("**/cache", &["a/cache", "a/b/cache"], &["cache", "a/cache/b"]),
            ("a/**/z", &["a/b/z", "a/b/c/z", "a/z/z"], &["a/z", "a/b"]),
            ("**/x/**", &["a/x/b", "a/x/x/b"], &["x/b", "a/x"]),
            ("app-*", &["app-1", "app-a-b"], &["app", "app-a/b"]),
            ("*-app", &["my-app", "app-app"], &["app"]),
            ("a*b*c", &["abc", "axbxc", "abbcc"], &["acb", "ab"]),
            ("ab*ba", &["abba", "abxba"], &["aba"]),
            ("users/{user}", &["users/ada"], &["users/bob", "users/ada/x"]),
            ("users/{user}/**", &["users/ada/x"], &["users/ada", "users/bob/x"]),
        ] {
            let parsed = Pattern::parse(pattern).expect(pattern);
            for (names, expected) in [(inside, true), (outside, false)] {
                for name in names {
                    assert_eq!(parsed.matches(&name.parse().expect(name), Some("ada")), expected, "{pattern} {name}");
                }
            }
        }
        let own = Pattern::parse("{user}/**").expect("a pattern");
        assert!(!own.matches(&"ada/x".parse().expect("a name"), None), "nobody has a name of his own");
    }

    #[test]
    fn what_no_name_can_be_is_refused() {
        let long = "a/".repeat(300);
        for text in ["", "/", "a/", "/a", "A", "a b", "..", "a/../b", "a**", "**a/b", "{ada}", "a/**/**/**", &long] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
