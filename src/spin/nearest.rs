//! The word that was probably meant: the nearest of those that are known, counted in edits.

use std::fmt;

use crate::model::excerpt;

/// Adds what may stand in the place of `name`: the nearest word, and all of them.
pub(super) fn suggest<'a>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    introduction: &str,
) -> fmt::Result {
    let nearest = nearest(name, known.clone()).or_else(|| completed(name, known.clone()));
    if let Some(nearest) = nearest {
        write!(f, "; did you mean `{}`?", excerpt(nearest))?;
    }
    if known.clone().all(|known| Some(known) == nearest) {
        return Ok(());
    }
    let end = if nearest.is_some() { "" } else { ";" };
    write!(f, "{end} {introduction} ")?;
    let mut written = 0;
    for (index, name) in known.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        if written > LONGEST_LIST {
            return f.write_str(", …");
        }
        let name = excerpt(name);
        written += name.len();
        write!(f, "{comma}`{name}`")?;
    }
    Ok(())
}

/// Finds the name that was probably meant: a few edits away, in proportion to its length.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_GUESS {
        return None;
    }
    let scored = known.filter(|known| known.len() <= LONGEST_GUESS).map(|known| (distance(name, known), known));
    let (edits, known) = scored.min_by_key(|(edits, _)| *edits)?;
    // A letter for another is no mistake in a name of one letter.
    (edits <= known.len().div_ceil(4) && edits < known.len()).then_some(known)
}

/// Finds the only name that begins like this one: some leave out the second half of a long name.
fn completed<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut longer = known.filter(|known| name.len() >= SHORTEST_HALF && known.starts_with(name));
    longer.next().filter(|_| longer.next().is_none())
}

/// Counts the edits between two short texts: insertions, deletions, replacements and swaps of neighbours.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut edits = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                edits = edits.min(rows[i - 1][j - 1] + 1);
            }
            row.push(edits);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

/// How long a name may be, in bytes, for which a suggestion is looked for: longer ones are no typing mistakes.
const LONGEST_GUESS: usize = 64;
/// How much of a name has to be there, in bytes, where the rest is missing.
const SHORTEST_HALF: usize = 5;
/// How many bytes of names are listed: who has more components than that looks into the manifest.
const LONGEST_LIST: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    struct Suggested<'a>(&'a str, &'a [&'a str]);

    impl fmt::Display for Suggested<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            suggest(f, self.0, self.1.iter().copied(), "known are")
        }
    }

    #[test]
    fn suggestions_are_near() {
        let known = ["source", "environment", "allowed_outbound_hosts", "files", "a"];
        for (name, expected) in [
            ("sourc", Some("source")),
            ("enviroment", Some("environment")),
            ("allowed_outbound_host", Some("allowed_outbound_hosts")),
            ("file", Some("files")),
            ("fiels", Some("files")),
            ("zebra", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn the_nearest_comes_before_the_list() {
        for (name, known, expected) in [
            ("sourc", &["source", "files"][..], "; did you mean `source`? known are `source`, `files`"),
            ("sourc", &["source"], "; did you mean `source`?"),
            ("inherit", &["inherit_all", "x"], "; did you mean `inherit_all`? known are `inherit_all`, `x`"),
            ("inherit", &["inherit_all", "inherit_some"], "; known are `inherit_all`, `inherit_some`"),
            ("inhe", &["inherit_all"], "; known are `inherit_all`"),
            ("zebra", &["source", "files"], "; known are `source`, `files`"),
            ("zebra", &[], ""),
        ] {
            assert_eq!(Suggested(name, known).to_string(), expected);
        }
    }

    #[test]
    fn lists_end_somewhere() {
        let listed = Suggested("zebra", &["many"; 1_000]).to_string();
        assert!(listed.ends_with("`many`, …") && listed.len() < 2_000, "{listed}");
    }
}
