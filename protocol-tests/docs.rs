//! The documentation at its word: every line that it tells people to type is run by the real tool, against registries on
//! loopback that have the names of the page, and what the page says is printed is what is printed.
//!
//! | block | what becomes of it |
//! |---|---|
//! | `sh` | its lines are run as one script, in the room that the page's blocks share |
//! | `sh background` | one `spinreg serve …`, which runs until the page ends; where the page says `127.0.0.1:5000` it is meant |
//! | `console` | each line after `$ ` is run, and what follows is what it prints; of one that fails, what it complains. `…` is anything |
//! | `sh no-test reason="…"` | is read alone: what spinreg is told there has to be a command line of its own |
//! | `yaml` | the same, for what comes after `run: ` or stands in a line of its own |
//!
//! A comment `<!-- given: REFERENCE… -->` says what was pushed before: versions of one application, each another one. Flags in the
//! text, such as `spinreg push --quiet`, have to exist.

/// Pages: their blocks, and what is given.
mod page;
/// Where pages are played: the room, and the registries.
mod stage;
/// Command lines: taken apart, and read as the tool reads them.
mod words;

use futures_util::{StreamExt as _, stream};
use page::{Block, Page};
use stage::Stage;

use crate::support::{files, root};

/// Every page, by its path below the crate's root.
fn pages() -> Vec<Page> {
    let mut paths = files(&root("docs"), "md");
    paths.push(root("README.md"));
    paths.iter().map(|path| Page::read(path)).collect()
}

#[tokio::test]
async fn every_line_runs() {
    let chosen = std::env::var("SPINREG_PAGE").unwrap_or_default();
    let mut pages = pages();
    pages.retain(|page| page.path.contains(&chosen));
    let problems: Vec<_> = stream::iter(&pages).map(play).buffered(4).concat().await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_is_not_run_is_a_command_line_of_the_tool() {
    let mut problems = Vec::new();
    for page in pages() {
        for (line, block) in &page.blocks {
            let commands = match block {
                Block::Read { text, reason } => {
                    if reason.len() < 10 {
                        problems.push(format!("{}:{line}: why is this not run?", page.path));
                    }
                    words::commands(text)
                }
                Block::Workflow(text) => words::commands(&page::scripts(text)),
                Block::Script(_) | Block::Background(_) | Block::Session(_) => continue,
            };
            let wrong = commands.iter().filter_map(|command| words::read(command).err());
            problems.extend(wrong.map(|why| format!("{}:{line}: {why}", page.path)));
        }
        for (line, words) in &page.spans {
            problems.extend(words::flags(words).err().map(|why| format!("{}:{line}: {why}", page.path)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Plays a page from top to bottom; returns what is wrong with it.
async fn play(page: &Page) -> Vec<String> {
    if !page.blocks.iter().any(|(_, block)| !matches!(block, Block::Read { .. } | Block::Workflow(_))) {
        return Vec::new();
    }
    let mut stage = Stage::of(page).await;
    let mut problems = Vec::new();
    for (line, block) in &page.blocks {
        let outcome = match block {
            Block::Script(text) => stage.script(text).await,
            Block::Background(text) => stage.background(text).await,
            Block::Session(text) => stage.session(text).await,
            Block::Read { .. } | Block::Workflow(_) => Ok(()),
        };
        problems.extend(outcome.err().map(|why| format!("{}:{line}: {why}", page.path)));
    }
    problems
}

/// A page that is wrong is found out, whatever is wrong with it.
#[tokio::test]
async fn wrong_pages_are_found_out() {
    for (text, said) in [
        ("```sh\nspinreg push --no-such-flag oci:out:v1\n```\n", "--no-such-flag"),
        ("```sh\nspinreg push oci:out:v1\nspinreg tags oci:other\n```\n", "not"),
        ("```console\n$ spinreg tags oci:out\nv1\n```\n", "instead"),
        ("```console\n$ spinreg --version\nspinreg 0.0.0\n```\n", "spinreg 0.0.0"),
        ("<!-- given: ghcr.io/ada/hello:v1 -->\n```sh\nspinreg pull ghcr.io/ada/hello:v2\n```\n", "v2"),
    ] {
        let problems = play(&Page::of("wrong.md", text)).await.join("\n");
        assert!(problems.starts_with("wrong.md:") && problems.contains(said), "{text}: {problems}");
    }
    let right = "```sh\nspinreg push --quiet oci:out:v1\n```\n```console\n$ spinreg tags oci:out\nv1\n\
                 $ spinreg resolve oci:out:v2\nerror: …\n\nhint: …\n```\n";
    assert_eq!(play(&Page::of("right.md", right)).await, [""; 0]);
    for wrong in
        ["spinreg push --no-such-flag r.example/a:v1", "spinreg psuh a", "spinreg pull", "spinreg pull Not:A:Name"]
    {
        assert!(words::commands(wrong).iter().any(|command| words::read(command).is_err()), "{wrong}");
    }
    assert!(words::flags(&["spinreg".into(), "push".into(), "--no-such-flag".into()]).is_err());
    assert!(words::flags(&["spinreg".into(), "push".into(), "--quiet".into(), "REF".into()]).is_ok());
}
