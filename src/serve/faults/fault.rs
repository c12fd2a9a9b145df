//! What a command line says of a fault: `NAME[=ARGUMENT][,CONDITION=VALUE]…`. Pure.

use std::str::FromStr;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::kind::{Form, Kind};
use super::place::Place;
use crate::model::ParseError;

/// One thing that goes wrong, and where.
///
/// ```
/// use spinreg::serve::faults::Fault;
///
/// for text in ["cut=1000", "status=503,times=2", "header=range,method=PATCH", "tags-unsorted"] {
///     text.parse::<Fault>()?;
/// }
/// # Ok::<(), spinreg::error::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Fault {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

impl FromStr for Fault {
    type Err = ParseError;

    /// Parses `NAME[=ARGUMENT][,CONDITION=VALUE]…`. In arguments and values `%2C` is a comma.
    ///
    /// # Errors
    ///
    /// There is no such fault or condition, or its argument makes no sense.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parts = text.split(',');
        let (name, argument) = pair(parts.next().unwrap_or_default(), text)?;
        let mut kind = kind(name, argument.as_deref(), text)?;
        let mut place = Place::default();
        for part in parts {
            let (key, value) = pair(part, text)?;
            let Some(value) = value else { return Err(wrong(text, "`=` and a value after each condition")) };
            condition(&mut kind, &mut place, key, value, text)?;
        }
        if place.when.is_some() && !kind.is_of_answers() {
            return Err(wrong(text, "no `when`, because this fault comes before the answer"));
        }
        Ok(Self { kind, place })
    }
}

fn pair<'a>(part: &'a str, text: &str) -> Result<(&'a str, Option<String>), ParseError> {
    let Some((name, value)) = part.split_once('=') else { return Ok((part, None)) };
    let value = percent_decode_str(value).decode_utf8().map_err(|_| wrong(text, "UTF-8 after each `%`"))?;
    Ok((name, Some(value.into_owned())))
}

fn kind(name: &str, argument: Option<&str>, text: &str) -> Result<Kind, ParseError> {
    let given = || {
        argument
            .filter(|argument| !argument.is_empty())
            .ok_or_else(|| wrong(text, "`=` and an argument after the name"))
    };
    let count = || given().and_then(|value| number(value, text));
    let few = || count().and_then(|value| usize::try_from(value).map_err(|_| wrong(text, "a smaller number")));
    let kind = match name {
        "cut" => Kind::Cut(count()?),
        "corrupt" => Kind::Corrupt(argument.map_or(Ok(0), |value| number(value, text))?),
        "reset" => Kind::Reset(argument.map(|value| number(value, text)).transpose()?),
        "stall" => Kind::Stall(argument.map(|value| number(value, text)).transpose()?),
        "length" => {
            let value = given()?;
            let digits = value.strip_prefix(['+', '-']).ok_or_else(|| wrong(text, "`+` or `-` and a number"))?;
            let length = i64::try_from(number(digits, text)?).map_err(|_| wrong(text, "a smaller number"))?;
            Kind::Length(if value.starts_with('-') { -length } else { length })
        }
        "status" => Kind::Status { code: status(given()?, text)?, retry_after: None },
        "header" => {
            let (name, value) = header(given()?, text)?;
            let value = value.map(|value| HeaderValue::from_str(value).map_err(|_| wrong(text, "a header's value")));
            Kind::Header { name, value: value.transpose()? }
        }
        "json" => {
            let (member, value) =
                given()?.split_once(':').map_or((given()?, None), |(name, value)| (name, Some(value)));
            let value =
                value.map(|value| serde_json::from_str(value).map_err(|_| wrong(text, "JSON after the member's name")));
            Kind::Json { member: member.to_owned(), value: value.transpose()? }
        }
        "errors" => Kind::Errors(match given()? {
            "html" => Form::Html,
            "plain" => Form::Plain,
            "lower-case" => Form::LowerCase,
            "vague" => Form::Vague,
            "malformed" => Form::Malformed,
            "nothing" => Form::Nothing,
            _ => return Err(wrong(text, "`html`, `plain`, `lower-case`, `vague`, `malformed` or `nothing`")),
        }),
        "redirect" => match argument {
            Some(argument) if !argument.contains(':') => return Err(wrong(text, "`USER:PASSWORD`, or nothing")),
            argument => Kind::Redirect(argument.map(str::to_owned)),
        },
        "warning" => match few()? {
            letters @ ..=MAX_WARNING => Kind::Warning(letters),
            _ => return Err(wrong(text, "65536 letters at most")),
        },
        "ignore" => Kind::Ignore(given()?.to_owned()),
        "limit" => Kind::Limit(count()?),
        "chunk-minimum" => Kind::ChunkMinimum(count()?),
        "list-limit" => Kind::ListLimit(few()?),
        "referrers-page" => match few()? {
            0 => return Err(wrong(text, "a number above 0")),
            n => Kind::ReferrersPage(n),
        },
        "referrers-without" => Kind::ReferrersWithout(given()?.to_owned()),
        "tag-parameters" => Kind::TagParameters(few()?),
        plain => {
            let kind =
                plain_kind(plain).ok_or_else(|| wrong(text, "the name of a fault; `--fault help` lists them"))?;
            if argument.is_some() {
                return Err(wrong(text, "no argument for this fault"));
            }
            kind
        }
    };
    Ok(kind)
}

/// Faults without an argument.
fn plain_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "close" => Kind::Close,
        "unproved" => Kind::Unproved,
        "sha256-only" => Kind::Sha256Only,
        "subject-required" => Kind::SubjectRequired,
        "only-images" => Kind::OnlyImages,
        "tags-unsorted" => Kind::TagsUnsorted,
        "tags-null" => Kind::TagsNull,
        "lists-endless" => Kind::ListsEndless,
        "referrers-empty-404" => Kind::ReferrersEmpty404,
        "referrers-stale" => Kind::ReferrersStale,
        "referrers-lost" => Kind::ReferrersLost,
        "referrers-tag-twice" => Kind::ReferrersTagTwice,
        "tags-stick" => Kind::TagsStick,
        "tag-parameters-lie" => Kind::TagParametersLie,
        "delete-nothing" => Kind::DeleteNothing,
        "delete-tag-deep" => Kind::DeleteTagDeep,
        "delete-leaves-tags" => Kind::DeleteLeavesTags,
        "delete-everywhere" => Kind::DeleteEverywhere,
        "mount-lies" => Kind::MountLies,
        "fragile-sessions" => Kind::FragileSessions,
        "upload-race" => Kind::UploadRace,
        "reversed-ranges" => Kind::ReversedRanges,
        _ => return None,
    })
}

fn condition(kind: &mut Kind, place: &mut Place, key: &str, value: String, text: &str) -> Result<(), ParseError> {
    match (key, kind) {
        ("retry-after", Kind::Status { retry_after, .. }) => {
            let seconds =
                u32::try_from(number(&value, text)?).map_err(|_| wrong(text, "a smaller number of seconds"))?;
            *retry_after = Some(seconds);
        }
        ("method", _) => {
            let methods = value.split('+').map(|method| match method.parse::<Method>() {
                Ok(method) if method.as_str().bytes().all(|b| b.is_ascii_uppercase()) => Ok(method),
                _ => Err(wrong(text, "methods like `GET+HEAD`")),
            });
            place.methods = methods.collect::<Result<_, _>>()?;
        }
        ("path", _) => place.path = Some(value),
        ("not", _) => place.not = Some(value),
        ("with", _) => {
            let (name, pattern) = header(&value, text)?;
            place.with = Some((name, pattern.unwrap_or("*").to_owned()));
        }
        ("without", _) => place.without = Some(header(&value, text)?.0),
        ("when", _) => place.when = Some(status(&value, text)?),
        ("times", _) => place.times = Some(number(&value, text)?),
        ("after", _) => place.after = number(&value, text)?,
        _ => {
            return Err(wrong(
                text,
                "the conditions `method`, `path`, `not`, `with`, `without`, `when`, `times` and `after`",
            ));
        }
    }
    Ok(())
}

fn header<'a>(value: &'a str, text: &str) -> Result<(HeaderName, Option<&'a str>), ParseError> {
    let (name, value) = value.split_once(':').map_or((value, None), |(name, value)| (name, Some(value.trim())));
    let name = name.parse().map_err(|_| wrong(text, "the name of a header"))?;
    Ok((name, value))
}

fn status(value: &str, text: &str) -> Result<StatusCode, ParseError> {
    let code = value.parse::<StatusCode>().ok().filter(|code| !code.is_informational() && code.as_u16() < 600);
    code.ok_or_else(|| wrong(text, "a status from 200 to 599"))
}

fn number(value: &str, text: &str) -> Result<u64, ParseError> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten().ok_or_else(|| wrong(text, "a number"))
}

fn wrong(text: &str, expected: &'static str) -> ParseError {
    ParseError::new("fault", text, expected)
}

/// Letters of a warning: all headers together are not much longer with any client.
const MAX_WARNING: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn names_and_arguments_are_read() {
        let header = |name: &'static str, value: Option<&'static str>| Kind::Header {
            name: HeaderName::from_static(name),
            value: value.map(HeaderValue::from_static),
        };
        let status =
            |code: u16, retry_after| Kind::Status { code: StatusCode::from_u16(code).expect("a status"), retry_after };
        for (text, expected) in [
            ("cut=1000", Kind::Cut(1000)),
            ("reset", Kind::Reset(None)),
            ("reset=3", Kind::Reset(Some(3))),
            ("stall", Kind::Stall(None)),
            ("stall=3", Kind::Stall(Some(3))),
            ("corrupt", Kind::Corrupt(0)),
            ("length=+5", Kind::Length(5)),
            ("length=-5", Kind::Length(-5)),
            ("status=503", status(503, None)),
            ("status=429,retry-after=7,times=2", status(429, Some(7))),
            ("header=range", header("range", None)),
            ("header=Link:</a%2Cb>; rel=next", header("link", Some("</a,b>; rel=next"))),
            ("json=tags:null", Kind::Json { member: "tags".into(), value: Some(Value::Null) }),
            ("json=name:\"a:b\"", Kind::Json { member: "name".into(), value: Some("a:b".into()) }),
            ("json=name", Kind::Json { member: "name".into(), value: None }),
            ("errors=lower-case", Kind::Errors(Form::LowerCase)),
            ("ignore=n,path=*/tags/list*", Kind::Ignore("n".into())),
            ("tags-unsorted", Kind::TagsUnsorted),
        ] {
            assert_eq!(text.parse::<Fault>().expect(text).kind, expected, "{text}");
        }
    }

    #[test]
    fn conditions_are_read() {
        let text = "status=500,method=PUT+POST,path=a%2Cb*,not=*c,with=content-type:*json,without=range,when=201,times=3,after=2";
        let place = text.parse::<Fault>().expect(text).place;
        assert_eq!(place.methods, [Method::PUT, Method::POST]);
        assert_eq!((place.path.as_deref(), place.not.as_deref()), (Some("a,b*"), Some("*c")));
        assert_eq!(place.with, Some((http::header::CONTENT_TYPE, "*json".to_owned())));
        assert_eq!((place.without, place.when), (Some(http::header::RANGE), Some(StatusCode::CREATED)));
        assert_eq!((place.times, place.after), (Some(3), 2));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "cut",
            "cut=",
            "cut=x",
            "cut=-1",
            "length=5",
            "status=99",
            "status=600",
            "status=100",
            "status",
            "header=",
            "header=a b",
            "json=a:{",
            "errors=x",
            "json=",
            "ignore=",
            "redirect=x",
            "warning=65537",
            "referrers-page=0",
            "tags-unsorted=1",
            "nothing",
            "Cut=1",
            "close,method=get",
            "close,times",
            "close,times=x",
            "close,colour=red",
            "close,retry-after=1",
            "tags-unsorted,when=200",
            "close,with=",
            "cut=%FF",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
