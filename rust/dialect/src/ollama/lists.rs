//! Answers of Ollama's neighbours: the list of models, and the version.

use sha2::{Digest, Sha256};

use crate::json::Object;
use crate::when;

/// Appends the answer to `GET /api/tags`. Sizes are 0: the models lie elsewhere. Digests are those of the names, since
/// clients cut pieces out of them. `modified` is in seconds since 1970.
pub fn write_tags<'n>(names: impl IntoIterator<Item = &'n str>, modified: u64, out: &mut Vec<u8>) {
    let at = when::rfc3339(modified);
    let mut object = Object::begin(out);
    let mut list = object.array("models");
    for name in names {
        let digest: String =
            Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut model = list.object();
        model
            .put("name", name)
            .put("model", name)
            .put("modified_at", &at)
            .put("size", &0)
            .put("digest", &digest);
        let mut details = model.object("details");
        for field in ["parent_model", "format", "family"] {
            details.put(field, "");
        }
        details.put("families", &[""; 0]).put("parameter_size", "").put("quantization_level", "");
        details.end();
        model.end();
    }
    list.end();
    object.end();
}

/// Appends the answer to `GET /api/version`.
pub fn write_version(version: &str, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.put("version", version);
    object.end();
}
