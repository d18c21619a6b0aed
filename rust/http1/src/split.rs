//! From the tokenizer's field slices to spans, with the check that every line ends with CRLF.

use httparse::Header;
use tidegate_message::{Field, Known, Span};

use crate::diagnose::FieldDefect;

/// How many field lines are split without taking memory; more than that and the table is allocated.
pub(crate) const FEW_FIELDS: usize = 64;

/// The shortest field line, `a:` and its CRLF: bounds the table for many fields by the bytes at hand.
pub(crate) const SHORTEST_LINE: usize = 4;

/// Writes the spans of `headers`, which were split from `bytes`, whose head ends at `end`.
///
/// Returns where the start line ends. The tokenizer takes LF alone as a line end; since it refuses LF and CR
/// anywhere else in a line, looking before each line's last byte finds every bare LF.
pub(crate) fn fields(
    bytes: &[u8],
    end: usize,
    headers: &[Header<'_>],
    fields: &mut Vec<Field>,
) -> Result<usize, FieldDefect> {
    let first = headers.first().map_or(end.saturating_sub(2), |header| offset(bytes, header.name.as_bytes()));
    if !ends_with_crlf(bytes, first) {
        return Err(FieldDefect::BareLf);
    }
    field_lines(bytes, end, headers, fields)?;
    Ok(first)
}

/// As [`fields`], where no start line stands before the field lines.
pub(crate) fn field_lines(
    bytes: &[u8],
    end: usize,
    headers: &[Header<'_>],
    fields: &mut Vec<Field>,
) -> Result<(), FieldDefect> {
    if !ends_with_crlf(bytes, end) {
        return Err(FieldDefect::BareLf);
    }
    for (index, header) in headers.iter().enumerate() {
        let name = offset(bytes, header.name.as_bytes());
        let value = offset(bytes, header.value);
        let line_end = headers.get(index + 1).map_or(end - 2, |next| offset(bytes, next.name.as_bytes()));
        if !ends_with_crlf(bytes, line_end) {
            return Err(FieldDefect::BareLf);
        }
        fields.push(Field {
            known: Known::parse(header.name.as_bytes()),
            name: Span::new(name, name + header.name.len()),
            value: Span::new(value, value + header.value.len()),
            line: Span::new(name, line_end),
        });
    }
    Ok(())
}

/// Where `part`, which was split from `bytes`, stands in them.
fn offset(bytes: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - bytes.as_ptr() as usize
}

fn ends_with_crlf(bytes: &[u8], end: usize) -> bool {
    end >= 2 && bytes[end - 2..end] == *b"\r\n"
}
