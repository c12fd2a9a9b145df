use super::*;

/// `user:password`, `identity TOKEN`, `bearer TOKEN`, or which helper is asked for which names.
fn steps(text: &str, registry: &str, name: Option<&str>) -> Vec<String> {
    let document: Document = document::parse(text.as_bytes(), "test").expect(text);
    let name = name.map(|name| name.parse().expect("a name"));
    let steps = document.steps(&registry.parse().expect("a registry"), name.as_ref());
    let printed = steps.into_iter().map(|step| match step {
        Step::Helper(helper, servers) => Some(format!("{helper} <- {}", servers.join(" "))),
        Step::Entry(key, entry) => {
            entry.credential("test", &key).expect("a valid entry").map(|credential| match credential {
                Credential::Password { username, secret } => format!("{username}:{}", secret.reveal()),
                Credential::Identity { token } => format!("identity {}", token.reveal()),
                Credential::Bearer { token } => format!("bearer {}", token.reveal()),
            })
        }
    });
    printed.flatten().collect()
}

#[test]
fn entries_are_read_in_all_their_forms() {
    for (entry, expected) in [
        (r#"{"auth":"YTpi"}"#, "a:b"),
        (r#"{"auth":"YTpiOmM"}"#, "a:b:c"),
        (r#"{"username":"a","password":"b","email":"x@y"}"#, "a:b"),
        (r#"{"auth":"YTpi","username":"x","password":"y"}"#, "a:b"),
        (r#"{"auth":"MDAwOg==","identitytoken":"t"}"#, "identity t"),
        (r#"{"registrytoken":"t"}"#, "bearer t"),
        (r#"{"auth":"","identitytoken":"","username":"a","password":"b"}"#, "a:b"),
        (r#"{"auth":null,"username":"a","password":""}"#, "a:"),
    ] {
        assert_eq!(steps(&format!(r#"{{"auths":{{"r.example":{entry}}}}}"#), "r.example", None), [expected], "{entry}");
    }
    for entry in [r#"{}"#, "null", r#"{"username":"a"}"#, r#"{"password":"b"}"#, r#"{"auth":""}"#] {
        assert!(steps(&format!(r#"{{"auths":{{"r.example":{entry}}}}}"#), "r.example", None).is_empty(), "{entry}");
    }
}

#[test]
fn keys_are_normalised() {
    for (key, registry, fits) in [
        ("r.example", "r.example", true),
        ("R.Example", "r.example", true),
        ("https://r.example", "r.example", true),
        ("http://r.example/v2/", "r.example", true),
        ("https://r.example/any/path", "r.example", true),
        ("https://r.example/v1", "r.example", true),
        // Without a scheme it is a namespace, as for podman.
        ("r.example/", "r.example", true),
        ("r.example/v1", "r.example", false),
        ("r.example/v2/", "r.example", false),
        ("r.example:5000", "r.example:5000", true),
        ("r.example:5000", "r.example", false),
        ("r.example", "r.example:5000", false),
        ("other.example", "r.example", false),
        ("r.example.evil", "r.example", false),
        ("https://index.docker.io/v1/", "docker.io", true),
        ("index.docker.io", "docker.io", true),
        ("registry-1.docker.io", "docker.io", true),
        ("docker.io", "docker.io", true),
        ("auth.docker.io", "docker.io", false),
        ("", "r.example", false),
        ("://", "r.example", false),
    ] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"YTpi"}}}}}}"#);
        assert_eq!(!steps(&text, registry, None).is_empty(), fits, "{key} for {registry}");
    }
}

#[test]
fn the_longest_namespace_wins() {
    let text = r#"{"auths":{
        "r.example": {"auth":"cm9vdDox"}, "https://r.example": {"auth":"dXJpOjE="}, "r.example/ada": {"auth":"YWRhOjE="},
        "r.example/ada/app": {"auth":"YXBwOjE="}, "r.example/bob": {}
    }}"#;
    for (name, first) in [
        (None, "root:1"),
        (Some("eve/app"), "root:1"),
        (Some("ada/x"), "ada:1"),
        (Some("ada"), "ada:1"),
        (Some("adam/x"), "root:1"),
        (Some("ada/app"), "app:1"),
        (Some("ada/app/deep"), "app:1"),
        (Some("ada/apps"), "ada:1"),
        (Some("bob/x"), "root:1"),
    ] {
        assert_eq!(steps(text, "r.example", name)[0], first, "{name:?}");
    }
}

#[test]
fn helpers_come_before_entries_and_the_store_last() {
    let text = r#"{
        "credHelpers": {"r.example": "own", "https://index.docker.io/v1/": "hub"}, "credsStore": "desktop",
        "auths": {"r.example": {"auth": "YTpi"}}
    }"#;
    let hub = "https://index.docker.io/v1/ index.docker.io docker.io registry-1.docker.io";
    for (registry, expected) in [
        ("r.example", vec!["own <- r.example".to_owned(), "a:b".into(), "desktop <- r.example".into()]),
        ("docker.io", vec![format!("hub <- {hub}"), format!("desktop <- {hub}")]),
        ("x.example", vec!["desktop <- x.example".to_owned()]),
    ] {
        assert_eq!(steps(text, registry, None), expected, "{registry}");
    }
    assert!(steps(r#"{"credsStore":"","HttpHeaders":{"a":"b"}}"#, "r.example", None).is_empty());
}

#[tokio::test]
async fn a_variable_is_a_source_and_its_errors_hide_the_secret() {
    let registry = "r.example".parse().expect("a registry");
    let config = |text: &str| DockerConfig::inline("DOCKER_AUTH_CONFIG", Secret::new(text));
    let found = config(r#"{"auths":{"r.example":{"auth":"YTpi"}}}"#).credential(&registry, None).await;
    assert_eq!(found.expect("valid").expect("an entry").source, "`DOCKER_AUTH_CONFIG`");
    for (text, message) in [
        (r#"{"auths":"#, "credential file `DOCKER_AUTH_CONFIG` expects valid JSON: line 1, column 9"),
        (
            r#"{"auths":{"r.example":{"auth":"hunter2"}}}"#,
            "credential file `DOCKER_AUTH_CONFIG` expects an `auth` that is `user:password` in Base64: entry `r.example`",
        ),
        (
            r#"{"credsStore":"../evil"}"#,
            "credential file `DOCKER_AUTH_CONFIG` expects helpers without a path in their name: entry `../evil`",
        ),
    ] {
        let error = config(text).credential(&registry, None).await.expect_err(text);
        assert_eq!(error.to_string(), message);
    }
}
