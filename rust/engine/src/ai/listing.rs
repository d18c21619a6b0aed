//! What is answered without asking anybody: the models that a key may ask, and what there is.

use tidegate_dialect::{Dialect, Surface, gemini, ollama};

use super::{Desk, call::Call};
use crate::log::{escape::json, number::push_decimal};

/// The body, where the call asks for something of the kind. `prefix` tells where prompts are.
pub fn answer(desk: &Desk<'_>, call: &Call, prefix: impl FnOnce() -> String) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match call.surface {
        Surface::OpenApi => return Some(desk.ai.prompts.openapi("/", &prefix())),
        Surface::Version => ollama::write_version(env!("CARGO_PKG_VERSION"), &mut out),
        Surface::Models => models(desk, call, &mut out)?,
        _ => return None,
    }
    Some(out)
}

fn models(desk: &Desk<'_>, call: &Call, out: &mut Vec<u8>) -> Option<()> {
    let ai = desk.ai;
    let allowed = call.key.and_then(|key| ai.plan.keys[key as usize].models.as_ref());
    let permits = |model: u32| allowed.is_none_or(|allowed| allowed.contains(&model));
    if let Some(item) = &call.place.item {
        // One of them. A name that a pattern takes exists too.
        let named = ai.model(item)?;
        return permits(named.model).then(|| one(desk, call.dialect, item, out));
    }
    let names = (ai.plan.models.iter().enumerate())
        .filter(|(index, model)| !model.name.contains('*') && permits(*index as u32))
        .map(|(_, model)| model.name.as_str());
    let (before, after) = match call.dialect {
        Dialect::Gemini => {
            gemini::write_models(names, out);
            return Some(());
        }
        Dialect::Ollama => {
            ollama::write_tags(names, desk.worker.shared.started_at, out);
            return Some(());
        }
        Dialect::Anthropic => ("{\"data\":[", "],\"has_more\":false,\"first_id\":null,\"last_id\":null}"),
        _ => ("{\"object\":\"list\",\"data\":[", "]}"),
    };
    out.extend_from_slice(before.as_bytes());
    for (at, name) in names.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        one(desk, call.dialect, name, out);
    }
    out.extend_from_slice(after.as_bytes());
    Some(())
}

fn one(desk: &Desk<'_>, dialect: Dialect, name: &str, out: &mut Vec<u8>) {
    let mut text = |before: &str, after: &str| {
        out.extend_from_slice(before.as_bytes());
        json(name.as_bytes(), out);
        out.extend_from_slice(after.as_bytes());
    };
    match dialect {
        Dialect::Gemini => {
            text("{\"name\":\"models/", "\",");
            text(
                "\"displayName\":\"",
                "\",\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\"]}",
            );
        }
        Dialect::Anthropic => {
            text("{\"type\":\"model\",\"id\":\"", "\",");
            text("\"display_name\":\"", "\",\"created_at\":\"1970-01-01T00:00:00Z\"}");
        }
        _ => {
            text("{\"id\":\"", "\",\"object\":\"model\",\"created\":");
            push_decimal(desk.worker.shared.started_at, out);
            out.extend_from_slice(b",\"owned_by\":\"tidegate\"}");
        }
    }
}
