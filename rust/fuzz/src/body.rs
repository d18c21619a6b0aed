//! Bodies that pass: found where they are, edited where they are, and JSON afterwards as before.

use serde_json::Value;
use tidegate_dialect::splice::Edits;
use tidegate_dialect::{Dialect, scan};

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let Ok(scanned) = scan::scan(data) else { return };
    // Halves of surrogate pairs and numbers beyond all bounds are JSON; `Value` can't hold them.
    let Ok(before) = serde_json::from_slice::<Value>(data) else { return };
    assert!(before.is_object());
    for dialect in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama]
    {
        let mut edits = Edits::new(data, &scanned);
        edits.set_model("another \"model\"");
        // What has no form (`stream_options: 5`) is refused with a fault, and stays.
        let asked = edits.ask_for_usage().is_ok();
        let _ = edits.cap_output(dialect, 7);
        edits.remove("user");
        let mut out = Vec::new();
        edits.write(&mut out);
        let after: Value = serde_json::from_slice(&out).expect("what is edited is JSON");
        assert_eq!(after["model"], "another \"model\"");
        assert_eq!(after.get("user"), None);
        assert!(!asked || after["stream_options"]["include_usage"] == true, "{after}");
        // What was not edited is as it was.
        for (name, value) in before.as_object().into_iter().flatten() {
            if matches!(name.as_str(), "messages" | "contents" | "input" | "tools" | "temperature") {
                assert_eq!(after.get(name), Some(value), "{name}");
            }
        }
    }
    let untouched = Edits::new(data, &scanned);
    let mut out = Vec::new();
    untouched.write(&mut out);
    assert_eq!(out, data, "nothing edited, nothing changed");
}
