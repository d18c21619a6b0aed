//! The forms of a request target (RFC 9112 §3.2).

use memchr::{memchr, memchr2, memchr3};
use tidegate_message::{Method, Span};

use crate::Refusal;

/// Where the parts of a target stand.
pub(crate) struct Target {
    pub(crate) path: Span,
    pub(crate) query: Span,
    pub(crate) has_query: bool,
    /// The authority of an absolute target, not yet checked.
    pub(crate) authority: Option<Span>,
}

/// Tells the form of the target that stands at `whole` and finds its parts.
///
/// A fragment is no part of a target (RFC 9112 §3.2): it is left out of path and query.
pub(crate) fn split(bytes: &[u8], whole: Span, method: Method) -> Result<Target, Refusal> {
    let target = whole.of(bytes);
    if !target.is_ascii() {
        return Err(Refusal::NonAsciiInTarget);
    }
    let start = whole.start as usize;
    match target {
        [b'/', ..] => Ok(path_and_query(target, start, None)),
        b"*" if method == Method::Options => {
            Ok(Target { path: Span::default(), query: Span::default(), has_query: false, authority: None })
        }
        b"*" => Err(Refusal::AsteriskNotOptions),
        _ => absolute(target, start, method),
    }
}

fn absolute(target: &[u8], start: usize, method: Method) -> Result<Target, Refusal> {
    const MARK: &[u8] = b"://";
    let colon = memchr(b':', target).ok_or(Refusal::InvalidTarget)?;
    let scheme = &target[..colon];
    if !target[colon..].starts_with(MARK) || !is_scheme(scheme) {
        return Err(Refusal::InvalidTarget);
    }
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(Refusal::UnsupportedScheme);
    }
    let name = colon + MARK.len();
    let end = memchr3(b'/', b'?', b'#', &target[name..]).map_or(target.len(), |at| name + at);
    let authority = Some(Span::new(start + name, start + end));
    let mut parts = path_and_query(&target[end..], start + end, authority);
    if parts.path.is_empty() {
        let asterisk = method == Method::Options && !parts.has_query;
        // An empty path means the root (RFC 9112 §3.2.1), which the slash before the authority spells;
        // for OPTIONS it means the server itself (RFC 9112 §3.2.4), as the asterisk form does.
        let slash = start + name - 1;
        parts.path = if asterisk { Span::default() } else { Span::new(slash, slash + 1) };
    }
    Ok(parts)
}

fn path_and_query(text: &[u8], start: usize, authority: Option<Span>) -> Target {
    let Some(mark) = memchr2(b'?', b'#', text) else {
        let path = Span::new(start, start + text.len());
        return Target { path, query: Span::default(), has_query: false, authority };
    };
    let path = Span::new(start, start + mark);
    if text[mark] == b'#' {
        return Target { path, query: Span::default(), has_query: false, authority };
    }
    let query = &text[mark + 1..];
    let length = memchr(b'#', query).unwrap_or(query.len());
    let query = Span::new(start + mark + 1, start + mark + 1 + length);
    Target { path, query, has_query: true, authority }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str, method: Method) -> Result<(String, Option<String>, Option<String>), Refusal> {
        let bytes = target.as_bytes();
        let parts = split(bytes, Span::new(0, bytes.len()), method)?;
        let text = |span: Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
        let query = parts.has_query.then(|| text(parts.query));
        Ok((text(parts.path), query, parts.authority.map(text)))
    }

    #[test]
    fn an_origin_target_is_a_path_and_a_query() {
        assert_eq!(parts("/a/b?c=d?e", Method::Get), Ok(("/a/b".into(), Some("c=d?e".into()), None)));
        assert_eq!(parts("/?", Method::Get), Ok(("/".into(), Some(String::new()), None)));
        assert_eq!(parts("//a//b", Method::Get), Ok(("//a//b".into(), None, None)));
    }

    #[test]
    fn a_fragment_is_no_part_of_path_or_query() {
        assert_eq!(parts("/a#b?c", Method::Get), Ok(("/a".into(), None, None)));
        assert_eq!(parts("/a?b#c", Method::Get), Ok(("/a".into(), Some("b".into()), None)));
    }

    #[test]
    fn an_absolute_target_without_a_path_asks_for_the_root() {
        assert_eq!(parts("http://h", Method::Get), Ok(("/".into(), None, Some("h".into()))));
        assert_eq!(
            parts("HTTPS://h:1?q", Method::Get),
            Ok(("/".into(), Some("q".into()), Some("h:1".into())))
        );
        assert_eq!(parts("http://h", Method::Options), Ok((String::new(), None, Some("h".into()))));
        assert_eq!(parts("http://h/", Method::Options), Ok(("/".into(), None, Some("h".into()))));
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(parts("*", Method::Get), Err(Refusal::AsteriskNotOptions));
        assert_eq!(parts("h:80", Method::Get), Err(Refusal::InvalidTarget));
        assert_eq!(parts("a/b", Method::Get), Err(Refusal::InvalidTarget));
        assert_eq!(parts("ftp://h/", Method::Get), Err(Refusal::UnsupportedScheme));
        assert_eq!(parts("://h/", Method::Get), Err(Refusal::InvalidTarget));
    }
}
