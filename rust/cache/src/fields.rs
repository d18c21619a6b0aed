//! Field lines, whichever head they stand in.

use tidegate_message::{RequestHead, ResponseHead};

/// Something with field lines in an order.
pub trait Fields {
    /// Names, as written, and values without the white space around them.
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// The values of the field `name` (lower case), in order.
    fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.lines().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of the field `name`.
    fn value<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.values(name).next()
    }
}

impl Fields for RequestHead {
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.slice(field.name), self.slice(field.value)))
    }
}

impl Fields for ResponseHead {
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.slice(field.name), self.slice(field.value)))
    }
}

/// Whole field lines as they are kept: `Name: value` and CRLF, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a>(pub &'a [u8]);

impl Fields for Kept<'_> {
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((name, value.get(1..)?.trim_ascii()))
        })
    }
}

/// Field lines in memory of their own: for tests and for what tools hand in.
#[derive(Debug, Clone, Default)]
pub struct Pairs(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Fields for Pairs {
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}

/// The members of a list, which commas within quoted strings do not part (RFC 9110 §5.6.1, §5.6.4).
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let all = rest?;
        let mut quoted = false;
        let mut escaped = false;
        let comma = all.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        let (member, after) = match comma {
            Some(at) => (&all[..at], Some(&all[at + 1..])),
            None => (all, None),
        };
        rest = after;
        Some(member.trim_ascii())
    })
    .filter(|member| !member.is_empty())
}

/// The text within a quoted string, or the token as it stands.
pub fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_within_quotes_parts_nothing() {
        let list: Vec<_> = members(br#"a="x, y", b=1,, "c\",d" "#).collect();
        assert_eq!(list, [&br#"a="x, y""#[..], b"b=1", br#""c\",d""#]);
    }

    #[test]
    fn kept_lines_are_read_as_they_were_written() {
        let kept = Kept(b"ETag: \"a\"\r\nX:  b \r\n");
        assert_eq!(kept.value(b"etag"), Some(&b"\"a\""[..]));
        assert_eq!(kept.value(b"x"), Some(&b"b"[..]));
        assert_eq!(kept.value(b"y"), None);
    }
}
