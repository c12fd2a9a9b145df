//! The configuration file, flattened: each value with its key and its place.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::keys::KEYS;
use super::settings::SettingsError;

/// One value of the file.
pub(super) struct Entry {
    /// Its key, with those above it: `apis.blobs.atomic`.
    pub(super) key: String,
    /// The text; the items of a list are separated by spaces, as in a variable.
    pub(super) value: String,
    file: String,
    line: u64,
    column: u64,
}

impl Entry {
    /// Says that the value cannot be used.
    pub(super) fn wrong(&self, expected: &'static str) -> SettingsError {
        let &Self { line, column, .. } = self;
        let (file, key, value) = (self.file.clone(), self.key.clone(), self.value.clone());
        SettingsError::Value { file, line, column, key, value, expected }
    }

    /// Says that nothing has this key.
    pub(super) fn unknown(&self) -> SettingsError {
        let &Self { line, column, .. } = self;
        SettingsError::Key { file: self.file.clone(), line, column, key: self.key.clone() }
    }
}

/// Reads a file; what it leaves empty is not there.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Entry>, SettingsError> {
    let mut entries = Vec::new();
    let whole = Section { file: name, path: "", entries: &mut entries };
    let read = serde_saphyr::with_deserializer_from_str(text, |deserializer| whole.deserialize(deserializer));
    match read {
        Ok(()) => Ok(entries),
        Err(error) => {
            let error = error.without_snippet();
            let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            Err(SettingsError::Yaml { file: name.to_owned(), line, column, because: sentence(&error.to_string()) })
        }
    }
}

/// Takes the place out of what the parser says: it stands before.
fn sentence(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.split(" at line ").next().unwrap_or_default().trim_end_matches([':', ',', ' ']).to_owned()
}

/// A mapping; which of its keys hold mappings and which hold lists, the table of all keys tells.
struct Section<'a> {
    file: &'a str,
    path: &'a str,
    entries: &'a mut Vec<Entry>,
}

impl Section<'_> {
    fn add(&mut self, key: &str, place: Location, value: String) {
        let (line, column) = (place.line(), place.column());
        self.entries.push(Entry { key: key.to_owned(), value, file: self.file.to_owned(), line, column });
    }
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings with their names")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let path = match self.path {
                "" => key.value,
                above => format!("{above}.{}", key.value),
            };
            let below = format!("{path}.");
            if IGNORED.contains(&path.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else if KEYS.iter().any(|key| key.path.starts_with(&below)) {
                map.next_value_seed(Section { file: self.file, path: &path, entries: &mut *self.entries })?;
            } else if path.starts_with(LISTS) {
                let items = map.next_value::<Option<Vec<Spanned<String>>>>()?.unwrap_or_default();
                let place = items.first().map_or(key.referenced, |item| item.referenced);
                let items: Vec<String> = items.into_iter().map(|item| item.value).collect();
                self.add(&path, place, items.join(" "));
            } else if !KEYS.iter().any(|key| key.path == path) {
                map.next_value::<IgnoredAny>()?;
                self.add(&path, key.referenced, String::new());
            } else if let Some(text) = map.next_value::<Option<Spanned<String>>>()? {
                // As it is written: `1.0` and a password of digits stay what they are.
                self.add(&path, text.referenced, text.value);
            }
        }
        Ok(())
    }
}

/// What the official tool writes into its results beside the settings: a file may be made from those.
const IGNORED: [&str; 2] = ["commit", "legacy"];

/// Whose values are lists.
const LISTS: &str = "roData.";
