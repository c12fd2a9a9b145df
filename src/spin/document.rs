//! Reading TOML so that every complaint has a place: a parsed document whose tables are emptied key by key.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Value};
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Error, Fault, Position, Problem};
use crate::model::excerpt;

/// The text of a manifest and the file it came from.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

impl Text {
    /// Adds the file, the line and the column to a problem.
    pub(crate) fn blame(&self, flaw: Flaw) -> Error {
        let Flaw { at, problem } = flaw;
        let (at, line) = at.map(|at| (self.position(at), self.line(at))).unzip();
        Error::Manifest(Box::new(Fault { file: self.file.clone(), at, line, problem }))
    }

    /// Finds the place of the byte at `offset`.
    pub(crate) fn position(&self, offset: usize) -> Position {
        Position::of(&self.text, offset)
    }

    /// Returns the line of the byte at `offset`.
    fn line(&self, offset: usize) -> String {
        let text = self.text.as_bytes();
        let (before, after) = text.split_at(offset.min(text.len()));
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let end = after.iter().position(|byte| *byte == b'\n').map_or(text.len(), |newline| before.len() + newline);
        String::from_utf8_lossy(&text[start..end]).trim_end_matches('\r').to_owned()
    }
}

/// A problem and the byte offset of its place; the file is added by whoever knows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Option<usize>,
    pub(crate) problem: Problem,
}

impl Flaw {
    pub(crate) fn at(span: Range<usize>, problem: Problem) -> Self {
        Self { at: Some(span.start), problem }
    }
}

/// Parses a document into its top table.
pub(crate) fn parse(text: &str) -> Result<Table<'_>, Flaw> {
    match DeTable::parse(text) {
        Ok(top) => {
            let span = top.span();
            Ok(Table::new(String::new(), span, top.into_inner()))
        }
        Err(error) => {
            let said = match error.span().and_then(|span| text.get(span)) {
                Some(key) if error.message() == "duplicate key" => {
                    format!("the key `{}` is there already", excerpt(key))
                }
                _ => error.message().to_owned(),
            };
            Err(Flaw { at: error.span().map(|span| span.start), problem: Problem::Syntax(said) })
        }
    }
}

/// A table, its keys in the order of the text, taken out one by one.
pub(crate) struct Table<'t> {
    path: String,
    span: Range<usize>,
    entries: Vec<(Spanned<Cow<'t, str>>, Spanned<DeValue<'t>>)>,
}

impl<'t> Table<'t> {
    fn new(path: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        let mut entries: Vec<_> = table.into_iter().collect();
        // The parser sorts by key; the order of triggers and components is the author's.
        entries.sort_by_key(|(key, _)| key.span().start);
        Self { path, span, entries }
    }

    /// Where the table is.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Refuses keys that are not known.
    pub(crate) fn only(&self, known: &'static [&'static str]) -> Result<(), Flaw> {
        match self.entries.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            Some((key, _)) => {
                let (name, table) = (key.get_ref().to_string(), self.path.clone());
                Err(Flaw::at(key.span(), Problem::UnknownKey { key: name, table, known }))
            }
            None => Ok(()),
        }
    }

    /// Says whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// Returns a value as it stands in the text, and where it is.
    pub(crate) fn get(&self, key: &str) -> Option<(String, Range<usize>)> {
        let (_, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((written(value.get_ref()), value.span()))
    }

    /// Takes a value out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Item<'t>> {
        let index = self.entries.iter().position(|(name, _)| name.get_ref() == key)?;
        let (_, value) = self.entries.remove(index);
        Some(Item::new(join(&self.path, key), value))
    }

    /// Takes a value out that has to be there.
    pub(crate) fn need(&mut self, key: &'static str) -> Result<Item<'t>, Flaw> {
        let missing = Flaw::at(self.span(), Problem::MissingKey { key, table: self.path.clone() });
        self.take(key).ok_or(missing)
    }

    /// Takes a text out; absent is empty.
    pub(crate) fn text(&mut self, key: &str) -> Result<String, Flaw> {
        self.take(key).map_or_else(|| Ok(String::new()), |item| item.text().map(Spanned::into_inner))
    }

    /// Takes an array of texts out; absent is empty.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Vec<Spanned<String>>, Flaw> {
        self.take(key).map_or_else(|| Ok(Vec::new()), |item| item.array()?.into_iter().map(Item::text).collect())
    }

    /// Takes a table of texts out; absent is empty.
    pub(crate) fn text_map(&mut self, key: &str) -> Result<BTreeMap<String, String>, Flaw> {
        let mut map = BTreeMap::new();
        for (name, item) in self.table(key)? {
            map.insert(name.into_inner(), item.text()?.into_inner());
        }
        Ok(map)
    }

    /// Takes a table out as its entries in the order of the text; absent is empty.
    pub(crate) fn table(&mut self, key: &str) -> Result<Vec<(Spanned<String>, Item<'t>)>, Flaw> {
        self.take(key).map_or_else(|| Ok(Vec::new()), |item| item.table().map(Table::into_entries))
    }

    /// Returns what is left, in the order of the text.
    pub(crate) fn into_entries(self) -> Vec<(Spanned<String>, Item<'t>)> {
        let path = self.path;
        let entries = self.entries.into_iter();
        entries
            .map(|(key, value)| {
                let item = Item::new(join(&path, key.get_ref()), value);
                (Spanned::new(key.span(), key.into_inner().into_owned()), item)
            })
            .collect()
    }

    /// Returns what is left as JSON, sorted by key.
    pub(crate) fn into_json(self, dates: Dates) -> Result<Map<String, Value>, Flaw> {
        let mut sorted = BTreeMap::new();
        for (key, item) in self.into_entries() {
            sorted.insert(key.into_inner(), item.json(dates)?);
        }
        // Sorted first, so that the order does not depend on how `serde_json` was built.
        Ok(sorted.into_iter().collect())
    }
}

/// A value and the key it belongs to.
pub(crate) struct Item<'t> {
    path: String,
    span: Range<usize>,
    value: DeValue<'t>,
}

impl<'t> Item<'t> {
    fn new(path: String, value: Spanned<DeValue<'t>>) -> Self {
        Self { path, span: value.span(), value: value.into_inner() }
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(crate) fn is_boolean(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    pub(crate) fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Complains about the type.
    pub(crate) fn wrong(self, expected: &'static str) -> Flaw {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        Flaw::at(self.span, Problem::WrongType { key: self.path, expected, found })
    }

    pub(crate) fn text(self) -> Result<Spanned<String>, Flaw> {
        match self.value {
            DeValue::String(text) => Ok(Spanned::new(self.span, text.into_owned())),
            _ => Err(self.wrong("a string")),
        }
    }

    pub(crate) fn boolean(self) -> Result<bool, Flaw> {
        match self.value {
            DeValue::Boolean(value) => Ok(value),
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    pub(crate) fn integer(self) -> Result<i64, Flaw> {
        match self.value {
            DeValue::Integer(ref number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Ok(number),
                Err(_) => Err(self.wrong("an integer of at most 64 bits")),
            },
            _ => Err(self.wrong("an integer")),
        }
    }

    pub(crate) fn array(self) -> Result<Vec<Item<'t>>, Flaw> {
        match self.value {
            DeValue::Array(items) => {
                let path = self.path;
                Ok(items.into_iter().map(|item| Item::new(path.clone(), item)).collect())
            }
            _ => Err(self.wrong("an array")),
        }
    }

    pub(crate) fn table(self) -> Result<Table<'t>, Flaw> {
        match self.value {
            DeValue::Table(table) => Ok(Table::new(self.path, self.span, table)),
            _ => Err(self.wrong("a table")),
        }
    }

    /// Returns the value as JSON.
    pub(crate) fn json(self, dates: Dates) -> Result<Value, Flaw> {
        match self.value {
            DeValue::String(text) => Ok(Value::String(text.into_owned())),
            DeValue::Boolean(value) => Ok(Value::Bool(value)),
            DeValue::Datetime(date) => {
                let date = Value::String(date.to_string());
                Ok(match dates {
                    Dates::Text => date,
                    Dates::Marked => Value::Object(Map::from_iter([(DATE.to_owned(), date)])),
                })
            }
            DeValue::Integer(_) => self.integer().map(Value::from),
            DeValue::Float(ref number) => match number.as_str() {
                // JSON has neither; Spin's readers and writers of it make this of them.
                text if text.ends_with("inf") || text.ends_with("nan") => Ok(Value::Null),
                text => match text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                    Some(number) => Ok(Value::Number(number)),
                    None => Err(self.wrong("a number of at most 1.8e308")),
                },
            },
            DeValue::Array(_) => self.array()?.into_iter().map(|item| item.json(dates)).collect(),
            DeValue::Table(_) => self.table()?.into_json(dates).map(Value::Object),
        }
    }
}

/// What becomes of dates in JSON, which has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dates {
    /// Text. Spin reads the configuration of a trigger into JSON, and its reader of TOML gives it that.
    Text,
    /// An object of one field that tells them from text. Spin prints the settings of a trigger type as JSON, and that is
    /// what its TOML prints.
    Marked,
}

/// Writes a value as it stands in the text, for naming it in a complaint.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The field that tells a date from text.
const DATE: &str = "$__toml_private_datetime";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_the_order_of_the_text() {
        let text = "[z.one]\n[a]\n[[t.http]]\n[z.two]\n[[t.redis]]\n[[t.http]]\n[m]\nq = 1\nb = 2\n";
        let mut top = parse(text).expect("TOML");
        let order = |entries: Vec<(Spanned<String>, Item<'_>)>| -> Vec<String> {
            entries.into_iter().map(|(key, _)| key.into_inner()).collect()
        };
        assert_eq!(order(top.table("m").expect("a table")), ["q", "b"]);
        assert_eq!(order(top.table("t").expect("a table")), ["http", "redis"]);
        assert_eq!(order(top.into_entries()), ["z", "a"]);
    }

    #[test]
    fn json_is_sorted() {
        let text = "b = [1, 0x10, 1.5, nan, -inf]\na = { z = true, c = [2020-01-02] }\n";
        for (dates, date) in
            [(Dates::Text, r#""2020-01-02""#), (Dates::Marked, r#"{"$__toml_private_datetime":"2020-01-02"}"#)]
        {
            let json = parse(text).and_then(|top| top.into_json(dates)).expect("TOML");
            let expected = format!(r#"{{"a":{{"c":[{date}],"z":true}},"b":[1,16,1.5,null,null]}}"#);
            assert_eq!(Value::Object(json).to_string(), expected);
        }
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        for text in ["a = 1e999", "a = [-1e999]", "a = 9223372036854775808"] {
            assert!(parse(text).and_then(|top| top.into_json(Dates::Text)).is_err(), "{text}");
        }
    }
}
