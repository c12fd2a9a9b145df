//! What is known of registries by name, where asking them would cost what it saves.

use super::asking::SelfMounts;
use crate::model::Registry;

/// Says whether a registry counts each `GET` of a manifest against a limit, and a `HEAD` not.
pub(super) fn counts_pulls(registry: &Registry) -> bool {
    COUNTING_PULLS.contains(&registry.host())
}

/// Returns what is known of a registry's answers to mounts from a repository into itself.
pub(super) fn self_mounts(registry: &Registry) -> SelfMounts {
    let host = registry.host();
    let is_private_ecr = host.contains(".dkr.ecr.") && AMAZON.iter().any(|domain| host.ends_with(domain));
    if is_private_ecr || ASKED_BY_HEAD.contains(&host) { SelfMounts::Ignored } else { SelfMounts::Unknown }
}

/// ECR mounts only what a manifest of the repository lists already
/// (<https://github.com/aws/containers-roadmap/issues/2860>). GHCR's ways are not known, and a `HEAD` is never wrong.
const ASKED_BY_HEAD: [&str; 2] = ["public.ecr.aws", "ghcr.io"];

/// Where ECR's registries are.
const AMAZON: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// Docker Hub counts a `GET` as a pull, "using HEAD will not" (<https://docs.docker.com/docker-hub/usage/pulls/>).
const COUNTING_PULLS: [&str; 1] = ["docker.io"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_asked_by_head() {
        for (name, expected) in [
            ("ghcr.io", SelfMounts::Ignored),
            ("public.ecr.aws", SelfMounts::Ignored),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", SelfMounts::Ignored),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", SelfMounts::Ignored),
            ("123456789012.dkr.ecr.eu-west-1.example", SelfMounts::Unknown),
            ("docker.io", SelfMounts::Unknown),
            ("127.0.0.1:5000", SelfMounts::Unknown),
        ] {
            let registry: Registry = name.parse().expect("a registry");
            assert_eq!(self_mounts(&registry), expected, "{name}");
        }
    }

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
