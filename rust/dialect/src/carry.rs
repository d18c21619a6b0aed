//! Carries what a dialect has no field for inside the opaque texts that its clients must send back: ids and signatures.
//!
//! A Gemini call has a signature, and a call of Anthropic's or Bedrock's has none; but every client repeats a call's id
//! to the letter. An item of OpenAI's reasoning has an id beside its encrypted text; a thinking block has only the
//! signature. Nothing here is secret from the client: it gets the same values where its dialect has fields for them.

use std::borrow::Cow;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

/// Between a call's id and its signature.
const CALL: &str = "_tgsig_";

/// In front of a reasoning item's id, which a dot ends.
const THOUGHT: &str = "tg1.";

/// In front of a thought's signature that is not native where it stands, before whose it is.
const MARK: &str = "tg.";

/// Whose a thought's signature is. A provider refuses a turn with another's, and one without its own.
///
/// In the chat form a signature of Claude's (Anthropic's and Bedrock's are the same) stands as it is, any other behind a mark. On a
/// dialect's wire its own stands as it is, any other behind a mark: so clients of every dialect give back what they got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// Gemini's `thoughtSignature`.
    Gemini,
    /// The `encrypted_content` of OpenAI's responses.
    OpenAi,
    /// Mistral's.
    Mistral,
}

impl Home {
    fn mark(self) -> &'static str {
        match self {
            Self::Gemini => "tg.g.",
            Self::OpenAi => "tg.o.",
            Self::Mistral => "tg.m.",
        }
    }

    /// A signature of this wire in the chat form.
    pub(crate) fn read(self, wire: String) -> String {
        match wire.strip_prefix(CLAUDE) {
            Some(bare) => bare.to_owned(),
            None if wire.starts_with(MARK) || wire.is_empty() => wire,
            None => format!("{}{wire}", self.mark()),
        }
    }

    /// A signature of the chat form for a client of this wire.
    pub(crate) fn tell(self, signature: &str) -> Cow<'_, str> {
        match signature.strip_prefix(self.mark()) {
            Some(own) => Cow::Borrowed(own),
            None if signature.starts_with(MARK) => Cow::Borrowed(signature),
            None => Cow::Owned(format!("{CLAUDE}{signature}")),
        }
    }

    /// A signature of the chat form for a provider of this wire: `None` for another's.
    pub(crate) fn own(self, signature: &str) -> Option<&str> {
        signature.strip_prefix(self.mark())
    }
}

/// The mark of Claude's on other wires.
const CLAUDE: &str = "tg.a.";

/// Whether a signature of the chat form is not Claude's.
pub(crate) fn is_marked(signature: &str) -> bool {
    signature.starts_with(MARK)
}

/// A signature of Gemini's wire in the chat form. The wire holds base64 and nothing else, marks too.
pub(crate) fn read_gemini(wire: String) -> String {
    let plain = crate::media::standard_base64(wire.clone());
    let marked = STANDARD.decode(plain).ok().filter(|bytes| bytes.starts_with(MARK.as_bytes()));
    Home::Gemini.read(marked.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(wire))
}

/// A signature of the chat form for a client that speaks Gemini's words.
pub(crate) fn tell_gemini(signature: &str) -> Cow<'_, str> {
    match Home::Gemini.own(signature) {
        Some(own) => Cow::Borrowed(own),
        None => Cow::Owned(STANDARD.encode(Home::Gemini.tell(signature).as_bytes())),
    }
}

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
    fn every_wire_gives_back_whose_a_thought_s_signature_is() {
        let chat = ["c2ln", "tg.g.Z3Np", "tg.o.gAAA==", "tg.m.x"];
        for home in [Home::Gemini, Home::OpenAi, Home::Mistral] {
            for signature in chat {
                assert_eq!(home.read(home.tell(signature).into_owned()), signature, "{home:?}");
                assert_eq!(home.own(signature).is_some(), signature.starts_with(home.mark()));
            }
            assert_eq!(home.own(&home.read("native".into())), Some("native"));
        }
        for signature in chat {
            let wire = tell_gemini(signature).into_owned();
            assert!(STANDARD.decode(&wire).is_ok(), "{wire}");
            assert_eq!(read_gemini(wire.clone()), signature);
            // Google's clients write the alphabet of URLs.
            assert_eq!(read_gemini(wire.replace('+', "-").replace('/', "_").replace('=', "")), signature);
        }
        assert!(is_marked("tg.g.Z3Np") && !is_marked("c2ln"));
    }

    #[test]
    fn a_reasoning_item_s_id_comes_back_out_of_the_signature() {
        let carried = signed_thought(Some("rs_1"), Some("gAAA.b="));
        assert_eq!(split_thought(carried.into_owned()), (Some("rs_1".into()), Some("gAAA.b=".into())));
        assert_eq!(split_thought(signed_thought(None, Some("s")).into_owned()), (None, Some("s".into())));
        assert_eq!(split_thought(String::new()), (None, None));
    }
}
