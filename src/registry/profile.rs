//! What is known of registries by name, where asking them would cost what it saves.

use crate::model::Registry;

/// Says whether a registry counts each `GET` of a manifest against a limit, and a `HEAD` not.
pub(super) fn counts_pulls(registry: &Registry) -> bool {
    COUNTING_PULLS.contains(&registry.host())
}

/// Docker Hub counts a `GET` as a pull, "using HEAD will not" (<https://docs.docker.com/docker-hub/usage/pulls/>).
const COUNTING_PULLS: [&str; 1] = ["docker.io"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_counts_under_each_of_its_names() {
        for (name, expected) in [
            ("docker.io", true),
            ("index.docker.io", true),
            ("registry-1.docker.io", true),
            ("ghcr.io", false),
            ("docker.io.example", false),
            ("127.0.0.1:5000", false),
        ] {
            let registry: Registry = name.parse().expect("a registry");
            assert_eq!(counts_pulls(&registry), expected, "{name}");
        }
    }
}
