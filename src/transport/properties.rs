//! What holds for every header field, not just those that somebody thought of.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_RANGE, DATE, HeaderMap, HeaderName, HeaderValue, LINK, RANGE, RETRY_AFTER, WARNING};
use proptest::prelude::*;

use super::headers::{ContentRange, content_range, link_next, range, retry_after, warnings};
use super::resolve;

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let fields = fields.iter().filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_str(value).ok()?)));
    fields.collect()
}

proptest! {
    /// The next page is found whatever stands around it.
    #[test]
    fn the_next_page_is_found_among_others(
        target in "/[a-zA-Z0-9/?=&%.,;_-]{0,30}",
        before in "(</[a-z]{0,4}>; ?rel=(prev|\"(last|first)\")(; ?title=\"[a-z,;<> ]{0,8}\")?, ?){0,3}",
        parameter in prop::sample::select(vec!["rel=next", "rel=\"next\"", "title=\"x, y\"; rel=\"next\"", "REL=\"last next\""]),
        after in "(, ?</[a-z]{0,4}>; ?rel=last)?",
    ) {
        let value = format!("{before}<{target}>; {parameter}{after}");
        prop_assert_eq!(link_next(&headers(&[(LINK, &value)])), Some(target), "{}", value);
    }

    /// Any field is survived, and what is found was there and stays with HTTP.
    #[test]
    fn any_link_is_survived(value in "[<>;,=\" a-z/:?@\\[\\]-]{0,60}|(<[!-~]{0,20}>|[!-~]{0,10})(; ?rel=\"?next\"?)?") {
        if let Some(next) = link_next(&headers(&[(LINK, &value)])) {
            prop_assert!(value.contains(&next));
            let base = http::Uri::from_static("https://r.example/v2/a/tags/list?n=1");
            if let Ok(uri) = resolve(&base, &next) {
                prop_assert!(matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some(), "{}", uri);
            }
        }
    }

    /// Warnings are bounded and cannot drive a terminal.
    #[test]
    fn warnings_are_harmless(value in "(299 - \"[ -~\u{a0}-\u{ff}\t]{0,40}\"?,? ?){0,30}") {
        let mut map = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            map.insert(WARNING, value);
        }
        let shown = warnings(&map);
        prop_assert!(shown.len() <= 16);
        prop_assert!(shown.iter().all(|text| !text.contains(char::is_control)), "{:?}", shown);
    }

    /// Ranges by the rules are read exactly, others never turn around or leave the whole.
    #[test]
    fn ranges_are_exact_or_absent(first in any::<u64>(), last in any::<u64>(), size in any::<u64>(), junk in "[0-9+*/ -]{0,12}") {
        let value = format!("bytes {first}-{last}/{size}");
        let fits = first <= last && last < size;
        let expected = fits.then_some(ContentRange { first, last, size: Some(size) });
        prop_assert_eq!(content_range(&headers(&[(CONTENT_RANGE, &value)])), expected);
        let value = format!("{first}-{last}");
        prop_assert_eq!(range(&headers(&[(RANGE, &value)])), (first <= last).then_some((first, last)));
        if let Some((first, last)) = range(&headers(&[(RANGE, &junk)])) {
            prop_assert!(first <= last);
        }
        if let Some(part) = content_range(&headers(&[(CONTENT_RANGE, &format!("bytes {junk}"))])) {
            prop_assert!(part.first <= part.last && part.size.is_none_or(|size| part.last < size));
        }
    }

    /// Seconds are seconds, anything else is a date or nothing; no clock makes a wait out of nothing.
    #[test]
    fn waits_are_numbers_dates_or_absent(
        seconds in any::<u64>(),
        junk in "[A-Z][a-z]{2}, [0-9]{1,3} (Jan|Feb|Dec|Xyz) [0-9]{1,6} [0-9]{1,3}:[0-9]{1,2}:[0-9]{1,3} (GMT|UTC)|[ -~]{0,20}",
        date in "Sun, [0-9]{2} Nov 19[0-9]{2} 08:49:37 GMT|[ -~]{0,20}",
    ) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let seconds_text = seconds.to_string();
        prop_assert_eq!(retry_after(&headers(&[(RETRY_AFTER, &seconds_text)]), now), Some(Duration::from_secs(seconds)));
        let alone = retry_after(&headers(&[(RETRY_AFTER, &junk)]), now);
        let dated = retry_after(&headers(&[(RETRY_AFTER, &junk), (DATE, &date)]), now);
        prop_assert_eq!(alone.is_some(), dated.is_some());
    }
}
