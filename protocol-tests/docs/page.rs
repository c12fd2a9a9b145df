//! Pages: their blocks, and what is given.

use std::path::Path;

use crate::support::root;

/// A page of the documentation.
pub(super) struct Page {
    /// Below the crate's root.
    pub(super) path: String,
    pub(super) text: String,
    /// What was pushed before it begins.
    pub(super) given: Vec<String>,
    /// What is to be typed, and the line where that begins.
    pub(super) blocks: Vec<(usize, Block)>,
    /// Command lines in the text, word by word.
    pub(super) spans: Vec<(usize, Vec<String>)>,
}

/// Something to type.
pub(super) enum Block {
    Script(String),
    Background(String),
    Session(String),
    Read { text: String, reason: String },
    Workflow(String),
}

impl Page {
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a page");
        let path = path.strip_prefix(root("")).expect("a path of the crate").display().to_string();
        Self::of(&path, &text)
    }

    pub(super) fn of(path: &str, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            given: Vec::new(),
            blocks: Vec::new(),
            spans: Vec::new(),
        };
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            if let Some(given) = line.strip_prefix("<!-- given: ") {
                page.given.extend(given.trim_end_matches("-->").split_whitespace().map(str::to_owned));
            } else if let Some(kind) = line.trim_start().strip_prefix("```") {
                let indent = line.len() - line.trim_start().len();
                let body = lines.by_ref().take_while(|(line, _)| line.trim() != "```");
                let body: String = body.map(|(line, _)| format!("{}\n", line.get(indent..).unwrap_or(""))).collect();
                page.blocks.extend(Block::of(kind.trim(), body).map(|block| (number, block)));
            } else {
                // Every second piece between backticks is code.
                let code = line.split('`').skip(1).step_by(2);
                let commands = code.filter(|code| code.starts_with("spinreg "));
                page.spans.extend(commands.map(|code| (number, code.split_whitespace().map(str::to_owned).collect())));
            }
        }
        page
    }
}

impl Block {
    fn of(kind: &str, text: String) -> Option<Self> {
        match kind {
            "sh" => Some(Self::Script(text)),
            "sh background" => Some(Self::Background(text)),
            "console" => Some(Self::Session(text)),
            "yaml" => Some(Self::Workflow(text)),
            _ => {
                let untested = kind.strip_prefix("sh no-test").or_else(|| kind.strip_prefix("console no-test"))?;
                let reason = untested.trim().strip_prefix("reason=\"").and_then(|rest| rest.strip_suffix('"'));
                Some(Self::Read { text, reason: reason.unwrap_or("").to_owned() })
            }
        }
    }
}

/// Returns what a workflow runs: what comes after `run: ` or `- `, and lines of their own.
pub(super) fn scripts(workflow: &str) -> String {
    let lines = workflow.lines().map(|line| {
        let line = line.trim().trim_start_matches("- ");
        line.strip_prefix("run: ").unwrap_or(line).to_owned() + "\n"
    });
    lines.collect()
}
