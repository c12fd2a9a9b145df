//! What holds for every text that claims to be a configuration file, or the description of a registry.

use proptest::prelude::*;
use semver::{Version, VersionReq};

use super::super::dependency_name::PackageName;
use super::{Metadata, PackageConfig, version};

/// Texts of the shape, with words that matter and words that do not.
fn description() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "preferredProtocol",
        "oci",
        "warg",
        "ociRegistry",
        "ociNamespacePrefix",
        "wargUrl",
        "registry",
        "namespacePrefix",
        "other",
    ]);
    let leaf = prop::sample::select(vec![
        "null",
        "1",
        "\"oci\"",
        "\"ghcr.io\"",
        "\"127.0.0.1:5000\"",
        "\"a/b/\"",
        "\"../\"",
        "{}",
        "[]",
        "\"\"",
        "{\"registry\":\"r.example\"}",
        "{\"registry\":\"[::1]\",\"namespacePrefix\":\"x\"}",
    ]);
    prop::collection::vec((key, leaf), 0..6).prop_map(|pairs| {
        let pairs: Vec<_> = pairs.into_iter().map(|(key, leaf)| format!("\"{key}\":{leaf}")).collect();
        format!("{{{}}}", pairs.join(","))
    })
}

proptest! {
    #[test]
    fn no_description_leads_inside_or_out_of_a_repository(text in description()) {
        let package: PackageName = "space:name".parse().expect("a name");
        let config = PackageConfig::default();
        let registry = "public.example".parse().expect("a registry");
        let home = config.home(Some(&registry), &package).expect("a registry");
        if let Ok(metadata) = Metadata::parse(text.as_bytes())
            && let Ok(storage) = home.storage(&package, &metadata)
        {
            prop_assert!(!storage.registry.is_loopback(), "{}", storage);
            prop_assert!(storage.name.as_str().ends_with("space/name"), "{}", storage);
            prop_assert!(storage.access.login.is_none());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        if let Err(error) = Metadata::parse(&bytes) {
            prop_assert!(error.to_string().len() < 2_000);
        }
        let _either = PackageConfig::parse(&text);
    }

    #[test]
    fn what_is_chosen_fits_and_nothing_newer_does(
        versions in prop::collection::vec((0_u64..3, 0_u64..3, 0_u64..3, prop::option::of(0_u64..3)), 0..12),
        wanted in prop::sample::select(vec!["*", "1", "^0.2", "~1.1", "=1.2.1", ">=1, <2", "1.0.0-1", ">0.0.0-0"]),
    ) {
        let version = |(major, minor, patch, pre): (u64, u64, u64, Option<u64>)| {
            let pre = pre.map(|pre| format!("-{pre}")).unwrap_or_default();
            format!("{major}.{minor}.{patch}{pre}").parse::<Version>().expect("a version")
        };
        let versions: Vec<Version> = versions.into_iter().map(version).collect();
        let requirement: VersionReq = wanted.parse().expect("a requirement");
        match version::newest(&requirement, &versions) {
            Some(chosen) => {
                prop_assert!(requirement.matches(chosen));
                prop_assert!(versions.iter().all(|other| other <= chosen || !requirement.matches(other)));
                if let Some(exact) = version::exact(&requirement) {
                    prop_assert_eq!(chosen, &exact);
                }
            }
            None => prop_assert!(!versions.iter().any(|other| requirement.matches(other))),
        }
    }
}
