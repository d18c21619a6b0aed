//! Which pages of other origins may use a route: what browsers ask before they send, and what they are told after.

use tidegate_message::Method;
use tidegate_plan::Cors;

use crate::{
    answer::{push_field, push_number_field},
    exchange::Exchange,
    failure::{Cause, Failure},
};

/// Notes what the browser is told. `Ok(true)`: that was all that it asked (a preflight), and 204 is the answer.
pub fn check(cors: &Cors, exchange: &mut Exchange) -> Result<bool, Failure> {
    let Exchange { head, fields, .. } = exchange;
    // What is told depends on who asks; whoever keeps the answer must know, also where nobody asked.
    if !cors.any {
        push_field(fields, b"Vary", b"Origin");
    }
    let Some(origin) = head.field(b"origin") else { return Ok(false) };
    let asked = head.field(b"access-control-request-method");
    let preflight = head.method == Method::Options && asked.is_some();
    if !is_allowed(cors, origin) {
        // Without a word the browser keeps the answer from the page. A request is answered all the same: that it
        // says where it comes from does no harm, and not every client is a browser.
        return if preflight { Err(Failure::client(Cause::OriginRefused)) } else { Ok(false) };
    }
    push_field(fields, b"Access-Control-Allow-Origin", if cors.any { b"*" } else { origin });
    if cors.credentials {
        push_field(fields, b"Access-Control-Allow-Credentials", b"true");
    }
    if !preflight {
        if !cors.expose.is_empty() {
            push_field(fields, b"Access-Control-Expose-Headers", cors.expose.as_bytes());
        }
        return Ok(false);
    }
    push_field(fields, b"Access-Control-Allow-Methods", cors.methods.as_bytes());
    let wanted = head.field(b"access-control-request-headers");
    let allowed = cors.headers.as_ref().map(String::as_bytes).or(wanted);
    if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
        push_field(fields, b"Access-Control-Allow-Headers", allowed);
    }
    push_number_field(fields, b"Access-Control-Max-Age", u64::from(cors.max_age_s));
    if cors.headers.is_none() {
        push_field(fields, b"Vary", b"Access-Control-Request-Headers");
    }
    Ok(true)
}

/// Browsers write origins in lower case; nothing else is one of ours.
fn is_allowed(cors: &Cors, origin: &[u8]) -> bool {
    cors.any
        || cors.origins.iter().any(|known| known.as_bytes() == origin)
        || cors.suffixes.iter().any(|known| {
            let middle = origin
                .strip_prefix(known.scheme.as_bytes())
                .and_then(|rest| rest.strip_suffix(known.suffix.as_bytes()));
            middle.is_some_and(|labels| {
                !labels.is_empty()
                    && !labels.starts_with(b".")
                    && labels.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        Cors {
            any: false,
            origins: vec!["https://app.example".into()],
            suffixes: vec![tidegate_plan::OriginSuffix {
                scheme: "https://".into(),
                suffix: ".example.com".into(),
            }],
            methods: "GET".into(),
            headers: None,
            expose: String::new(),
            credentials: true,
            max_age_s: 600,
        }
    }

    #[test]
    fn only_the_origins_that_are_named_are_allowed() {
        for good in ["https://app.example", "https://a.example.com", "https://a.b-c.example.com"] {
            assert!(is_allowed(&cors(), good.as_bytes()), "{good}");
        }
        for bad in [
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil",
            "https://evil-app.example",
            "https://example.com",
            "https://.example.com",
            "https://evil.com/.example.com",
            "https://evil.com#.example.com",
            "https://evil.com:80@x.example.com",
            "https://evilexample.com",
            "null",
            "",
            "*",
        ] {
            assert!(!is_allowed(&cors(), bad.as_bytes()), "{bad}");
        }
    }
}
