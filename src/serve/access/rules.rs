//! The rules: who may do what with which repositories.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::door::Anonymous;
use super::pattern::Pattern;
use super::scope::Actions;
use super::watched::Flaw;
use crate::model::{Name, excerpt};

/// In whose name something is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Nobody's: there were no credentials.
    Anonymous,
    /// This user's, who has shown the password, or a token for it.
    User(Arc<str>),
}

impl Caller {
    pub(super) fn user(&self) -> Option<&Arc<str>> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }
}

/// Who may do what. What one rule allows no other one takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    who: Vec<Who>,
    repositories: Vec<Pattern>,
    allow: Actions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// `anonymous`: everybody, with a password or without.
    Anybody,
    /// `*`: everybody who has a password.
    AnyUser,
    User(String),
}

impl Rules {
    /// Allows everything to everybody who has a password.
    pub(super) fn permissive() -> Self {
        Self(vec![Rule { who: vec![Who::AnyUser], repositories: everything(), allow: Actions::ALL }])
    }

    /// Parses a file of rules.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let line =
            |offset: usize| text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
        let document: Document = toml::from_str(text).map_err(|error| match error.span() {
            Some(span) => Flaw::at(line(span.start), error.message().to_owned()),
            None => Flaw::somewhere(error.message().to_owned()),
        })?;
        let rules = document.rule.iter().map(|rule| rule.resolve(&document.groups, &line));
        rules.collect::<Result<_, _>>().map(Self)
    }

    fn allowed(&self, caller: &Caller, name: &Name) -> Actions {
        let user = caller.user().map(|user| &**user);
        let about = self.0.iter().filter(|rule| {
            rule.who.iter().any(|who| who.includes(user))
                && rule.repositories.iter().any(|pattern| pattern.matches(name, user))
        });
        about.map(|rule| rule.allow).collect()
    }
}

/// The rules as they are at one moment, with what is allowed besides.
#[derive(Clone, Debug)]
pub(super) struct Ruling {
    pub(super) rules: Arc<Rules>,
    pub(super) anonymous: Anonymous,
}

impl Ruling {
    /// Returns what `caller` may do with a repository.
    pub(super) fn allowed(&self, caller: &Caller, name: &Name) -> Actions {
        match self.anonymous {
            Anonymous::MayPull => Actions::PULL | self.rules.allowed(caller, name),
            Anonymous::ByRules => self.rules.allowed(caller, name),
        }
    }

    /// Says whether there is anything that anybody may do without a password.
    pub(super) fn welcomes_anybody(&self) -> bool {
        self.anonymous == Anonymous::MayPull || self.rules.0.iter().any(|rule| rule.who.contains(&Who::Anybody))
    }
}

impl Who {
    fn includes(&self, user: Option<&str>) -> bool {
        match self {
            Self::Anybody => true,
            Self::AnyUser => user.is_some(),
            Self::User(name) => user == Some(name),
        }
    }
}

fn everything() -> Vec<Pattern> {
    vec![Pattern::parse("**").expect("a pattern")]
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    groups: BTreeMap<String, Vec<Spanned<String>>>,
    #[serde(default)]
    rule: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    who: Spanned<Vec<Spanned<String>>>,
    repositories: Vec<Spanned<String>>,
    allow: Vec<Action>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Pull,
    Push,
    Delete,
}

impl Written {
    fn resolve(
        &self,
        groups: &BTreeMap<String, Vec<Spanned<String>>>,
        line: &impl Fn(usize) -> usize,
    ) -> Result<Rule, Flaw> {
        let mut who = Vec::new();
        for word in self.who.as_ref() {
            let at = |said: String| Flaw::at(line(word.span().start), said);
            match word.as_ref().as_str() {
                "anonymous" => who.push(Who::Anybody),
                "*" => who.push(Who::AnyUser),
                name => match name.strip_prefix('@') {
                    None => who.push(Who::User(name.to_owned())),
                    Some(group) => {
                        let members = groups.get(group);
                        let missing = || at(format!("there is no group `{}`", excerpt(group)));
                        for member in members.ok_or_else(missing)? {
                            who.push(Who::User(member_of(member, line)?));
                        }
                    }
                },
            }
        }
        let patterns = self.repositories.iter().map(|text| {
            Pattern::parse(text.as_ref()).map_err(|error| Flaw::at(line(text.span().start), error.to_string()))
        });
        let repositories = patterns.collect::<Result<_, _>>()?;
        let allow: Actions = self.allow.iter().map(|action| action.actions()).collect();
        if who.contains(&Who::Anybody) && !Actions::PULL.contains(allow) {
            let said = "`anonymous` may pull and nothing else: who pushes or deletes has a name";
            return Err(Flaw::at(line(self.who.span().start), said));
        }
        Ok(Rule { who, repositories, allow })
    }
}

impl Action {
    fn actions(self) -> Actions {
        match self {
            Self::Pull => Actions::PULL,
            Self::Push => Actions::PUSH,
            Self::Delete => Actions::DELETE,
        }
    }
}

/// A group of groups, or of everybody, would be mistaken for a user of that name.
fn member_of(member: &Spanned<String>, line: &impl Fn(usize) -> usize) -> Result<String, Flaw> {
    let name = member.as_ref();
    if name.starts_with('@') || name == "*" || name == "anonymous" {
        let said = format!("`{}` cannot be in a group: groups have users", excerpt(name));
        return Err(Flaw::at(line(member.span().start), said));
    }
    Ok(name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[groups]
team = ["ada", "grace"]

[[rule]]
who = ["@team"]
repositories = ["team/**"]
allow = ["pull", "push", "delete"]

[[rule]]
who = ["*"]
repositories = ["team/*", "users/{user}/**"]
allow = ["pull"]

[[rule]]
who = ["ci"]
repositories = ["team/app"]
allow = ["push"]

[[rule]]
who = ["anonymous"]
repositories = ["public/**"]
allow = ["pull"]
"#;

    fn ruling(rules: Rules, anonymous: Anonymous) -> Ruling {
        Ruling { rules: Arc::new(rules), anonymous }
    }

    fn allowed(ruling: &Ruling, user: &str, name: &str) -> String {
        let caller = if user.is_empty() { Caller::Anonymous } else { Caller::User(user.into()) };
        ruling.allowed(&caller, &name.parse().expect(name)).to_string()
    }

    #[test]
    fn rules_add_up() {
        let rules = ruling(Rules::parse(FILE).expect("rules"), Anonymous::ByRules);
        assert!(rules.welcomes_anybody());
        for (user, name, expected) in [
            ("ada", "team/app", "pull,push,delete"),
            ("grace", "team/a/b", "pull,push,delete"),
            ("ci", "team/app", "pull,push"),
            ("ci", "team/a/b", ""),
            ("bob", "team/app", "pull"),
            ("bob", "users/bob/x", "pull"),
            ("bob", "users/ada/x", ""),
            ("bob", "public/x", "pull"),
            ("", "public/x", "pull"),
            ("", "team/app", ""),
            ("", "users/bob/x", ""),
            ("team", "team/app", "pull"),
        ] {
            assert_eq!(allowed(&rules, user, name), expected, "{user} {name}");
        }
    }

    #[test]
    fn without_a_file_a_password_is_enough() {
        let all = ruling(Rules::permissive(), Anonymous::ByRules);
        assert_eq!(allowed(&all, "ada", "x"), "pull,push,delete");
        assert_eq!((allowed(&all, "", "x"), all.welcomes_anybody()), (String::new(), false));
        let public = ruling(Rules::permissive(), Anonymous::MayPull);
        assert_eq!((allowed(&public, "", "x"), public.welcomes_anybody()), ("pull".to_owned(), true));
        let none = ruling(Rules::parse("").expect("no rules are rules"), Anonymous::ByRules);
        assert_eq!(allowed(&none, "ada", "x"), "");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let rule = |who: &str, names: &str, allow: &str| {
            format!("\n[[rule]]\nwho = [{who}]\nrepositories = [{names}]\nallow = [{allow}]\n")
        };
        for (text, said) in [
            (rule("\"@team\"", "", ""), "line 3: there is no group `team`"),
            (rule("\"ada\"", "\"A\"", ""), "line 4: pattern `A`"),
            (rule("\"ada\"", "\"a\"", "\"write\""), "line 5: unknown variant `write`"),
            (rule("\"anonymous\"", "\"a\"", "\"pull\", \"push\""), "line 3: `anonymous` may pull and nothing else"),
            ("[[rules]]\n".to_owned(), "unknown field `rules`"),
            ("[[rule]]\nwho = []\nallow = []\n".to_owned(), "missing field `repositories`"),
            (
                "[groups]\nteam = [\"@x\"]\n".to_owned() + &rule("\"@team\"", "", ""),
                "line 2: `@x` cannot be in a group",
            ),
            ("who = ".to_owned(), "line 1: "),
        ] {
            let flaw = Rules::parse(&text).expect_err(&text).to_string();
            assert!(flaw.contains(said), "{text}: {flaw}");
        }
    }
}
