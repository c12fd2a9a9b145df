//! Files that people and other tools write: applications, our configuration, image layouts.

use std::path::Path;
use std::time::Duration;

use spinreg::Digest;
use spinreg::cli::fuzzing::configuration as read;
use spinreg::model::{Descriptor, MediaType, Tag};
use spinreg::spin::{LockedApp, interpret};
use spinreg::store::fuzzing::{LayoutIndex, archive_header, archive_members};

use crate::line;

/// `spin.toml`: a build profile, and the text.
pub fn app_manifest(data: &[u8]) {
    let (profile, text) = line(data);
    let (Ok(profile), Ok(text)) = (std::str::from_utf8(profile), std::str::from_utf8(text)) else { return };
    let profile = Some(profile).filter(|profile| !profile.is_empty());
    match interpret(Path::new("spin.toml"), text, profile) {
        Ok((app, _warnings)) => {
            let printed = app.to_json();
            let again = LockedApp::parse(&printed).expect("what we print is a lock file");
            assert_eq!(again.to_json(), printed, "print is stable");
            for trigger in &app.triggers {
                assert!(!trigger.id.is_empty(), "every trigger has an id");
                let named = trigger.trigger_config.get("component").and_then(serde_json::Value::as_str);
                assert!(named.is_none_or(|id| app.components.iter().any(|component| component.id == id)), "{named:?}");
            }
            for (n, component) in app.components.iter().enumerate() {
                assert!(app.components[..n].iter().all(|other| other.id != component.id), "`{}` twice", component.id);
            }
        }
        Err(error) => assert_is_short(&error.to_string()),
    }
}

/// `config.toml`.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match read(text) {
        Ok(read) => {
            let policy = &read.policy;
            for wait in [
                policy.backoff_min,
                policy.backoff_max,
                policy.retry_after_max,
                policy.connect,
                policy.happy_eyeballs,
                policy.headers,
                policy.stall,
            ] {
                assert!(wait <= Duration::from_secs(24 * 60 * 60), "timers have their limits: {wait:?}");
            }
            assert!(policy.down > 0 && policy.up > 0, "somebody has to move");
            for (n, (name, _)) in read.hosts.iter().enumerate() {
                assert!(read.hosts[..n].iter().all(|(other, _)| other != name), "`{name}` twice");
            }
        }
        Err(error) => assert_is_short(&error.to_string()),
    }
}

/// `index.json` of an image layout: a tag, and the bytes.
pub fn layout(data: &[u8]) {
    let (tag, bytes) = line(data);
    let tag: Tag = std::str::from_utf8(tag).ok().and_then(|tag| tag.parse().ok()).unwrap_or_else(Tag::latest);
    let mut index = match LayoutIndex::parse(bytes) {
        Ok(index) => index,
        Err(error) => return assert_is_short(&error.to_string()),
    };
    let printed = index.to_bytes();
    assert_eq!(LayoutIndex::parse(&printed).as_ref(), Ok(&index), "what we print is an index");
    let known = index.descriptors();
    assert!(index.find(&tag).is_none_or(|found| known.contains(&found)), "what is found is listed");

    let manifest = Descriptor::of(MediaType::IMAGE_MANIFEST, b"a manifest");
    index.list(&manifest, Some(&tag));
    assert_eq!(index.find(&tag).map(|found| found.digest), Some(manifest.digest), "what was named is found");
    assert!(!index.list(&manifest, Some(&tag)), "once is enough");
    let left: Vec<Digest> = index.descriptors().into_iter().map(|descriptor| descriptor.digest).collect();
    assert!(known.iter().all(|descriptor| left.contains(&descriptor.digest)), "nothing is lost");
    assert!(index.unname(&tag) && !index.unname(&tag), "a name is taken away once");
    assert!(index.descriptors().iter().any(|entry| entry.digest == manifest.digest), "what lost its name stays");
    assert!(index.remove(&manifest.digest) && !index.remove(&manifest.digest), "and goes once");
    assert!(index.tags().iter().all(|(other, _)| *other != tag), "a name that was taken away comes back");
}

fn assert_is_short(refusal: &str) {
    assert!(refusal.len() < 4_000, "a refusal is short: {} bytes", refusal.len());
}

/// The members of an archive of a layout: within the bytes, one after the other, under names that stay inside; and what is
/// written anew is read again.
pub fn image_archive(data: &[u8]) {
    let Some(members) = archive_members(data) else { return };
    let mut end = 0;
    for member in &members {
        assert_eq!(member.whole.start, end, "{member:?} does not begin where the one before it ends");
        end = member.whole.end;
        assert!(end <= data.len() as u64, "{member:?} is longer than the archive");
        assert!(member.whole.start < member.content.start && member.content.end <= end, "{member:?}");
        assert!(!member.path.starts_with('/') && member.path.split('/').all(|part| part != ".."), "{member:?}");
    }
    let is_plain = |path: &str| path.is_ascii() && path.len() < 60_000;
    let Some(first) = members.iter().find(|member| member.kind == "file" && is_plain(&member.path)) else { return };
    let content = &data[first.content.start as usize..first.content.end as usize];
    let mut again = archive_header(&first.path, content.len() as u64);
    again.extend(content);
    again.resize(again.len().next_multiple_of(512), 0);
    let read = archive_members(&again).expect("we have written it");
    assert_eq!((read[0].path.as_str(), read.len()), (first.path.as_str(), 1));
    assert_eq!(&again[read[0].content.start as usize..read[0].content.end as usize], content);
}
