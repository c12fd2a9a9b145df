//! Which requests are meant: `GET /v2/app/manifests/*`.

/// A method and a path with query, in which `*` stands for any run of characters.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        assert!(text == "*" || text.contains(" /") || text.contains(" *"), "a pattern is `METHOD /path`: {text}");
        Self(text.to_owned())
    }

    /// Says whether a request is meant; `target` is the path with its query.
    pub(crate) fn matches(&self, method: &http::Method, target: &str) -> bool {
        glob(self.0.as_bytes(), format!("{method} {target}").as_bytes())
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the path and query of a URI.
pub(crate) fn target(uri: &http::Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|from| glob(rest, &text[from..])),
        Some((expected, rest)) => text.split_first().is_some_and(|(first, text)| first == expected && glob(rest, text)),
    }
}

#[test]
fn a_star_is_any_run_of_characters() {
    for (pattern, target, expected) in [
        ("GET /v2/", "/v2/", true),
        ("GET /v2/", "/v2/x", false),
        ("GET /v2/*/tags/list*", "/v2/a/b/tags/list?n=5", true),
        ("HEAD /v2/", "/v2/", false),
        ("* /v2/", "/v2/", true),
        ("*", "/anything?at=all", true),
    ] {
        assert_eq!(Pattern::new(pattern).matches(&http::Method::GET, target), expected, "{pattern} and {target}");
    }
}
