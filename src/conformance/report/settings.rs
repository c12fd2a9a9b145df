//! The settings of a run, as the official configuration nests them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// A value of the official configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Text(String),
    Switch(bool),
    List(Vec<String>),
    Group(BTreeMap<String, Setting>),
}

/// Nests settings whose keys have dots. Credentials are stars, whatever they were before.
pub(super) fn nested(settings: &BTreeMap<String, String>) -> BTreeMap<String, Setting> {
    let mut root = BTreeMap::new();
    for (key, value) in settings {
        let value = match value.as_str() {
            "" if is_list(key) => Setting::List(Vec::new()),
            value if is_list(key) => Setting::List(value.split_whitespace().map(str::to_owned).collect()),
            "true" => Setting::Switch(true),
            "false" => Setting::Switch(false),
            value if !value.is_empty() && is_secret(key) => Setting::Text("***".to_owned()),
            value => Setting::Text(value.to_owned()),
        };
        insert(&mut root, key, value);
    }
    root
}

fn insert(group: &mut BTreeMap<String, Setting>, key: &str, value: Setting) {
    match key.split_once('.') {
        None => drop(group.insert(key.to_owned(), value)),
        Some((first, rest)) => {
            let inner = group.entry(first.to_owned()).or_insert_with(|| Setting::Group(BTreeMap::new()));
            // A key that is a value and a group at once: the group says more.
            if !matches!(inner, Setting::Group(_)) {
                *inner = Setting::Group(BTreeMap::new());
            }
            if let Setting::Group(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn is_list(key: &str) -> bool {
    key.starts_with("roData.")
}

fn is_secret(key: &str) -> bool {
    matches!(key, "username" | "password")
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Switch(on) => on.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Group(group) => group.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_nest_and_credentials_are_stars() {
        let settings = [
            ("apis.blobs.atomic", "true"),
            ("apis.ping", "false"),
            ("password", "correct-horse"),
            ("roData.tags", "a b"),
            ("roData.blobs", ""),
            ("username", ""),
            ("version", "1.1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let json = serde_json::to_value(nested(&settings.into())).expect("texts, switches and lists");
        let expected = serde_json::json!({
            "apis": {"blobs": {"atomic": true}, "ping": false},
            "password": "***",
            "roData": {"tags": ["a", "b"], "blobs": []},
            "username": "",
            "version": "1.1",
        });
        assert_eq!(json, expected);
    }
}
