//! What gRPC asks of a gateway: its own answers in gRPC's words, and deadlines that are kept.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, `doc/statuscodes.md`.

use tidegate_message::{Known, RequestHead, Version};

use crate::{
    answer::push_field,
    failure::{Cause, Failure},
    log::number::push_decimal,
};

/// Whether the request is a gRPC call, as its content type says (`application/grpc`, `application/grpc+proto`, …).
/// gRPC-Web has another name and is none, and so is what came by HTTP/1.
pub fn is_call(head: &RequestHead) -> bool {
    head.version == Version::Http2 && head.known(Known::ContentType).is_some_and(is_content_type)
}

fn is_content_type(value: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let Some((name, rest)) = value.split_at_checked(NAME.len()) else { return false };
    name.eq_ignore_ascii_case(NAME) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// What a call may take as its caller says, in nanoseconds (`grpc-timeout`: up to eight digits and a unit); `None` where
/// it says nothing that can be understood.
pub fn timeout(head: &RequestHead) -> Option<u64> {
    parse_timeout(head.field(b"grpc-timeout")?)
}

fn parse_timeout(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let nanoseconds: u64 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(number.saturating_mul(nanoseconds))
}

/// The fields of an answer that says what went wrong: a gRPC client looks for it there, under HTTP status 200.
pub fn write_failure(failure: Failure, out: &mut Vec<u8>) {
    out.extend_from_slice(b"grpc-status: ");
    push_decimal(u64::from(status(failure.cause)), out);
    out.extend_from_slice(b"\r\n");
    // Details are sentences of our own in ASCII without a percent sign, which would have to be written otherwise.
    push_field(out, b"grpc-message", failure.cause.detail().as_bytes());
}

/// A status code of gRPC. Where HTTP's status says it, as `doc/http-grpc-status-mapping.md` has it; where the cause
/// says more, by that.
fn status(cause: Cause) -> u16 {
    const INVALID_ARGUMENT: u16 = 3;
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match cause {
        Cause::RateLimited | Cause::TooManyInFlight | Cause::BodyTooLarge => return RESOURCE_EXHAUSTED,
        _ => {}
    }
    match cause.status() {
        400 => INVALID_ARGUMENT,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 | 501 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        429 | 502 | 503 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        assert_eq!(parse_timeout(b"100m"), Some(100_000_000));
        assert_eq!(parse_timeout(b"2S"), Some(2_000_000_000));
        assert_eq!(parse_timeout(b"99999999H"), Some(u64::MAX), "as long as can be counted");
        for odd in [&b""[..], b"S", b"123456789S", b"1s", b"-1S", b"1.5S", b"1 S"] {
            assert_eq!(parse_timeout(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for call in [&b"application/grpc"[..], b"application/grpc+proto", b"Application/gRPC; x=1"] {
            assert!(is_content_type(call), "{call:?}");
        }
        for other in [&b"application/grpc-web"[..], b"application/grpcx", b"application/json", b""] {
            assert!(!is_content_type(other), "{other:?}");
        }
    }
}
