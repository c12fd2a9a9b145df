//! Documents, and parts of them, that are written from the code, and held equal to it.

use super::root;

/// Compares what stands in `document` between `<!-- NAME -->` and `<!-- end of NAME -->` with `expected`;
/// `SPINREG_BLESS=1` writes it there instead.
pub(crate) fn part(document: &str, name: &str, expected: &str) {
    let path = root(document);
    let text = std::fs::read_to_string(&path).expect("a document of the crate");
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("`{document}` has no `{start}`"));
    let (actual, after) = rest.split_once(&end).unwrap_or_else(|| panic!("`{document}` has no `{end}`"));
    if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
        let text = format!("{before}{start}{expected}{end}{after}");
        std::fs::write(&path, text).expect("a file of the crate");
        return;
    }
    assert!(actual == expected, "`{document}` is not what the code says; `SPINREG_BLESS=1` writes it anew");
}

/// Compares a whole document with `expected`; `SPINREG_BLESS=1` writes it there instead.
pub(crate) fn whole(document: &str, expected: &str) {
    let path = root(document);
    if std::env::var_os("SPINREG_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, expected).expect("a file of the crate");
        return;
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    let (actual, expected) = (actual.lines().collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
    let difference = || super::wire::difference(&actual, &expected);
    assert!(
        actual == expected,
        "`{document}` is not what the code says; `SPINREG_BLESS=1` writes it anew:\n{}",
        difference()
    );
}
