//! Command lines: taken apart as a shell does, and read as the tool reads them.

use clap::{CommandFactory as _, Parser as _};
use spinreg::cli::Cli;

/// Returns the command lines of spinreg in a script, word by word and without redirections.
pub(super) fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in script.lines() {
        for mut words in split(line.strip_prefix("$ ").unwrap_or(line)) {
            // What comes before is a variable (`A=b spinreg …`) or another program that starts it.
            if let Some(start) = words.iter().position(|word| word == "spinreg" || word == "$(spinreg") {
                words.drain(..=start);
                found.push(words);
            }
        }
    }
    found
}

/// Reads a command line as the tool does.
pub(super) fn read(words: &[String]) -> Result<(), String> {
    let tool = std::iter::once("spinreg").chain(words.iter().map(String::as_str));
    match Cli::try_parse_from(tool) {
        Err(error) if error.use_stderr() => Err(format!("`spinreg {}`: {error}", words.join(" "))),
        _ => Ok(()),
    }
}

/// Holds a command line in the text, in which words stand for others, to the commands and flags that there are.
pub(super) fn flags(words: &[String]) -> Result<(), String> {
    let mut tool = Cli::command();
    tool.build();
    let mut command = &tool;
    // `up` hands on what it does not know to the triggers.
    for word in words.iter().skip(1).take_while(|word| *word != "up") {
        let word = word.split('=').next().unwrap_or(word).trim_end_matches([',', '…']);
        if let Some(next) = command.find_subcommand(word) {
            command = next;
        } else if let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty() && *flag != "help") {
            let known = command.get_arguments().any(|argument| {
                argument.get_long() == Some(flag)
                    || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&flag))
            });
            if !known {
                return Err(format!("`{}`: there is no `--{flag}`", words.join(" ")));
            }
        }
    }
    Ok(())
}

/// Splits a line into commands and these into words; quotes are taken away, redirections and comments left out.
fn split(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::<String>::new(), None::<String>);
    let mut quote = None;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | ')') => {
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
            }
            (None, '<' | '>') => {
                // A number before it says which stream.
                word = word.take().filter(|word| !word.chars().all(|digit| digit.is_ascii_digit()));
                words.extend(word.take());
                while characters.next_if(|next| matches!(next, ' ' | '&' | '>')).is_some() {}
                while characters.next_if(|next| !matches!(next, ' ' | '|' | ';')).is_some() {}
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    commands.push(words);
    commands
}

#[test]
fn lines_are_taken_apart() {
    for (line, expected) in [
        ("spinreg tags r.example/a   # all", vec![vec!["tags", "r.example/a"]]),
        ("cat t | spinreg login -u 'a b' r.example > out", vec![vec!["login", "-u", "a b", "r.example"]]),
        ("A=b spinreg pull a:v1 2>&1; spinreg tags a", vec![vec!["pull", "a:v1"], vec!["tags", "a"]]),
        ("spinreg copy a \\\n  b", vec![vec!["copy", "a", "b"]]),
        ("x=$(spinreg resolve a:v1)", vec![]),
        ("x $(spinreg resolve a:v1)", vec![vec!["resolve", "a:v1"]]),
    ] {
        assert_eq!(commands(line), expected, "{line}");
    }
}
