//! The static table (RFC 7541 appendix A), its lines written out.

use super::table::Entry;
use crate::field::Name;

/// One line of the table.
pub(crate) struct StaticLine {
    line: &'static [u8],
    name_len: usize,
    name: Name,
}

impl StaticLine {
    pub(crate) fn entry(&self) -> Entry<'static> {
        Entry { line: self.line, name_len: self.name_len, name: self.name, sound: true }
    }
}

macro_rules! lines {
    ($($name:literal $value:literal $kind:ident;)+) => {
        /// The lines from index 1 on.
        pub(crate) static LINES: [StaticLine; 61] = [$(
            StaticLine {
                line: concat!($name, ": ", $value, "\r\n").as_bytes(),
                name_len: $name.len(),
                name: Name::$kind,
            },
        )+];
    };
}

lines! {
    ":authority" "" Authority;
    ":method" "GET" Method;
    ":method" "POST" Method;
    ":path" "/" Path;
    ":path" "/index.html" Path;
    ":scheme" "http" Scheme;
    ":scheme" "https" Scheme;
    ":status" "200" Status;
    ":status" "204" Status;
    ":status" "206" Status;
    ":status" "304" Status;
    ":status" "400" Status;
    ":status" "404" Status;
    ":status" "500" Status;
    "accept-charset" "" Regular;
    "accept-encoding" "gzip, deflate" Regular;
    "accept-language" "" Regular;
    "accept-ranges" "" Regular;
    "accept" "" Regular;
    "access-control-allow-origin" "" Regular;
    "age" "" Regular;
    "allow" "" Regular;
    "authorization" "" Regular;
    "cache-control" "" Regular;
    "content-disposition" "" Regular;
    "content-encoding" "" Regular;
    "content-language" "" Regular;
    "content-length" "" ContentLength;
    "content-location" "" Regular;
    "content-range" "" Regular;
    "content-type" "" Regular;
    "cookie" "" Cookie;
    "date" "" Regular;
    "etag" "" Regular;
    "expect" "" Regular;
    "expires" "" Regular;
    "from" "" Regular;
    "host" "" Host;
    "if-match" "" Regular;
    "if-modified-since" "" Regular;
    "if-none-match" "" Regular;
    "if-range" "" Regular;
    "if-unmodified-since" "" Regular;
    "last-modified" "" Regular;
    "link" "" Regular;
    "location" "" Regular;
    "max-forwards" "" Regular;
    "proxy-authenticate" "" Regular;
    "proxy-authorization" "" Regular;
    "range" "" Regular;
    "referer" "" Regular;
    "refresh" "" Regular;
    "retry-after" "" Regular;
    "server" "" Regular;
    "set-cookie" "" Regular;
    "strict-transport-security" "" Regular;
    "transfer-encoding" "" Connection;
    "user-agent" "" Regular;
    "vary" "" Regular;
    "via" "" Regular;
    "www-authenticate" "" Regular;
}

/// The lowest index of a line with that name, which is in lower case; 0 where there is none.
pub(crate) fn index_of_name(name: &[u8]) -> usize {
    match name {
        b":authority" => 1,
        b":method" => 2,
        b":path" => 4,
        b":scheme" => 6,
        b":status" => 8,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expect" => 35,
        b"expires" => 36,
        b"from" => 37,
        b"host" => 38,
        b"if-match" => 39,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"if-range" => 42,
        b"if-unmodified-since" => 43,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"range" => 50,
        b"referer" => 51,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"transfer-encoding" => 57,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => 0,
    }
}

/// The index of a line that stands whole in the table, of those that messages have; 0 where there is none.
pub(crate) fn index_of_line(line: &[u8]) -> usize {
    match line {
        b":method: GET\r\n" => 2,
        b":method: POST\r\n" => 3,
        b":path: /\r\n" => 4,
        b":path: /index.html\r\n" => 5,
        b":scheme: http\r\n" => 6,
        b":scheme: https\r\n" => 7,
        b"accept-encoding: gzip, deflate\r\n" => 16,
        b":status: 200\r\n" => 8,
        b":status: 204\r\n" => 9,
        b":status: 206\r\n" => 10,
        b":status: 304\r\n" => 11,
        b":status: 400\r\n" => 12,
        b":status: 404\r\n" => 13,
        b":status: 500\r\n" => 14,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field;

    #[test]
    fn names_and_lines_are_found_where_they_stand() {
        for (at, line) in LINES.iter().enumerate() {
            let entry = line.entry();
            let first = LINES.iter().position(|other| other.entry().name() == entry.name());
            assert_eq!(Some(index_of_name(entry.name())), first.map(|first| first + 1));
            let empty = entry.line.ends_with(b": \r\n");
            assert_eq!(index_of_line(entry.line), if empty { 0 } else { at + 1 });
            assert_eq!(field::name(entry.name()), entry.name);
        }
        assert_eq!(index_of_name(b"x-other"), 0);
        assert_eq!(index_of_line(b":status: 201\r\n"), 0);
    }
}
