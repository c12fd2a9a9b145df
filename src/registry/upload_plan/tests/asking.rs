//! The request that asks and begins: a mount from the repository into itself.

use super::*;

#[test]
fn asking_and_beginning_are_one_request() {
    const ASK: &str = "POST ?mount=D&from=app => ";
    const PUT: &str = "PUT /u?digest=D 0..1 => 201 digest=D";
    let here = || Mount::Here("app".parse().expect("a name"));
    let place = format!("location=/v2/app/blobs/{}", Digest::of(b"any"));
    let escaped = place.replace(':', "%3A");
    let other = format!("location=/v2/app/blobs/{}", Digest::of(b"other"));
    for (answer, rest, end, learnt) in [
        ("202 location=/u", &[PUT][..], "Uploaded", None),
        (&*format!("201 digest=D {place}"), &[], "Existed", Some(SelfMounts::Honoured)),
        // olareg names the place alone.
        (&place.replace("location", "201 location"), &[], "Existed", Some(SelfMounts::Honoured)),
        (&escaped.replace("location", "201 location"), &[], "Existed", Some(SelfMounts::Honoured)),
        ("201 digest=D", &[], "Existed", None),
        ("201", &["HEAD => 200 size=1"], "Existed", None),
        ("201 location=/u", &["HEAD => 404", OPEN, PUT], "Uploaded", Some(SelfMounts::Ignored)),
        (
            &other.replace("location", "201 location"),
            &["HEAD => 404", OPEN, PUT],
            "Uploaded",
            Some(SelfMounts::Ignored),
        ),
        ("400", &[OPEN, PUT], "Uploaded", Some(SelfMounts::Ignored)),
        ("405", &[OPEN, PUT], "Uploaded", Some(SelfMounts::Ignored)),
        ("403", &[OPEN, PUT], "Uploaded", None),
        ("404", &["POST => 404"], "Refused", None),
        ("202", &[OPEN, PUT], "Uploaded", None),
        // Who may not push is not asked twice.
        ("denied", &[], "Refused", None),
        (
            "202 location=/u",
            &["PUT /u?digest=D 0..1 => lost", "GET /u => 404", "HEAD => 404", OPEN, PUT],
            "Uploaded",
            None,
        ),
    ] {
        let rows: Vec<String> =
            [format!("{ASK}{answer}")].into_iter().chain(rest.iter().map(|row| (*row).to_owned())).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        play(answer, mounting(here()), &rows, end);
        let mut plan = mounting(here());
        for row in &rows {
            let (_, answer) = row.split_once(" => ").expect("a row has an arrow");
            match answer {
                "lost" => plan.lost(),
                "denied" => plan.denied(),
                answer => plan.answered(&read(&plan, answer)),
            };
        }
        assert_eq!(plan.learnt(), learnt, "{answer}");
    }
}
