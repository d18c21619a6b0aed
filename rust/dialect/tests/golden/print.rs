//! JSON for reading: what fits on a line stands on one.

use serde_json::Value;

const WIDTH: usize = 120;

/// The value as text, its members in their order, with a line feed at the end.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    print(value, 0, 0, &mut out);
    out.push('\n');
    out
}

fn print(value: &Value, indent: usize, before: usize, out: &mut String) {
    let line = value.to_string();
    // The outermost object always stands in lines: each target begins one.
    if indent > 0 && indent + before + line.len() <= WIDTH {
        out.push_str(&line);
        return;
    }
    let inner = indent + 1;
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('{');
            for (number, (key, value)) in map.iter().enumerate() {
                start(number, inner, out);
                let key = Value::from(key.as_str()).to_string();
                out.push_str(&key);
                out.push_str(": ");
                print(value, inner, key.len() + 2, out);
            }
            end(indent, out);
            out.push('}');
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('[');
            for (number, value) in list.iter().enumerate() {
                start(number, inner, out);
                print(value, inner, 0, out);
            }
            end(indent, out);
            out.push(']');
        }
        _ => out.push_str(&line),
    }
}

fn start(number: usize, indent: usize, out: &mut String) {
    out.push_str(if number == 0 { "\n" } else { ",\n" });
    out.extend(std::iter::repeat_n(' ', indent));
}

fn end(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}
