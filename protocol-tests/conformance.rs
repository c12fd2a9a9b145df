//! Judging registries: the official steps on our own registry, and on some that misbehave.

use std::future::pending;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use spinreg::Digest;
use spinreg::auth::{Authorizer, Credential, Exposure, Found, Given, Secret};
use spinreg::conformance::report::{self, Strictness};
use spinreg::conformance::{Api, DataSet, Probe, Report, Status, run};
use spinreg::transport::Scheme;
use tokio::sync::Notify;

use crate::support::client::transport;
use crate::support::front::{Front, Meddle};
use crate::support::guard::Guard;
use crate::support::judged::{EVERYTHING, complaints, judge, probe, rows, settings, undocumented};
use crate::support::listen::closed_port;
use crate::support::registry::Embedded;
use crate::support::reply::Reply;
use crate::support::root;

/// Reads the fixture, which comes from a run of the official suite against our registry.
fn official_rows() -> Vec<String> {
    let text = std::fs::read_to_string(root("fixtures/conformance/official-steps.tsv")).expect("a fixture");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn paths(report: &Report) -> Vec<String> {
    report.steps.iter().map(|step| step.path.join("/")).collect()
}

#[tokio::test]
async fn every_step_is_the_official_one_and_our_registry_passes_it() {
    let registry = Embedded::start().await;
    let report = judge(&registry.address().to_string(), &EVERYTHING).await;
    assert_eq!(complaints(&report), Vec::<String>::new());
    let (rows, official) = (rows(&report), official_rows());
    for (ours, theirs) in rows.iter().zip(&official) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(rows.len(), official.len());
    // What was sent is there for people, in whatever way it was sent.
    let put = report.steps.iter().find(|step| step.path.last().is_some_and(|leaf| leaf == "manifest-by-tag"));
    let sent = &put.expect("a push").exchanges[0];
    assert!(sent.request_body.text.as_ref().is_some_and(|text| text.contains("schemaVersion")), "{sent:?}");
    assert!(sent.request_headers.iter().any(|header| header.name == "transfer-encoding"), "{sent:?}");
    let exchanges: usize = report.steps.iter().map(|step| step.exchanges.len()).sum();
    assert_eq!((report.steps.len(), exchanges), (830, 1419));
    assert!(Api::ALL.iter().all(|api| report.apis.get(api) == Some(&Status::Pass)), "{:?}", report.apis);
    let own = DataSet::ALL.iter().filter(|data| **data != DataSet::ReadOnlyInputs);
    assert!(own.clone().all(|data| report.data.get(data) == Some(&Status::Pass)), "{:?}", report.data);
    assert_eq!((report.apis.len(), report.data.len()), (28, 24));
    assert_eq!((report.leftovers.len(), report.aborted.as_deref()), (0, None));
    assert_eq!(undocumented(&report, "spinreg serve", 1), Vec::<String>::new());
    let report = judge(&registry.address().to_string(), &[]).await;
    assert_eq!(undocumented(&report, "spinreg serve", 0), Vec::<String>::new());
}

#[tokio::test]
async fn tokens_and_passwords_change_no_verdict() {
    let registry = Embedded::start().await;
    for guard in [Guard::basic("ada", "correct horse"), Guard::bearer("ada", "correct horse")] {
        let front = Front::before(registry.address()).guarded(&guard).start().await;
        let name = front.registry();
        let credential = Credential::Password { username: "ada".into(), secret: Secret::new("correct horse") };
        let found = Found { credential, source: "the test".into() };
        let keychain = Given::new(name.parse().expect("a registry"), found);
        let authorizer = Authorizer::new(transport(|_| ()), Arc::new(keychain), Exposure::Guarded);
        let probe = Probe::new(authorizer, name.parse().expect("a registry"), Scheme::Http);
        for filter in ["sha512 blobs/mount", "artifacts-with-subject"] {
            let settings = settings(&name, &[("OCI_FILTER_TEST", filter)]);
            let report = run(&settings, &probe, pending()).await;
            assert_eq!(complaints(&report), Vec::<String>::new());
            assert!(report.steps.len() > 10, "{filter}");
            assert!(!format!("{report:?}").contains("horse"));
        }
        // Nobody gets as far without them.
        let settings = settings(&name, &[("OCI_FILTER_TEST", "image/push")]);
        let report = run(&settings, &self::probe(&name, |_| ()), pending()).await;
        assert!(report.steps.iter().all(|step| step.status == Status::Fail), "{:?}", paths(&report));
        assert!(report.steps[0].reasons[0].contains("got 401"), "{:?}", report.steps[0].reasons);
    }
}

#[tokio::test]
async fn a_filter_takes_its_steps_and_what_they_need() {
    let registry = Embedded::start().await;
    let name = registry.address().to_string();
    let report = judge(&name, &[("OCI_FILTER_TEST", "OCI Conformance Test/image/pull")]).await;
    let blob = "image/pull/blob-get";
    assert_eq!(paths(&report), ["image/pull/manifest-by-tag", "image/pull/manifest-by-digest", blob, blob, blob]);
    assert_eq!(complaints(&report), Vec::<String>::new());
    // What was only needed is not judged, and removed all the same.
    assert_eq!(report.apis.get(&Api::ManifestPutByTag), None);
    let judged: Vec<&DataSet> =
        report.data.iter().filter(|(_, status)| **status != Status::Disabled).map(|(data, _)| data).collect();
    assert_eq!((judged, report.data.get(&DataSet::Image)), (vec![&DataSet::Image], Some(&Status::Pass)));
    assert_eq!(report.leftovers.len(), 0);
    assert!(registry.wire().count("DELETE /v2/conformance/repo1/blobs/") > 2);
}

#[tokio::test]
async fn a_read_only_run_reads_and_changes_nothing() {
    let registry = Embedded::start().await;
    let name = registry.address().to_string();
    let probe = probe(&name, |_| ());
    let blob = Digest::of(b"{}");
    let uploads = format!("/v2/conformance/repo1/blobs/uploads/?digest={blob}");
    assert!(probe.request(Method::POST, &uploads).body("{}").send().await.is(StatusCode::CREATED));
    let empty = format!(r#"{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{blob}","size":2}}"#);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{empty},"layers":[{empty}]}}"#);
    let put = probe.request(Method::PUT, "/v2/conformance/repo1/manifests/v1").header(CONTENT_TYPE, media_type);
    assert!(put.body(manifest.clone()).send().await.is(StatusCode::CREATED));

    let (blob, manifest) = (blob.to_string(), Digest::of(manifest.as_bytes()).to_string());
    let variables = [
        ("OCI_VERSION", "dev"),
        ("OCI_API_PUSH", "false"),
        ("OCI_RO_DATA_TAGS", "v1"),
        ("OCI_RO_DATA_MANIFESTS", &manifest),
        ("OCI_RO_DATA_BLOBS", &blob),
        ("OCI_RO_DATA_REFERRERS", &manifest),
    ];
    registry.wire().take();
    let report = judge(&name, &variables).await;
    let reading = |line: &String| line.starts_with("GET ") || line.starts_with("HEAD ");
    assert!(registry.wire().take().iter().all(reading));
    assert_eq!(report.data.get(&DataSet::ReadOnlyInputs), Some(&Status::Pass), "{:?}", complaints(&report));
    for api in [Api::TagListing, Api::ManifestGetByTag, Api::ManifestHeadByDigest, Api::BlobGet, Api::Referrers] {
        assert_eq!(report.apis.get(&api), Some(&Status::Pass), "{api}");
    }
    assert_eq!(report.apis.get(&Api::BlobPush), Some(&Status::Disabled));
    assert!(report.steps.iter().all(|step| matches!(step.status, Status::Pass | Status::Disabled)), "{report:?}");

    // What is not there is found out.
    let absent = judge(&name, &[("OCI_API_PUSH", "false"), ("OCI_RO_DATA_TAGS", "v2")]).await;
    assert_eq!(absent.data.get(&DataSet::ReadOnlyInputs), Some(&Status::Fail));
}

#[tokio::test]
async fn the_first_failure_is_named_as_the_cause() {
    let registry = Embedded::start().await;
    let refused = || Meddle::Instead(Reply::refusal(500, "UNKNOWN", "not today"));
    let front = Front::before(registry.address())
        .meddle("PUT /v2/conformance/repo1/manifests/*", [refused(), refused()])
        .start()
        .await;
    let report = judge(&front.registry(), &[("OCI_FILTER_TEST", "OCI Conformance Test/image/")]).await;
    let failed = report.steps.iter().filter(|step| step.status == Status::Fail);
    let told: Vec<(String, Option<String>)> =
        failed.map(|step| (step.path.join("/"), step.blocked_by.as_ref().map(|path| path.join("/")))).collect();
    let cause = || Some("image/push/manifest-by-digest".to_owned());
    let expected = [
        ("image/push/manifest-by-digest", None),
        ("image/push/manifest-by-tag", cause()),
        ("image/tag-list", cause()),
        ("image/head/manifest-head-by-tag", cause()),
        ("image/head/manifest-head-by-digest", cause()),
        ("image/pull/manifest-by-tag", cause()),
        ("image/pull/manifest-by-digest", cause()),
    ];
    assert_eq!(told, expected.map(|(path, cause)| (path.to_owned(), cause)));
    let first = report.steps.iter().find(|step| step.status == Status::Fail).expect("a failure");
    assert_eq!(first.reasons, ["`PUT`: wanted 201, got 500 with `UNKNOWN`"]);
    // The official verdicts are what they are.
    assert_eq!(report.apis.get(&Api::ManifestHeadByTag), Some(&Status::Fail));
    assert_eq!(report.apis.get(&Api::BlobGet), Some(&Status::Pass));
    assert_eq!(report.leftovers.len(), 0);
}

#[tokio::test]
async fn numbers_out_of_this_world_are_failures() {
    let registry = Embedded::start().await;
    let far = || Meddle::Instead(Reply::status(204).header("range", "0-9223372036854775807"));
    let front = Front::before(registry.address())
        .meddle("GET /v2/conformance/repo1/blobs/uploads/*", [far(), far()])
        .start()
        .await;
    let filter = "OCI Conformance Test/sha256 blobs/chunked out-of-order";
    let report = judge(&front.registry(), &[("OCI_FILTER_TEST", filter)]).await;
    let first = &report.steps[0];
    assert_eq!(first.path.join("/"), "sha256 blobs/chunked out-of-order/blob-patch-chunked");
    assert_eq!(first.status, Status::Fail);
    let said = "`range` of the session should be `0-1023` and is `0-9223372036854775807`";
    assert_eq!(first.reasons, [said]);
}

#[tokio::test]
async fn a_verdict_sees_what_the_registry_answers() {
    let registry = Embedded::start().await;
    let busy = |status| Meddle::Instead(Reply::status(status).header("retry-after", "0"));
    let front = Front::before(registry.address())
        .meddle("GET /v2/a/tags/list", [500, 502, 503, 504, 429].map(|status| Meddle::Instead(Reply::status(status))))
        .meddle("GET /v2/b/tags/list", [busy(503), busy(429)])
        .meddle("GET /v2/c/tags/list", [Meddle::Instead(Reply::close())])
        .meddle("POST /v2/c/blobs/uploads/", [Meddle::Instead(Reply::close())])
        .meddle("GET /v2/d/tags/list", [Meddle::Instead(Reply::redirect(307, "/v2/e/tags/list"))])
        .start()
        .await;
    let probe = probe(&front.registry(), |_| ());
    for status in [500, 502, 503, 504, 429] {
        let answer = probe.request(Method::GET, "/v2/a/tags/list").send().await;
        assert_eq!(answer.status.map(|status| status.as_u16()), Some(status));
        assert_eq!((answer.exchange.status, answer.failure()), (Some(status), None));
    }
    // Not yet is no answer; an idle connection may end; a redirect is not the end. What is closed does not go by.
    for (path, times) in [("b", 3), ("c", 1), ("d", 1)] {
        let answer = probe.request(Method::GET, &format!("/v2/{path}/tags/list")).send().await;
        assert!(answer.is(StatusCode::NOT_FOUND), "{path}: {answer:?}");
        assert_eq!(front.wire().count(&format!("GET /v2/{path}/")), times, "{path}");
    }
    let lost = probe.request(Method::POST, "/v2/c/blobs/uploads/").send().await;
    assert_eq!(lost.status, None);
    assert!(lost.failure().is_some_and(|why| why.contains("the connection broke")), "{lost:?}");
    let nowhere = probe.request(Method::GET, "http://a b/").send().await;
    assert!(nowhere.failure().is_some_and(|why| why.contains("no URI")), "{nowhere:?}");
}

#[tokio::test]
async fn nobody_there_ends_a_run_at_once() {
    let name = closed_port().await.to_string();
    let report = judge(&name, &EVERYTHING).await;
    assert_eq!(paths(&report), ["ping"]);
    assert_eq!(report.steps[0].status, Status::Fail);
    assert!(report.aborted.as_deref().is_some_and(|why| why.contains("cannot connect")), "{:?}", report.aborted);
}

#[tokio::test]
async fn an_interrupted_run_removes_what_it_pushed() {
    let registry = Embedded::start().await;
    let reached = Arc::new(Notify::new());
    let front = Front::before(registry.address())
        .meddle("HEAD /v2/conformance/repo1/manifests/*", [Meddle::Hold(reached.clone())])
        .start()
        .await;
    let settings = settings(&front.registry(), &[("OCI_FILTER_TEST", "OCI Conformance Test/image/")]);
    let report = run(&settings, &probe(&front.registry(), |_| ()), reached.notified()).await;
    assert_eq!(report.aborted.as_deref(), Some("interrupted"));
    assert_eq!(report.steps.last().map(|step| step.path.join("/")).as_deref(), Some("image/tag-list"));
    assert_eq!(report.leftovers, Vec::<String>::new());
    let probe = probe(&registry.address().to_string(), |_| ());
    let pushed = registry.wire().lines().into_iter().filter(|line| line.starts_with("PUT "));
    let pushed: Vec<String> = pushed.filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect();
    let manifests: Vec<&String> = pushed.iter().filter(|path| path.contains("/manifests/")).collect();
    assert_eq!(manifests.len(), 2, "{pushed:?}");
    for path in manifests {
        assert!(probe.request(Method::HEAD, path).send().await.is(StatusCode::NOT_FOUND), "{path}");
    }
}

#[tokio::test]
async fn what_may_be_there_is_removed_although_no_answer_said_so() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address())
        .meddle("PUT /v2/conformance/repo1/blobs/uploads/*", [Meddle::Lose])
        .meddle("PUT /v2/conformance/repo1/manifests/*", [Meddle::Lose])
        .start()
        .await;
    let report = judge(&front.registry(), &[("OCI_FILTER_TEST", "OCI Conformance Test/image/")]).await;
    let lost = report.steps.iter().filter(|step| step.reasons.iter().any(|why| why.contains("the connection broke")));
    assert_eq!(lost.count(), 2, "{:?}", complaints(&report));
    assert_eq!(report.leftovers, Vec::<String>::new());
    let probe = probe(&registry.address().to_string(), |_| ());
    let paths = front.wire().lines().into_iter().filter_map(|line| {
        let path = line.strip_prefix("DELETE ")?.split(' ').next()?.to_owned();
        (!path.contains("/uploads/")).then_some(path)
    });
    let paths: Vec<String> = paths.collect();
    assert!(paths.len() > 4, "{paths:?}");
    for path in paths {
        assert!(probe.request(Method::HEAD, &path).send().await.is(StatusCode::NOT_FOUND), "{path}");
    }
}

#[tokio::test]
async fn what_was_refused_with_a_failure_is_not_left_behind() {
    let registry = Embedded::start().await;
    let failure = || Meddle::Instead(Reply::refusal(500, "UNKNOWN", "not today"));
    let front = Front::before(registry.address())
        .meddle("PUT /v2/conformance/repo1/manifests/*", [failure(), failure()])
        .meddle("DELETE /v2/conformance/repo1/manifests/*", [failure(), failure()])
        .meddle("HEAD /v2/conformance/repo1/manifests/*", [failure(), failure(), failure(), failure()])
        .start()
        .await;
    let report = judge(&front.registry(), &[("OCI_FILTER_TEST", "OCI Conformance Test/image/push")]).await;
    assert!(report.steps.iter().any(|step| step.status == Status::Fail), "{:?}", complaints(&report));
    assert_eq!(report.leftovers, Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_that_no_answer_named_is_named_by_its_request() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address())
        .meddle("POST /v2/conformance/repo1/blobs/uploads/", [Meddle::Lose])
        .meddle("POST /v2/conformance/repo2/blobs/uploads/", [Meddle::Lose])
        .start()
        .await;
    let report = judge(&front.registry(), &[]).await;
    let unnamed: Vec<_> = report.unnamed.iter().map(|unnamed| (unnamed.url.as_str(), unnamed.why.as_str())).collect();
    let url = |name: &str| format!("http://{}/v2/conformance/{name}/blobs/uploads/", front.registry());
    assert_eq!(unnamed.len(), 2, "{unnamed:?}");
    assert_eq!((unnamed[0].0, unnamed[1].0), (&*url("repo1"), &*url("repo2")));
    assert!(unnamed.iter().all(|(_, why)| why.contains("the connection broke")), "{unnamed:?}");
    // Whoever runs the registry is told which step it was, in every form.
    let step = report.steps.iter().find(|step| step.status == Status::Fail).expect("a failure").path.join("/");
    let page = report::text(&report, Strictness::default(), "the report", report::plain);
    let line = format!("  POST {} in `{step}`: ", url("repo1"));
    assert!(page.contains(&line), "no `{line}` in {page}");
    let html = report::html(&report, Strictness::default());
    assert!(html.contains(&format!("<code>POST {}</code> in <code>{step}</code>: ", url("repo1"))), "{html}");
    let json: serde_json::Value = serde_json::from_str(&report::json(&report, &report::Json::default())).expect("JSON");
    assert_eq!((&json["unnamed"][0]["asker"], &json["unnamed"][0]["url"]), (&step.into(), &url("repo1").into()));
    // An interrupted run does not wait for the answer, and says so.
    let reached = Arc::new(Notify::new());
    let front = Front::before(registry.address())
        .meddle("POST /v2/conformance/repo1/blobs/uploads/", [Meddle::Hold(reached.clone())])
        .start()
        .await;
    let settings = settings(&front.registry(), &[]);
    let report = run(&settings, &probe(&front.registry(), |_| ()), reached.notified()).await;
    let whys: Vec<&str> = report.unnamed.iter().map(|unnamed| unnamed.why.as_str()).collect();
    assert_eq!(whys, ["the run ended before the answer"]);
}
