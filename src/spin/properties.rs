//! What holds for every lock file, not just Spin's own.

use std::path::Component;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ContentPath, ContentRef, LockedApp};
use crate::model::Digest;

/// Any JSON, not deep.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[ -~\u{e9}\u{1f600}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let object = btree_map("[a-z_]{1,6}", inner.clone(), 0..3);
        prop_oneof![
            vec(inner, 0..3).prop_map(Value::from),
            object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Where content is, as lock files write it.
fn contents() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|seed| json!({ "digest": Digest::of(&seed.to_le_bytes()) })),
        prop::sample::select(vec!["", "YQ", "YWI", "YWJj"]).prop_map(|inline| json!({ "inline": inline })),
        "file:///[a-z/]{0,12}".prop_map(|source| json!({ "source": source })),
    ]
}

fn with(mut object: Value, more: impl IntoIterator<Item = (String, Value)>) -> Value {
    object.as_object_mut().expect("an object").extend(more);
    object
}

fn apps() -> impl Strategy<Value = Value> {
    let file = (contents(), "[a-z./ \\\\]{1,12}", values());
    let file = file
        .prop_map(|(content, path, extra)| with(content, [("path".to_owned(), path.into()), ("x".to_owned(), extra)]));
    let component = ("[a-z-]{1,8}", contents(), vec(file, 0..4), btree_map("[A-Z]{1,4}", "[ -~]{0,6}", 0..3), values());
    let component = component.prop_map(|(id, content, files, env, extra)| {
        let source = with(content, [("content_type".to_owned(), "application/wasm".into())]);
        json!({ "id": id, "source": source, "files": files, "env": env, "later": extra })
    });
    let trigger = values().prop_map(|config| json!({ "id": "t", "trigger_type": "http", "trigger_config": config }));
    (0..3u32, vec(trigger, 0..3), vec(component, 0..3), values()).prop_map(|(version, triggers, components, extra)| {
        json!({ "spin_lock_version": version, "triggers": triggers, "components": components, "future": extra })
    })
}

proptest! {
    /// What is read and written again is the same, with all that is unknown here.
    #[test]
    fn lock_files_make_the_round_trip(app in apps()) {
        let read = LockedApp::parse(app.to_string().as_bytes()).expect("a lock file");
        let printed = read.to_json();
        let again = LockedApp::parse(&printed).expect("what we print is a lock file");
        prop_assert_eq!(&again, &read);
        prop_assert_eq!(again.to_json(), printed.clone(), "print is stable");
        let printed: Value = serde_json::from_slice(&printed).expect("JSON");
        prop_assert_eq!(&printed["future"], &app["future"]);
        for (n, component) in app["components"].as_array().expect("an array").iter().enumerate() {
            prop_assert_eq!(&printed["components"][n]["later"], &component["later"]);
            prop_assert_eq!(&printed["components"][n]["source"], &component["source"]);
            let files = component["files"].as_array().expect("an array");
            if !files.is_empty() {
                prop_assert_eq!(&printed["components"][n]["files"], &component["files"]);
            }
        }
    }

    /// Broken text is refused, shortly.
    #[test]
    fn broken_lock_files_are_refused(app in apps(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = app.to_string().into_bytes();
        let cut = cut.index(bytes.len());
        bytes[cut] = byte;
        for bytes in [&bytes[..], &bytes[..cut]] {
            if let Err(error) = LockedApp::parse(bytes) {
                prop_assert!(error.to_string().len() < 2_000, "{}", error);
            }
        }
    }

    /// No path of a lock file leaves the directory that it is joined to.
    #[test]
    fn paths_stay_inside(path in "(\\.\\.|\\.|/|\\\\|[a-z]|:|\u{0}|\u{e9}){0,12}") {
        if let Ok(place) = ContentPath::new(ContentRef::default(), path).place() {
            prop_assert!(place.components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert!(place.components().next().is_some());
        }
    }
}
