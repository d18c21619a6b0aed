//! Parameters of a query: `a=1&b=2`, as forms write them.

/// Appends the decoded value of the first parameter called `name` to `out`; whether there is one.
///
/// Parameters are set off by `&`, a name from its value by the first `=`; `+` is a space, and a percent sign that
/// begins no escape stands for itself (WHATWG URL, application/x-www-form-urlencoded parsing). A parameter without
/// `=` has an empty value. `name` is compared with the decoded name, to the byte.
pub fn query_parameter(query: &[u8], name: &[u8], out: &mut Vec<u8>) -> bool {
    let found = raw_parameter(query, name);
    out.extend(found.into_iter().flat_map(decoded));
    found.is_some()
}

/// The value as written of the first parameter called `name`.
pub(crate) fn raw_parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = query;
    loop {
        let end = memchr::memchr(b'&', rest).unwrap_or(rest.len());
        let pair = &rest[..end];
        let equals = memchr::memchr(b'=', pair);
        let written = &pair[..equals.unwrap_or(end)];
        if !pair.is_empty() && decoded(written).eq(name.iter().copied()) {
            return Some(equals.map_or(&[][..], |at| &pair[at + 1..]));
        }
        if end == rest.len() {
            return None;
        }
        rest = &rest[end + 1..];
    }
}

/// The bytes that a name or a value of a parameter stands for.
pub(crate) fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'+' => Some(b' '),
            b'%' => match escape(&text[at..]) {
                Some(value) => {
                    at += 2;
                    Some(value)
                }
                None => Some(b'%'),
            },
            other => Some(other),
        }
    })
}

/// What the two hex digits at the start of `digits` say; `None` where there are none.
pub(crate) fn escape(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let value = |digit: &u8| (*digit as char).to_digit(16);
    Some((value(high)? * 16 + value(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(query: &str, name: &str) -> Option<String> {
        let mut out = Vec::new();
        let found = query_parameter(query.as_bytes(), name.as_bytes(), &mut out);
        assert!(found || out.is_empty());
        found.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        assert_eq!(parameter("a=1&b=2&a=3", "a").as_deref(), Some("1"));
        assert_eq!(parameter("a=1&b=2&a=3", "b").as_deref(), Some("2"));
        assert_eq!(parameter("a=1", "A"), None);
        assert_eq!(parameter("", "a"), None);
    }

    #[test]
    fn names_and_values_are_decoded_once() {
        assert_eq!(parameter("%61=x+y%2Bz", "a").as_deref(), Some("x y+z"));
        assert_eq!(parameter("a=%252e", "a").as_deref(), Some("%2e"));
        assert_eq!(parameter("a=100%&b=%zz&c=%4", "a").as_deref(), Some("100%"));
        assert_eq!(parameter("a=100%&b=%zz&c=%4", "b").as_deref(), Some("%zz"));
        assert_eq!(parameter("a=100%&b=%zz&c=%4", "c").as_deref(), Some("%4"));
    }

    #[test]
    fn a_parameter_without_a_value_is_there_and_empty() {
        assert_eq!(parameter("debug&x=1", "debug").as_deref(), Some(""));
        assert_eq!(parameter("debug=", "debug").as_deref(), Some(""));
        assert_eq!(parameter("a==b", "a").as_deref(), Some("=b"));
        assert_eq!(parameter("&&=v", "").as_deref(), Some("v"));
        assert_eq!(parameter("&&", ""), None);
    }
}
