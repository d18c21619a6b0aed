//! Content that lies where the provider can't get it: files uploaded to another, places in another's cloud.

use std::borrow::Cow;

use crate::{ChatRequest, Dialect, Fault, Media, Part, Target, Written};

/// The request without what the provider can't reach; that is refused, or named where leaving out is allowed.
pub(crate) fn reachable<'a>(
    request: &'a ChatRequest,
    to: Dialect,
    target: &Target<'_>,
    written: &mut Written,
) -> Result<Cow<'a, ChatRequest>, Fault> {
    let Some(from) = request.dialect.filter(|from| *from != to) else { return Ok(Cow::Borrowed(request)) };
    let lost = |part: &Part| media_of(part).is_some_and(|media| !can_reach(media, from, to));
    let inner = |part: &Part| matches!(part, Part::ToolResult { parts, .. } if parts.iter().any(lost));
    let mut any = false;
    for (index, message) in request.messages.iter().enumerate() {
        for (place, _) in message.parts.iter().enumerate().filter(|(_, part)| lost(part) || inner(part)) {
            written.drop(target, &format!("messages[{index}].content[{place}]"))?;
            any = true;
        }
    }
    if !any {
        return Ok(Cow::Borrowed(request));
    }
    let mut less = request.clone();
    for message in &mut less.messages {
        message.parts.retain(|part| !lost(part));
        for part in &mut message.parts {
            if let Part::ToolResult { parts, .. } = part {
                parts.retain(|part| !lost(part));
            }
        }
    }
    Ok(Cow::Owned(less))
}

fn media_of(part: &Part) -> Option<&Media> {
    match part {
        Part::Image { media, .. }
        | Part::Audio { media }
        | Part::Video { media }
        | Part::File { media, .. } => Some(media),
        _ => None,
    }
}

fn can_reach(media: &Media, from: Dialect, to: Dialect) -> bool {
    match media {
        Media::Base64 { .. } | Media::Text { .. } => true,
        Media::FileId { .. } => account(from) == account(to),
        Media::Url { url, .. } => {
            let starts =
                |start: &str| url.get(..start.len()).is_some_and(|at| at.eq_ignore_ascii_case(start));
            match to {
                Dialect::Bedrock => !starts("gs://"),
                Dialect::Gemini => !starts("s3://"),
                // The last are files uploaded to Gemini, which only its own key opens.
                _ => !starts("s3://") && !starts("gs://") && !starts(GEMINI_FILES),
            }
        }
    }
}

const GEMINI_FILES: &str = "https://generativelanguage.googleapis.com/";

/// Whose uploads a dialect's file ids name: OpenAI's two dialects share theirs.
fn account(dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::Responses => Dialect::OpenAi,
        other => other,
    }
}
