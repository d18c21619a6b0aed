//! Gemini's `Schema` (a subset of OpenAPI 3.0's) to and from JSON Schema.

use serde_json::{Map, Value, json};

use super::parts::camel_keys;

/// Reads a `Schema` as JSON Schema: types in small letters, `nullable` as a second type, counts that were written as
/// texts as numbers. What the two share, and what JSON Schema doesn't know (`propertyOrdering`), stays.
pub(super) fn to_json_schema(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let mut out = Map::new();
    let mut nullable = false;
    for (key, value) in camel_keys(map) {
        match key.as_str() {
            "nullable" => nullable = value == Value::Bool(true),
            "type" => {
                let small = value.as_str().map(|word| Value::String(word.to_ascii_lowercase()));
                if small.as_ref().is_some_and(|word| word != "type_unspecified") || value.is_array() {
                    out.insert(key, small.unwrap_or(value));
                }
            }
            "properties" | "defs" | "$defs" => {
                let inner = match value {
                    Value::Object(map) => Value::Object(
                        map.into_iter().map(|(name, inner)| (name, to_json_schema(inner))).collect(),
                    ),
                    other => other,
                };
                out.insert(if key == "properties" { key } else { "$defs".into() }, inner);
            }
            "items" | "additionalProperties" => {
                out.insert(key, to_json_schema(value));
            }
            "anyOf" => {
                let inner = match value {
                    Value::Array(list) => Value::Array(list.into_iter().map(to_json_schema).collect()),
                    other => other,
                };
                out.insert(key, inner);
            }
            "ref" => {
                out.insert("$ref".into(), value);
            }
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                let number = value.as_str().and_then(|text| text.parse::<u64>().ok());
                out.insert(key, number.map_or(value, Value::from));
            }
            _ => {
                out.insert(key, value);
            }
        }
    }
    if nullable {
        match out.get_mut("type") {
            Some(sort @ Value::String(_)) => *sort = json!([sort.take(), "null"]),
            _ => {
                out.insert("nullable".into(), Value::Bool(true));
            }
        }
    }
    Value::Object(out)
}

/// The schema as a `Schema`, if it keeps to what that has; else `None`, and the JSON Schema goes as it is into the field
/// that takes one (`parametersJsonSchema`, `responseJsonSchema`). The subset is written where it does, since older
/// servers know nothing else.
///
/// Outside of it: references, `additionalProperties`, `anyOf` and its kin, several types (but for `null` as a second), constants, defaults, values of
/// `enum` that aren't texts, formats other than those that Gemini names, and objects without properties.
pub(super) fn to_subset(schema: &Value) -> Option<Value> {
    subset(schema.as_object()?).map(Value::Object)
}

fn subset(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut out = Map::new();
    let (sort, nullable) = match schema.get("type")? {
        Value::String(sort) => (sort.as_str(), false),
        Value::Array(sorts) => match sorts.as_slice() {
            [Value::String(sort), Value::String(null)] if null == "null" => (sort.as_str(), true),
            _ => return None,
        },
        _ => return None,
    };
    if !matches!(sort, "object" | "array" | "string" | "number" | "integer" | "boolean") {
        return None;
    }
    for (key, value) in schema {
        let written = match (key.as_str(), value) {
            ("type", _) => Value::String(sort.to_ascii_uppercase()),
            ("description" | "title" | "pattern", Value::String(_)) => value.clone(),
            ("format", Value::String(format)) => match (sort, format.as_str()) {
                ("string", "enum" | "date-time")
                | ("number", "float" | "double")
                | ("integer", "int32" | "int64") => value.clone(),
                _ => return None,
            },
            ("enum", Value::Array(values)) if sort == "string" && values.iter().all(Value::is_string) => {
                value.clone()
            }
            ("required" | "propertyOrdering", Value::Array(_)) => value.clone(),
            ("minimum" | "maximum", Value::Number(_)) => value.clone(),
            (
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties",
                Value::Number(_),
            ) => value.clone(),
            ("items", Value::Object(inner)) => Value::Object(subset(inner)?),
            ("properties", Value::Object(properties)) => {
                let mut inner = Map::new();
                for (name, property) in properties {
                    inner.insert(name.clone(), Value::Object(subset(property.as_object()?)?));
                }
                Value::Object(inner)
            }
            _ => return None,
        };
        out.insert(key.clone(), written);
    }
    if nullable {
        out.insert("nullable".into(), Value::Bool(true));
    }
    let whole = match sort {
        "object" => out.get("properties").and_then(Value::as_object).is_some_and(|inner| !inner.is_empty()),
        "array" => out.contains_key("items"),
        _ => true,
    };
    whole.then_some(out)
}

/// Whether it is an object without any property: a function that takes nothing, whose schema is left out.
pub(super) fn takes_nothing(schema: &Value) -> bool {
    let Some(map) = schema.as_object() else { return false };
    const SILENT: [&str; 6] = ["type", "properties", "required", "additionalProperties", "$schema", "title"];
    let none = |key: &str| match map.get(key) {
        None => true,
        Some(Value::Object(inner)) => inner.is_empty(),
        Some(Value::Array(inner)) => inner.is_empty(),
        Some(_) => false,
    };
    let closed = matches!(map.get("additionalProperties"), None | Some(Value::Bool(false)));
    map.keys().all(|key| SILENT.contains(&key.as_str())) && none("properties") && none("required") && closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_forms_can_say_comes_back() {
        let gemini = json!({"type": "OBJECT", "properties": {
            "city": {"type": "STRING", "description": "where", "enum": ["a", "b"]},
            "days": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": 1, "nullable": true},
        }, "required": ["city"], "propertyOrdering": ["city", "days"]});
        let schema = to_json_schema(gemini.clone());
        assert_eq!(schema["properties"]["days"]["items"]["type"], "integer");
        assert_eq!(to_subset(&schema), Some(gemini));
    }

    #[test]
    fn spellings_of_the_wire_become_json_schema() {
        let read = to_json_schema(json!({"type": "object", "min_properties": "2", "properties": {
            "snake_name": {"any_of": [{"type": "STRING"}, {"type": "NULL"}], "nullable": true},
            "b": {"type": "NUMBER", "nullable": true},
        }}));
        assert_eq!(read["minProperties"], 2);
        assert_eq!(read["properties"]["b"]["type"], json!(["number", "null"]));
        assert_eq!(read["properties"]["snake_name"]["anyOf"][1]["type"], "null");
    }

    #[test]
    fn a_schema_that_says_more_than_the_subset_is_not_cut_down() {
        for schema in [
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
            json!({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}]}}}),
            json!({"type": "object", "properties": {"a": {"type": ["string", "integer"]}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "format": "uri"}}}),
            json!({"type": "object", "properties": {"a": {"type": "object"}}}),
            json!({"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}}),
            json!({"type": "object", "properties": {"a": {"const": 1}}}),
            json!(true),
        ] {
            assert_eq!(to_subset(&schema), None, "{schema}");
        }
        assert!(takes_nothing(&json!({"type": "object", "properties": {}, "additionalProperties": false})));
        assert!(!takes_nothing(&json!({"type": "object", "additionalProperties": true})));
        assert!(!takes_nothing(&json!({"type": "object", "properties": {"a": {}}})));
    }
}
