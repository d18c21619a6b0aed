//! Requests for vectors, read and written in all forms.

use serde_json::{Value, json};

use super::{EmbedRequest, Encoding, Form, Input};
use crate::json::{Fields, Path, append, unsigned};
use crate::{Fault, Target, Written};

/// The neutral words for tasks, with Gemini's and Cohere's.
const TASKS: &[(&str, &str, &str)] = &[
    ("query", "RETRIEVAL_QUERY", "search_query"),
    ("document", "RETRIEVAL_DOCUMENT", "search_document"),
    ("similarity", "SEMANTIC_SIMILARITY", ""),
    ("classification", "CLASSIFICATION", "classification"),
    ("clustering", "CLUSTERING", "clustering"),
];

/// Reads a client's request. The model is what the body says (Gemini's is in the path: the caller sets it).
pub fn parse_request(form: Form, body: &[u8]) -> Result<EmbedRequest, Fault> {
    let mut fields = Fields::parse(body)?;
    let mut request =
        EmbedRequest { model: fields.string("model")?.unwrap_or_default(), ..EmbedRequest::default() };
    match form {
        Form::OpenAi | Form::Mistral => {
            let input = fields.take("input").ok_or_else(|| fields.missing("input"))?;
            request.inputs = inputs_of(input, "input")?;
            let size = if form == Form::Mistral { "output_dimension" } else { "dimensions" };
            request.dimensions = fields.unsigned(size)?;
            request.encoding = match fields.string("encoding_format")?.as_deref() {
                None | Some("float") => Encoding::Float,
                Some("base64") => Encoding::Base64,
                Some(_) => return Err(fields.wrong("encoding_format", "`float` or `base64`")),
            };
            request.user = fields.string("user")?;
        }
        Form::Ollama => {
            let input = fields.take("input").ok_or_else(|| fields.missing("input"))?;
            request.inputs = inputs_of(input, "input")?;
            request.dimensions = fields.unsigned("dimensions")?;
        }
        Form::OllamaOne => request.inputs.push(Input::Text(fields.required_string("prompt")?)),
        Form::Cohere => {
            request.inputs = fields.strings("texts")?.into_iter().map(Input::Text).collect();
            if request.inputs.is_empty() {
                request.inputs = cohere_inputs(&mut fields)?;
            }
            request.task = fields.string("input_type")?.map(|word| task_from(&word));
            request.dimensions = fields.unsigned("output_dimension")?;
            let kinds = fields.strings("embedding_types")?;
            if kinds.iter().any(|kind| kind != "float") {
                return Err(Fault::unsupported("embedding_types"));
            }
        }
        Form::GeminiOne => gemini_one(&mut fields, &mut request)?,
        Form::GeminiMany => {
            let list = Path::Key(&Path::Root, "requests");
            for (at, value) in fields.array("requests")?.into_iter().enumerate() {
                let mut one = EmbedRequest::default();
                let mut inner = Fields::of(value, list.index(at))?;
                inner.take("model");
                gemini_one(&mut inner, &mut one)?;
                if at == 0 {
                    (request.task, request.title, request.dimensions) = (one.task, one.title, one.dimensions);
                    request.inputs = one.inputs;
                } else if (&request.task, &request.title, request.dimensions)
                    == (&one.task, &one.title, one.dimensions)
                {
                    request.inputs.append(&mut one.inputs);
                } else {
                    // The neutral form has one of each for the whole call.
                    return Err(Fault::wrong(
                        format!("requests[{at}]"),
                        "of the same task, title and size as the first",
                    ));
                }
            }
        }
    }
    if request.inputs.is_empty() {
        let name = match form {
            Form::Cohere => "texts",
            Form::GeminiMany => "requests",
            _ => "input",
        };
        return Err(Fault::wrong(name, "a list of at least one input"));
    }
    request.rest = fields.rest();
    request.rest.retain(|_, value| !value.is_null());
    Ok(request)
}

/// A text, a list of texts, a list of tokens, or a list of such lists.
fn inputs_of(value: Value, name: &str) -> Result<Vec<Input>, Fault> {
    let wrong = |at: String| Fault::wrong(at, "a text or a list of tokens");
    match value {
        Value::String(text) => Ok(vec![Input::Text(text)]),
        Value::Array(values) if values.first().is_some_and(Value::is_number) => {
            let tokens: Option<Vec<u64>> = values.iter().map(unsigned).collect();
            Ok(vec![Input::Tokens(tokens.ok_or_else(|| wrong(name.to_owned()))?)])
        }
        Value::Array(values) => values
            .into_iter()
            .enumerate()
            .map(|(at, value)| match value {
                Value::String(text) => Ok(Input::Text(text)),
                Value::Array(tokens) if !tokens.is_empty() => tokens
                    .iter()
                    .map(unsigned)
                    .collect::<Option<_>>()
                    .map(Input::Tokens)
                    .ok_or_else(|| wrong(format!("{name}[{at}]"))),
                _ => Err(wrong(format!("{name}[{at}]"))),
            })
            .collect(),
        _ => Err(wrong(name.to_owned())),
    }
}

/// Cohere's `inputs`: lists of content, of which only text is neutral.
fn cohere_inputs(fields: &mut Fields<'_>) -> Result<Vec<Input>, Fault> {
    let mut inputs = Vec::new();
    for (at, value) in fields.array("inputs")?.into_iter().enumerate() {
        let mut text = String::new();
        for content in value.get("content").and_then(Value::as_array).into_iter().flatten() {
            match content.get("text").and_then(Value::as_str) {
                Some(more) => text.push_str(more),
                None => return Err(Fault::unsupported(format!("inputs[{at}].content"))),
            }
        }
        inputs.push(Input::Text(text));
    }
    Ok(inputs)
}

fn gemini_one(fields: &mut Fields<'_>, request: &mut EmbedRequest) -> Result<(), Fault> {
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let mut text = String::new();
    for part in content.get("parts").and_then(Value::as_array).into_iter().flatten() {
        match part.get("text").and_then(Value::as_str) {
            Some(more) => text.push_str(more),
            None => return Err(Fault::unsupported(fields.at("content.parts"))),
        }
    }
    request.inputs.push(Input::Text(text));
    let mut named = |camel: &str, snake: &str| fields.take(camel).or_else(|| fields.take(snake));
    request.task = named("taskType", "task_type").as_ref().and_then(Value::as_str).map(task_from);
    request.title = named("title", "title").as_ref().and_then(Value::as_str).map(str::to_owned);
    request.dimensions = named("outputDimensionality", "output_dimensionality").as_ref().and_then(unsigned);
    Ok(())
}

fn task_from(word: &str) -> String {
    TASKS
        .iter()
        .find(|(_, gemini, cohere)| *gemini == word || *cohere == word)
        .map_or(word, |(neutral, _, _)| neutral)
        .to_owned()
}

/// Appends the body of a request to a provider. Lists of numbers are asked for, whatever the client wants.
pub fn write_request(
    form: Form,
    request: &EmbedRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    let mut body = serde_json::Map::new();
    let mut put = |name: &str, value: Value| _ = body.insert(name.to_owned(), value);
    let texts = || -> Result<Vec<&str>, Fault> {
        request
            .inputs
            .iter()
            .enumerate()
            .map(|(at, input)| match input {
                Input::Text(text) => Ok(text.as_str()),
                // Tokens are of one model's vocabulary: nothing can be left out.
                Input::Tokens(_) => Err(Fault::unsupported(format!("input[{at}]"))),
            })
            .collect()
    };
    let task = request.task.as_deref();
    let word = |gemini: bool| {
        let known = TASKS.iter().find(|(neutral, _, _)| Some(*neutral) == task);
        match known {
            Some((_, gemini_word, cohere_word)) => Some(if gemini { *gemini_word } else { *cohere_word }),
            None => task,
        }
    };
    let dimensions = request.dimensions.map(Value::from);
    match form {
        Form::OpenAi | Form::Mistral => {
            put("model", json!(target.model));
            let inputs: Vec<Value> = request
                .inputs
                .iter()
                .map(|input| match input {
                    Input::Text(text) => json!(text),
                    Input::Tokens(tokens) => json!(tokens),
                })
                .collect();
            put("input", Value::Array(inputs));
            if let Some(dimensions) = dimensions {
                put(if form == Form::Mistral { "output_dimension" } else { "dimensions" }, dimensions);
            }
            put("encoding_format", json!("float"));
            if let Some(user) = request.user.as_ref().filter(|_| form == Form::OpenAi) {
                put("user", json!(user));
            }
            // A task has no word here. Cohere's clients can't leave it out, so it is always dropped and named.
            if task.is_some() {
                written.dropped.push("input_type".to_owned());
            }
        }
        Form::Ollama => {
            put("model", json!(target.model));
            put("input", json!(texts()?));
            if let Some(dimensions) = dimensions {
                put("dimensions", dimensions);
            }
            if task.is_some() {
                written.dropped.push("input_type".to_owned());
            }
        }
        Form::OllamaOne => {
            let [text] = texts()?[..] else { return Err(Fault::unsupported("input")) };
            put("model", json!(target.model));
            put("prompt", json!(text));
            if dimensions.is_some() {
                written.drop(target, "dimensions")?;
            }
        }
        Form::Cohere => {
            put("model", json!(target.model));
            put("texts", json!(texts()?));
            // Required by all of Cohere's models since v3.
            put(
                "input_type",
                json!(word(false).filter(|word| !word.is_empty()).unwrap_or("search_document")),
            );
            put("embedding_types", json!(["float"]));
            if let Some(dimensions) = dimensions {
                put("output_dimension", dimensions);
            }
        }
        Form::GeminiOne | Form::GeminiMany => {
            let one = |text: &str| {
                let mut one = json!({"model": format!("models/{}", target.model), "content": {"parts": [{"text": text}]}});
                for (name, value) in [
                    ("taskType", word(true).map(Value::from)),
                    ("title", request.title.clone().map(Value::from)),
                    ("outputDimensionality", request.dimensions.map(Value::from)),
                ] {
                    if let Some(value) = value {
                        one[name] = value;
                    }
                }
                one
            };
            let texts = texts()?;
            match (form, texts.as_slice()) {
                (Form::GeminiOne, [text]) => {
                    if let Value::Object(one) = one(text) {
                        body = one;
                    }
                }
                (Form::GeminiOne, _) => return Err(Fault::unsupported("input")),
                (_, texts) => put("requests", texts.iter().map(|text| one(text)).collect()),
            }
        }
    }
    // Other fields are words of OpenAI's compatibles, or nobody's whom we know.
    if matches!(form, Form::OpenAi | Form::Mistral) {
        for (name, value) in &request.rest {
            body.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    append(&body, out);
    Ok(written)
}
