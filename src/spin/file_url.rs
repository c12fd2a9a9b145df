//! `file:` URLs, as lock files on disk have them.

use std::fmt::Write as _;
use std::path::Path;

/// Returns the `file:` URL of an absolute path. What is not plain in a path is percent-encoded, byte by byte.
pub(super) fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    let text = if cfg!(windows) { slashes(path) } else { path.as_os_str().to_owned() };
    for byte in text.as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                url.push(char::from(*byte));
            }
            other => write!(url, "%{other:02X}").expect("a string grows"),
        }
    }
    url
}

/// Writes a Windows path as the path of a URL: `C:\a` is `/C:/a`, and the mark of a long path is left out.
fn slashes(path: &Path) -> std::ffi::OsString {
    let text = path.to_string_lossy();
    let text = text.strip_prefix(r"\\?\").unwrap_or(&text);
    format!("/{}", text.replace('\\', "/")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn paths_become_urls() {
        for (path, url) in [
            ("/a/b.wasm", "file:///a/b.wasm"),
            ("/c/sha256:00ff", "file:///c/sha256:00ff"),
            ("/a b/ü#?%", "file:///a%20b/%C3%BC%23%3F%25"),
        ] {
            assert_eq!(file_url(Path::new(path)), url);
        }
    }

    #[test]
    fn windows_paths_are_written_with_slashes() {
        for (path, expected) in [(r"C:\a\b", "/C:/a/b"), (r"\\?\C:\a", "/C:/a")] {
            assert_eq!(slashes(Path::new(path)).to_str(), Some(expected));
        }
    }
}
