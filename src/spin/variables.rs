//! Variables of an application, and the templates that use them.

use std::collections::BTreeMap;

use serde_spanned::Spanned;

use super::document::{Flaw, Item};
use super::error::Problem;
use super::lock_file::LockedVariable;

/// One entry of `[variables]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) description: Option<String>,
    pub(super) required: bool,
    pub(super) default: Option<String>,
    pub(super) secret: bool,
}

impl Variable {
    pub(super) fn parse(item: Item<'_>) -> Result<Self, Flaw> {
        let mut table = item.table()?;
        table.only(&["description", "required", "default", "secret"])?;
        let mut text = |key| table.take(key).map(|item| item.text().map(Spanned::into_inner)).transpose();
        let (description, default) = (text("description")?, text("default")?);
        let mut flag = |key| table.take(key).map_or(Ok(false), Item::boolean);
        Ok(Self { description, default, required: flag("required")?, secret: flag("secret")? })
    }
}

/// Resolves the variables for the lock file: each is either required or has a default.
pub(super) fn lock(variables: &BTreeMap<String, Spanned<Variable>>) -> Result<BTreeMap<String, LockedVariable>, Flaw> {
    let one = |(name, spanned): (&String, &Spanned<Variable>)| {
        let Variable { description, required, default, secret } = spanned.get_ref().clone();
        let rule = match (required, &default) {
            (true, Some(_)) => "has both `required = true` and a `default`; keep one of them",
            (false, None) => "has neither `required = true` nor a `default`; give it one of them",
            _ => {
                let locked = LockedVariable { description, default, secret, ..LockedVariable::default() };
                return Ok((name.clone(), locked));
            }
        };
        Err(Flaw::at(spanned.span(), Problem::Conflict { what: format!("the variable `{name}`"), rule }))
    };
    variables.iter().map(one).collect()
}

/// A text with `{{ variable }}` in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template<'t>(Vec<Part<'t>>);

#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Variable(&'t str),
}

impl<'t> Template<'t> {
    /// Takes a text apart; `None` where a `{{` has no `}}`.
    pub(super) fn parse(mut text: &'t str) -> Option<Self> {
        let mut parts = Vec::new();
        while let Some((before, after)) = text.split_once("{{") {
            let (name, rest) = after.split_once("}}")?;
            parts.push(Part::Text(before));
            parts.push(Part::Variable(name.trim()));
            text = rest;
        }
        parts.push(Part::Text(text));
        Some(Self(parts))
    }

    /// Says whether no variable is used.
    pub(super) fn is_literal(&self) -> bool {
        self.variables().next().is_none()
    }

    /// Yields the variables that are used.
    pub(super) fn variables(&self) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(*name),
            Part::Text(_) => None,
        })
    }

    /// Fills in the defaults; `None` where a variable has none.
    pub(super) fn with_defaults(&self, variables: &BTreeMap<String, LockedVariable>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(part) => part,
                Part::Variable(name) => variables.get(*name)?.default.as_deref()?,
            });
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_required_or_has_a_default() {
        for (required, default, rule) in [
            (true, None, None),
            (false, Some("x"), None),
            (true, Some("x"), Some("both")),
            (false, None, Some("neither")),
        ] {
            let variable = Variable { required, default: default.map(str::to_owned), ..Variable::default() };
            let outcome = lock(&BTreeMap::from([("v".to_owned(), Spanned::new(3..4, variable))]));
            match (outcome, rule) {
                (Ok(locked), None) => assert_eq!(locked["v"].default.as_deref(), default),
                (Err(flaw), Some(rule)) => assert!(flaw.problem.to_string().contains(rule), "{}", flaw.problem),
                (outcome, _) => panic!("{required} {default:?}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn templates_come_apart_and_are_filled() {
        let variable = LockedVariable { default: Some("D".to_owned()), ..LockedVariable::default() };
        let variables = BTreeMap::from([("d".to_owned(), variable), ("r".to_owned(), LockedVariable::default())]);
        for (text, filled) in [
            ("plain", Some("plain")),
            ("{literal}", Some("{literal}")),
            ("a{{ d }}b{{d}}", Some("aDbD")),
            ("{{ r }}", None),
            ("{{ unknown }}", None),
            ("}}", Some("}}")),
        ] {
            let template = Template::parse(text).expect("whole braces");
            assert_eq!(template.with_defaults(&variables).as_deref(), filled, "{text}");
        }
        assert_eq!(Template::parse("a {{ b"), None);
    }
}
