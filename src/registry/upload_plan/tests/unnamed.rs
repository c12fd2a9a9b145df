//! Blobs whose digest is found out on the way.

use super::*;

const STREAM: &str = "STREAM /u 0..9 => 202";
const CLOSE: &str = "PUT /u?digest=D 9..9 => 201 digest=D";

fn unnamed(units: u64, chunk: Option<u64>) -> Plan {
    Plan::unnamed(units * UNIT, chunk.map(|chunk| chunk * UNIT))
}

#[test]
fn bytes_go_first_and_the_name_comes_after_them() {
    for (name, rows, end) in [
        ("the rule", &[OPEN, STREAM, CLOSE][..], "Uploaded"),
        ("with a range", &[OPEN, "STREAM /u 0..9 => 202 has=9", CLOSE], "Uploaded"),
        (
            "the session moves on",
            &[OPEN, "STREAM /u 0..9 => 202 location=/v?s=1", "PUT /v?s=1&digest=D 9..9 => 201 digest=D"],
            "Uploaded",
        ),
        ("no digest in the end", &[OPEN, STREAM, "PUT /u?digest=D 9..9 => 201", "HEAD => 200 size=9"], "Uploaded"),
        ("truncated", &[OPEN, STREAM, "PUT /u?digest=D 9..9 => 201", "HEAD => 200 size=8"], "Broken"),
        ("ECR says 201 to chunks", &[OPEN, "STREAM /u 0..9 => 201", "HEAD => 404", CLOSE], "Uploaded"),
        ("the last chunk closes the session", &[OPEN, "STREAM /u 0..9 => 201", "HEAD => 200 size=9"], "Uploaded"),
        (
            "the connection breaks",
            &[
                OPEN,
                "STREAM /u 0..9 => lost",
                "GET /u => 204 has=4",
                "PATCH /u 4..9 => 202",
                CLOSE_AND_PROVE[0],
                CLOSE_AND_PROVE[1],
            ],
            "Uploaded",
        ),
        ("nothing arrived", &[OPEN, "STREAM /u 0..9 => lost", "GET /u => 204 range=0-0", STREAM, CLOSE], "Uploaded"),
        (
            "the answer is lost",
            &[OPEN, "STREAM /u 0..9 => lost", "GET /u => 204 has=9", CLOSE_AND_PROVE[0], CLOSE_AND_PROVE[1]],
            "Uploaded",
        ),
        (
            "the registry is not well",
            &[OPEN, "STREAM /u 0..9 => 503", "GET /u => 204 has=9", CLOSE_AND_PROVE[0], CLOSE_AND_PROVE[1]],
            "Uploaded",
        ),
        (
            "it wants chunks and says so",
            &[
                "POST => 202 location=/u least=1 most=5",
                "PATCH /u 0..5 => 202 has=5",
                "PATCH /u 5..9 => 202 has=9",
                CLOSE_AND_PROVE[0],
                CLOSE_AND_PROVE[1],
            ],
            "Uploaded",
        ),
    ] {
        play(name, unnamed(9, None), rows, end);
    }
    let rows = [OPEN, "PATCH /u 0..5 => 202", "PATCH /u 5..9 => 202", CLOSE_AND_PROVE[0], CLOSE_AND_PROVE[1]];
    play("chunks are wished for", unnamed(9, Some(5)), &rows, "Uploaded");
}

const CLOSE_AND_PROVE: [&str; 2] = [CLOSE, "HEAD => 200 size=9"];

/// Whoever wants something else is better told the digest first, and is not argued with.
#[test]
fn there_is_one_session() {
    for refusal in ["400", "401", "403", "404", "405", "411", "413", "415", "501"] {
        play(refusal, unnamed(9, None), &[OPEN, &format!("STREAM /u 0..9 => {refusal}")], "Refused");
    }
    for (name, rows) in [
        ("GHCR and large chunks", &[OPEN, "STREAM /u 0..9 => 416", "GET /u => 204 range=0-0"][..]),
        ("the session is gone", &[OPEN, "STREAM /u 0..9 => lost", "GET /u => 404", "HEAD => 404"]),
        ("the digest is another one", &[OPEN, STREAM, "PUT /u?digest=D 9..9 => 400"]),
        ("it is closed, and not there", &[OPEN, STREAM, "PUT /u?digest=D 9..9 => 404", "HEAD => 404"]),
        ("no session", &["POST => 403"]),
    ] {
        play(name, unnamed(9, None), rows, "Refused");
    }
}

#[test]
fn a_session_that_came_to_nothing_is_known() {
    let mut plan = unnamed(9, None);
    for row in [OPEN, "STREAM /u 0..9 => 405"] {
        let (_, answer) = row.split_once(" => ").expect("a row has an arrow");
        plan.answered(&read(&plan, answer));
    }
    assert_eq!(plan.session().map(Uri::path), Some("/u"));
    assert_eq!(plan.digest(), None);
}
