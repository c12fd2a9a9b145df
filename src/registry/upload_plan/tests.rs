//! The plan, played against registries of all kinds: requests on the left, answers on the right.

use std::ops::Range;

use http::HeaderMap;

use super::*;

mod asking;
mod unnamed;

/// One unit of the tables, in bytes: nothing smaller is worth a chunk.
const UNIT: u64 = MIN_CHUNK;

/// Plays a table against a plan: each row is `request => answer`, and `end` is how it ends.
///
/// An answer is a status and headers as `name=value`; `has=N` stands for `range=` of the first `N` units, `digest=D`
/// names the blob's. `lost` is no answer, `denied` a right that is missing.
fn play(name: &str, mut plan: Plan, rows: &[&str], end: &str) {
    for (n, row) in rows.iter().enumerate() {
        let (request, answer) = row.split_once(" => ").expect("a row has an arrow");
        if plan.wants_name() {
            plan.name(Digest::of(b"any"));
        }
        assert_eq!(print(&plan), request, "{name}, row {n}");
        let verdict = match answer {
            "lost" => plan.lost(),
            "denied" => plan.denied(),
            answer => plan.answered(&read(&plan, answer)),
        };
        let waits = answer == "lost" || ["408", "429", "5"].iter().any(|status| answer.starts_with(status));
        match verdict {
            Verdict::Go => {}
            Verdict::Wait => assert!(waits, "{name}, row {n}: waits for nothing"),
            stop => {
                assert_eq!(n, rows.len() - 1, "{name}: stopped too early, by {stop:?}");
                assert_eq!(format!("{stop:?}").split_once('(').map_or("Refused", |(name, _)| name), end, "{name}");
                return;
            }
        }
    }
    assert_eq!(print(&plan), end, "{name}");
    if matches!(plan.next(), Next::Done(_)) {
        assert_eq!(plan.session(), None, "{name}: nothing is left behind");
    }
}

fn print(plan: &Plan) -> String {
    let units = |bytes: &Range<u64>| match (bytes.start, bytes.end) {
        (start, end) if start % UNIT == 0 && end % UNIT == 0 => format!("{}..{}", start / UNIT, end / UNIT),
        (start, end) => format!("{start}b..{end}b"),
    };
    let digest = plan.digest.to_string();
    let path = |uri: &Uri| uri.to_string().replace("https://r.example/", "/").replace(&digest, "D");
    match plan.next() {
        Next::Post { query, from } => {
            let from = from.map(|name| format!(" from {name}")).unwrap_or_default();
            format!("POST {}{from}", query.replace(&digest, "D")).trim_end().to_owned()
        }
        Next::Put { uri, bytes } => format!("PUT {} {}", path(&uri), units(&bytes)),
        Next::Stream { uri, bytes } => format!("STREAM {} {}", path(&uri), units(&bytes)),
        Next::Patch { uri, bytes } => format!("PATCH {} {}", path(&uri), units(&bytes)),
        Next::Status { uri } => format!("GET {}", path(&uri)),
        Next::Cancel { uri } => format!("DELETE {}", path(&uri)),
        Next::Head => "HEAD".to_owned(),
        Next::Done(how) => format!("{how:?}"),
    }
}

fn read(plan: &Plan, text: &str) -> Answer {
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut headers = HeaderMap::new();
    for header in rest.split_whitespace() {
        let (name, value) = header.split_once('=').expect("a header has a value");
        let (name, value) = match (name, value) {
            ("has", units) => ("range", format!("0-{}", units.parse::<u64>().expect("a number") * UNIT - 1)),
            ("digest", "D") => ("docker-content-digest", plan.digest.to_string()),
            ("digest", other) => ("docker-content-digest", other.to_owned()),
            ("least", units) => ("oci-chunk-min-length", (units.parse::<u64>().expect("a number") * UNIT).to_string()),
            ("most", units) => ("oci-chunk-max-length", (units.parse::<u64>().expect("a number") * UNIT).to_string()),
            ("size", units) => ("content-length", (units.parse::<u64>().expect("a number") * UNIT).to_string()),
            (name, value) => (name, value.to_owned()),
        };
        let name: http::HeaderName = name.parse().expect("a header name");
        headers.insert(name, value.parse().expect("a header value"));
    }
    let base = "https://r.example/v2/a/blobs/uploads/".parse().expect("a URI");
    Answer::read(&base, None, status.parse().expect("a status"), &headers)
}

fn plan(units: u64) -> Plan {
    Plan::new(Digest::of(b"any"), units * UNIT, Mount::No, None)
}

fn chunked(units: u64, chunk: u64) -> Plan {
    Plan::new(Digest::of(b"any"), units * UNIT, Mount::No, Some(chunk * UNIT))
}

fn mounting(mount: Mount) -> Plan {
    Plan::new(Digest::of(b"any"), UNIT, mount, None)
}

const OPEN: &str = "POST => 202 location=/u";

#[test]
fn whole_blobs_go_in_one_request() {
    for (name, rows, end) in [
        ("the rule", &[OPEN, "PUT /u?digest=D 0..9 => 201 digest=D"][..], "Uploaded"),
        ("GCR", &[OPEN, "PUT /u?digest=D 0..9 => 204 digest=D"], "Uploaded"),
        ("200", &[OPEN, "PUT /u?digest=D 0..9 => 200 digest=D"], "Uploaded"),
        ("202 is not done yet", &[OPEN, "PUT /u?digest=D 0..9 => 202 digest=D", "HEAD => 200 size=9"], "Uploaded"),
        ("no digest", &[OPEN, "PUT /u?digest=D 0..9 => 201", "HEAD => 200 size=9"], "Uploaded"),
        ("an odd digest", &[OPEN, "PUT /u?digest=D 0..9 => 201 digest=md5:x", "HEAD => 200 size=9"], "Uploaded"),
        ("no digest, no size", &[OPEN, "PUT /u?digest=D 0..9 => 201", "HEAD => 200"], "Uploaded"),
        ("may not look", &[OPEN, "PUT /u?digest=D 0..9 => 201", "HEAD => 403"], "Uploaded"),
        ("truncated", &[OPEN, "PUT /u?digest=D 0..9 => 201", "HEAD => 200 size=8"], "Broken"),
        ("not there", &[OPEN, "PUT /u?digest=D 0..9 => 201", "HEAD => 404"], "Broken"),
        (
            "another digest",
            &[
                OPEN,
                "PUT /u?digest=D 0..9 => 201 digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ],
            "Broken",
        ),
        ("201 to POST", &["POST => 201 location=/u", "PUT /u?digest=D 0..9 => 201 digest=D"], "Uploaded"),
        (
            "state in the query",
            &["POST => 202 location=/u?_state=a%2F", "PUT /u?_state=a%2F&digest=D 0..9 => 201 digest=D"],
            "Uploaded",
        ),
        (
            "another host",
            &[
                "POST => 202 location=https://s.example/up?sig=x",
                "PUT https://s.example/up?sig=x&digest=D 0..9 => 201 digest=D",
            ],
            "Uploaded",
        ),
        (
            "a proxy that ends TLS",
            &["POST => 202 location=http://r.example/u", "PUT /u?digest=D 0..9 => 201 digest=D"],
            "Uploaded",
        ),
        ("no location", &["POST => 202"], "Broken"),
        ("a location that is none", &["POST => 202 location=ftp://x/"], "Misplaced"),
        ("plain HTTP elsewhere", &["POST => 202 location=http://s.example/up"], "Misplaced"),
        ("no repository", &["POST => 404"], "Refused"),
        ("no right", &["POST => 403"], "Refused"),
        ("not possible", &["POST => denied"], "Refused"),
        ("wrong bytes", &[OPEN, "PUT /u?digest=D 0..9 => 400"], "Refused"),
        ("no right to close", &[OPEN, "PUT /u?digest=D 0..9 => 403"], "Refused"),
    ] {
        play(name, plan(9), rows, end);
    }
    for (name, size, rows) in [
        ("empty", 0, &[OPEN, "PUT /u?digest=D 0..0 => 201 digest=D"][..]),
        ("one byte", 1, &[OPEN, "PUT /u?digest=D 0b..1b => 201 digest=D"]),
        ("an offer of chunks", 1, &["POST => 202 location=/u least=1", "PUT /u?digest=D 0b..1b => 201 digest=D"]),
        (
            "empty, lost",
            0,
            &[
                OPEN,
                "PUT /u?digest=D 0..0 => lost",
                "GET /u => 204 range=0-0",
                "PUT /u?digest=D 0..0 => 201",
                "HEAD => 200 content-length=0",
            ],
        ),
        (
            "one byte, lost",
            1,
            &[
                OPEN,
                "PUT /u?digest=D 0b..1b => lost",
                "GET /u => 204 range=0-0",
                "PUT /u?digest=D 0b..1b => 201",
                "HEAD => 200 content-length=1",
            ],
        ),
    ] {
        play(name, Plan::new(Digest::of(b"any"), size, Mount::No, None), rows, "Uploaded");
    }
}

#[test]
fn a_mount_is_tried_and_never_needed() {
    const FROM: &str = "POST ?mount=D&from=b/c from b/c";
    let from = || Mount::From("b/c".parse().expect("a name"));
    let rows = |answer: &str, rest: &[&str]| {
        let mut rows = vec![format!("{FROM} => {answer}")];
        rows.extend(rest.iter().map(|row| (*row).to_owned()));
        rows
    };
    const PUT: &str = "PUT /u?digest=D 0..1 => 201 digest=D";
    for (answer, rest, end) in [
        ("201 digest=D", &[][..], "Mounted"),
        ("201", &["HEAD => 200 size=1"], "Mounted"),
        ("201", &["HEAD => 404", OPEN, PUT], "Uploaded"),
        ("201 digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &[], "Broken"),
        ("202 location=/u", &[PUT], "Uploaded"),
        ("202", &[OPEN, PUT], "Uploaded"),
        ("200", &[OPEN, PUT], "Uploaded"),
        ("400", &[OPEN, PUT], "Uploaded"),
        ("401", &[OPEN, PUT], "Uploaded"),
        ("403", &[OPEN, PUT], "Uploaded"),
        ("404", &[OPEN, PUT], "Uploaded"),
        ("405", &[OPEN, PUT], "Uploaded"),
        ("500", &[OPEN, PUT], "Uploaded"),
        ("denied", &[OPEN, PUT], "Uploaded"),
    ] {
        let rows = rows(answer, rest);
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        play(answer, mounting(from()), &rows, end);
    }
    play("anonymous", mounting(Mount::Anywhere), &["POST ?mount=D => 201 digest=D"], "Mounted");
    play("anonymous, Quay", mounting(Mount::Anywhere), &["POST ?mount=D => 400", OPEN, PUT], "Uploaded");
    play("anonymous, 202", mounting(Mount::Anywhere), &["POST ?mount=D => 202 location=/u", PUT], "Uploaded");
}

#[test]
fn other_algorithms_are_announced() {
    let digest = Digest::of_with(Algorithm::Sha512, b"any");
    let rows = ["POST ?digest-algorithm=sha512 => 202 location=/u", "PUT /u?digest=D 0..1 => 201 digest=D"];
    play("sha512", Plan::new(digest, UNIT, Mount::No, None), &rows, "Uploaded");
    let rows = ["POST ?mount=D&digest-algorithm=sha512 => 201 digest=D"];
    play("sha512 mounted", Plan::new(digest, UNIT, Mount::Anywhere, None), &rows, "Mounted");
    let rows = [
        "POST ?digest-algorithm=sha512 => 202 location=/u",
        "PUT /u?digest=D 0..1 => 201 digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];
    play("distribution", Plan::new(digest, UNIT, Mount::No, None), &rows, "Broken");
}

#[test]
fn chunks_are_sent_where_somebody_wants_them() {
    const END: &[&str] = &["PUT /u?digest=D 9..9 => 201 digest=D", "HEAD => 200 size=9"];
    for (name, plan, rows) in [
        (
            "a setting",
            chunked(9, 4),
            &[
                OPEN,
                "PATCH /u 0..4 => 202 location=/1 has=4",
                "PATCH /1 4..8 => 202 location=/2 has=8",
                "PATCH /2 8..9 => 202 location=/u has=9",
            ][..],
        ),
        (
            "the registry's smallest chunk beats the setting",
            chunked(9, 1),
            &["POST => 202 location=/u least=5", "PATCH /u 0..5 => 202", "PATCH /u 5..9 => 202"],
        ),
        (
            "the registry's largest chunk beats the setting",
            chunked(9, 8),
            &["POST => 202 location=/u most=5", "PATCH /u 0..5 => 202", "PATCH /u 5..9 => 202"],
        ),
        (
            "the registry's largest chunk is a wish",
            plan(9),
            &["POST => 202 location=/u least=2 most=5", "PATCH /u 0..5 => 202", "PATCH /u 5..9 => 202"],
        ),
    ] {
        play(name, plan, &[rows, END].concat(), "Uploaded");
    }
    let rows = [
        OPEN,
        "PUT /u?digest=D 0..9 => 413",
        "DELETE /u => 204",
        OPEN,
        "PATCH /u 0b..147456b => 202",
        "PATCH /u 147456b..294912b => 202",
        "PATCH /u 294912b..442368b => 202",
    ];
    play("413 from a proxy", plan(9), &rows, "PATCH /u 442368b..589824b");
    let rows = ["POST => 202 location=/u least=512", "PATCH /u 0..512 => 202"];
    play("who names a smallest chunk wants chunks", plan(1000), &rows, "PATCH /u 512..1000");
    let rows = ["POST => 202 location=/u least=1", "PATCH /u 0..256 => 202"];
    play("of a sensible size", plan(1000), &rows, "PATCH /u 256..512");
    let rows = ["POST => 202 location=/u oci-chunk-max-length=1", "PATCH /u 0..1 => 202"];
    play("but not one byte at a time", plan(3), &rows, "PATCH /u 1..2");
}

#[test]
fn too_large_means_smaller() {
    let large = 1024;
    let start = [OPEN, "PUT /u?digest=D 0..1024 => 413", "DELETE /u => 404", OPEN];
    for (name, rows, end) in [
        ("the usual size", &[][..], "PATCH /u 0..256"),
        ("GHCR", &["PATCH /u 0..256 => 416", "GET /u => 204 range=0-0"], "PATCH /u 0..64"),
        ("GHCR, with no range of nothing", &["PATCH /u 0..256 => 416", "GET /u => 204 range=0--1"], "PATCH /u 0..64"),
        ("a small proxy", &["PATCH /u 0..256 => 413", "PATCH /u 0..64 => 413"], "PATCH /u 0..16"),
        (
            "a very small one",
            &[
                "PATCH /u 0..256 => 413",
                "PATCH /u 0..64 => 413",
                "PATCH /u 0..16 => 413",
                "PATCH /u 0..4 => 413",
                "PATCH /u 0..1 => 413",
            ],
            "Refused",
        ),
        (
            "only later",
            &["PATCH /u 0..256 => 202 has=256", "PATCH /u 256..512 => 416", "GET /u => 204 has=256"],
            "PATCH /u 256..320",
        ),
    ] {
        play(name, plan(large), &[&start, rows].concat(), end);
    }
    play("small and refused", plan(2), &[OPEN, "PUT /u?digest=D 0..2 => 413"], "Refused");
    let rows = ["POST => 202 location=/u least=512", "PATCH /u 0..512 => 413"];
    play("not below the smallest", plan(large), &rows, "Refused");
    let rows = [OPEN, "PUT /u?digest=D 0..1 => 405", "DELETE /u => 204", OPEN, "PATCH /u 0..1 => 202"];
    play("no whole blobs", plan(1), &rows, "PUT /u?digest=D 1..1");
    let rows = [OPEN, "PUT /u?digest=D 0..1024 => 416", "DELETE /u => 204", OPEN];
    play("416 to all of it", plan(large), &rows, "PATCH /u 0..256");
}

#[test]
fn a_registry_without_chunks_gets_the_blob_whole_once() {
    const WHOLE: [&str; 3] = ["DELETE /u => 204", OPEN, "PUT /u?digest=D 0..9 => 201 digest=D"];
    for refusal in ["400", "405", "415", "501"] {
        let first = format!("PATCH /u 0..4 => {refusal}");
        play(refusal, chunked(9, 4), &[&[OPEN, &first][..], &WHOLE].concat(), "Uploaded");
    }
    let refused = "PATCH /u 0..4 => 405";
    let whole = [OPEN, refused, "DELETE /u => 204", OPEN];
    for (name, plan, rows, end) in [
        ("no right is no lack of chunks", chunked(9, 4), &[OPEN, "PATCH /u 0..4 => 403"][..], "Refused"),
        ("nor is a later chunk", chunked(9, 4), &[OPEN, "PATCH /u 0..4 => 202", "PATCH /u 4..8 => 405"], "Refused"),
        ("who asks for chunks has them", chunked(9, 4), &["POST => 202 location=/u least=4", refused], "Refused"),
        ("who has a largest one, too", chunked(9, 8), &["POST => 202 location=/u most=4", refused], "Refused"),
        (
            "a refusal of the whole is one",
            chunked(9, 4),
            &[&whole[..], &["PUT /u?digest=D 0..9 => 400"]].concat(),
            "Refused",
        ),
    ] {
        play(name, plan, rows, end);
    }
    let large = [&whole[..], &["PUT /u?digest=D 0..9 => 413", "DELETE /u => 204", OPEN, "PATCH /u 0b..147456b => 405"]];
    play("neither whole nor in chunks", chunked(9, 4), &large.concat(), "Refused");
}

#[test]
fn ranges_are_weighed() {
    let start = [OPEN, "PATCH /u 0..3 => 202 has=3"];
    for (name, rows, end) in [
        ("whole", &["PATCH /u 3..6 => 202 has=6"][..], "PATCH /u 6..9"),
        ("absent", &["PATCH /u 3..6 => 202"], "PATCH /u 6..9"),
        ("nonsense", &["PATCH /u 3..6 => 202 range=x"], "PATCH /u 6..9"),
        ("of this chunk", &["PATCH /u 3..6 => 202 range=196608-393215"], "PATCH /u 6..9"),
        ("of the chunk's length", &["PATCH /u 3..6 => 202 has=3"], "GET /u"),
        ("… while the status is right", &["PATCH /u 3..6 => 202 has=3", "GET /u => 204 has=6"], "PATCH /u 6..9"),
        ("… and the status is not", &["PATCH /u 3..6 => 202 has=3", "GET /u => 204 has=3"], "PATCH /u 6..9"),
        (
            "… and from then on not believed",
            &["PATCH /u 3..6 => 202 has=3", "GET /u => 204 has=3", "PATCH /u 6..9 => 202 has=3"],
            "PUT /u?digest=D 9..9",
        ),
        (
            "… even when a conflict follows",
            &["PATCH /u 3..6 => 202 has=3", "GET /u => 204 has=3", "PATCH /u 6..9 => 416", "GET /u => 204 has=3"],
            "DELETE /u",
        ),
        (
            "right status, then a conflict",
            &["PATCH /u 3..6 => 202 has=3", "GET /u => 204 has=6", "PATCH /u 6..9 => 416", "GET /u => 204 has=8"],
            "PATCH /u 8..9",
        ),
        ("a part, truly", &["PATCH /u 3..6 => 202 has=5", "GET /u => 204 has=5"], "PATCH /u 5..8"),
        ("more than was sent", &["PATCH /u 3..6 => 202 has=8", "GET /u => 204 has=8"], "PATCH /u 6..9"),
        ("no status", &["PATCH /u 3..6 => 202 has=1", "GET /u => 204"], "PATCH /u 6..9"),
        ("status refused", &["PATCH /u 3..6 => 202 has=1", "GET /u => 400"], "DELETE /u"),
        ("0-0", &["PATCH /u 3..6 => 202 range=0-0", "GET /u => 204 range=0-0"], "PATCH /u 6..9"),
    ] {
        play(name, chunked(9, 3), &[&start, rows].concat(), end);
    }
}

#[test]
fn conflicts_are_settled_by_asking() {
    let start = [OPEN, "PATCH /u 0..3 => 202", "PATCH /u 3..6 => 416 location=/v"];
    for (name, rows, end) in [
        ("behind", &["GET /v => 204 has=2 location=/w"][..], "PATCH /w 2..5"),
        ("between", &["GET /v => 204 has=4"], "PATCH /v 4..7"),
        ("there already", &["GET /v => 204 has=6"], "PATCH /v 6..9"),
        ("beyond", &["GET /v => 204 has=7"], "DELETE /v"),
        ("does not know", &["GET /v => 204"], "DELETE /v"),
        ("gone", &["GET /v => 404"], "POST"),
        ("no status", &["GET /v => 405"], "DELETE /v"),
        ("not well", &["GET /v => 503"], "Refused"),
        ("200", &["GET /v => 200 has=4"], "PATCH /v 4..7"),
        ("other dialect", &["GET /v => 204 range=bytes=0-262143"], "PATCH /v 4..7"),
    ] {
        play(name, chunked(9, 3), &[&start, rows].concat(), end);
    }
    let rows = [
        OPEN,
        "PATCH /u 0..3 => 202",
        "PUT /u?digest=D 3..3 => 416",
        "GET /u => 204 has=1",
        "PATCH /u 1..3 => 202",
        "PUT /u?digest=D 3..3 => 201 digest=D",
        "HEAD => 200 size=3",
    ];
    let mut slow = chunked(3, 4);
    slow.whole = false;
    play("at the closing", slow, &rows, "Uploaded");
}

#[test]
fn endless_conflicts_end() {
    let mut plan = chunked(9, 3);
    let mut requests = 0;
    let verdict = loop {
        let answer = match plan.next() {
            Next::Post { .. } => "202 location=/u",
            Next::Patch { .. } => "416",
            Next::Status { .. } => "204 has=1",
            _ => "204",
        };
        requests += 1;
        match plan.answered(&read(&plan, answer)) {
            Verdict::Go => assert!(requests < 200, "it goes on for ever"),
            stop => break stop,
        }
    };
    assert_eq!(verdict, Verdict::Refused);
}

#[test]
fn a_hostile_registry_cannot_keep_us() {
    // Whatever it answers, the number of requests without a wait is bounded.
    let answers =
        ["202 location=/u", "416", "204 range=0-0", "204 has=1", "404", "400", "413", "201", "202 has=2", "503"];
    for seed in 0..5_000_u64 {
        let mut plan = if seed % 2 == 0 { chunked(9, 2) } else { plan(9) };
        let mut random = seed;
        for requests in 0.. {
            assert!(requests < 400, "seed {seed} goes on for ever");
            if matches!(plan.next(), Next::Done(_)) {
                break;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let answer = answers[(random >> 33) as usize % answers.len()];
            match plan.answered(&read(&plan, answer)) {
                Verdict::Go | Verdict::Wait => {}
                _ => break,
            }
        }
    }
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    const PUT: &str = "PUT /u?digest=D 0..9";
    let lost = "PUT /u?digest=D 0..9 => lost";
    for (name, rows, end) in [
        ("nothing arrived", &[lost, "GET /u => 204 range=0-0 location=/v"][..], "PUT /v?digest=D 0..9"),
        ("a part", &[lost, "GET /u => 204 has=4"], "PATCH /u 4..9"),
        ("all", &[lost, "GET /u => 204 has=9"], "PUT /u?digest=D 9..9"),
        ("too much", &[lost, "GET /u => 204 has=10"], "DELETE /u"),
        ("it was done", &[lost, "GET /u => 404", "HEAD => 200 size=9"], "Uploaded"),
        ("it was not", &[lost, "GET /u => 404", "HEAD => 404", OPEN], PUT),
        ("not to be seen", &[lost, "GET /u => 404", "HEAD => 403", OPEN], PUT),
        ("no status", &[lost, "GET /u => 405", "DELETE /u => 405", OPEN], PUT),
        ("no range", &[lost, "GET /u => 204", "DELETE /u => 204", OPEN], PUT),
        ("no chunks", &[lost, "GET /u => 204 has=4", "PATCH /u 4..9 => 405", "DELETE /u => 204", OPEN], PUT),
        ("the rest is too large", &[lost, "GET /u => 204 has=4", "PATCH /u 4..9 => 413"], "PATCH /u 262144b..409600b"),
        ("unwell", &["PUT /u?digest=D 0..9 => 503", "GET /u => 204 has=4"], "PATCH /u 4..9"),
        ("busy", &["PUT /u?digest=D 0..9 => 429", "GET /u => 204 range=0-0"], PUT),
        (
            "appended in the wrong place",
            &[lost, "GET /u => 204 range=0-0", "PUT /u?digest=D 0..9 => 400", "DELETE /u => 204", OPEN],
            PUT,
        ),
        (
            "a lie about the range shows at the end",
            &[
                lost,
                "GET /u => 204 has=4",
                "PATCH /u 4..9 => 202",
                "PUT /u?digest=D 9..9 => 400",
                "DELETE /u => 204",
                OPEN,
            ],
            PUT,
        ),
        (
            "done, and proved by its size",
            &[
                lost,
                "GET /u => 204 has=4",
                "PATCH /u 4..9 => 202",
                "PUT /u?digest=D 9..9 => 201 digest=D",
                "HEAD => 200 size=9",
            ],
            "Uploaded",
        ),
        ("the session is gone", &["PUT /u?digest=D 0..9 => 404", OPEN], PUT),
    ] {
        play(name, plan(9), &[&[OPEN], rows].concat(), end);
    }
    for (name, rows, end) in [
        ("the chunk is missing", &["PATCH /u 3..6 => lost", "GET /u => 204 has=3"][..], "PATCH /u 3..6"),
        ("the chunk is there", &["PATCH /u 3..6 => lost", "GET /u => 204 has=6"], "PATCH /u 6..9"),
        ("a part of it", &["PATCH /u 3..6 => lost", "GET /u => 204 has=4"], "PATCH /u 4..7"),
        ("less than before", &["PATCH /u 3..6 => lost", "GET /u => 204 has=1"], "PATCH /u 1..4"),
        ("gone", &["PATCH /u 3..6 => lost", "GET /u => 404"], "POST"),
        ("unwell", &["PATCH /u 3..6 => 500", "GET /u => 204 has=3"], "PATCH /u 3..6"),
    ] {
        play(name, chunked(9, 3), &[&[OPEN, "PATCH /u 0..3 => 202 has=3"], rows].concat(), end);
    }
    let rows =
        [OPEN, "PATCH /u 0..3 => 202", "PATCH /u 3..5 => 202", "PUT /u?digest=D 5..5 => 404", "HEAD => 200 size=5"];
    play("the answer to the closing was lost", chunked(5, 3), &rows, "Uploaded");
}

#[test]
fn restarts_are_counted() {
    let round = [OPEN, "PUT /u?digest=D 0..1 => 404"];
    let rows = round.repeat(MAX_RESTARTS as usize + 1);
    play("sessions that vanish", plan(1), &rows, "Refused");
}

#[test]
fn an_early_201_is_looked_at() {
    let start = [OPEN, "PATCH /u 0..3 => 201"];
    for (name, rows, end) in [
        ("ECR says it to every chunk", &[][..], "PATCH /u 3..6"),
        ("the last closes", &["PATCH /u 3..6 => 201", "PATCH /u 6..9 => 201", "HEAD => 200 size=9"], "Uploaded"),
        (
            "the last does not close",
            &[
                "PATCH /u 3..6 => 201",
                "PATCH /u 6..9 => 201",
                "HEAD => 404",
                "PUT /u?digest=D 9..9 => 201",
                "HEAD => 200 size=9",
            ],
            "Uploaded",
        ),
        (
            "only the last chunk was kept",
            &["PATCH /u 3..6 => 201", "PATCH /u 6..9 => 201", "HEAD => 200 size=3"],
            "Broken",
        ),
    ] {
        play(name, chunked(9, 3), &[&start, rows].concat(), end);
    }
}

#[test]
fn a_registry_that_keeps_the_last_chunk_only_is_found_out() {
    let start = [OPEN, "PATCH /u 0..3 => 202", "PATCH /u 3..5 => 202", "PUT /u?digest=D 5..5 => 201 digest=D"];
    for (head, end) in [("HEAD => 200 size=2", "Broken"), ("HEAD => 200 size=5", "Uploaded"), ("HEAD => 404", "Broken")]
    {
        play(head, chunked(5, 3), &[&start[..], &[head]].concat(), end);
    }
}
