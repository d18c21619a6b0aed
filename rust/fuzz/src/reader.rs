//! A strict HTTP/1.1 reader, as plain as can be: the second opinion.
//!
//! It shares no code with the codec. It looks for lines, splits them by hand, and refuses by a sentence.

/// A request as this reader sees it.
pub struct Request {
    /// The method's name.
    pub method: Vec<u8>,
    /// The target as written.
    pub target: Vec<u8>,
    /// Names in lower case, and values without the white space around them.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// How many bytes the request has from first to last.
    pub taken: usize,
}

/// Reads one whole request from the start of `data`.
pub fn request(data: &[u8]) -> Result<Request, &'static str> {
    let lead = if data.starts_with(b"\r\n") { 2 } else { 0 };
    let end = find(&data[lead..], b"\r\n\r\n").ok_or("no end of the head")? + lead;
    let mut lines = split_lines(&data[lead..end]);
    let line = lines.next().ok_or("no request line")?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { return Err("not three words") };
    if !is_token(method) || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err("bad method or target");
    }
    let modern = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err("bad version"),
    };
    let mut fields = Vec::new();
    for line in lines {
        fields.push(field(line)?);
    }
    let hosts = fields.iter().filter(|field| field.0 == b"host").count();
    if hosts > 1 || (modern && hosts == 0) {
        return Err("not one host");
    }
    let start = end + 4;
    let (body, length) = body(&data[start..], &fields, modern)?;
    Ok(Request { method: method.to_vec(), target: target.to_vec(), fields, body, taken: start + length })
}

/// Reads a chunked body from the start of `data`; its data and its length with all framing.
pub fn chunked(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line_end = at + find(&data[at..], b"\r\n")?;
        let line = &data[at..line_end];
        if line.contains(&b'\n') || line.contains(&b'\r') {
            return None;
        }
        let digits = line.split(|byte| *byte == b';').next()?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        at = line_end + 2;
        if size == 0 {
            break;
        }
        body.extend_from_slice(data.get(at..at.checked_add(size)?)?);
        at += size;
        if data.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let line_end = at + find(&data[at..], b"\r\n")?;
        let line = &data[at..line_end];
        at = line_end + 2;
        if line.is_empty() {
            return Some((body, at));
        }
        field(line).ok()?;
    }
}

type Fields = [(Vec<u8>, Vec<u8>)];

fn body(data: &[u8], fields: &Fields, modern: bool) -> Result<(Vec<u8>, usize), &'static str> {
    let values = |name: &str| -> Vec<&[u8]> {
        fields.iter().filter(|field| field.0 == name.as_bytes()).map(|field| &field.1[..]).collect()
    };
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Ok((Vec::new(), 0)),
        ([length], []) => {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return Err("bad length");
            }
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
            let body = length.and_then(|length| data.get(..length)).ok_or("body not whole")?;
            Ok((body.to_vec(), body.len()))
        }
        ([], [coding]) if modern && coding.eq_ignore_ascii_case(b"chunked") => {
            chunked(data).ok_or("bad chunks")
        }
        _ => Err("doubtful framing"),
    }
}

fn field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("no colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err("bad name");
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err("bad value");
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    Ok((name.to_ascii_lowercase(), value[start..end].to_vec()))
}

/// Lines that end with CRLF; a CR or LF of its own stays in its line, where nothing allows it.
fn split_lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        match find(text, b"\r\n") {
            Some(at) => {
                let line = &text[..at];
                text = &text[at + 2..];
                Some(line)
            }
            None => {
                done = true;
                Some(text)
            }
        }
    })
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
