//! Answers with vectors, read and written in all forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{EmbedAnswer, EmbedRequest, Encoding, Form};
use crate::json::{Array, Fields, Object, unsigned};
use crate::openai::usage::parse_usage;
use crate::{Fault, Reply, Source, Usage};

/// Reads a provider's answer.
pub fn parse_answer(form: Form, body: &[u8]) -> Result<EmbedAnswer, Fault> {
    let mut fields = Fields::parse(body)?;
    let model = fields.string("model").ok().flatten().unwrap_or_default();
    let usage = match form {
        Form::OpenAi | Form::Mistral => fields.take("usage").as_ref().map(parse_usage).unwrap_or_default(),
        Form::Cohere => fields
            .peek("meta")
            .and_then(|meta| meta.pointer("/billed_units/input_tokens"))
            .map(counted)
            .unwrap_or_default(),
        Form::Ollama | Form::OllamaOne => fields.peek("prompt_eval_count").map(counted).unwrap_or_default(),
        Form::GeminiOne | Form::GeminiMany => fields
            .peek("usageMetadata")
            .and_then(|usage| usage.get("promptTokenCount"))
            .map(counted)
            .unwrap_or_default(),
    };
    let list = |value: Option<Value>, name: &str| match value {
        Some(Value::Array(values)) => Ok(values),
        _ => Err(Fault::missing(name)),
    };
    let (values, name) = match form {
        Form::OpenAi | Form::Mistral => {
            let mut rows = list(fields.take("data"), "data")?;
            // The order is the inputs', which `index` tells where a provider answers in another.
            rows.sort_by_key(|row| row.get("index").and_then(unsigned).unwrap_or(u64::MAX));
            (rows.into_iter().map(|row| inner(row, "embedding")).collect(), "data")
        }
        Form::Ollama => (list(fields.take("embeddings"), "embeddings")?, "embeddings"),
        Form::OllamaOne => (vec![fields.take("embedding").unwrap_or_default()], "embedding"),
        Form::Cohere => {
            let rows = fields.take("embeddings").map(|all| inner(all, "float"));
            (list(rows, "embeddings.float")?, "embeddings.float")
        }
        Form::GeminiOne => (vec![inner(fields.take("embedding").unwrap_or_default(), "values")], "embedding"),
        Form::GeminiMany => {
            let rows = list(fields.take("embeddings"), "embeddings")?;
            (rows.into_iter().map(|row| inner(row, "values")).collect(), "embeddings")
        }
    };
    let vectors = values.into_iter().enumerate().map(|(at, value)| {
        vector(&value).ok_or_else(|| {
            Fault::wrong(format!("{name}[{at}]"), "a list of numbers, or 32-bit floats in base64")
        })
    });
    Ok(EmbedAnswer { model, vectors: vectors.collect::<Result<_, _>>()?, usage })
}

fn inner(mut row: Value, name: &str) -> Value {
    row.get_mut(name).map(Value::take).unwrap_or_default()
}

fn counted(tokens: &Value) -> Usage {
    match unsigned(tokens) {
        Some(tokens) => Usage { source: Source::Reported, input: Some(tokens), ..Usage::default() },
        None => Usage::default(),
    }
}

#[allow(clippy::cast_possible_truncation)] // vectors are 32-bit floats by nature
fn vector(value: &Value) -> Option<Vec<f32>> {
    match value {
        Value::Array(numbers) => {
            numbers.iter().map(|number| number.as_f64().map(|number| number as f32)).collect()
        }
        Value::String(text) => {
            let bytes = STANDARD.decode(text).ok()?;
            let (floats, rest) = bytes.as_chunks::<4>();
            rest.is_empty().then(|| floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        _ => None,
    }
}

/// Appends the body of an answer to a client.
pub fn write_answer(
    form: Form,
    answer: &EmbedAnswer,
    request: &EmbedRequest,
    reply: &Reply<'_>,
    out: &mut Vec<u8>,
) {
    let input = answer.usage.input_total();
    let mut body = Object::begin(out);
    match form {
        Form::OpenAi | Form::Mistral => {
            if form == Form::Mistral {
                body.put("id", reply.id);
            }
            body.put("object", "list");
            let mut list = body.array("data");
            for (at, numbers) in answer.vectors.iter().enumerate() {
                let mut row = list.object();
                row.put("object", "embedding").put("index", &at);
                match request.encoding {
                    Encoding::Float => row.put("embedding", numbers),
                    Encoding::Base64 => {
                        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                        row.put("embedding", &STANDARD.encode(bytes))
                    }
                };
                row.end();
            }
            list.end();
            body.put("model", reply.model);
            // OpenAI's SDK requires the object; where nobody counted, an estimate stands in it.
            let tokens = input.unwrap_or_else(|| request.estimate());
            let mut usage = body.object("usage");
            usage.put("prompt_tokens", &tokens).put("total_tokens", &tokens);
            if form == Form::Mistral {
                usage.put("completion_tokens", &0);
            }
            usage.end();
        }
        Form::Ollama => {
            body.put("model", reply.model).put("embeddings", &answer.vectors);
            body.maybe("prompt_eval_count", input.as_ref());
        }
        Form::OllamaOne => _ = body.put("embedding", first(answer)),
        Form::Cohere => {
            body.put("id", reply.id);
            body.object("embeddings").put_and_end("float", &answer.vectors);
            let texts: Vec<&str> = request
                .inputs
                .iter()
                .filter_map(|input| match input {
                    super::Input::Text(text) => Some(text.as_str()),
                    super::Input::Tokens(_) => None,
                })
                .collect();
            body.put("texts", &texts);
            let mut meta = Map::new();
            meta.insert("api_version".into(), serde_json::json!({"version": "2"}));
            if let Some(input) = input {
                meta.insert("billed_units".into(), serde_json::json!({"input_tokens": input}));
            }
            body.put("meta", &meta).put("response_type", "embeddings_by_type");
        }
        Form::GeminiOne => body.object("embedding").put_and_end("values", first(answer)),
        Form::GeminiMany => {
            let mut list: Array<'_> = body.array("embeddings");
            for numbers in &answer.vectors {
                list.object().put_and_end("values", numbers);
            }
            list.end();
        }
    }
    body.end();
}

fn first(answer: &EmbedAnswer) -> &[f32] {
    answer.vectors.first().map_or(&[], Vec::as_slice)
}
