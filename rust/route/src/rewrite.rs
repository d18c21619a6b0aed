//! The target and the host that an upstream gets instead of the client's.

use regex_automata::util::interpolate;
use tidegate_message::RequestHead;
use tidegate_plan as plan;

use crate::{
    PathRefusal, Template, Variables,
    encode::{Place, encode_tail},
    path::has_dots,
    pattern::{Pattern, group_of},
    query::escape,
};

/// A route's rewrite, ready to be written.
#[derive(Debug, Clone)]
pub struct Rewriter {
    path: Option<Path>,
    host: Option<Template>,
    query: Option<Template>,
}

impl Rewriter {
    /// The error is where, as `rewrite.path.pattern`, and why.
    pub fn compile(rewrite: &plan::Rewrite) -> Result<Self, (String, String)> {
        let template = |template: &Option<plan::Template>, part: &str| {
            let template = template.as_ref().map(Template::compile).transpose();
            template.map_err(|why| (format!("rewrite.{part}"), why))
        };
        Ok(Self {
            path: rewrite.path.as_ref().map(Path::compile).transpose()?,
            host: template(&rewrite.host, "host")?,
            query: template(&rewrite.query, "query")?,
        })
    }

    /// Whether the target changes; where not, the client's own bytes are forwarded.
    pub fn rewrites_target(&self) -> bool {
        self.path.is_some() || self.query.is_some()
    }

    /// Whether the query changes; where not, [`rewrite_target`](Self::rewrite_target) takes the client's whole.
    pub fn rewrites_query(&self) -> bool {
        self.query.is_some()
    }

    /// Appends the new target in origin form (RFC 9112 §3.2.1): what [`rewrite_path`](Self::rewrite_path) and
    /// [`rewrite_query`](Self::rewrite_query) append. `out` is left as it was where the path is refused.
    pub fn rewrite_target(
        &self,
        head: &RequestHead,
        path: &[u8],
        prefix_len: usize,
        vars: &(impl Variables + ?Sized),
        out: &mut Vec<u8>,
    ) -> Result<(), PathRefusal> {
        self.rewrite_path(head, path, prefix_len, vars, out)?;
        self.rewrite_query(head, vars, out);
        Ok(())
    }

    /// Appends the new path. `path` is the normalised one and `prefix_len` what [`Found`](crate::Found) says of it.
    ///
    /// Without a new path the client's bytes stay; a new one is encoded so that it is a path, whatever came in by
    /// variables, and begins with `/`. Where a prefix is replaced, what is behind it keeps the client's spelling
    /// unless it had to be resolved.
    ///
    /// Refused is a path with `.` or `..` segments or with a NUL, which a pattern or a variable can put together
    /// from harmless pieces: `/a../b` under `^/a(.*)` and `/data/$1`. `out` is left as it was then.
    pub fn rewrite_path(
        &self,
        head: &RequestHead,
        path: &[u8],
        prefix_len: usize,
        vars: &(impl Variables + ?Sized),
        out: &mut Vec<u8>,
    ) -> Result<(), PathRefusal> {
        let start = out.len();
        let raw = head.slice(head.path);
        let Some(rule) = &self.path else {
            out.extend_from_slice(if raw.is_empty() { b"/" } else { raw });
            return Ok(());
        };
        rule.write(raw, path, prefix_len, vars, out);
        if out.get(start) != Some(&b'/') {
            out.insert(start, b'/');
        }
        match refusal(&out[start..]) {
            Some(refusal) => {
                out.truncate(start);
                Err(refusal)
            }
            None => Ok(()),
        }
    }

    /// Appends `?` and the new query, or the client's own where the route gives none. An empty one that the route
    /// gives leaves without `?`.
    pub fn rewrite_query(&self, head: &RequestHead, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        match &self.query {
            None if head.has_query => {
                out.push(b'?');
                out.extend_from_slice(head.slice(head.query));
            }
            None => {}
            Some(template) => {
                let mark = out.len();
                out.push(b'?');
                template.render_query(vars, out);
                if out.len() == mark + 1 {
                    out.truncate(mark);
                }
            }
        }
    }

    /// Appends the value of the new Host field; `false`, with nothing written, where the client's stays: the route
    /// gives none, or what it renders to is no host and port (RFC 3986 §3.2.2).
    pub fn write_host(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) -> bool {
        let Some(template) = &self.host else { return false };
        let start = out.len();
        template.render(vars, out);
        let is_host = out.len() > start && out[start..].iter().all(|byte| may_stand_in_host(*byte));
        if !is_host {
            out.truncate(start);
        }
        is_host
    }
}

#[derive(Debug, Clone)]
enum Path {
    Prefix { with: Box<[u8]> },
    Template(Template),
    Regex { pattern: Box<Pattern>, with: Box<[u8]> },
}

impl Path {
    fn compile(path: &plan::PathRewrite) -> Result<Self, (String, String)> {
        let at = |part: &'static str| move |why: String| (format!("rewrite.path.{part}"), why);
        match path {
            plan::PathRewrite::Prefix { with } => {
                if !with.starts_with('/') {
                    return Err(at("with")(format!("`{with}` must begin with `/`")));
                }
                let mut encoded = with.as_bytes().to_vec();
                encode_tail(&mut encoded, 0, Place::Path);
                if refusal(&encoded).is_some() {
                    return Err(at("with")(format!(
                        "`{with}` must be without `.` and `..` segments and NUL"
                    )));
                }
                Ok(Self::Prefix { with: encoded.into() })
            }
            plan::PathRewrite::Template { template } => {
                Ok(Self::Template(Template::compile(template).map_err(at("template"))?))
            }
            plan::PathRewrite::Regex { pattern, with } => {
                let pattern = Pattern::compile(pattern).map_err(at("pattern"))?;
                if pattern.groups() > GROUPS {
                    return Err(at("pattern")(format!("has more than {} groups", GROUPS - 1)));
                }
                check_groups(&pattern, with).map_err(at("with"))?;
                Ok(Self::Regex { pattern: Box::new(pattern), with: with.as_bytes().into() })
            }
        }
    }

    fn write(
        &self,
        raw: &[u8],
        path: &[u8],
        prefix_len: usize,
        vars: &(impl Variables + ?Sized),
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        match self {
            Self::Prefix { with } => {
                out.extend_from_slice(with);
                let mark = out.len();
                let rest = match behind(raw, path, prefix_len) {
                    Some(written) => written,
                    None => path.get(prefix_len..).unwrap_or_default(),
                };
                match (with.ends_with(b"/"), rest.strip_prefix(b"/")) {
                    (true, Some(rest)) => out.extend_from_slice(rest),
                    (false, None) if !rest.is_empty() => {
                        out.push(b'/');
                        out.extend_from_slice(rest);
                    }
                    _ => out.extend_from_slice(rest),
                }
                encode_tail(out, mark, Place::Path);
            }
            Self::Template(template) => template.render_path(vars, out),
            Self::Regex { pattern, with } => {
                replace_all(pattern, with, path, out);
                encode_tail(out, start, Place::Path);
            }
        }
    }
}

/// What stands in `raw` behind the part that the first `prefix_len` bytes of its normal form `path` come from;
/// `None` where normalising has done more than to decode.
fn behind<'a>(raw: &'a [u8], path: &[u8], prefix_len: usize) -> Option<&'a [u8]> {
    let (mut at, mut in_path, mut rest) = (0, 0, None);
    loop {
        if in_path == prefix_len {
            rest = Some(&raw[at..]);
        }
        let Some(&byte) = raw.get(at) else { break };
        // An escape that was kept is one again in the normal form; there it is the only percent sign.
        let width = if byte == b'%' { 3 } else { 1 };
        let expected = path.get(in_path)?;
        if byte == b'%' && *expected != b'%' {
            if escape(&raw[at + 1..])? != *expected {
                return None;
            }
            in_path += 1;
        } else {
            let written = raw.get(at..at + width)?;
            if !written.eq_ignore_ascii_case(path.get(in_path..in_path + width)?) {
                return None;
            }
            in_path += width;
        }
        at += width;
    }
    if in_path == path.len() { rest } else { None }
}

/// Appends `text` with every place where `pattern` is found replaced, as `Regex::replace_all` of the regex crate does.
fn replace_all(pattern: &Pattern, with: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let mut slots = [None; GROUPS * 2];
    let slots = &mut slots[..pattern.groups() * 2];
    let (mut copied, mut from, mut last_end) = (0, 0, None);
    while from <= text.len() && pattern.search(text, from, slots) {
        let Some((start, end)) = group_of(slots, 0) else { break };
        if start == end && last_end == Some(end) {
            // Nothing, right behind a match: look again one byte further.
            from = end + 1;
            continue;
        }
        out.extend_from_slice(&text[copied..start]);
        let append = |group: usize, out: &mut Vec<u8>| {
            if let Some((start, end)) = group_of(slots, group) {
                out.extend_from_slice(&text[start..end]);
            }
        };
        interpolate::bytes(with, append, |name| pattern.number(name), out);
        (copied, from, last_end) = (end, end, Some(end));
    }
    out.extend_from_slice(&text[copied..]);
}

/// A reference to a group that is not there would be written as nothing.
fn check_groups(pattern: &Pattern, with: &str) -> Result<(), String> {
    let mut unknown = None;
    let mut most = 0;
    let number = |name: &str| {
        let number = pattern.number(name);
        if number.is_none() {
            unknown = Some(name.to_owned());
        }
        number
    };
    interpolate::bytes(with.as_bytes(), |group, _| most = most.max(group), number, &mut Vec::new());
    if let Some(name) = unknown {
        return Err(format!("no group is called `{name}`; write `${{1}}x` for group 1 and then an x"));
    }
    if most >= pattern.groups() {
        return Err(format!("there is no group {most}; the pattern has {}", pattern.groups() - 1));
    }
    Ok(())
}

/// What makes an encoded path one that is not sent.
fn refusal(encoded: &[u8]) -> Option<PathRefusal> {
    // Both need a dot or an escape.
    memchr::memchr2(b'.', b'%', encoded)?;
    if has_dots(encoded) {
        return Some(PathRefusal::RewrittenDots);
    }
    let mut percents = memchr::memchr_iter(b'%', encoded);
    percents.any(|at| encoded[at + 1..].starts_with(b"00")).then_some(PathRefusal::Nul)
}

fn may_stand_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

/// Groups of a pattern whose matches are replaced, with the whole match.
const GROUPS: usize = 32;
