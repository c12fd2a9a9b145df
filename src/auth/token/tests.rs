use super::*;

fn ask<'a>(realm: &'a Uri, service: Option<&'a str>, scopes: &'a Scopes) -> Ask<'a> {
    Ask { realm, service, scopes, credential: None }
}

#[test]
fn what_is_asked_for_is_in_the_query() {
    for (realm, service, scopes, expected) in [
        ("https://a.example/token", Some("r"), "", "https://a.example/token?service=r&client_id=spinreg"),
        ("https://a.example/token", None, "aws", "https://a.example/token?scope=aws&client_id=spinreg"),
        (
            "https://a.example/token?x=y",
            Some("Docker registry&co"),
            "repository:a/b:pull,push repository:c:pull",
            "https://a.example/token?x=y&service=Docker%20registry%26co&scope=repository:a/b:pull,push&scope=repository:c:pull&client_id=spinreg",
        ),
        ("http://127.0.0.1:5000/token", None, "", "http://127.0.0.1:5000/token?client_id=spinreg"),
    ] {
        let (realm, scopes) = (realm.parse().expect(realm), Scopes::read(scopes));
        let request = ask(&realm, service, &scopes).get(None);
        assert_eq!(request.uri().to_string(), expected);
        assert!(!request.headers().contains_key(AUTHORIZATION));
        assert_eq!(request.extensions().get(), Some(&Redirects::Return));
    }
}

#[test]
fn a_password_is_in_the_header() {
    let (realm, scopes) = ("https://a.example/token".parse().expect("a URI"), Scopes::none());
    let request = ask(&realm, None, &scopes).get(Some(("ada", &Secret::new("pw"))));
    assert_eq!(request.headers()[AUTHORIZATION], "Basic YWRhOnB3");
    assert!(!format!("{request:?}").contains("YWRh"));
}

#[test]
fn a_refresh_token_is_in_the_form() {
    for (service, scopes, expected) in [
        (Some("r"), "", "grant_type=refresh_token&service=r&client_id=spinreg&refresh_token=a%2Bb%3D%26"),
        (
            None,
            "repository:a:pull repository:b:pull",
            "grant_type=refresh_token&service=a.example&client_id=spinreg&scope=repository:a:pull%20repository:b:pull&refresh_token=a%2Bb%3D%26",
        ),
    ] {
        let (realm, scopes) = ("https://a.example/token".parse().expect("a URI"), Scopes::read(scopes));
        let request = ask(&realm, service, &scopes).post(&Secret::new("a+b=&"));
        assert_eq!((request.method(), request.uri()), (&Method::POST, &realm));
        match request.body() {
            Payload::Bytes(bytes) => assert_eq!(bytes, expected),
            other => panic!("a form, not {other:?}"),
        }
    }
}

#[test]
fn answers_are_understood() {
    for (body, token, seconds) in [
        (r#"{"token":"t"}"#, "t", 60),
        (r#"{"access_token":"t"}"#, "t", 60),
        (r#"{"token":"","access_token":"t"}"#, "t", 60),
        (r#"{"token":null,"access_token":"t","expires_in":null}"#, "t", 60),
        (r#"{"token":"t","access_token":"u","expires_in":300,"issued_at":"2001-01-01T00:00:00Z"}"#, "t", 300),
        (r#"{"token":"t","expires_in":"300"}"#, "t", 300),
        (r#"{"token":"t","expires_in":300.0}"#, "t", 300),
        (r#"{"token":"t","expires_in":10}"#, "t", 10),
        (r#"{"token":"t","expires_in":0}"#, "t", 60),
        (r#"{"token":"t","expires_in":-5}"#, "t", 60),
        (r#"{"token":"t","expires_in":"soon"}"#, "t", 60),
        (r#"{"token":"t","expires_in":1e300}"#, "t", 86_400),
        (r#"{"token":"t","expires_in":"NaN"}"#, "t", 60),
        (r#"{"token":"t","expires_in":"inf"}"#, "t", 86_400),
    ] {
        let granted = Granted::read(body.as_bytes()).expect(body);
        assert_eq!(granted.header, format!("Bearer {token}"), "{body}");
        assert_eq!(granted.lifetime, Duration::from_secs(seconds), "{body}");
    }
}

#[test]
fn junk_is_named() {
    for (body, rule) in [
        ("", "the token service's answer is not the JSON of a token"),
        ("[]x", "the token service's answer is not the JSON of a token"),
        (r#"{"token":1}"#, "the token service's answer is not the JSON of a token"),
        ("\n <!doctype html>", "the token service answers with HTML"),
        ("{}", "the token service's answer has neither `token` nor `access_token`"),
        (r#"{"token":""}"#, "the token service's answer has neither `token` nor `access_token`"),
        (r#"{"token":"a\r\nX: y"}"#, "the token has characters that no header can carry"),
    ] {
        assert_eq!(Granted::read(body.as_bytes()), Err(rule), "{body}");
    }
}

#[test]
fn a_token_is_not_used_to_its_very_end() {
    for (lifetime, useful) in [(10, 9_000), (60, 54_000), (300, 270_000), (3_600, 3_570_000)] {
        let granted = Granted { header: HeaderValue::from_static(""), lifetime: Duration::from_secs(lifetime) };
        assert_eq!(granted.useful(), Duration::from_millis(useful));
    }
}

#[test]
fn complaints_are_read_in_every_dialect() {
    for (body, printed) in [
        (r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, Some(("DENIED", "no"))),
        (r#"{"details":"incorrect username or password"}"#, Some(("UNAUTHORIZED", "incorrect username or password"))),
        (r#"{"error":"invalid_grant","error_description":"expired"}"#, Some(("invalid_grant", "expired"))),
        (r#"{"error":"invalid_client"}"#, Some(("invalid_client", ""))),
        (r#"{"message":"Unauthorized"}"#, Some(("UNAUTHORIZED", "Unauthorized"))),
        ("{}", None),
        ("<html>", None),
        ("", None),
    ] {
        let errors = complaints(body.as_bytes());
        let first = errors.first().map(|entry| (entry.code.as_str(), entry.message.as_str()));
        assert_eq!(first, printed, "{body}");
    }
}

#[test]
fn statuses_are_told_apart() {
    for (status, body, expected) in [
        (200, r#"{"token":"t"}"#, "token"),
        (201, r#"{"token":"t"}"#, "token"),
        (200, "<html>", "the token service answers with HTML (GET https://a.example/token)"),
        (302, "", "the token service redirects, which is not followed (GET https://a.example/token)"),
        (401, "", "denied"),
        (403, "", "denied"),
        (400, r#"{"error":"invalid_grant"}"#, "denied"),
        (
            400,
            r#"{"error":"invalid_request"}"#,
            "the registry answered 400 Bad Request: invalid_request (GET https://a.example/token)",
        ),
        (503, "", "the registry answered 503 Service Unavailable (GET https://a.example/token)"),
        (
            500,
            "4f2a",
            "the registry answered 500 Internal Server Error (GET https://a.example/token, request id `4f2a`)",
        ),
    ] {
        // What the rows have no room for: the last one has a number and no body.
        let (body, id) = if body == "4f2a" { ("", Some(body)) } else { (body, None) };
        let exchange = Exchange {
            request: RequestLine::new(&Method::GET, &"https://a.example/token".parse().expect("a URI")),
            status: StatusCode::from_u16(status).expect("a status"),
            attempts: 1,
            details: Details { request_id: id.map(str::to_owned), ..Details::default() },
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        let printed = match exchange.token() {
            Ok(_) => "token".to_owned(),
            Err(NoToken::Denied(_)) => "denied".to_owned(),
            Err(NoToken::Failed(error)) => error.to_string(),
        };
        assert_eq!(printed, expected, "{status} {body}");
    }
}

#[test]
fn r2_a_challenge_cannot_make_the_request_too_long() {
    let names: String = (0..20).map(|n| format!("repository:{}{n}:pull ", "\"".repeat(200))).collect();
    for (service, line_fill) in [(2_000, b'r'), (2_049, b'r'), (15_000, b'r'), (15_000, b'%'), (15_000, 0xff)] {
        let mut line = b"Bearer realm=\"https://a.example/token\",service=\"".to_vec();
        line.resize(line.len() + service, line_fill);
        line.push(b'"');
        let demanded = crate::auth::demand::Demand::of(&crate::auth::challenge::parse([&line[..]]));
        let Some(crate::auth::demand::Demand::Bearer(bearer)) = demanded else { panic!("no demand in {line:?}") };
        let (realm, scopes) = (format!("https://a.example/{}", "x".repeat(2_000)), Scopes::read(&names));
        let request = ask(&realm.parse().expect("a URI"), bearer.service.as_deref(), &scopes).get(None);
        assert_eq!(request.uri().query().is_some_and(|query| query.contains("service=")), service <= 2_048);
    }
}
