//! Text with variables in it.

use tidegate_plan as plan;

use crate::{
    conditions::{is_token, not_a_name},
    encode::{Place, encode_tail},
};

/// What a request knows, for the variables of its route's templates. What it does not know is written as nothing.
pub trait Variables {
    /// Appends the value of `variable`. Never called for [`plan::Variable::Dollar`].
    fn write(&self, variable: plan::Variable, out: &mut Vec<u8>);
    /// The request field's first value; names are case-insensitive.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// Appends the decoded value of the first parameter of that name: see [`query_parameter`](crate::query_parameter).
    fn query(&self, name: &str, out: &mut Vec<u8>);
    /// The cookie of that name.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
    /// Appends a claim of the token that came in.
    fn claim(&self, name: &str, out: &mut Vec<u8>);
    /// What a group of the route's pattern or host matched: see [`Captures::get`](crate::Captures::get).
    fn capture(&self, name: &str) -> Option<&[u8]>;
}

/// Text and variables, written one after the other.
#[derive(Debug, Clone, Default)]
pub struct Template {
    parts: Box<[Part]>,
}

impl Template {
    /// Why not, where a part cannot be: a header name that is no field name, a variable without a name.
    pub fn compile(template: &plan::Template) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::with_capacity(template.len());
        for part in template {
            let part = match part {
                plan::Part::Text { value } => Part::Text(value.as_bytes().into()),
                plan::Part::Variable { name: plan::Variable::Dollar } => Part::Text(b"$"[..].into()),
                plan::Part::Variable { name } => Part::Variable(*name),
                plan::Part::Header { name } if !is_token(name.as_bytes()) => return Err(not_a_name(name)),
                plan::Part::Header { name } => Part::Header(name.as_str().into()),
                plan::Part::Query { name } => Part::Query(named("query", name)?),
                plan::Part::Cookie { name } => Part::Cookie(named("cookie", name)?),
                plan::Part::Claim { name } => Part::Claim(named("claim", name)?),
                plan::Part::Capture { name } => Part::Capture(named("capture", name)?),
            };
            match (parts.last_mut(), part) {
                (_, Part::Text(text)) if text.is_empty() => {}
                (Some(Part::Text(before)), Part::Text(text)) => *before = [&**before, &*text].concat().into(),
                (_, part) => parts.push(part),
            }
        }
        Ok(Self { parts: parts.into() })
    }

    /// The text, where it has no variables.
    pub fn as_constant(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(&[]),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends it as it is, byte by byte: for bodies and logs.
    pub fn render(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        for part in &self.parts {
            part.write(vars, out);
        }
    }

    /// Appends it as a field value: CR, LF, NUL and the other controls but the tab never leave, whatever a variable
    /// holds (RFC 9110 §5.5). They are dropped, so `a\r\nb` leaves as `ab`.
    pub fn render_value(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        let start = out.len();
        self.render(vars, out);
        drop_controls(out, start);
    }

    /// Appends it as a reference to a resource, for `Location` (RFC 9110 §10.2.2).
    ///
    /// The normalised path and captures of it are encoded again, so that `/a%3Fb` does not become `/a?b`. Of other
    /// variables only those bytes are encoded that stand in no URI, line breaks among them; hosts stay as they are
    /// but for controls.
    pub fn render_location(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        let start = out.len();
        self.render_encoded(vars, out, |origin| match origin {
            Origin::Text | Origin::Host => None,
            Origin::Path => Some(Place::Path),
            Origin::Target | Origin::Query | Origin::Data => Some(Place::Query),
        });
        drop_controls(out, start);
    }

    /// Appends it as a path. A path's own variables (path, target, captures) keep their separators and escapes;
    /// all others stay within one segment.
    pub(crate) fn render_path(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        self.render_encoded(vars, out, |origin| match origin {
            Origin::Text | Origin::Path | Origin::Target | Origin::Query => Some(Place::Path),
            Origin::Host | Origin::Data => Some(Place::Segment),
        });
    }

    /// Appends it as a query. The query's own bytes stay as they are; all other variables stay within one value.
    pub(crate) fn render_query(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        self.render_encoded(vars, out, |origin| match origin {
            Origin::Text | Origin::Query => Some(Place::Query),
            Origin::Path | Origin::Target => Some(Place::PathInValue),
            Origin::Host | Origin::Data => Some(Place::Value),
        });
    }

    fn render_encoded(
        &self,
        vars: &(impl Variables + ?Sized),
        out: &mut Vec<u8>,
        place: impl Fn(Origin) -> Option<Place>,
    ) {
        for part in &self.parts {
            let start = out.len();
            part.write(vars, out);
            if let Some(place) = place(part.origin()) {
                encode_tail(out, start, place);
            }
        }
    }
}

/// Drops what must not stand in a field value from `out[start..]`.
pub(crate) fn drop_controls(out: &mut Vec<u8>, start: usize) {
    let may_stand = |byte: u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
    let Some(first) = out[start..].iter().position(|byte| !may_stand(*byte)) else { return };
    let mut to = start + first;
    for from in to + 1..out.len() {
        if may_stand(out[from]) {
            out[to] = out[from];
            to += 1;
        }
    }
    out.truncate(to);
}

#[derive(Debug, Clone)]
enum Part {
    Text(Box<[u8]>),
    Variable(plan::Variable),
    Header(Box<str>),
    Query(Box<str>),
    Cookie(Box<str>),
    Claim(Box<str>),
    Capture(Box<str>),
}

/// Where a part's bytes come from, which tells what is encoded in them already.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// The configuration.
    Text,
    /// The normalised path or a piece of it, with escapes.
    Path,
    /// The whole target as written, with escapes.
    Target,
    /// The whole query, with escapes.
    Query,
    /// A host, maybe with its port.
    Host,
    /// Anything: a percent sign in it is a percent sign.
    Data,
}

impl Part {
    fn write(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Variable(variable) => vars.write(*variable, out),
            Self::Query(name) => vars.query(name, out),
            Self::Claim(name) => vars.claim(name, out),
            Self::Header(name) => out.extend_from_slice(vars.header(name).unwrap_or_default()),
            Self::Cookie(name) => out.extend_from_slice(vars.cookie(name).unwrap_or_default()),
            Self::Capture(name) => out.extend_from_slice(vars.capture(name).unwrap_or_default()),
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Text(_) => Origin::Text,
            Self::Variable(plan::Variable::Path) | Self::Capture(_) => Origin::Path,
            Self::Variable(plan::Variable::RequestUri) => Origin::Target,
            Self::Variable(plan::Variable::Host | plan::Variable::Authority) => Origin::Host,
            Self::Variable(plan::Variable::Query) => Origin::Query,
            _ => Origin::Data,
        }
    }
}

fn named(kind: &str, name: &str) -> Result<Box<str>, String> {
    if name.is_empty() { Err(format!("a {kind} variable needs a name")) } else { Ok(name.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_dropped_and_the_tab_stays() {
        let mut out = b"\r\nkept:".to_vec();
        out.extend_from_slice(b"a\r\nX-Evil: 1\0\x7f\tb\x01\xff");
        drop_controls(&mut out, 7);
        assert_eq!(out, b"\r\nkept:aX-Evil: 1\tb\xff");
    }
}
