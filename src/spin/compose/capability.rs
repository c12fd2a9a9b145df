//! What an interface lets a component do, by its name: the keys of `inherit_configuration`.

use super::super::lock_file::Inherit;

/// What an interface lets a component do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing that has to be granted: time, chance, streams, standard output, types.
    Harmless,
    /// What a set of capabilities grants.
    Set(&'static str),
    /// Something that no set names. Only who inherits everything has it.
    Unknown,
}

impl Reach {
    /// Finds out what the interface called `name` (`namespace:package/interface[@version]`) lets a component do. All
    /// versions of an interface are alike.
    pub(super) fn of(name: &str) -> Self {
        let name = name.split('@').next().unwrap_or_default();
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(package) => name.starts_with(package),
            None => name == pattern,
        };
        let found = INTERFACES.iter().find(|(patterns, _)| patterns.iter().any(|pattern| matches(pattern)));
        found.map_or(Self::Unknown, |(_, reach)| *reach)
    }

    /// Says whether a dependency that inherits `inherit` may have it.
    pub(super) fn is_granted(self, inherit: &Inherit) -> bool {
        match (self, inherit) {
            (Self::Harmless, _) | (_, Inherit::All) => true,
            (Self::Set(set), Inherit::Some(sets)) => sets.iter().any(|inherited| inherited == set),
            (Self::Unknown, Inherit::Some(_)) => false,
        }
    }
}

/// The first row that matches decides. The sets are Spin's; where Spin names versions, all are meant here.
const INTERFACES: &[(&[&str], Reach)] = &[
    (&["fermyon:spin/llm", "spin:llm/*"], Reach::Set("ai_models")),
    (&["wasi:sockets/network", "wasi:sockets/instance-network", "wasi:http/types"], Reach::Harmless),
    (
        &[
            "fermyon:spin/http",
            "fermyon:spin/mqtt",
            "fermyon:spin/mysql",
            "fermyon:spin/postgres",
            "fermyon:spin/redis",
            "spin:mqtt/*",
            "spin:mysql/*",
            "spin:postgres/*",
            "spin:redis/*",
            "wasi:http/client",
            "wasi:http/handler",
            "wasi:http/outgoing-handler",
            "wasi:sockets/*",
        ],
        Reach::Set("allowed_outbound_hosts"),
    ),
    (&["wasi:cli/environment"], Reach::Set("environment")),
    (&["wasi:filesystem/preopens"], Reach::Set("files")),
    (&["fermyon:spin/key-value", "spin:key-value/*", "wasi:keyvalue/*"], Reach::Set("key_value_stores")),
    (&["fermyon:spin/sqlite", "spin:sqlite/*"], Reach::Set("sqlite_databases")),
    (&["fermyon:spin/config", "fermyon:spin/variables", "spin:variables/*", "wasi:config/*"], Reach::Set("variables")),
    (
        &[
            "wasi:cli/exit",
            "wasi:cli/stderr",
            "wasi:cli/stdin",
            "wasi:cli/stdout",
            "wasi:cli/terminal-input",
            "wasi:cli/terminal-output",
            "wasi:cli/terminal-stderr",
            "wasi:cli/terminal-stdin",
            "wasi:cli/terminal-stdout",
            "wasi:cli/types",
            "wasi:clocks/*",
            // Descriptors and files are had from `preopens` only.
            "wasi:filesystem/types",
            "wasi:io/*",
            "wasi:logging/*",
            "wasi:otel/*",
            "wasi:random/*",
        ],
        Reach::Harmless,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every interface that Spin's own adapter denies, by the set that grants it.
    const DENIED_BY_SPIN: &[(&str, &[&str])] = &[
        ("ai_models", &["fermyon:spin/llm", "fermyon:spin/llm@2.0.0"]),
        (
            "allowed_outbound_hosts",
            &[
                "fermyon:spin/http",
                "fermyon:spin/mysql",
                "fermyon:spin/postgres",
                "fermyon:spin/redis",
                "fermyon:spin/mqtt@2.0.0",
                "fermyon:spin/mysql@2.0.0",
                "fermyon:spin/postgres@2.0.0",
                "fermyon:spin/redis@2.0.0",
                "spin:mqtt/mqtt@3.0.0",
                "spin:mysql/mysql@3.0.0",
                "spin:postgres/postgres@3.0.0",
                "spin:postgres/postgres@4.2.0",
                "spin:redis/redis@3.0.0",
                "wasi:http/client@0.3.0",
                "wasi:http/client@0.3.0-rc-2026-03-15",
                "wasi:http/outgoing-handler@0.2.6",
                "wasi:sockets/ip-name-lookup@0.2.6",
                "wasi:sockets/ip-name-lookup@0.3.0",
                "wasi:sockets/ip-name-lookup@0.3.0-rc-2026-03-15",
                "wasi:sockets/tcp-create-socket@0.2.6",
                "wasi:sockets/tcp@0.2.6",
                "wasi:sockets/udp-create-socket@0.2.6",
                "wasi:sockets/udp@0.2.6",
            ],
        ),
        (
            "environment",
            &["wasi:cli/environment@0.2.6", "wasi:cli/environment@0.3.0", "wasi:cli/environment@0.3.0-rc-2026-03-15"],
        ),
        (
            "files",
            &[
                "wasi:filesystem/preopens@0.2.6",
                "wasi:filesystem/preopens@0.3.0",
                "wasi:filesystem/preopens@0.3.0-rc-2026-03-15",
            ],
        ),
        (
            "key_value_stores",
            &[
                "fermyon:spin/key-value",
                "fermyon:spin/key-value@2.0.0",
                "spin:key-value/key-value@3.0.0",
                "wasi:keyvalue/store@0.2.0-draft2",
            ],
        ),
        ("sqlite_databases", &["fermyon:spin/sqlite", "fermyon:spin/sqlite@2.0.0", "spin:sqlite/sqlite@3.1.0"]),
        (
            "variables",
            &[
                "fermyon:spin/config",
                "fermyon:spin/variables@2.0.0",
                "spin:variables/variables@3.0.0",
                "wasi:config/store@0.2.0-draft-2024-09-27",
            ],
        ),
    ];

    #[test]
    fn what_spin_denies_is_denied_in_the_same_sets() {
        let interfaces = DENIED_BY_SPIN.iter().flat_map(|(set, names)| names.iter().map(move |name| (set, name)));
        assert_eq!(interfaces.clone().count(), 42);
        for (set, name) in interfaces {
            let reach = Reach::of(name);
            assert_eq!(reach, Reach::Set(set), "{name}");
            assert!(!reach.is_granted(&Inherit::default()), "{name}");
            assert!(reach.is_granted(&Inherit::All), "{name}");
            assert!(reach.is_granted(&Inherit::Some(vec!["x".to_owned(), (*set).to_owned()])), "{name}");
            assert!(!reach.is_granted(&Inherit::Some(vec!["x".to_owned()])), "{name}");
        }
    }

    #[test]
    fn other_versions_and_neighbours_are_not_forgotten() {
        for (name, expected) in [
            ("wasi:sockets/types@0.3.0", Reach::Set("allowed_outbound_hosts")),
            ("wasi:sockets/tcp@0.2.0", Reach::Set("allowed_outbound_hosts")),
            ("wasi:keyvalue/batch@0.2.0-draft2", Reach::Set("key_value_stores")),
            ("spin:postgres/postgres@9.0.0", Reach::Set("allowed_outbound_hosts")),
            ("wasi:cli/environment@0.2.0", Reach::Set("environment")),
            ("wasi:io/streams@0.2.3", Reach::Harmless),
            ("wasi:http/types@0.3.0", Reach::Harmless),
            ("wasi:sockets/network@0.2.3", Reach::Harmless),
            ("wasi:iota/streams", Reach::Unknown),
            ("wasi:cli/command@0.2.0", Reach::Unknown),
            ("acme:secrets/vault", Reach::Unknown),
            ("plain", Reach::Unknown),
            ("", Reach::Unknown),
        ] {
            assert_eq!(Reach::of(name), expected, "{name}");
        }
    }
}
