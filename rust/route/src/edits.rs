//! What a route does to the fields of a head.

use tidegate_message::Known;
use tidegate_plan as plan;

use crate::{
    Template, Variables,
    conditions::{is_token, not_a_name},
};

/// Edits of a head's fields, in the form in which a head is written: which lines to skip, which to append.
///
/// Edits hold in their order: what is set or removed takes back what earlier edits wrote under that name.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    /// Names whose lines are skipped, whatever their case.
    removed: Box<[Box<[u8]>]>,
    /// A bit for each length that a name in `removed` has; the last for all from 63 on.
    lengths: u64,
    lines: Box<[Line]>,
}

impl HeaderEdits {
    /// The error is where, as `[2].name`, and why: names must be field names, and those that frame a message or
    /// belong to one connection are not for editing.
    pub fn compile(edits: &[plan::HeaderEdit]) -> Result<Self, (String, String)> {
        let mut removed: Vec<Box<[u8]>> = Vec::new();
        let mut writes: Vec<(&[u8], Template)> = Vec::new();
        for (at, edit) in edits.iter().enumerate() {
            let name = edit.name.as_bytes();
            check_name(&edit.name).map_err(|why| (format!("[{at}].name"), why))?;
            if edit.kind != plan::EditKind::Add {
                writes.retain(|(written, _)| !written.eq_ignore_ascii_case(name));
                if !removed.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    removed.push(name.into());
                }
            }
            if edit.kind != plan::EditKind::Remove {
                let value = Template::compile(&edit.value).map_err(|why| (format!("[{at}].value"), why))?;
                writes.push((name, value));
            }
        }
        let lengths = removed.iter().fold(0, |bits, name| bits | length_bit(name));
        Ok(Self { removed: removed.into(), lengths, lines: lines(writes) })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.lines.is_empty()
    }

    /// Whether the lines of the field `name` are skipped while a head is copied.
    pub fn removes(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name) != 0
            && self.removed.iter().any(|removed| removed.eq_ignore_ascii_case(name))
    }

    /// Appends `Name: value` with CRLF for every field that is set or added. A value that renders to nothing writes
    /// no line, so that setting a field from a variable that is not there removes it.
    pub fn write(&self, vars: &(impl Variables + ?Sized), out: &mut Vec<u8>) {
        for line in &self.lines {
            match line {
                Line::Constant(lines) => out.extend_from_slice(lines),
                Line::Rendered { name, value } => {
                    let start = out.len();
                    out.extend_from_slice(name);
                    value.render_value(vars, out);
                    if out.len() == start + name.len() {
                        out.truncate(start);
                    } else {
                        out.extend_from_slice(b"\r\n");
                    }
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Line {
    /// Whole lines.
    Constant(Box<[u8]>),
    /// `Name: ` and what follows it.
    Rendered { name: Box<[u8]>, value: Template },
}

fn lines(writes: Vec<(&[u8], Template)>) -> Box<[Line]> {
    let mut lines: Vec<Line> = Vec::with_capacity(writes.len());
    for (name, value) in writes {
        let name: Box<[u8]> = [name, b": "].concat().into();
        if value.as_constant().is_none() {
            lines.push(Line::Rendered { name, value });
            continue;
        }
        let mut text = name.to_vec();
        value.render_value(&Nothing, &mut text);
        if text.len() == name.len() {
            continue;
        }
        text.extend_from_slice(b"\r\n");
        match lines.last_mut() {
            Some(Line::Constant(before)) => *before = [&**before, &*text].concat().into(),
            _ => lines.push(Line::Constant(text.into())),
        }
    }
    lines.into()
}

fn check_name(name: &str) -> Result<(), String> {
    if !is_token(name.as_bytes()) {
        return Err(not_a_name(name));
    }
    match Known::parse(name.as_bytes()) {
        Known::Host => Err(format!("`{name}` is not edited here; use rewrite.host")),
        Known::ContentLength | Known::TransferEncoding | Known::Trailer => {
            Err(format!("`{name}` frames the message; it is written from what is sent"))
        }
        Known::Connection
        | Known::Upgrade
        | Known::KeepAlive
        | Known::ProxyConnection
        | Known::Te
        | Known::Http2Settings => {
            Err(format!("`{name}` belongs to one connection; it is written for each connection anew"))
        }
        _ => Ok(()),
    }
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

/// Knows no variables: for templates that have none.
struct Nothing;

impl Variables for Nothing {
    fn write(&self, _: plan::Variable, _: &mut Vec<u8>) {}

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn query(&self, _: &str, _: &mut Vec<u8>) {}

    fn claim(&self, _: &str, _: &mut Vec<u8>) {}

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn capture(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
