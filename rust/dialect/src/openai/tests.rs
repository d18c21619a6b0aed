//! What OpenAI's words mean, and what becomes of them on their way through the chat form.

mod conversations;

use super::{is_newer, is_own};

#[test]
fn own_models_are_told_by_their_names() {
    for name in ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "openai/gpt-5.1", "gpt-10"] {
        assert!(is_newer(name) && is_own(name), "{name}");
    }
    for name in ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "chatgpt-4o-latest"] {
        assert!(!is_newer(name) && is_own(name), "{name}");
    }
    for name in ["gpt-oss-120b", "openai/gpt-oss-20b", "olmo-2", "llama", "", "deepseek-chat"] {
        assert!(!is_newer(name) && !is_own(name), "{name}");
    }
}
