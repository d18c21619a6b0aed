//! Signs requests for AWS by Signature Version 4. Bytes, date and credentials are arguments; nothing is fetched or kept.
//!
//! The rules are those of "Create a signed AWS API request" in AWS's IAM user guide. Services other than S3 encode each
//! segment of the path twice in the canonical request: `/model/a%3A1/converse` on the wire is signed as
//! `/model/a%253A1/converse`.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The access key's id.
    pub access_key: &'a str,
    /// The secret.
    pub secret_key: &'a str,
    /// Of temporary credentials; empty for none.
    pub session_token: &'a str,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path as it goes over the wire, percent-encoded.
    pub path: &'a str,
    /// The query as it goes over the wire, without `?`; empty for none.
    pub query: &'a str,
    /// Fields that are signed: `host` must be among them, `x-amz-date` and `x-amz-security-token` must not: they
    /// are added here. Names in any case.
    pub fields: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

/// Where and when it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `us-east-1`.
    pub region: &'a str,
    /// `bedrock`.
    pub service: &'a str,
    /// Seconds since 1970. AWS refuses signatures that are more than five minutes old or ahead.
    pub now: u64,
}

/// Fields that the request must carry beside those that were signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// `Authorization`.
    pub authorization: String,
    /// `X-Amz-Date`.
    pub date: String,
    /// `X-Amz-Security-Token`; `None` without a session.
    pub security_token: Option<String>,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed").field("date", &self.date).finish_non_exhaustive()
    }
}

/// Signs a request.
pub fn sign(request: &Signable<'_>, credentials: &Credentials<'_>, scope: &Scope<'_>) -> Signed {
    let date = timestamp(scope.now);
    let day = date.get(..8).unwrap_or_default();
    let token = Some(credentials.session_token).filter(|token| !token.is_empty());

    let mut fields: Vec<(String, String)> = request
        .fields
        .iter()
        .copied()
        .chain([("x-amz-date", date.as_str())])
        .chain(token.map(|token| ("x-amz-security-token", token)))
        .map(|(name, value)| (name.to_ascii_lowercase(), collapsed(value)))
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut names = String::new();
    let mut lines = String::new();
    let mut before: Option<&str> = None;
    for (name, value) in &fields {
        if before == Some(name) {
            // Values of one name are joined, in their order.
            lines.pop();
            lines.push(',');
            lines.push_str(value);
        } else {
            if before.is_some() {
                names.push(';');
            }
            names.push_str(name);
            lines.push_str(name);
            lines.push(':');
            lines.push_str(value);
        }
        lines.push('\n');
        before = Some(name);
    }

    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query),
        hex(&Sha256::digest(request.body)),
    );
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{place}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = signing_key(credentials.secret_key, day, scope);
    let signature = hex(&hmac(&key, to_sign.as_bytes()));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{place}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key
    );
    Signed { authorization, date, security_token: token.map(str::to_owned) }
}

/// Appends a text as one segment of a path or query: all but RFC 3986's unreserved characters become `%XX`.
pub fn encode(text: &str, out: &mut String) {
    for &byte in text.as_bytes() {
        encode_byte(byte, out);
    }
}

fn encode_byte(byte: u8, out: &mut String) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        out.push(char::from(byte));
    } else {
        // Writing to a text does not fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

/// The path without `.`, `..` and doubled slashes, and each segment encoded (once more).
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut canonical = String::with_capacity(path.len() + 8);
    for segment in &segments {
        canonical.push('/');
        encode(segment, &mut canonical);
    }
    if segments.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The parameters in the order of their encoded names and values.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (once(name), once(value))
        })
        .collect();
    pairs.sort();
    let joined: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

/// Encoded once: what `%XX` stands for stays that.
fn once(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                encode_byte(decoded, &mut out);
                at += 3;
            }
            None => {
                encode_byte(byte, &mut out);
                at += 1;
            }
        }
    }
    out
}

/// A field's value without white space around it, and with one space for several.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn signing_key(secret: &str, day: &str, scope: &Scope<'_>) -> [u8; 32] {
    let mut first = Vec::with_capacity(4 + secret.len());
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret.as_bytes());
    [scope.region, scope.service, "aws4_request"]
        .iter()
        .fold(hmac(&first, day.as_bytes()), |key, text| hmac(&key, text.as_bytes()))
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `20150830T123600Z`.
fn timestamp(now: u64) -> String {
    let (year, month, day) = date_of(now / 86_400);
    let second = now % 86_400;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The date of a day since 1970-01-01, in the Gregorian calendar. Years are counted from March, so that leap days
/// come last in theirs.
fn date_of(days: u64) -> (u64, u64, u64) {
    // Days of 400 years, after which the calendar repeats; 719,468 lie between 0000-03-01 and 1970-01-01.
    const ERA: u64 = 146_097;
    let days = days.saturating_add(719_468);
    let of_era = days % ERA;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (days / ERA * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests;
