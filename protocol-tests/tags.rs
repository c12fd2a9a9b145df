//! Tags in lists of all lengths, and the end of things: deletion.

use std::num::NonZeroU32;

use futures_util::TryStreamExt as _;
use spinreg::Error;
use spinreg::model::{Digest, ErrorCode, Tag};
use spinreg::registry::{Listing, Repository};

use crate::support::reply::Reply;
use crate::support::repository::anonymous;
use crate::support::script::Script;

const LIST: &str = "GET /v2/app/tags/list";

fn page(tags: &[&str]) -> Reply {
    Reply::ok(serde_json::json!({ "name": "app", "tags": tags }).to_string())
}

async fn list(repository: &Repository, listing: Listing) -> Result<Vec<String>, Error> {
    let tags: Vec<Tag> = repository.tags(listing).try_collect().await?;
    Ok(tags.iter().map(Tag::to_string).collect())
}

fn by(n: u32) -> Listing {
    Listing::default().in_pages_of(NonZeroU32::new(n).expect("not zero"))
}

#[tokio::test]
async fn links_are_followed_to_the_end() {
    let script = Script::new()
        .on(LIST, page(&["a", "b"]).header("link", "</v2/app/tags/list?last=b&x=1>; rel=\"next\""))
        // An empty page, and one without quotes: the end is where no link is.
        .on("GET /v2/app/tags/list?last=b&x=1", page(&[]).header("link", "</v2/app/more?p=3>; rel=next"))
        .on("GET /v2/app/more?p=3", page(&["c"]))
        .start()
        .await;
    let repository = anonymous(script.address());
    assert_eq!(list(&repository, Listing::default()).await.expect("a list"), ["a", "b", "c"]);
    script.finish();
}

#[tokio::test]
async fn a_listing_says_how_many_and_after_which() {
    let script = Script::new()
        .on("GET /v2/app/tags/list?n=2&last=a", page(&["b", "c"]))
        // Full, and no `Link`: registries of old do not say how to go on.
        .on("GET /v2/app/tags/list?n=2&last=c", page(&["d"]))
        .on("GET /v2/app/tags/list?n=1", page(&["a"]))
        .on("GET /v2/app/tags/list?n=1&last=a", page(&["b"]))
        .on("GET /v2/app/tags/list?n=1&last=b", page(&["a"]))
        .on("GET /v2/app/tags/list?n=3", page(&["a", "b", "c", "d"]))
        // Who has once said where the next page is says it as long as there is one.
        .on("GET /v2/app/tags/list?n=2", page(&["a", "b"]).header("link", "</v2/app/more>; rel=\"next\""))
        .on("GET /v2/app/more", page(&["c", "d"]))
        .start()
        .await;
    let repository = anonymous(script.address());
    let after = by(2).after("a".parse().expect("a tag"));
    assert_eq!(list(&repository, after).await.expect("a list"), ["b", "c", "d"]);
    assert_eq!(list(&repository, by(1)).await.expect("a list"), ["a", "b"], "crane begins again");
    assert_eq!(list(&repository, by(3)).await.expect("a list"), ["a", "b", "c", "d"], "`n` is not known there");
    assert_eq!(list(&repository, by(2)).await.expect("a list"), ["a", "b", "c", "d"], "the second page is full");
    script.finish();
}

#[tokio::test]
async fn lists_that_never_end_are_ended() {
    let again = page(&["a"]).header("link", "</v2/app/tags/list>; rel=\"next\"");
    let script = Script::new().always(LIST, again).start().await;
    let error = list(&anonymous(script.address()), Listing::default()).await.expect_err("an endless list");
    assert!(error.to_string().contains("more than 1000 pages"), "{error}");
    assert_eq!(script.requests().len(), 1_000);
    script.finish();
}

#[tokio::test]
async fn lists_that_are_none_are_errors() {
    for (reply, text) in [
        (page(&["a"]).header("link", "<http://127.0.0.2:1/v2/app/tags/list>; rel=\"next\""), "another server"),
        (Reply::ok("<html>"), "no list of tags"),
        (Reply::refusal(404, "NAME_UNKNOWN", ""), "repository `app`"),
    ] {
        let script = Script::new().on(LIST, reply).start().await;
        let error = list(&anonymous(script.address()), Listing::default()).await.expect_err("no list");
        assert!(error.to_string().contains(text), "{error}");
        script.finish();
    }
}

#[tokio::test]
async fn a_list_is_read_as_far_as_it_is_wanted() {
    let link = "</v2/app/tags/list?last=b>; rel=\"next\"";
    let script = Script::new().on(LIST, page(&["a", "b"]).header("link", link)).start().await;
    let mut tags = std::pin::pin!(anonymous(script.address()).tags(Listing::default()));
    assert_eq!(tags.try_next().await.expect("a tag").expect("a tag").as_str(), "a");
    assert_eq!(script.requests().len(), 1);
    script.finish();
}

#[tokio::test]
async fn what_is_deleted_is_gone_or_the_error_says_why_not() {
    let digest = Digest::of(b"x");
    let tag: Tag = "v1".parse().expect("a tag");
    let script = Script::new()
        .on_each(
            "DELETE /v2/app/manifests/v1",
            [
                Reply::status(202),
                Reply::refusal(404, "MANIFEST_UNKNOWN", ""),
                Reply::status(405),
                Reply::refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content"),
            ],
        )
        .on_each("DELETE /v2/app/blobs/sha256:*", [Reply::status(202), Reply::status(405)])
        .start()
        .await;
    let repository = anonymous(script.address());
    repository.delete_tag(&tag).await.expect("it was there");
    let error = repository.delete_tag(&tag).await.expect_err("it is gone");
    assert!(error.is_not_found() && error.to_string().contains("tag `v1`"), "{error}");
    for _ in 0..2 {
        let error = repository.delete_tag(&tag).await.expect_err("tags are for ever");
        assert_eq!(error.code(), Some(&ErrorCode::Unsupported), "{error}");
        assert!(error.to_string().contains("this registry does not let tags be deleted"), "{error}");
    }
    repository.delete_blob(&digest).await.expect("it was there");
    let error = repository.delete_blob(&digest).await.expect_err("blobs are for ever");
    assert!(error.to_string().contains("does not let blobs be deleted"), "{error}");
    script.finish();
}

#[tokio::test]
async fn deleting_asks_for_the_right_to() {
    let challenge = "Bearer realm=\"{origin}/token\",service=\"r\"";
    let script = Script::new()
        .on("DELETE /v2/app/manifests/v1", Reply::status(401).header("www-authenticate", challenge))
        .on("GET /token?*", Reply::ok(r#"{"token":"t"}"#))
        .on("DELETE /v2/app/manifests/v1", Reply::status(202))
        .with("authorization", "Bearer t")
        .start()
        .await;
    anonymous(script.address()).delete_tag(&"v1".parse().expect("a tag")).await.expect("it was there");
    let request = &script.requests()[1];
    assert!(request.contains("delete") && request.contains("app"), "{request}");
    script.finish();
}
