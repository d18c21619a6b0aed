//! The OpenAPI 3.1 document of all prompts.

use serde_json::{Map, Value, json};

use crate::{Prompt, Prompts, Version, schema::Schema};

/// The request field that pins a version.
pub const PIN_HEADER: &str = "X-Tidegate-Prompt-Version";

impl Prompts {
    /// The document: one path for each prompt, `{prefix}/{name}`, at `server_url`. Schemas are those of the version with the
    /// largest share; those of the others stand beside them.
    #[must_use]
    pub fn openapi(&self, server_url: &str, prefix: &str) -> Vec<u8> {
        let mut schemas = Map::new();
        let mut paths = Map::new();
        for prompt in self.iter() {
            for version in prompt.versions() {
                let name = |what: &str| component(&prompt.name, &version.name, what);
                schemas.insert(name("input"), placed(&version.input, &name("input")));
                if let Some(output) = &version.output {
                    schemas.insert(name("output"), placed(output, &name("output")));
                }
            }
            if let Some(main) = prompt.main() {
                paths.insert(format!("{}/{}", prefix.trim_end_matches('/'), prompt.name), path(prompt, main));
            }
        }
        schemas.insert("Text".into(), text());
        schemas.insert("Problem".into(), problem());
        let document = json!({
            "openapi": "3.1.0",
            "info": { "title": "Prompts", "version": env!("CARGO_PKG_VERSION") },
            "servers": [{ "url": server_url }],
            "security": [{ "key": [] }],
            "paths": paths,
            "components": {
                "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
                "schemas": schemas,
            },
        });
        document.to_string().into_bytes()
    }
}

fn path(prompt: &Prompt, main: &Version) -> Value {
    let refers = |name: String| json!({ "$ref": format!("#/components/schemas/{name}") });
    let named = |what| refers(component(&prompt.name, &main.name, what));
    let output = if main.output.is_some() { named("output") } else { refers("Text".into()) };
    let versions: Vec<&str> = prompt.versions().iter().map(|version| &*version.name).collect();
    let fails = |description: &str| {
        json!({
            "description": description,
            "content": { "application/problem+json": { "schema": refers("Problem".into()) } },
        })
    };
    let mut operation = json!({
        "operationId": identifier(&prompt.name),
        "parameters": [{
            "name": PIN_HEADER,
            "in": "header",
            "required": false,
            "description": "The version that is asked for; without it one is chosen.",
            "schema": { "type": "string", "enum": versions },
        }],
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": named("input") } },
        },
        "responses": {
            "200": { "description": "The answer.", "content": { "application/json": { "schema": output } } },
            "400": fails("The inputs are not as the schema asks, or the version does not exist."),
            "401": fails("A valid key is needed."),
            "429": fails("A limit or a budget is used up."),
            "502": fails("The model did not answer, or not as promised."),
        },
    });
    if !prompt.description.is_empty() {
        operation["summary"] = json!(prompt.description);
    }
    json!({ "post": operation })
}

/// A schema with references within itself gets an identity, so that they still mean itself (JSON Schema 2020-12 §8.2.1).
fn placed(schema: &Schema, name: &str) -> Value {
    let mut placed = schema.written.clone();
    if let Some(object) = placed.as_object_mut()
        && !object.contains_key("$id")
        && refers(&schema.written)
    {
        object.insert("$id".into(), json!(format!("urn:tidegate:prompt:{name}")));
    }
    if schema.is_open() { json!({ "type": "object" }) } else { placed }
}

fn refers(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            object.contains_key("$ref") || object.contains_key("$dynamicRef") || object.values().any(refers)
        }
        Value::Array(list) => list.iter().any(refers),
        _ => false,
    }
}

/// Components have names of few characters (OpenAPI 3.1 §4.8.7).
fn component(prompt: &str, version: &str, what: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "._-".contains(character) { character } else { '_' }
    };
    format!("{prompt}.{version}.{what}").chars().map(plain).collect()
}

fn identifier(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

fn text() -> Value {
    json!({
        "type": "object",
        "required": ["text"],
        "properties": { "text": { "type": "string", "description": "What the model said." } },
    })
}

/// RFC 9457, with what Tidegate adds to it.
fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "reason": { "type": "string" },
            "detail": { "type": "string" },
            "request_id": { "type": "string" },
        },
    })
}
