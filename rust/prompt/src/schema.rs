//! JSON Schema: one for what comes in, one for what goes out.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// A schema made ready.
#[derive(Debug)]
pub struct Schema {
    /// As it was written.
    pub written: Value,
    validator: Validator,
}

impl Schema {
    /// Reads a schema from JSON text. References to other documents are refused: nothing is fetched.
    pub fn compile(text: &str) -> Result<Self, String> {
        let written: Value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
        if !(written.is_object() || written.is_boolean()) {
            return Err("is no JSON Schema: it must be an object".into());
        }
        // Patterns meet what strangers send: the engine without backtracking takes linear time.
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&written)
            .map_err(|error| format!("is no JSON Schema: {error}"))?;
        Ok(Self { written, validator })
    }

    /// The first thing that is wrong: where, as a JSON Pointer (RFC 6901), and what. Values are not repeated, so that
    /// what is told can be logged.
    pub fn check(&self, value: &Value) -> Result<(), (String, String)> {
        self.validator
            .validate(value)
            .map_err(|error| (error.instance_path().to_string(), error.masked_with("the value").to_string()))
    }

    /// Whether everything fits.
    pub fn is_open(&self) -> bool {
        self.written.as_object().is_some_and(serde_json::Map::is_empty) || self.written == Value::Bool(true)
    }
}
