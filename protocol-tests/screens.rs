//! What people see while bytes move: recordings of a real terminal, narrow and wide, in which each frame is known because the
//! registry holds the transfer at a gate.

use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::front::{Front, Fronted, Gate, Meddle};
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::scenario::{app_of, push};
use crate::support::screen::without_rate;

/// An application with one large file, in a registry that hands out half of that file and waits.
struct Scene {
    _registry: Embedded,
    front: Fronted,
    gate: Gate,
    cli: Cli,
}

impl Scene {
    async fn new(terminal: &str) -> Self {
        let cli = Cli::new().env("TERM", terminal);
        let registry = Embedded::start().await;
        let folder = app_of(&cli, "inline-trigger");
        std::fs::write(format!("{folder}/large.bin"), large()).expect("a file");
        let manifest = format!("{folder}/spin.toml");
        let text = "spin_manifest_version = 2\n[application]\nname = \"large\"\n[[trigger.http]]\nroute = \"/\"\n\
                    component = \"one\"\n[component.one]\nsource = \"large.bin\"\n";
        std::fs::write(manifest, text).expect("a manifest");
        push(&cli, &folder, &registry.reference("app:v1"), &[]).await;
        let gate = Gate::default();
        let large = format!("GET /v2/app/blobs/{}", Digest::of(&large()));
        let front = Front::before(registry.address()).meddle(&large, [Meddle::Pause(HALF, gate.clone())]);
        Self { _registry: registry, front: front.start().await, gate, cli }
    }

    fn reference(&self) -> String {
        format!("{}/app:v1", self.front.registry())
    }

    /// Pulls, one blob at a time, so that it is known which one is under way.
    fn pull(&self) -> [String; 4] {
        ["pull", "--concurrency", "1", &self.reference()].map(str::to_owned)
    }
}

/// A core module to the eye, and as long as progress is interesting.
fn large() -> Vec<u8> {
    [&b"\0asm\x01\0\0\0"[..], &vec![0; LARGE - 8]].concat()
}

#[tokio::test]
async fn a_wide_terminal_tells_all_and_a_narrow_one_what_matters() {
    let scene = Scene::new("xterm-256color").await;
    let mut screen = scene.cli.start_on_a_screen(scene.pull(), 120);
    scene.gate.reached().await;
    let short = &Digest::of(&large()).hex()[..12];
    let all = format!("[=====>      ] 1.00 MiB of 2.00 MiB, RATE, 1 of 3 blobs, sha256:{short}…");
    screen.shows(&[&all]).await;
    screen.resize(40);
    screen.shows(&["[=====>      ] 1.00 MiB of 2.00 MiB"]).await;
    screen.resize(72);
    screen.shows(&["[=====>      ] 1.00 MiB of 2.00 MiB, RATE, 1 of 3 blobs"]).await;
    scene.gate.open();
    let (status, left, recording) = screen.ends().await;
    assert!(status.success(), "{left:#?}");
    assert_eq!(left, ["Successfully pulled the app from the registry"], "the live line is gone");
    assert!(!recording.contains("\x1b[3"), "there is nothing to colour: {recording:?}");
}

#[tokio::test]
async fn a_narrow_terminal_keeps_to_one_line_throughout() {
    let scene = Scene::new("xterm").await;
    let mut screen = scene.cli.start_on_a_screen(scene.pull(), 40);
    scene.gate.reached().await;
    screen.shows(&["[=====>      ] 1.00 MiB of 2.00 MiB"]).await;
    scene.gate.open();
    let (_, left, recording) = screen.ends().await;
    assert_eq!(left, ["Successfully pulled the app from the reg", "istry"]);
    // Whoever writes more than one line has to go up again.
    assert!(!recording.contains("\x1b[1A") && !recording.contains("\x1b[A"), "{recording:?}");
}

#[tokio::test]
async fn an_interrupted_transfer_leaves_no_half_line() {
    let scene = Scene::new("xterm").await;
    let mut screen = scene.cli.start_on_a_screen(scene.pull(), 80);
    scene.gate.reached().await;
    screen.shows(&["[=====>      ] 1.00 MiB of 2.00 MiB, RATE, 1 of 3 blobs"]).await;
    screen.interrupt();
    let (status, left, _) = screen.ends().await;
    assert_eq!(status.code(), Some(130), "{left:#?}");
    assert!(left.iter().all(|line| !line.contains("MiB of")), "{left:#?}");
}

/// A terminal that cannot draw a line anew, and what is no terminal, get lasting lines.
#[tokio::test]
async fn what_cannot_be_drawn_anew_is_told_in_lasting_lines() {
    let scene = Scene::new("dumb").await;
    scene.gate.open();
    let (_, left, recording) = scene.cli.start_on_a_screen(scene.pull(), 120).ends().await;
    let (begun, done) = (format!("pulling {}", scene.reference()), format!("pulled {}: 2 blobs, ", scene.reference()));
    assert_eq!(left.len(), 3, "{left:#?}");
    assert_eq!((left[0].as_str(), left[1].starts_with(&done)), (begun.as_str(), true), "{left:#?}");
    assert_eq!(left[2], "Successfully pulled the app from the registry");
    assert!(!recording.contains('\x1b'), "{recording:?}");

    std::fs::remove_dir_all(scene.cli.path("cache")).expect("a cache");
    let run = scene.cli.run(scene.pull()).await;
    let said: Vec<_> = run.stderr.lines().map(without_rate).collect();
    assert_eq!((said.len(), said[0].as_str(), said[1].starts_with(&done)), (2, begun.as_str(), true), "{said:#?}");
    assert!(run.success().starts_with("Successfully"));
}

/// Errors and pages are coloured on a terminal, and not where `NO_COLOR` asks for that; the words are the same.
#[tokio::test]
async fn colours_can_be_declined() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).guarded(&Guard::basic("ada", "correct-horse")).start().await;
    let reference = format!("{}/app:v1", front.registry());
    let mut pages = Vec::new();
    for (kind, declined, coloured) in
        [("xterm", None, true), ("xterm", Some("1"), false), ("dumb", None, false), ("dumb", Some("1"), false)]
    {
        let cli = Cli::new().env("TERM", kind);
        let cli = declined.into_iter().fold(cli, |cli, value| cli.env("NO_COLOR", value));
        let (status, left, recording) = cli.start_on_a_screen(["pull", &reference], 120).ends().await;
        assert_eq!(status.code(), Some(4), "{left:#?}");
        assert_eq!(recording.contains("\x1b[1m") || recording.contains("\x1b[3"), coloured, "{kind} {recording:?}");
        pages.push(left.into_iter().filter(|line| !line.starts_with("pulling ")).collect::<Vec<_>>());
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
    assert!(pages[0][0].starts_with("error: "), "{pages:#?}");
}

/// Bytes of the large file, and of its half.
const LARGE: usize = 2 << 20;
const HALF: u64 = 1 << 20;
