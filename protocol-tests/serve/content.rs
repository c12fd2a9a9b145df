//! What the registry has, and how it is found, listed, shared and deleted.

use spinreg::content::{Body, Source as _};
use spinreg::model::{Algorithm, Digest, Identifier};
use spinreg::serve::References;
use spinreg::store::Layout;

use super::http::Answer;
use super::{BOTH, Served, bytes, digest, temporary};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn push_blob(served: &Served, name: &str, content: &[u8]) -> Digest {
    let digest = digest(Algorithm::Sha256, content);
    let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
    assert_eq!(served.send("POST", &path, &[], Body::from_bytes(content.to_vec())).await.status, 201);
    digest
}

async fn put(served: &Served, path: &str, media_type: &str, manifest: &str) -> Answer {
    served.send("PUT", path, &[("content-type", media_type)], Body::from_bytes(manifest.to_owned())).await
}

/// An image of nothing, told apart by `note`; `more` are further members.
fn image(note: &str, more: &str) -> String {
    let empty =
        format!(r#"{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}}"#, Digest::of(b"{}"));
    format!(
        r#"{{ "schemaVersion": 2, "mediaType":"{IMAGE}",{more}"config":{empty},"layers":[{empty}],"annotations":{{"note":"{note}"}},"x-unknown":[1] }}"#
    )
}

#[tokio::test]
async fn the_ping_says_what_this_is() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let answer = served.ask("GET", "/v2/").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    assert_eq!(served.lines(), ["GET /v2/ 200"]);
}

#[tokio::test]
async fn blobs_are_read_in_part() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let content = bytes(2048);
    let digest = push_blob(&served, "app", &content).await;
    let path = format!("/v2/app/blobs/{digest}");
    for (range, part) in [
        ("bytes=500-1499", Some(500..1500)),
        ("bytes=500-", Some(500..2048)),
        ("bytes=-500", Some(1548..2048)),
        ("bytes=2000-5000", Some(2000..2048)),
        ("bytes=500-0", None),
        ("bytes=5000-10000", None),
    ] {
        let answer = served.send("GET", &path, &[("range", range)], Body::empty()).await;
        match part {
            Some(part) => {
                let (start, end) = (part.start, part.end - 1);
                assert_eq!((answer.status, &answer.body[..]), (206, &content[part]), "{range}");
                assert_eq!(answer.header("content-range"), format!("bytes {start}-{end}/2048"));
            }
            None => {
                assert_eq!(answer.refusal(), "416 SIZE_INVALID", "{range}");
                assert_eq!(answer.header("content-range"), "bytes */2048");
            }
        }
    }
    let head = served.send("HEAD", &path, &[("range", "bytes=0-1")], Body::empty()).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "2048", 0));
    assert_eq!((head.header("accept-ranges"), head.header("docker-content-digest")), ("bytes", &*digest.to_string()));
}

#[tokio::test]
async fn what_is_missing_is_404() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    push_blob(&served, "app", b"here").await;
    let absent = Digest::of(b"absent");
    for (method, path, refusal) in [
        ("GET", format!("/v2/app/blobs/{absent}"), "404 BLOB_UNKNOWN"),
        ("DELETE", format!("/v2/app/blobs/{absent}"), "404 BLOB_UNKNOWN"),
        ("GET", format!("/v2/app/manifests/{absent}"), "404 MANIFEST_UNKNOWN"),
        ("GET", "/v2/app/manifests/v1".to_owned(), "404 MANIFEST_UNKNOWN"),
        ("DELETE", format!("/v2/app/manifests/{absent}"), "404 MANIFEST_UNKNOWN"),
        ("DELETE", "/v2/app/manifests/v1".to_owned(), "404 MANIFEST_UNKNOWN"),
        ("GET", format!("/v2/none/blobs/{absent}"), "404 NAME_UNKNOWN"),
        ("GET", "/v2/none/manifests/v1".to_owned(), "404 NAME_UNKNOWN"),
        ("GET", "/v2/none/tags/list".to_owned(), "404 NAME_UNKNOWN"),
        // A blob is no manifest, and is not deleted as one.
        ("GET", format!("/v2/app/manifests/{}", Digest::of(b"here")), "404 MANIFEST_UNKNOWN"),
        ("DELETE", format!("/v2/app/manifests/{}", Digest::of(b"here")), "404 MANIFEST_UNKNOWN"),
    ] {
        assert_eq!(served.ask(method, &path).await.refusal(), refusal, "{method} {path}");
        if method == "GET" {
            let head = served.ask("HEAD", &path).await;
            assert_eq!((head.status, head.body.len()), (404, 0), "{path}");
        }
    }
    assert_eq!(served.ask("GET", &format!("/v2/app/blobs/{}", Digest::of(b"here"))).await.status, 200);
    assert!(!root.path().join("none").exists(), "asking makes no repository");
}

#[tokio::test]
async fn blobs_are_mounted_by_a_link() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let digest = push_blob(&served, "deep/er/source", b"shared").await;
    for (name, query) in [("one", "&from=deep/er/source"), ("two", ""), ("one", "&from=none"), ("deep/er", "")] {
        let answer = served.ask("POST", &format!("/v2/{name}/blobs/uploads/?mount={digest}{query}")).await;
        assert_eq!((answer.status, answer.header("location")), (201, &*format!("/v2/{name}/blobs/{digest}")));
        assert_eq!(served.ask("GET", answer.header("location")).await.body, "shared");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let layout = Layout::open(root.path().join("one")).await.expect("a layout");
        assert_eq!(std::fs::metadata(layout.blob_path(&digest)).expect("the blob").nlink(), 4);
    }
    let absent = Digest::of(b"absent");
    for query in ["&from=one", "&from=none", ""] {
        let answer = served.ask("POST", &format!("/v2/three/blobs/uploads/?mount={absent}{query}")).await;
        assert_eq!(answer.status, 202, "{query}");
        assert_eq!(served.ask("GET", answer.header("location")).await.status, 204);
    }
    // A deletion is one repository's affair.
    assert_eq!(served.ask("DELETE", &format!("/v2/deep/er/source/blobs/{digest}")).await.status, 202);
    assert_eq!(served.ask("DELETE", &format!("/v2/deep/er/source/blobs/{digest}")).await.status, 404);
    assert_eq!(served.ask("GET", &format!("/v2/one/blobs/{digest}")).await.body, "shared");
}

#[tokio::test]
async fn manifests_are_kept_as_they_are() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let manifest = image("kept", "");
    let by_tag = put(&served, "/v2/app/manifests/v1", &format!("{IMAGE}; charset=utf-8"), &manifest).await;
    assert_eq!(by_tag.status, 201);
    assert_eq!(by_tag.header("docker-content-digest"), Digest::of(manifest.as_bytes()).to_string());
    assert_eq!(by_tag.header("oci-subject"), "");
    let mut references = vec!["v1".to_owned(), by_tag.header("location").replace("/v2/app/manifests/", "")];
    for algorithm in BOTH {
        let digest = digest(algorithm, manifest.as_bytes()).to_string();
        let answer = put(&served, &format!("/v2/app/manifests/{digest}"), IMAGE, &manifest).await;
        assert_eq!((answer.status, answer.header("docker-content-digest")), (201, &*digest));
        assert_eq!(answer.header("location"), format!("/v2/app/manifests/{digest}"));
        references.push(digest);
    }
    for reference in references {
        let path = format!("/v2/app/manifests/{reference}");
        let found = served.ask("GET", &path).await;
        assert_eq!((found.status, found.header("content-type")), (200, IMAGE), "{reference}");
        assert_eq!(found.body, manifest);
        let head = served.ask("HEAD", &path).await;
        assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, IMAGE, 0));
        assert_eq!(head.header("content-length"), manifest.len().to_string());
        assert_eq!(head.header("docker-content-digest"), found.header("docker-content-digest"));
    }
    // `oci:ROOT/app:v1` is the same thing.
    let layout = Layout::open(root.path().join("app")).await.expect("a layout");
    let found = layout.manifest(&Identifier::Tag("v1".parse().expect("a tag"))).await.expect("the manifest");
    assert_eq!(found.bytes(), manifest.as_bytes());
}

#[tokio::test]
async fn bad_manifests_are_refused() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let good = image("good", "");
    let other = format!("/v2/app/manifests/{}", Digest::of(b"another"));
    for (path, media_type, manifest, refusal) in [
        (&*other, IMAGE, good.clone(), "400 DIGEST_INVALID"),
        ("/v2/app/manifests/v1", IMAGE, "{}".to_owned(), "400 MANIFEST_INVALID"),
        ("/v2/app/manifests/v1", IMAGE, "no JSON".to_owned(), "400 MANIFEST_INVALID"),
        ("/v2/app/manifests/v1", INDEX, good.clone(), "400 MANIFEST_INVALID"),
        ("/v2/app/manifests/v1", "no type", good.clone(), "400 MANIFEST_INVALID"),
        ("/v2/app/manifests/sha256:baddigeststring", IMAGE, good, "400 DIGEST_INVALID"),
        ("/v2/app/manifests/v1", IMAGE, " ".repeat((8 << 20) + 1), "413 SIZE_INVALID"),
    ] {
        assert_eq!(put(&served, path, media_type, &manifest).await.refusal(), refusal, "{path}");
    }
    assert!(!root.path().join("app").exists(), "a refused manifest makes no repository");
    let large = image(&"x".repeat(5 << 20), "");
    assert_eq!(put(&served, "/v2/app/manifests/v1", IMAGE, &large).await.status, 201);
}

#[tokio::test]
async fn references_are_checked_where_that_is_wished() {
    let root = temporary();
    let served = Served::with(root.path(), References::Checked).await;
    let manifest = image("checked", "");
    let digest = Digest::of(manifest.as_bytes());
    let refused = put(&served, "/v2/app/manifests/v1", IMAGE, &manifest).await;
    assert_eq!(refused.refusal(), "400 MANIFEST_BLOB_UNKNOWN");
    push_blob(&served, "app", b"{}").await;
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{IMAGE}","digest":"{digest}","size":{}}}]}}"#,
        manifest.len()
    );
    assert_eq!(put(&served, "/v2/app/manifests/i", INDEX, &index).await.refusal(), "400 MANIFEST_BLOB_UNKNOWN");
    assert_eq!(put(&served, "/v2/app/manifests/v1", IMAGE, &manifest).await.status, 201);
    assert_eq!(put(&served, "/v2/app/manifests/i", INDEX, &index).await.status, 201);
}

#[tokio::test]
async fn tags_are_listed_in_order_and_in_pages() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let manifest = image("tagged", "");
    let digest = Digest::of(manifest.as_bytes());
    let many = put(&served, &format!("/v2/app/manifests/{digest}?tag=v2&tag=V1&tag=v10"), IMAGE, &manifest).await;
    let told: Vec<_> = many.headers.get_all("oci-tag").iter().collect();
    assert_eq!(many.status, 201);
    assert_eq!(told, ["v2", "V1", "v10"]);
    for (query, tags, link) in [
        ("", &["V1", "v10", "v2"][..], ""),
        ("?n=5", &["V1", "v10", "v2"], ""),
        ("?n=2", &["V1", "v10"], r#"</v2/app/tags/list?n=2&last=v10>; rel="next""#),
        ("?n=2&last=v10", &["v2"], ""),
        ("?last=V1", &["v10", "v2"], ""),
        ("?n=0", &[], ""),
        ("?last=zz", &[], ""),
    ] {
        let answer = served.ask("GET", &format!("/v2/app/tags/list{query}")).await;
        assert_eq!(answer.json(), serde_json::json!({"name": "app", "tags": tags}), "{query}");
        assert_eq!(answer.header("link"), link, "{query}");
    }
}

#[tokio::test]
async fn a_tag_goes_alone_and_a_manifest_with_its_tags() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let manifest = image("deleted", "");
    let path = format!("/v2/app/manifests/{}", Digest::of(manifest.as_bytes()));
    for tag in ["latest", "v1", "v2"] {
        assert_eq!(put(&served, &format!("/v2/app/manifests/{tag}"), IMAGE, &manifest).await.status, 201);
    }
    assert_eq!(served.ask("DELETE", "/v2/app/manifests/v1").await.status, 202);
    assert_eq!(served.ask("DELETE", "/v2/app/manifests/v1").await.status, 404);
    assert_eq!(served.ask("DELETE", "/v2/app/manifests/latest").await.status, 202);
    assert_eq!(served.ask("DELETE", "/v2/app/manifests/v2").await.status, 202);
    // A layout with one manifest and no names would call it `latest`; a registry does not.
    assert_eq!(served.ask("HEAD", "/v2/app/manifests/latest").await.status, 404);
    assert_eq!(served.ask("GET", "/v2/app/tags/list").await.json()["tags"], serde_json::json!([]));
    assert_eq!(served.ask("GET", &path).await.body, manifest);

    assert_eq!(put(&served, "/v2/app/manifests/v3", IMAGE, &manifest).await.status, 201);
    let blob = path.replace("manifests", "blobs");
    assert_eq!(served.ask("DELETE", &blob).await.refusal(), "405 UNSUPPORTED");
    assert_eq!(served.ask("DELETE", &path).await.status, 202);
    assert_eq!(served.ask("DELETE", &path).await.status, 404);
    for gone in [path.as_str(), "/v2/app/manifests/v3", blob.as_str()] {
        assert_eq!(served.ask("HEAD", gone).await.status, 404, "{gone}");
    }
    assert_eq!(served.ask("GET", "/v2/app/tags/list").await.json()["tags"], serde_json::json!([]));
}

#[tokio::test]
async fn referrers_are_found_whether_their_subject_is_there_or_not() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let subject = Digest::of(b"never pushed");
    let subject_json = format!(r#""subject":{{"mediaType":"{IMAGE}","digest":"{subject}","size":12}},"#);
    let path = format!("/v2/app/referrers/{subject}");
    let none = served.ask("GET", &path).await;
    assert_eq!((none.status, none.header("content-type")), (200, INDEX));
    assert_eq!(none.json(), serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));

    let typed = image("typed", &format!(r#"{subject_json}"artifactType":"a/b+c","#));
    for manifest in [&typed, &image("plain", &subject_json), &image("stranger", "")] {
        let path = format!("/v2/app/manifests/{}", Digest::of(manifest.as_bytes()));
        let answer = put(&served, &path, IMAGE, manifest).await;
        let expected = if manifest.contains("subject") { subject.to_string() } else { String::new() };
        assert_eq!(answer.header("oci-subject"), expected);
    }
    let all = served.ask("GET", &path).await;
    assert_eq!(all.json()["manifests"].as_array().map(Vec::len), Some(2));
    assert_eq!(all.header("oci-filters-applied"), "");
    let some = served.ask("GET", &format!("{path}?artifactType=a/b%2Bc")).await;
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let expected = serde_json::json!([{
        "annotations": {"note": "typed"}, "artifactType": "a/b+c", "digest": Digest::of(typed.as_bytes()),
        "mediaType": IMAGE, "size": typed.len(),
    }]);
    assert_eq!(some.json()["manifests"], expected);
    assert_eq!(served.ask("DELETE", &format!("/v2/app/manifests/{}", Digest::of(typed.as_bytes()))).await.status, 202);
    assert_eq!(served.ask("GET", &path).await.json()["manifests"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn repositories_lie_inside_repositories() {
    let root = temporary();
    let served = Served::over(root.path()).await;
    let names = ["a/blobs/sha256", "a/blobs", "a", "a/index.json", "a/oci-layout", "a/manifests/tags", "blobs"];
    for name in names {
        push_blob(&served, name, name.as_bytes()).await;
        let answer = put(&served, &format!("/v2/{name}/manifests/v1"), IMAGE, &image(name, "")).await;
        assert_eq!(answer.status, 201, "{name}");
    }
    for name in names {
        let found = served.ask("GET", &format!("/v2/{name}/blobs/{}", Digest::of(name.as_bytes()))).await;
        assert_eq!(found.body, name, "{name}");
        let found = served.ask("GET", &format!("/v2/{name}/manifests/v1")).await;
        assert_eq!(found.body, image(name, ""), "{name}");
        let list = served.ask("GET", &format!("/v2/{name}/tags/list")).await;
        assert_eq!(list.json(), serde_json::json!({"name": name, "tags": ["v1"]}));
    }
    assert!(root.path().join("a/_blobs/sha256/oci-layout").is_file());
    // A directory on the way to a repository is none.
    assert_eq!(served.ask("GET", "/v2/a/manifests/tags/list").await.status, 404);
    assert_eq!(served.ask("GET", "/v2/a/manifests/tags/tags/list").await.status, 200);
}
