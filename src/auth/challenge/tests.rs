use super::parse;

#[test]
fn the_corpus_is_understood() {
    let mut cases = 0;
    for (file, text) in [
        ("real", include_str!("../../../fixtures/challenges/real.txt")),
        ("rfc", include_str!("../../../fixtures/challenges/rfc.txt")),
        ("sloppy", include_str!("../../../fixtures/challenges/sloppy.txt")),
        ("hostile", include_str!("../../../fixtures/challenges/hostile.txt")),
    ] {
        for block in text.trim_end().split("\n\n") {
            let (name, expected) = block.split_once('\n').expect("a name and lines");
            let (lines, expected): (Vec<_>, Vec<_>) = expected.lines().partition(|line| line.starts_with('>'));
            let lines: Vec<_> = lines.iter().map(|line| bytes(line[1..].trim_start())).collect();
            assert_eq!(printed(lines.iter().map(Vec::as_slice)), expected, "{file}.txt: {name}");
            cases += 1;
        }
    }
    assert_eq!(cases, 54);
}

#[test]
fn any_cut_of_any_header_is_survived() {
    for text in
        [include_str!("../../../fixtures/challenges/rfc.txt"), include_str!("../../../fixtures/challenges/sloppy.txt")]
    {
        for line in text.lines().filter_map(|line| line.strip_prefix("> ")).map(bytes) {
            for cut in 0..line.len() {
                parse([&line[..cut]]);
                parse([&line[cut..]]);
                let mut broken = line.clone();
                for junk in *b"\\\",= \x00\xff" {
                    broken[cut] = junk;
                    parse([broken.as_slice()]);
                }
            }
        }
    }
}

#[test]
fn floods_are_bounded() {
    let schemes = "Basic, ".repeat(100_000);
    assert_eq!(parse([schemes.as_bytes()]).len(), super::MAX_CHALLENGES);
    let parameters: String = (0..100_000).map(|n| format!("p{n}=1,")).collect();
    let challenges = parse([format!("Bearer {parameters}").as_bytes()]);
    assert_eq!(challenges[0].parameters.len(), super::MAX_PARAMETERS);
    let quoted = format!("Basic realm=\"{}", "x".repeat(1 << 20));
    let challenges = parse([quoted.as_bytes()]);
    assert!(challenges[0].parameter("realm").is_some_and(|realm| realm.len() < super::MAX_LINE));
}

fn printed<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut printed = Vec::new();
    for challenge in parse(lines) {
        printed.push(challenge.scheme);
        printed.extend(
            challenge.parameters.iter().map(|(name, value)| format!("  {name}: {value}").trim_end().to_owned()),
        );
    }
    printed
}

/// Undoes `\xHH`.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
