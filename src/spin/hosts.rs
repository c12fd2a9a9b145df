//! Outbound hosts: which entries are valid, and which need another component of the same application.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_spanned::Spanned;

use super::document::Flaw;
use super::error::{Host, Problem};
use super::lock_file::LockedVariable;
use super::variables::Template;

/// Merges both lists of a component into the one that the lock file has.
pub(super) fn merge(outbound: &[Spanned<String>], http: &[Spanned<String>]) -> Result<Vec<Spanned<String>>, Flaw> {
    let mut merged = outbound.to_vec();
    if let Some(all) = http.iter().find(|entry| entry.get_ref() == ALLOW_ALL) {
        let everything = ["http://*:*", "https://*:*", "http://self"];
        merged.extend(everything.map(|host| Spanned::new(all.span(), host.to_owned())));
        return Ok(merged);
    }
    let mut bad = Vec::new();
    for entry in http {
        match convert(entry.get_ref()) {
            Ok(hosts) => merged.extend(hosts.into_iter().map(|host| Spanned::new(entry.span(), host))),
            Err(expected) => bad.push((entry, expected)),
        }
    }
    refuse_all(bad)?;
    Ok(merged)
}

/// Checks a component's merged hosts and says whether any is another component of the application.
///
/// Entries with variables are checked as far as the variables have defaults.
pub(super) fn check(hosts: &[Spanned<String>], variables: &BTreeMap<String, LockedVariable>) -> Result<Chaining, Flaw> {
    let mut chaining = Chaining::None;
    let mut bad = Vec::new();
    for entry in hosts {
        match check_one(entry.get_ref(), variables) {
            Ok(Chaining::Required) => chaining = Chaining::Required,
            Ok(Chaining::None) => {}
            Err(expected) => bad.push((entry, expected)),
        }
    }
    refuse_all(bad)?;
    Ok(chaining)
}

/// Whether a component calls another one of its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chaining {
    None,
    Required,
}

fn check_one(entry: &str, variables: &BTreeMap<String, LockedVariable>) -> Result<Chaining, &'static str> {
    let template = Template::parse(entry).ok_or("a `}}` after each `{{`")?;
    if template.is_literal() {
        let host = parse(entry)?;
        let chained = host == "*.spin.internal" || (host.ends_with(".spin.internal") && !host.contains('*'));
        return Ok(if chained { Chaining::Required } else { Chaining::None });
    }
    match template.with_defaults(variables) {
        Some(text) if !["", "http://", "https://"].contains(&text.as_str()) => parse(&text).map(|_| Chaining::None),
        _ => Ok(Chaining::None),
    }
}

/// Complains about all bad entries of a list at once, at the place of the first.
fn refuse_all(bad: Vec<(&Spanned<String>, &'static str)>) -> Result<(), Flaw> {
    let Some((first, _)) = bad.first() else { return Ok(()) };
    let at = first.span();
    let hosts = bad.into_iter().map(|(entry, expected)| Host { entry: entry.get_ref().clone(), expected });
    Err(Flaw::at(at, Problem::Hosts(hosts.collect())))
}

/// Parses `scheme://host[:port]` and returns the host.
fn parse(entry: &str) -> Result<&str, &'static str> {
    if entry == ALLOW_ALL {
        return Err("a scheme, a host and a port; everything is `*://*:*`");
    }
    let (scheme, rest) = entry.trim().split_once("://").ok_or("a scheme, as in `https://example.com`")?;
    if scheme != "*" && (scheme.is_empty() || !scheme.chars().all(char::is_alphabetic)) {
        return Err("a scheme of letters only, or `*`");
    }
    let (host, port) = split_port(rest);
    let (host, port) = match port {
        Some(port) => (host, port.strip_suffix('/').unwrap_or(port)),
        None => (host.strip_suffix('/').unwrap_or(host), ""),
    };
    check_host(host)?;
    check_port(scheme, port)?;
    Ok(host)
}

/// Splits at the colon before the port; colons inside brackets belong to the address.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    let address_end = rest.rfind(']').map_or(0, |bracket| bracket + 1);
    match rest[address_end..].rfind(':') {
        Some(colon) => (&rest[..address_end + colon], Some(&rest[address_end + colon + 1..])),
        None => (rest, None),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if matches!(host, "*" | "self" | "self.alt") {
        return Ok(());
    }
    if host.starts_with('{') {
        return Err("one host; braces with several are not possible");
    }
    if let Some((address, bits)) = host.split_once('/') {
        let most = match address.trim_matches(['[', ']']).parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return Err("no path"),
        };
        return match bits.parse::<u8>() {
            Ok(bits) if bits <= most => Ok(()),
            _ => Err("an address range as in `10.0.0.0/8`"),
        };
    }
    check_name(host.strip_prefix("*.").unwrap_or(host))
}

/// Checks a host name or address as the URL standard has them, short of the rarest spellings.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("a host after the scheme");
    }
    if let Some(address) = name.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address.map(drop).ok_or("an IPv6 address between brackets");
    }
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "#%/:<>?@[\\]^|{}*,\"`".contains(c);
    if name.contains(forbidden) {
        return Err("a host name without special characters; `*` only stands alone or before the first dot");
    }
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err("an IPv4 address of four numbers, or a host name that does not end in a number");
    }
    Ok(())
}

fn check_port(scheme: &str, port: &str) -> Result<(), &'static str> {
    if port == "*" || port.parse::<u16>().is_ok() {
        return Ok(());
    }
    if port.is_empty() {
        let known = ["http", "https", "postgres", "mysql", "redis", "mqtt"].contains(&scheme);
        return if known { Ok(()) } else { Err("a port (`:*` for any), because its scheme has no default") };
    }
    if port.contains('/') {
        return Err("no path");
    }
    match port.split_once("..").map(|(from, to)| (from.parse::<u16>(), to.parse::<u16>())) {
        Some((Ok(from), Ok(to))) if from < to => Ok(()),
        _ => Err("a port between 0 and 65535, a range as in `8000..8100`, or `*`"),
    }
}

/// Converts an entry of the deprecated `allowed_http_hosts`.
fn convert(entry: &str) -> Result<Vec<String>, &'static str> {
    let (scheme, rest) = match entry.split_once("//") {
        Some((scheme @ ("http:" | "https:"), rest)) => (scheme, rest),
        Some(_) => return Err("the scheme `http` or `https`, or none"),
        None => ("http:", entry),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split_port(rest);
    if host.contains('/') || port.is_some_and(|port| port.contains('/')) {
        return Err("no path");
    }
    if host == "self" {
        return Ok(vec!["http://self".to_owned()]);
    }
    check_name(host)?;
    let default = if scheme == "http:" { "80" } else { "443" };
    let port = match port {
        None | Some("") => String::new(),
        Some(port) if port == default => String::new(),
        Some(port) => match port.parse::<u16>() {
            Ok(port) => format!(":{port}"),
            Err(_) => return Err("a port between 0 and 65535"),
        },
    };
    let host = host.to_ascii_lowercase();
    Ok(vec![format!("http://{host}{port}"), format!("https://{host}{port}")])
}

/// What meant everything once.
const ALLOW_ALL: &str = "insecure:allow-all";

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(texts: &[&str]) -> Vec<Spanned<String>> {
        texts.iter().map(|text| Spanned::new(0..1, (*text).to_owned())).collect()
    }

    #[test]
    fn entries_are_scheme_host_and_port() {
        for entry in [
            "https://example.com",
            "https://example.com/",
            "http://example.com:8080",
            "http://example.com:8080/",
            "*://*:*",
            "https://*.example.com",
            "redis://127.0.0.1:6379",
            "redis://127.0.0.1",
            "postgres://[::1]:5432",
            "http://[::1]",
            "http://10.0.0.0/8",
            "http://10.0.0.0/8:80",
            "ftp://x:1..10",
            "ftp://x:*",
            "http://self",
            "http://self.alt",
            "https://bücher.example",
            "http://a_b.example",
        ] {
            assert!(parse(entry).is_ok(), "{entry}: {:?}", parse(entry));
        }
        for (entry, expected) in [
            ("example.com", "a scheme"),
            ("insecure:allow-all", "*://*:*"),
            ("", "a scheme"),
            ("h2://example.com", "letters only"),
            ("://example.com", "letters only"),
            ("ftp://example.com", "a port"),
            ("*://example.com", "a port"),
            ("https://", "a host"),
            ("https://example.com/path", "no path"),
            ("https://example.com:80/path", "no path"),
            ("https://{a,b}.example.com", "one host"),
            ("https://a.*.com", "special characters"),
            ("https://a b", "special characters"),
            ("https://user@host", "special characters"),
            ("https://host:99999", "a port between"),
            ("https://host:9..1", "a range"),
            ("http://10.0.0.0/33", "address range"),
            ("http://1.2.3.999", "IPv4"),
            ("http://[::1", "IPv6"),
        ] {
            let said = parse(entry).expect_err(entry);
            assert!(said.contains(expected), "{entry}: {said}");
        }
    }

    #[test]
    fn chaining_is_a_literal_internal_name() {
        for (entry, expected) in [
            ("http://other.spin.internal", Chaining::Required),
            ("http://*.spin.internal", Chaining::Required),
            ("http://spin.internal", Chaining::None),
            ("http://other.spin.internal.example", Chaining::None),
            ("http://{{ a }}.spin.internal", Chaining::None),
        ] {
            assert_eq!(check(&entries(&[entry]), &BTreeMap::new()), Ok(expected), "{entry}");
        }
    }

    #[test]
    fn templates_are_checked_with_their_defaults() {
        let with = |default: &str| LockedVariable { default: Some(default.to_owned()), ..LockedVariable::default() };
        let variables = BTreeMap::from([
            ("good".to_owned(), with("example")),
            ("bad".to_owned(), with("a b")),
            ("empty".to_owned(), with("")),
            ("open".to_owned(), LockedVariable::default()),
        ]);
        for (entry, valid) in [
            ("https://{{ good }}.com", true),
            ("https://{{ bad }}.com", false),
            ("{{ empty }}", true),
            ("https://{{ empty }}", true),
            ("https://{{ open }} {{ bad }}", true),
            ("https://{{ good", false),
        ] {
            assert_eq!(check(&entries(&[entry]), &variables).is_ok(), valid, "{entry}");
        }
    }

    #[test]
    fn the_deprecated_list_is_converted() {
        for (http, expected) in [
            (&["example.com"][..], &["http://example.com", "https://example.com"][..]),
            (&["https://Example.com:443/"], &["http://example.com", "https://example.com"]),
            (&["example.com:8080"], &["http://example.com:8080", "https://example.com:8080"]),
            (&["self"], &["http://self"]),
            (&["a/b", "insecure:allow-all"], &["http://*:*", "https://*:*", "http://self"]),
        ] {
            let merged = merge(&entries(&["redis://x"]), &entries(http)).expect("convertible");
            let merged: Vec<_> = merged.iter().map(|host| host.get_ref().as_str()).collect();
            assert_eq!(merged[1..], *expected);
        }
        for http in ["ftp://x", "example.com/path", "x:http", ""] {
            assert!(merge(&[], &entries(&[http])).is_err(), "{http}");
        }
    }

    #[test]
    fn all_bad_entries_are_named() {
        let flaw = merge(&[], &entries(&["a", "ftp://x", "b/c"])).expect_err("two are bad");
        let Problem::Hosts(hosts) = flaw.problem else { panic!("hosts") };
        assert_eq!(hosts.iter().map(|host| host.entry.as_str()).collect::<Vec<_>>(), ["ftp://x", "b/c"]);
        let flaw = check(&entries(&["a", "http://b", "c"]), &BTreeMap::new()).expect_err("two are bad");
        assert!(
            flaw.problem.to_string().contains("`a` has to have a scheme, as in `https://example.com`; the outbound")
        );
    }
}
