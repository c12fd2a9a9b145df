//! The moment that an artifact says it was made. Nobody looks at a clock for it: same input, same digest.

use std::fmt;
use std::str::FromStr;

use crate::model::ParseError;

/// A moment as RFC 3339 writes it, such as `2026-08-20T20:42:00+00:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created(String);

impl Created {
    /// Takes the seconds since 1970 in UTC, as `SOURCE_DATE_EPOCH` has them.
    ///
    /// # Errors
    ///
    /// Refuses moments after the year 9999, which RFC 3339 cannot write.
    pub fn from_epoch(seconds: u64) -> Result<Self, ParseError> {
        if seconds > END_OF_9999 {
            let text = seconds.to_string();
            return Err(ParseError::new("moment", &text, "seconds since 1970, up to the year 9999"));
        }
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        Ok(Self(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")))
    }
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Created {
    type Err = ParseError;

    /// Parses a date and time with an offset (RFC 3339, section 5.6); the text is kept as it is.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match is_date_time(text) {
            Some(true) => Ok(Self(text.to_owned())),
            _ => Err(ParseError::new("moment", text, "the form `2026-08-20T20:42:00Z` (RFC 3339)")),
        }
    }
}

/// Checks `YYYY-MM-DDTHH:MM:SS[.F](Z|±HH:MM)`; `None` where the text is too short.
fn is_date_time(text: &str) -> Option<bool> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = bytes.get(from..to).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if *bytes.get(at)? != separator {
            return Some(false);
        }
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    let mut rest = 19;
    if bytes.get(rest) == Some(&b'.') {
        let digits = bytes[rest + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Some(false);
        }
        rest += 1 + digits;
    }
    let offset = match bytes.get(rest)? {
        b'Z' => bytes.len() == rest + 1,
        b'+' | b'-' => {
            bytes.len() == rest + 6
                && bytes[rest + 3] == b':'
                && number(rest + 1, rest + 3)? < 24
                && number(rest + 4, rest + 6)? < 60
        }
        _ => false,
    };
    // 60 is a leap second.
    let time = number(11, 13)? < 24 && number(14, 16)? < 60 && number(17, 19)? <= 60;
    Some((1..=days).contains(&day) && time && offset)
}

/// Turns days since 1970 into year, month and day (the algorithm of Howard Hinnant's "chrono-compatible date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    // Counted from the first of March of year 0, so that leap days end a year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The last second of the year 9999, in seconds since 1970.
const END_OF_9999: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00+00:00"),
            (951_782_400, "2000-02-29T00:00:00+00:00"),
            (951_868_799, "2000-02-29T23:59:59+00:00"),
            (1_709_164_800, "2024-02-29T00:00:00+00:00"),
            (4_107_542_400, "2100-03-01T00:00:00+00:00"),
            (END_OF_9999, "9999-12-31T23:59:59+00:00"),
        ] {
            let created = Created::from_epoch(seconds).expect("before the end");
            assert_eq!(created.to_string(), expected);
            assert_eq!(created.to_string().parse(), Ok(created));
        }
        assert!(Created::from_epoch(END_OF_9999 + 1).is_err());
        assert!(Created::from_epoch(u64::MAX).is_err());
    }

    #[test]
    fn only_dates_with_an_offset_parse() {
        for text in ["2026-08-20T20:42:00Z", "2026-08-20T20:42:00.123456789+00:00", "2024-02-29T23:59:60-11:30"] {
            assert_eq!(text.parse::<Created>().map(|created| created.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "2026-08-20",
            "2026-08-20T20:42:00",
            "2026-08-20 20:42:00Z",
            "2026-13-20T20:42:00Z",
            "2026-02-29T20:42:00Z",
            "2026-08-00T20:42:00Z",
            "2026-08-20T24:42:00Z",
            "2026-08-20T20:42:00.Z",
            "2026-08-20T20:42:00Zx",
            "2026-08-20T20:42:00+1:00",
            "2026-08-20T20:42:00+01:0ü",
            "now",
        ] {
            assert!(text.parse::<Created>().is_err(), "{text}");
        }
    }
}
