//! Errors, through every dialect: what one client is told another gateway must understand.

use tidegate_dialect::error::FaultKind;
use tidegate_dialect::{ApiError, Dialect, ErrorKind, Fault};

const KINDS: [ErrorKind; 13] = [
    ErrorKind::InvalidRequest,
    ErrorKind::Authentication,
    ErrorKind::Quota,
    ErrorKind::Permission,
    ErrorKind::NotFound,
    ErrorKind::TooLarge,
    ErrorKind::ContextTooLong,
    ErrorKind::ContentFilter,
    ErrorKind::RateLimited,
    ErrorKind::Overloaded,
    ErrorKind::Timeout,
    ErrorKind::Server,
    ErrorKind::Unsupported,
];

const DIALECTS: [Dialect; 8] = [
    Dialect::OpenAi,
    Dialect::Responses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Mistral,
    Dialect::Ollama,
];

#[test]
fn every_kind_of_error_is_read_back_as_it_was_written() {
    let mut lost = Vec::new();
    for dialect in DIALECTS {
        for kind in KINDS {
            let mut error = ApiError::new(kind.status(), kind, "what is wrong");
            error.param = Some("messages[0]".to_owned());
            let mut body = Vec::new();
            dialect.write_error(&error, &mut body);
            if body.is_empty() {
                continue;
            }
            let read = dialect.parse_error(kind.status(), &body);
            let same = match dialect {
                Dialect::Responses => read.kind == kind,
                // Others have one word for all that is wrong with a request.
                _ => read.kind.status() == kind.status(),
            };
            // Where clients know a kind by words alone, the words stand before the message. What a provider says of the
            // gateway's own credentials is not passed on.
            let said = read.message.ends_with("what is wrong") || kind == ErrorKind::Authentication;
            if !same || !said || read.status != kind.status() {
                lost.push(format!("{dialect:?} {kind:?} by {}: {read:?}", String::from_utf8_lossy(&body)));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn a_body_that_is_no_error_becomes_one_of_the_kind_that_its_status_says() {
    for dialect in [Dialect::OpenAi, Dialect::Responses] {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Authentication),
            (403, ErrorKind::Permission),
            (404, ErrorKind::NotFound),
            (413, ErrorKind::TooLarge),
            (422, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (502, ErrorKind::Server),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Timeout),
        ] {
            for body in [&b"<html>no</html>"[..], b"", b"[]", b"{\"error\":5}", b"\xff"] {
                let error = dialect.parse_error(status, body);
                assert_eq!((error.kind, error.status), (kind, status), "{dialect:?} {status}");
                assert!(!error.message.is_empty());
            }
        }
    }
}

#[test]
fn no_money_left_is_not_a_limit_that_passes() {
    let body = br#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    assert_eq!(Dialect::Responses.parse_error(429, body).kind, ErrorKind::Quota);
    let body = br#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    assert_eq!(Dialect::Responses.parse_error(429, body).kind, ErrorKind::RateLimited);
}

#[test]
fn faults_become_errors_that_name_the_field() {
    let error = ApiError::from_fault(&Fault::wrong("messages[2].role", "a role"));
    assert_eq!((error.status, error.kind), (400, ErrorKind::InvalidRequest));
    assert_eq!(
        (error.param.as_deref(), error.code.as_deref()),
        (Some("messages[2].role"), Some("invalid_value"))
    );
    let codes = [
        (Fault::syntax("x"), "invalid_json", ErrorKind::InvalidRequest),
        (Fault::missing("model"), "missing_required_parameter", ErrorKind::InvalidRequest),
        (Fault::unsupported("seed"), "unsupported_parameter", ErrorKind::Unsupported),
    ];
    for (fault, code, kind) in codes {
        let error = ApiError::from_fault(&fault);
        assert_eq!((error.code.as_deref(), error.kind), (Some(code), kind));
        assert_eq!(error.message, fault.message);
        assert_eq!(error.param.is_none(), fault.kind == FaultKind::Syntax);
    }
}
