//! Lists that come in pages (distribution-spec 1.1, "Listing Tags" and "Listing Referrers").

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri};

use super::Repository;
use super::response::{read, refused, violation};
use crate::error::{Error, RequestLine};
use crate::transport::{FinalUri, Origin, Payload, headers, resolve};

/// The pages of a list, one after the other.
pub(super) struct Pages {
    repository: Repository,
    /// Where the next page is: a path of the registry at first, what the registry says later.
    next: Option<Uri>,
    accept: &'static str,
    count: u32,
    bytes: u64,
}

/// One page of a list.
pub(super) struct Page {
    pub(super) line: RequestLine,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Pages {
    /// Begins at `rest`, below the repository.
    pub(super) fn new(repository: &Repository, rest: impl std::fmt::Display, accept: &'static str) -> Self {
        let uri = repository.request(Method::GET, rest).uri().clone();
        Self { repository: repository.clone(), next: Some(uri), accept, count: 0, bytes: 0 }
    }

    /// Goes on at `rest`, where the registry has not said how.
    pub(super) fn go_on(&mut self, rest: impl std::fmt::Display) {
        self.next = Some(self.repository.request(Method::GET, rest).uri().clone());
    }

    /// Says whether the registry has named a next page.
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Reads the next page: one `GET`. `None` is the end.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] where there are more than [`MAX_PAGES`] or [`MAX_BYTES`], or where a page is elsewhere: links
    /// come with the list, and lead to no other server.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        let Some(uri) = self.next.take() else { return Ok(None) };
        let repository = &self.repository;
        let (client, registry) = (repository.client(), repository.registry());
        let mut request = Request::new(Payload::Empty);
        *request.uri_mut() = uri;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(self.accept));
        let line = RequestLine::new(request.method(), request.uri());
        if self.count == MAX_PAGES {
            return Err(Error::protocol(line, "the list has more than 1000 pages"));
        }
        self.count += 1;
        let mut budget = client.budget();
        let response = if request.uri().scheme().is_none() {
            client.send(registry, request, &repository.scopes(), &mut budget).await?
        } else {
            client.send_to(registry, request, &repository.scopes(), &mut budget).await?
        };
        let line = response.extensions().get().map_or(line, |FinalUri(uri)| RequestLine::new(&Method::GET, uri));
        if response.status() != StatusCode::OK {
            return Err(refused(response, line, || format!("repository `{}`", repository.name())).await);
        }
        let (head, body) = response.into_parts();
        let Some(body) = read(body, MAX_BYTES - self.bytes).await? else {
            return Err(Error::protocol(line, "the list is larger than 64 MiB"));
        };
        self.bytes += body.len() as u64;
        if let Some(link) = headers::link_next(&head.headers) {
            self.next = Some(follow(&line, &link)?);
        }
        Ok(Some(Page { line, headers: head.headers, body }))
    }
}

/// Resolves the link of a page to the next one.
pub(super) fn follow(line: &RequestLine, link: &str) -> Result<Uri, Error> {
    let base = line.uri.reveal();
    let next = resolve(base, link)
        .map_err(|error| violation(line.clone(), "the `Link` to the next page leads nowhere", error))?;
    if Origin::of(&next) != Origin::of(base) {
        return Err(Error::protocol(line.clone(), "the `Link` to the next page leads to another server"));
    }
    Ok(next)
}

/// How many pages a list may have. Lists of that size are no longer for people, and a loop would be as long.
const MAX_PAGES: u32 = 1_000;
/// How many bytes a list may have, all pages together.
const MAX_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_on_the_server() {
        let base = "https://r.example/v2/a/tags/list?n=2".parse().expect("a URI");
        let line = RequestLine::new(&Method::GET, &base);
        for (link, next) in [
            ("/v2/a/tags/list?n=2&last=b", Some("https://r.example/v2/a/tags/list?n=2&last=b")),
            ("?last=b%2F", Some("https://r.example/v2/a/tags/list?last=b%2F")),
            ("https://r.example:443/x", Some("https://r.example:443/x")),
            ("http://r.example/x", Some("https://r.example/x")),
            ("https://other.example/x", None),
            ("https://r.example:8443/x", None),
            ("ftp://r.example/x", None),
        ] {
            let followed = follow(&line, link).ok().map(|uri| uri.to_string());
            assert_eq!(followed.as_deref(), next, "{link}");
        }
    }
}
