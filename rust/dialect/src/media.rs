//! What content is by its media type or its first bytes, and the forms in which it is carried.

use serde_json::Map;

use crate::{Media, Part};

/// A part of the sort that its media type says: a picture, sound, moving pictures, else a document.
pub(crate) fn part(media: Media, media_type: &str, name: Option<String>) -> Part {
    match media_type.split('/').next().unwrap_or_default() {
        "image" => Part::Image { media, detail: None, cache: None },
        "audio" => Part::Audio { media },
        "video" => Part::Video { media },
        _ => Part::File { media, name, cache: None, rest: Map::new() },
    }
}

/// Base64 in the standard alphabet, padded, out of that or the URL-safe one (in which Google's clients write).
pub(crate) fn standard_base64(mut data: String) -> String {
    if data.bytes().any(|byte| matches!(byte, b'-' | b'_')) {
        data = data.replace('-', "+").replace('_', "/");
    }
    match data.len() % 4 {
        2 => data.push_str("=="),
        3 => data.push('='),
        _ => {}
    }
    data
}

/// The media type that the first bytes of base64 data show; empty where they show none.
pub(crate) fn sniff(data: &str) -> &'static str {
    // The base64 of each format's signature, as far as it fills whole characters.
    const SIGNATURES: [(&str, &str); 5] = [
        ("iVBORw0KGg", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("Qk", "image/bmp"),
        ("JVBERi0", "application/pdf"),
    ];
    if data.starts_with("UklGR") {
        return riff(data);
    }
    SIGNATURES.iter().find(|(start, _)| data.starts_with(start)).map_or("", |(_, media_type)| media_type)
}

/// A `data:` URL taken apart: media type and base64 data. `None` for any other URL, or one that is not base64.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or_default(), data))
}

/// The media type that the end of a URL's path shows.
pub(crate) fn by_extension(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let extension = path.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return None,
    })
}

/// RIFF, its length, then what it holds.
fn riff(data: &str) -> &'static str {
    use base64::Engine as _;
    // The first twelve bytes are sixteen characters.
    let Some(head) = data.get(..16) else { return "" };
    match base64::engine::general_purpose::STANDARD.decode(head).as_deref() {
        Ok([_, _, _, _, _, _, _, _, b'W', b'E', b'B', b'P']) => "image/webp",
        Ok([_, _, _, _, _, _, _, _, b'W', b'A', b'V', b'E']) => "audio/wav",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(sniff("iVBORw0KGgoAAAANSUhEUg"), "image/png");
        assert_eq!(sniff("/9j/4AAQ"), "image/jpeg");
        assert_eq!(sniff("UklGRiQAAABXRUJQVlA4"), "image/webp");
        assert_eq!(sniff("UklGRiQAAABXQVZFZm10"), "audio/wav");
        assert_eq!(sniff("UklGRé"), "");
        assert_eq!(sniff(""), "");
    }

    #[test]
    fn base64_of_either_alphabet_becomes_the_standard_one_with_padding() {
        assert_eq!(standard_base64("_-8".into()), "/+8=");
        assert_eq!(standard_base64("aGk=".into()), "aGk=");
    }

    #[test]
    fn data_urls_are_taken_apart_and_others_left() {
        assert_eq!(data_url("data:image/png;base64,AAAA"), Some(("image/png", "AAAA")));
        assert_eq!(data_url("data:text/plain;charset=utf-8;base64,AA"), Some(("text/plain", "AA")));
        assert_eq!(data_url("data:text/plain,hi"), None);
        assert_eq!(data_url("https://a/b.png"), None);
        assert_eq!(by_extension("https://a/b.PNG?x=.gif"), Some("image/png"));
        assert_eq!(by_extension("https://a.com/"), None);
    }
}
