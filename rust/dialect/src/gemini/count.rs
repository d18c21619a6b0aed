//! Answers of Gemini's neighbours: `countTokens` and the list of models.

use serde_json::Value;

use crate::json::{Fields, Object};
use crate::{Fault, when};

/// Appends the answer to `countTokens`.
pub fn write_count(total: u64, cached: Option<u64>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.put("totalTokens", &total).maybe("cachedContentTokenCount", cached.as_ref());
    object.end();
}

/// Reads a provider's answer to `countTokens`: tokens of input.
pub fn parse_count(body: &[u8]) -> Result<u64, Fault> {
    let mut fields = Fields::parse(body)?;
    fields.unsigned("totalTokens")?.ok_or_else(|| fields.missing("totalTokens"))
}

/// Appends the answer to `GET …/models`.
pub fn write_models<'n>(names: impl IntoIterator<Item = &'n str>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    let mut list = object.array("models");
    for name in names {
        let mut model = list.object();
        model.put("name", &format!("models/{name}")).put("displayName", name);
        model.put("supportedGenerationMethods", &["generateContent", "countTokens"]);
        model.end();
    }
    list.end();
    object.end();
}

/// Seconds of a `createTime`.
pub(super) fn created(value: Option<Value>) -> Option<u64> {
    value.as_ref().and_then(Value::as_str).and_then(when::seconds)
}
