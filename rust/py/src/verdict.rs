//! What a hook decided, taken over by value.

use pyo3::prelude::*;
use tidegate_engine::hooks;

/// What a hook decided.
#[pyclass(frozen, module = "tidegate._engine")]
pub struct Verdict(pub hooks::Verdict);

/// Text as header bytes: what fits into one byte a character goes as that, the rest as UTF-8.
fn bytes(text: &str) -> Vec<u8> {
    let latin1: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(character).ok()).collect();
    latin1.unwrap_or_else(|| text.as_bytes().to_vec())
}

#[pymethods]
impl Verdict {
    #[new]
    #[pyo3(signature = (*, set_headers=Vec::new(), remove_headers=Vec::new(), upstream=None, status=None, response_headers=Vec::new(), body=Vec::new(), reason=None))]
    #[allow(clippy::too_many_arguments)] // they are keywords in Python
    fn new(
        set_headers: Vec<(String, String)>,
        remove_headers: Vec<String>,
        upstream: Option<String>,
        status: Option<u16>,
        response_headers: Vec<(String, String)>,
        body: Vec<u8>,
        reason: Option<String>,
    ) -> Self {
        let by_bytes = |fields: Vec<(String, String)>| {
            fields.into_iter().map(|(name, value)| (name, bytes(&value))).collect()
        };
        Self(hooks::Verdict {
            set_headers: by_bytes(set_headers),
            remove_headers,
            upstream,
            status,
            response_headers: by_bytes(response_headers),
            body,
            reason,
        })
    }
}
