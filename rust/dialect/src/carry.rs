//! Carries what a dialect has no field for inside the opaque texts that its clients must send back: ids and signatures.
//!
//! A Gemini call has a signature, and a call of Anthropic's or Bedrock's has none; but every client repeats a call's id
//! to the letter. An item of OpenAI's reasoning has an id beside its encrypted text; a thinking block has only the
//! signature. Nothing here is secret from the client: it gets the same values where its dialect has fields for them.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Between a call's id and its signature.
const CALL: &str = "_tgsig_";

/// In front of a reasoning item's id, which a dot ends.
const THOUGHT: &str = "tg1.";

/// A call's id in the alphabet that Anthropic and Bedrock take (`[a-zA-Z0-9_-]+`). An id that has other characters is
/// spelled with `_` for them and a hash behind, so that different ids stay different.
pub(crate) fn plain_id(id: &str) -> Cow<'_, str> {
    if !id.is_empty() && id.bytes().all(fits) {
        return Cow::Borrowed(id);
    }
    let mut plain: String = id.bytes().map(|byte| if fits(byte) { char::from(byte) } else { '_' }).collect();
    plain.push_str(&format!("_{:016x}", xxhash_rust::xxh3::xxh3_64(id.as_bytes())));
    Cow::Owned(plain)
}

/// A call's id for a client, with the call's signature in it where there is one.
pub(crate) fn signed_id<'a>(id: &'a str, signature: Option<&str>) -> Cow<'a, str> {
    let plain = plain_id(id);
    match signature {
        None | Some("") => plain,
        Some(signature) => {
            let mut whole = plain.into_owned();
            whole.push_str(CALL);
            URL_SAFE_NO_PAD.encode_string(signature, &mut whole);
            Cow::Owned(whole)
        }
    }
}

/// The opposite of [`signed_id`].
pub(crate) fn split_id(mut id: String) -> (String, Option<String>) {
    let Some((plain, signature)) = id.rsplit_once(CALL) else { return (id, None) };
    let decoded = URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if decoded.is_some() {
        id.truncate(plain.len());
    }
    (id, decoded)
}

/// A thinking block's signature for a client, with the item's id in it where there is one.
pub(crate) fn signed_thought<'a>(id: Option<&str>, signature: Option<&'a str>) -> Cow<'a, str> {
    let signature = signature.unwrap_or_default();
    match id {
        Some(id) if !id.contains('.') => Cow::Owned(format!("{THOUGHT}{id}.{signature}")),
        _ => Cow::Borrowed(signature),
    }
}

/// The opposite of [`signed_thought`]: id and signature, `None` where they are empty.
pub(crate) fn split_thought(signature: String) -> (Option<String>, Option<String>) {
    match signature.strip_prefix(THOUGHT).and_then(|rest| rest.split_once('.')) {
        Some((id, signature)) => (some(id), some(signature)),
        None => (None, Some(signature).filter(|signature| !signature.is_empty())),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn fits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_s_signature_comes_back_out_of_its_id() {
        let id = signed_id("call_1", Some("CiQB/+=="));
        assert!(id.bytes().all(fits), "{id}");
        assert_eq!(split_id(id.into_owned()), ("call_1".to_owned(), Some("CiQB/+==".to_owned())));
        assert_eq!(split_id("toolu_01".to_owned()), ("toolu_01".to_owned(), None));
        assert_eq!(split_id("a_tgsig_%".to_owned()), ("a_tgsig_%".to_owned(), None));
    }

    #[test]
    fn ids_of_another_alphabet_are_respelled_and_stay_different() {
        assert_eq!(plain_id("toolu_01-x"), "toolu_01-x");
        assert_ne!(plain_id("a.b"), plain_id("a:b"));
        assert!(plain_id("ä.b").bytes().all(fits));
        assert!(!plain_id("").is_empty());
    }

    #[test]
    fn a_reasoning_item_s_id_comes_back_out_of_the_signature() {
        let carried = signed_thought(Some("rs_1"), Some("gAAA.b="));
        assert_eq!(split_thought(carried.into_owned()), (Some("rs_1".into()), Some("gAAA.b=".into())));
        assert_eq!(split_thought(signed_thought(None, Some("s")).into_owned()), (None, Some("s".into())));
        assert_eq!(split_thought(String::new()), (None, None));
    }
}
