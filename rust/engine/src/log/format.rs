//! What a line looks like.

use tidegate_plan::{LogFormat, Part, Template};
use tidegate_route::Variables;

use super::{combined, json, record::Record, template};

/// How records become lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Combined,
    Json,
    Template(Template),
}

impl Format {
    /// Refuses a template whose text would break a line.
    pub fn compile(plan: &LogFormat) -> Result<Self, String> {
        Ok(Self(match plan {
            LogFormat::Combined => Kind::Combined,
            LogFormat::Json => Kind::Json,
            LogFormat::Template { template } => {
                let breaks =
                    |part: &Part| matches!(part, Part::Text { value } if value.contains(['\n', '\r', '\0']));
                if template.iter().any(breaks) {
                    return Err("a template for log lines can't have CR, LF or NUL in its text".into());
                }
                Kind::Template(template.clone())
            }
        }))
    }

    /// Appends one line with its LF. A record without a head has a line as well. `variables` is asked only for
    /// templates, and then not for the status, the duration and the time, which the record knows better.
    pub fn write(&self, record: &Record<'_>, variables: &impl Variables, out: &mut Vec<u8>) {
        match &self.0 {
            Kind::Combined => combined::write(record, out),
            Kind::Json => json::write(record, out),
            Kind::Template(parts) => template::write(parts, record, variables, out),
        }
    }
}
