//! Faults of lists: tags and referrers.

use std::time::Duration;

use http::header::LINK;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::faulty::Work;
use super::kind::Kind;
use super::state::{asks, edit, json, peek, refuse};
use crate::content::Body;
use crate::model::{Digest, ErrorCode, Identifier, Name};
use crate::serve::route::Route;
use crate::serve::server::Handler;

/// Takes note of what will be in lists.
pub(super) async fn before<H: Handler>(work: &Work<'_, H>, parts: &Parts, body: &mut Body) -> Option<Response<Body>> {
    match (&work.fault.kind, asks(parts)?) {
        (Kind::ReferrersLost, Route::PutManifest { name, identifier, .. }) => {
            let bytes = peek(body).await;
            let manifest: Value = serde_json::from_slice(&bytes).ok()?;
            let subject: Digest = manifest["subject"]["digest"].as_str()?.parse().ok()?;
            let digest = match identifier {
                Identifier::Digest(digest) => digest,
                Identifier::Tag(_) => Digest::of(&bytes),
            };
            crowd(work, (name, subject), digest).await;
        }
        (Kind::ReferrersStale, Route::DeleteManifest { name, identifier: Identifier::Digest(digest) }) => {
            let manifest = json(work.inner, &format!("/v2/{name}/manifests/{digest}")).await?;
            let subject: Digest = manifest["subject"]["digest"].as_str()?.parse().ok()?;
            let list = json(work.inner, &format!("/v2/{name}/referrers/{subject}")).await?;
            let digest = digest.to_string();
            let mut descriptors = list["manifests"].as_array().into_iter().flatten();
            let ghost = descriptors.find(|descriptor| descriptor["digest"] == digest.as_str())?.clone();
            work.state.seen().ghosts.entry((name, subject)).or_default().push(ghost);
        }
        _ => {}
    }
    None
}

/// Loses the first of several referrers that come while it is being taken.
async fn crowd<H: Handler>(work: &Work<'_, H>, key: (Name, Digest), referrer: Digest) {
    let arrived = work.state.arrived.notified();
    let place = {
        let mut seen = work.state.seen();
        let count = seen.crowd.entry(key.clone()).or_default();
        *count += 1;
        *count
    };
    if place > 1 {
        work.state.arrived.notify_waiters();
        return;
    }
    // Alone, as long as nobody else comes.
    let _alone = timeout(WINDOW, arrived).await;
    let mut seen = work.state.seen();
    if seen.crowd.remove(&key).is_some_and(|count| count > 1) {
        seen.hidden.insert((key.0, referrer));
    }
}

/// Changes a list.
pub(super) async fn after<H: Handler>(work: &Work<'_, H>, asked: &Parts, response: Response<Body>) -> Response<Body> {
    if !response.status().is_success() {
        return response;
    }
    match asks(asked) {
        Some(Route::Tags { .. }) => tags(&work.fault.kind, asked, response).await,
        Some(Route::Referrers { name, subject, .. }) => referrers(work, asked, response, name, subject).await,
        _ => response,
    }
}

async fn tags(kind: &Kind, asked: &Parts, response: Response<Body>) -> Response<Body> {
    let list = |body: &mut Value, change: &dyn Fn(&mut Vec<Value>)| {
        if let Some(tags) = body["tags"].as_array_mut() {
            change(tags);
        }
    };
    match kind {
        Kind::TagsUnsorted => edit(response, |body| list(body, &|tags| tags.reverse())).await,
        Kind::TagsNull => {
            edit(response, |body| {
                if body["tags"].as_array().is_some_and(Vec::is_empty) {
                    body["tags"] = Value::Null;
                }
            })
            .await
        }
        Kind::ListLimit(n) => cut(edit(response, |body| list(body, &|tags| tags.truncate(*n))).await),
        Kind::ListsEndless => endless(asked, response).await,
        _ => response,
    }
}

async fn referrers<H: Handler>(
    work: &Work<'_, H>,
    asked: &Parts,
    response: Response<Body>,
    name: Name,
    subject: Digest,
) -> Response<Body> {
    let list = |body: &mut Value, change: &dyn Fn(&mut Vec<Value>)| {
        if let Some(manifests) = body["manifests"].as_array_mut() {
            change(manifests);
        }
    };
    match &work.fault.kind {
        Kind::ListLimit(n) => cut(edit(response, |body| list(body, &|found| found.truncate(*n))).await),
        Kind::ListsEndless => endless(asked, response).await,
        Kind::ReferrersPage(n) => page(asked, response, *n).await,
        Kind::ReferrersWithout(member) => {
            let bare = |found: &mut Vec<Value>| {
                for descriptor in found.iter_mut().filter_map(Value::as_object_mut) {
                    descriptor.remove(member);
                }
            };
            edit(response, |body| list(body, &bare)).await
        }
        Kind::ReferrersEmpty404 => {
            let mut is_empty = false;
            let response =
                edit(response, |body| is_empty = body["manifests"].as_array().is_some_and(Vec::is_empty)).await;
            match is_empty {
                true => refuse(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, "nothing refers to it"),
                false => response,
            }
        }
        Kind::ReferrersStale => {
            let ghosts = work.state.seen().ghosts.get(&(name, subject)).cloned().unwrap_or_default();
            edit(response, |body| list(body, &|found| found.extend(ghosts.iter().cloned()))).await
        }
        Kind::ReferrersLost | Kind::DeleteLeavesTags => {
            let hidden = work.state.seen().hidden.clone();
            let is_hidden = |descriptor: &Value| {
                let digest = descriptor["digest"].as_str().and_then(|text| text.parse().ok());
                digest.is_some_and(|digest| hidden.contains(&(name.clone(), digest)))
            };
            edit(response, |body| list(body, &|found| found.retain(|descriptor| !is_hidden(descriptor)))).await
        }
        Kind::ReferrersTagTwice => {
            let hex = subject.hex();
            let tag = format!("/v2/{name}/manifests/{}-{}", subject.algorithm(), &hex[..64]);
            let kept = json(work.inner, &tag).await.unwrap_or_default();
            let kept = kept["manifests"].as_array().cloned().unwrap_or_default();
            edit(response, |body| list(body, &|found| found.extend(kept.iter().cloned()))).await
        }
        _ => response,
    }
}

/// Cuts a list into pages of `n`.
async fn page(asked: &Parts, response: Response<Body>, n: usize) -> Response<Body> {
    let query = asked.uri.query().unwrap_or_default();
    let number = query.split('&').find_map(|pair| pair.strip_prefix(PAGE)?.parse::<usize>().ok()).unwrap_or(0);
    let mut more = false;
    let mut response = edit(response, |body| {
        if let Some(found) = body["manifests"].as_array_mut() {
            let start = number.saturating_mul(n);
            more = found.len() > start.saturating_add(n);
            *found = found.iter().skip(start).take(n).cloned().collect();
        }
    })
    .await;
    if more {
        let others: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(PAGE) && !pair.is_empty()).collect();
        let others: String = others.iter().map(|pair| format!("{pair}&")).collect();
        link(&mut response, &format!("{}?{others}{PAGE}{}", asked.uri.path(), number + 1));
    }
    response
}

/// Leads to where the list was asked for. An empty list leads nowhere.
async fn endless(asked: &Parts, response: Response<Body>) -> Response<Body> {
    let mut is_empty = true;
    let mut response = edit(response, |body| {
        let lists = [&body["tags"], &body["manifests"]];
        is_empty = lists.iter().all(|list| list.as_array().is_none_or(Vec::is_empty));
    })
    .await;
    if is_empty {
        return response;
    }
    let target = asked.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    link(&mut response, &target);
    response
}

fn link(response: &mut Response<Body>, target: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("<{target}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, value);
    }
}

fn cut(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().remove(LINK);
    response
}

/// The parameter of the pages that we make.
const PAGE: &str = "page=";
/// How long a referrer waits for others.
const WINDOW: Duration = Duration::from_millis(100);
