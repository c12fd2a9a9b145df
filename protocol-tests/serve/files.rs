//! The files of the door: good, bad, and changed while it is open.

use std::sync::atomic::{AtomicUsize, Ordering};

use spinreg::serve::{Access, AccessOptions, Registry};

use super::access::{files, users};
use super::{Served, temporary};

#[tokio::test]
async fn a_password_counts_from_when_it_is_in_the_file_to_when_it_is_not() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let room = temporary();
    let mut access = files(&room, &["ada"], None);
    access.notify = |_| {
        TOLD.fetch_add(1, Ordering::SeqCst);
    };
    let served = Served::behind(&room.path().join("data"), access).await;
    let path = room.path().join("users");
    let status = async |user| served.ask_as(user, "GET", "/v2/").await.status;
    assert_eq!((status("ada").await, status("bob").await), (200, 401));
    std::fs::write(&path, users(&["ada", "bob"])).expect("a file");
    assert_eq!((status("ada").await, status("bob").await), (200, 200));
    // By another file in its place, as careful programs do.
    std::fs::write(room.path().join("next"), users(&["bob"])).expect("a file");
    std::fs::rename(room.path().join("next"), &path).expect("a file");
    assert_eq!((status("ada").await, status("bob").await), (401, 200));
    assert_eq!(TOLD.load(Ordering::SeqCst), 0);
    // What makes no sense changes nothing, and is told once.
    std::fs::write(&path, "ada:secret\n").expect("a file");
    assert_eq!((status("ada").await, status("bob").await), (401, 200));
    assert_eq!(TOLD.load(Ordering::SeqCst), 1);
    std::fs::remove_file(&path).expect("a file");
    assert_eq!((status("ada").await, status("bob").await), (401, 200));
    assert_eq!(TOLD.load(Ordering::SeqCst), 2);
    std::fs::write(&path, users(&["ada"])).expect("a file");
    assert_eq!((status("ada").await, status("bob").await), (200, 401));
    assert_eq!(TOLD.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn rules_count_from_when_they_are_written() {
    let room = temporary();
    let rule = |who: &str| format!("[[rule]]\nwho = [\"{who}\"]\nrepositories = [\"**\"]\nallow = [\"pull\"]\n");
    let served = Served::behind(&room.path().join("data"), files(&room, &["ada"], Some(&rule("bob")))).await;
    let path = "/v2/a/tags/list";
    assert_eq!(served.ask_as("ada", "GET", path).await.status, 403);
    let token = served.token_as("ada", "repository:a:pull").await;
    std::fs::write(room.path().join("rules.toml"), rule("ada")).expect("a file");
    assert_eq!(served.ask_as("ada", "GET", path).await.status, 404);
    // The token was for nothing, and stays so.
    assert_eq!(served.ask_with(&token, "GET", path).await.status, 401);
    let token = served.token_as("ada", "repository:a:pull").await;
    assert_eq!(served.ask_with(&token, "GET", path).await.status, 404);
    // And what is taken away is gone from the next request on, whatever the token says.
    std::fs::write(room.path().join("rules.toml"), rule("bob")).expect("a file");
    assert_eq!(served.ask_with(&token, "GET", path).await.status, 403);
}

#[tokio::test]
async fn files_that_make_no_sense_are_refused_at_the_start() {
    let room = temporary();
    let file = |name: &str, text: &[u8]| {
        let path = room.path().join(name);
        std::fs::write(&path, text).expect("a file in a temporary directory");
        Some(path)
    };
    let good = file("good", users(&["ada"]).as_bytes());
    let open = |passwords: Option<_>, rules: Option<_>| {
        let mut options = AccessOptions::default();
        (options.passwords, options.rules) = (passwords, rules);
        options
    };
    let absent = || Some(room.path().join("absent"));
    for (options, said) in [
        (open(absent(), None), "cannot read"),
        (open(file("md5", b"ada:$apr1$salt$hash"), None), "line 1: `ada` has an MD5 hash (`$apr1$`)"),
        (open(file("plain", b"\nada:secret"), None), "line 2: `ada` has a DES hash, or plain text"),
        (open(file("binary", &[0xff, 0xfe]), None), "no UTF-8"),
        (open(file("endless", &vec![b'\n'; (4 << 20) + 1]), None), "cannot read"),
        (open(good.clone(), absent()), "cannot read"),
        (open(good.clone(), file("toml", b"[[rule]\n")), "access file"),
        (open(good.clone(), file("typo", b"[[rules]]\nwho = []\n")), "unknown field `rules`"),
    ] {
        let registry = Registry::open(room.path().join("data")).await.expect("a directory");
        let error = Access::new(registry, options).expect_err(said).to_string();
        assert!(error.contains(said) && !error.contains("secret"), "{error}");
    }
    for url in
        ["registry.example", "ftp://registry.example", "https://", "https://a\"b", "https://ada:pw@r", "https://a?b"]
    {
        let registry = Registry::open(room.path().join("data")).await.expect("a directory");
        let mut options = open(good.clone(), None);
        options.url = Some(url.to_owned());
        let error = Access::new(registry, options).expect_err(url).to_string();
        assert!(error.contains("address of the registry"), "{error}");
    }
}
