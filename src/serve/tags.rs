//! Lists of tags.

use http::header::LINK;
use http::{Response, StatusCode};

use super::repositories::Repository;
use super::respond::{Refusal, json, value};
use crate::content::Body;
use crate::model::Name;

/// Answers end-8: tags in ASCII order, those after `last`, `n` of them.
pub(super) async fn list(
    name: &Name,
    repository: &Repository,
    n: Option<usize>,
    last: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let catalog = repository.catalog().await?;
    let page = page(catalog.tags().map(|(tag, _)| tag.as_str()), n, last);
    let mut response = json(StatusCode::OK, &List { name: name.as_str(), tags: &page.tags });
    if let (true, Some(n), Some(last)) = (page.cut, n, page.tags.last()) {
        let link = value(format_args!("</v2/{name}/tags/list?n={n}&last={last}>; rel=\"next\""));
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

#[derive(serde::Serialize)]
struct List<'a> {
    name: &'a str,
    tags: &'a [&'a str],
}

#[derive(Debug, PartialEq, Eq)]
struct Page<'a> {
    tags: Vec<&'a str>,
    /// Whether there are more, and `n` left them out.
    cut: bool,
}

/// Cuts a page out of tags in ASCII order.
fn page<'a>(tags: impl Iterator<Item = &'a str>, n: Option<usize>, last: Option<&str>) -> Page<'a> {
    let mut rest = tags.skip_while(|tag| last.is_some_and(|last| *tag <= last));
    let tags = rest.by_ref().take(n.unwrap_or(usize::MAX)).collect();
    Page { tags, cut: rest.next().is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_ordered_and_say_when_they_are_cut() {
        for (n, last, expected, cut) in [
            (None, None, "V2 _x a v1 v10", false),
            (Some(9), None, "V2 _x a v1 v10", false),
            (Some(5), None, "V2 _x a v1 v10", false),
            (Some(2), None, "V2 _x", true),
            (Some(2), Some("_x"), "a v1", true),
            (Some(2), Some("a"), "v1 v10", false),
            (None, Some("v1"), "v10", false),
            (None, Some("b"), "v1 v10", false),
            (None, Some("zz"), "", false),
            (Some(0), None, "", true),
        ] {
            let tags = page(["V2", "_x", "a", "v1", "v10"].into_iter(), n, last);
            assert_eq!((tags.tags.join(" ").as_str(), tags.cut), (expected, cut), "{n:?} {last:?}");
        }
    }
}
