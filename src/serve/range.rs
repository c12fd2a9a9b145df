//! Which part of a blob is asked for, and where a chunk belongs. Pure.

/// What a `Range` header asks for (RFC 9110, section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no header, or one that a server may ignore (another unit, several ranges).
    Whole,
    /// These bytes; both ends count, and lie inside the content.
    Part(u64, u64),
    /// Bytes that are not there.
    Nothing,
}

/// Reads a `Range` header for content of `size` bytes.
///
/// A range that runs backwards is syntactically void and might be ignored; like most registries we say that there are
/// no such bytes, because whoever asks for it is mistaken.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((unit, range)) = header.and_then(|text| text.split_once('=')) else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() && first < size => Wanted::Part(first, size - 1),
        (Some(first), Some(last)) if first <= last && first < size => Wanted::Part(first, last.min(size - 1)),
        (None, Some(count)) if first.is_empty() && count > 0 && size > 0 => {
            Wanted::Part(size.saturating_sub(count), size - 1)
        }
        (Some(_), None) if last.is_empty() => Wanted::Nothing,
        (None, Some(_)) if first.is_empty() => Wanted::Nothing,
        (Some(_), Some(_)) => Wanted::Nothing,
        _ => Wanted::Whole,
    }
}

/// Reads the `Content-Range` of a chunk, `<first>-<last>` as the distribution spec has it (both ends count), and
/// returns the first byte's offset and the length.
pub(super) fn chunk(header: &str) -> Option<(u64, u64)> {
    let (first, last) = header.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let length = last.checked_sub(first)?.checked_add(1)?;
    Some((first, length))
}

/// Digits alone: `parse` would take a `+`.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_refused_or_ignored() {
        use Wanted::{Nothing, Part, Whole};
        for (header, size, expected) in [
            ("bytes=500-1499", 2048, Part(500, 1499)),
            ("bytes=500-", 2048, Part(500, 2047)),
            ("bytes=-500", 2048, Part(1548, 2047)),
            ("bytes=-5000", 2048, Part(0, 2047)),
            ("bytes=2000-5000", 2048, Part(2000, 2047)),
            ("bytes=0-0", 2048, Part(0, 0)),
            ("BYTES=0-0", 1, Part(0, 0)),
            ("bytes=0-99999999999999999999999", 10, Part(0, 9)),
            ("bytes=500-0", 2048, Nothing),
            ("bytes=5000-10000", 2048, Nothing),
            ("bytes=2048-", 2048, Nothing),
            ("bytes=99999999999999999999999-", 10, Nothing),
            ("bytes=-0", 2048, Nothing),
            ("bytes=0-", 0, Nothing),
            ("bytes=-1", 0, Nothing),
            ("bytes=0-1,4-5", 2048, Whole),
            ("bytes=-", 2048, Whole),
            ("bytes=a-b", 2048, Whole),
            ("bytes=+1-2", 2048, Whole),
            ("lines=0-1", 2048, Whole),
            ("", 2048, Whole),
        ] {
            assert_eq!(wanted(Some(header), size), expected, "{header} of {size}");
        }
        assert_eq!(wanted(None, 5), Whole);
    }

    #[test]
    fn chunks_say_where_they_belong() {
        for (header, expected) in [
            ("0-9", Some((0, 10))),
            ("10-10", Some((10, 1))),
            ("9-0", None),
            ("bytes 0-9/10", None),
            ("0-", None),
            ("-9", None),
            ("0-18446744073709551615", None),
            ("+0-1", None),
        ] {
            assert_eq!(chunk(header), expected, "{header}");
        }
    }
}
