//! A line made from a template: values are escaped as nginx does, and one that is empty is a hyphen.

use tidegate_plan::{Part, Variable};
use tidegate_route::Variables;

use super::{
    calendar::since_epoch,
    escape,
    number::{push_decimal, push_milliseconds, push_three},
    record::Record,
};

pub(super) fn write(parts: &[Part], record: &Record<'_>, variables: &impl Variables, out: &mut Vec<u8>) {
    for part in parts {
        let start = out.len();
        match part {
            Part::Text { value } => {
                out.extend_from_slice(value.as_bytes());
                continue;
            }
            Part::Variable { name: Variable::Dollar } => {
                out.push(b'$');
                continue;
            }
            // The journey is over: what the record says of it is the last word.
            Part::Variable { name: Variable::Status } => push_decimal(u64::from(record.status), out),
            Part::Variable { name: Variable::Duration } => push_milliseconds(record.duration, out),
            Part::Variable { name: Variable::Time } => {
                let (second, millisecond) = since_epoch(record.time);
                push_decimal(second, out);
                out.push(b'.');
                push_three(millisecond, out);
            }
            Part::Variable { name } => variables.write(*name, out),
            Part::Header { name } => out.extend_from_slice(variables.header(name).unwrap_or_default()),
            Part::Query { name } => variables.query(name, out),
            Part::Claim { name } => variables.claim(name, out),
            Part::Cookie { name } => out.extend_from_slice(variables.cookie(name).unwrap_or_default()),
            Part::Capture { name } => out.extend_from_slice(variables.capture(name).unwrap_or_default()),
        }
        if out.len() == start {
            out.push(b'-');
        } else {
            escape::nginx_in_place(out, start);
        }
    }
    out.push(b'\n');
}
