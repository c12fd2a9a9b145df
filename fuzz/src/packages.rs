//! Where packages are: what the user's file says, and what a registry says about itself.

use spinreg::model::Registry;
use spinreg::spin::{PackageConfig, PackageName, fuzzing};

use crate::line;

/// A package, what its registry says about itself, and the configuration file.
pub fn packages(data: &[u8]) {
    let (package, rest) = line(data);
    let (document, config) = line(rest);
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let package: PackageName = text(package).parse().unwrap_or_else(|_| "space:name".parse().expect("a package"));
    let config = match fuzzing::package_config(text(config)) {
        Ok(config) => config,
        Err(error) => {
            assert!(error.to_string().len() < 4_000, "a refusal is short");
            return;
        }
    };
    let public: Registry = "public.example".parse().expect("a registry");
    let end = format!("{}/{}", package.namespace(), package.name());
    for (config, registry) in [(&config, None), (&config, Some(&public)), (&PackageConfig::default(), Some(&public))] {
        match fuzzing::storage(config, registry, &package, document) {
            Ok(Some(storage)) => {
                assert!(storage.name.as_str().ends_with(&end), "{storage} has another package");
                let is_ours = config == &PackageConfig::default();
                assert!(!is_ours || !storage.registry.is_loopback(), "{storage} is inside");
                assert!(!is_ours || storage.access.login.is_none(), "{storage} is shown a password");
            }
            Ok(None) => {}
            Err(error) => assert!(error.to_string().len() < 4_000, "a refusal is short"),
        }
    }
}
