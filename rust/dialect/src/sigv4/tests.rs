//! AWS's published test suite for Signature Version 4, and calls of Bedrock as botocore signs them.

use super::*;

/// 2015-08-30T12:36:00Z, the suite's date.
const NOW: u64 = 1_440_938_160;

const CREDENTIALS: Credentials<'_> = Credentials {
    access_key: "AKIDEXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    session_token: "",
};

const SUITE: Signable<'_> =
    Signable { method: "GET", path: "/", query: "", fields: &[("Host", "example.amazonaws.com")], body: b"" };

fn signature(request: &Signable<'_>, credentials: &Credentials<'_>, service: &str) -> String {
    let signed = sign(request, credentials, &Scope { region: "us-east-1", service, now: NOW });
    assert_eq!(signed.date, "20150830T123600Z");
    signed.authorization.rsplit_once("Signature=").unwrap().1.to_owned()
}

#[test]
fn requests_of_aws_s_suite_get_its_signatures() {
    let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let query = format!("{unreserved}={unreserved}");
    let repeated: [(&str, &str); 4] = [
        ("Host", "example.amazonaws.com"),
        ("My-Header1", "value2"),
        ("My-Header1", "value2"),
        ("My-Header1", " value1 "),
    ];
    let cases = [
        (SUITE, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            Signable { method: "POST", ..SUITE },
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            Signable { query: "Param2=value2&Param1=value1", ..SUITE },
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            Signable { query: &query, ..SUITE },
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            Signable { fields: &repeated, ..SUITE },
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            Signable { path: "/example/..", ..SUITE },
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Signable { path: "//", ..SUITE },
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(signature(&request, &CREDENTIALS, "service"), expected, "{request:?}");
    }
}

#[test]
fn calls_of_bedrock_are_signed_as_botocore_signs_them() {
    let fields = [("host", "bedrock-runtime.us-east-1.amazonaws.com"), ("content-type", "application/json")];
    let request = Signable {
        method: "POST",
        path: "/model/anthropic.claude-3-7-sonnet-20250219-v1%3A0/converse-stream",
        query: "",
        fields: &fields,
        body: br#"{"messages":[]}"#,
    };
    assert_eq!(
        signature(&request, &CREDENTIALS, "bedrock"),
        "c949add0a34dfb0f6a3dbc42008b6b993ffcac9e5debbe6d3b04efd0b349844b"
    );
    let path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse";
    let session = Credentials { session_token: "TOKEN/+=", ..CREDENTIALS };
    assert_eq!(
        signature(&Signable { path, ..request }, &session, "bedrock"),
        "b71da2d1c65527344be6ae37720d6de3caf3878c64ab76e946abca0d79cbf4e1"
    );
}

#[test]
fn a_session_s_token_is_told_and_signed() {
    let session = Credentials { session_token: "TOKEN", ..CREDENTIALS };
    let signed = sign(&SUITE, &session, &Scope { region: "r", service: "s", now: NOW });
    assert_eq!(signed.security_token.as_deref(), Some("TOKEN"));
    assert!(signed.authorization.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,"));
}

#[test]
fn a_model_s_id_is_one_segment() {
    let mut path = String::new();
    encode("arn:aws:bedrock:eu:1:x/y z~ä", &mut path);
    assert_eq!(path, "arn%3Aaws%3Abedrock%3Aeu%3A1%3Ax%2Fy%20z~%C3%A4");
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(timestamp(0), "19700101T000000Z");
    assert_eq!(timestamp(951_827_696), "20000229T123456Z");
    assert_eq!(timestamp(4_107_542_399), "21000228T235959Z");
    assert_eq!(timestamp(4_107_542_400), "21000301T000000Z");
    assert_eq!(timestamp(1_798_761_599), "20261231T235959Z");
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!(
        "{CREDENTIALS:?} {:?}",
        sign(&SUITE, &CREDENTIALS, &Scope { region: "r", service: "s", now: 0 })
    );
    assert!(!printed.contains("EXAMPLEKEY") && !printed.contains("Signature"));
}
