//! The one spelling of a host that routes are looked up by.

/// Lower-cases the host of `authority` and drops its port and one trailing dot.
///
/// Nothing is refused here: the syntax was checked when the head was parsed. An IPv6 literal keeps its brackets
/// (RFC 3986 §3.2.2). Names are case-insensitive, and `example.com.` names what `example.com` names.
pub fn normalise_host<'a>(authority: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let host = without_port(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    // Without a branch, so that it is done many bytes at a time.
    if !host.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase()) {
        return host;
    }
    scratch.clear();
    scratch.extend(host.iter().map(u8::to_ascii_lowercase));
    scratch
}

fn without_port(authority: &[u8]) -> &[u8] {
    let end = if authority.first() == Some(&b'[') {
        memchr::memchr(b']', authority).map(|bracket| bracket + 1)
    } else {
        memchr::memchr(b':', authority)
    };
    &authority[..end.unwrap_or(authority.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(authority: &str) -> String {
        let mut scratch = Vec::new();
        String::from_utf8(normalise_host(authority.as_bytes(), &mut scratch).to_vec()).unwrap()
    }

    #[test]
    fn case_port_and_one_trailing_dot_do_not_matter() {
        for spelling in ["example.com", "EXAMPLE.com", "example.com:80", "example.com.", "Example.Com.:8080"]
        {
            assert_eq!(normal(spelling), "example.com", "{spelling}");
        }
        assert_eq!(normal("example.com.."), "example.com.");
    }

    #[test]
    fn an_ipv6_literal_keeps_its_brackets_and_loses_its_port() {
        assert_eq!(normal("[2001:DB8::1]:443"), "[2001:db8::1]");
        assert_eq!(normal("[::1]"), "[::1]");
        assert_eq!(normal("[::1"), "[::1");
    }

    #[test]
    fn an_empty_authority_stays_empty() {
        assert_eq!(normal(""), "");
        assert_eq!(normal(":80"), "");
        assert_eq!(normal("."), "");
    }

    #[test]
    fn a_host_that_is_already_normal_is_borrowed() {
        let mut scratch = Vec::new();
        let authority = b"api.example.com:8080";
        let host = normalise_host(authority, &mut scratch);
        assert_eq!(host.as_ptr(), authority.as_ptr());
    }
}
