//! Why a stream or a connection ends: codes of the wire, and names of our own for logs and metrics.

use std::fmt;

/// A code of RST_STREAM and GOAWAY (RFC 9113 §7); ones that are not registered are possible.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal, $doc:literal;)+) => {
        impl ErrorCode {
            $( #[doc = $doc] pub const $name: Self = Self($code); )+

            /// The name that the RFC gives it, in snake_case; `unknown` for one that it does not have.
            pub fn as_str(self) -> &'static str {
                match self.0 { $( $code => $text, )+ _ => "unknown" }
            }
        }
    };
}

codes! {
    NO_ERROR = 0x0, "no_error", "Graceful shutdown, or a request that is not needed whole.";
    PROTOCOL_ERROR = 0x1, "protocol_error", "Something that has no name of its own here.";
    INTERNAL_ERROR = 0x2, "internal_error", "The sender failed.";
    FLOW_CONTROL_ERROR = 0x3, "flow_control_error", "More was sent than the window allowed.";
    SETTINGS_TIMEOUT = 0x4, "settings_timeout", "SETTINGS were not acknowledged.";
    STREAM_CLOSED = 0x5, "stream_closed", "A frame came for a half-closed or closed stream.";
    FRAME_SIZE_ERROR = 0x6, "frame_size_error", "A frame had an invalid size.";
    REFUSED_STREAM = 0x7, "refused_stream", "The stream was not processed at all and may be tried again.";
    CANCEL = 0x8, "cancel", "The stream is no longer needed.";
    COMPRESSION_ERROR = 0x9, "compression_error", "The state of field compression is lost.";
    CONNECT_ERROR = 0xa, "connect_error", "The connection of a CONNECT was reset.";
    ENHANCE_YOUR_CALM = 0xb, "enhance_your_calm", "The peer asks for too much.";
    INADEQUATE_SECURITY = 0xc, "inadequate_security", "The transport is not safe enough.";
    HTTP_1_1_REQUIRED = 0xd, "http_1_1_required", "The request wants HTTP/1.1.";
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#x})", self.as_str(), self.0)
    }
}

/// The connection is over: why, and the code that GOAWAY tells the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Why, for logs and metrics.
    pub reason: Reason,
    /// What GOAWAY says.
    pub code: ErrorCode,
}

/// Makes a flat enum, one variant per cause, with its name, its code on the wire and its sentence.
macro_rules! causes {
    ($(#[$doc:meta])* $name:ident { $( $variant:ident, $text:literal, $code:ident, $detail:literal; )+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( #[doc = $detail] $variant, )+
        }

        impl $name {
            /// Every cause, in the order of the table.
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The name that logs and counters use, in snake_case.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            /// What the peer is told.
            pub fn code(self) -> ErrorCode {
                match self { $( Self::$variant => ErrorCode::$code, )+ }
            }

            /// One sentence for people, with the section that the rule comes from.
            pub fn detail(self) -> &'static str {
                match self { $( Self::$variant => $detail, )+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::error::Error for $name {}
    };
}

causes! {
    /// Why a connection is over.
    Reason {
        BadPreface, "bad_preface", PROTOCOL_ERROR, "The connection does not start with HTTP/2's preface (RFC 9113 §3.4).";
        SettingsNotFirst, "settings_not_first", PROTOCOL_ERROR, "The first frame is not SETTINGS (RFC 9113 §3.4).";
        FrameTooLarge, "frame_too_large", FRAME_SIZE_ERROR, "A frame is larger than was allowed (RFC 9113 §4.2).";
        FrameSize, "frame_size", FRAME_SIZE_ERROR, "A frame has a size that its type cannot have (RFC 9113 §6).";
        FrameOnConnection, "frame_on_connection", PROTOCOL_ERROR, "A frame that belongs to a stream names none (RFC 9113 §6).";
        FrameOnStream, "frame_on_stream", PROTOCOL_ERROR, "A frame that belongs to the connection names a stream (RFC 9113 §6).";
        IdleStream, "idle_stream", PROTOCOL_ERROR, "A frame names a stream that nobody opened (RFC 9113 §5.1).";
        StreamOrder, "stream_order", PROTOCOL_ERROR, "A new stream's id is even, or not larger than those before (RFC 9113 §5.1.1).";
        ClosedStream, "closed_stream", STREAM_CLOSED, "A head comes for a stream that has ended (RFC 9113 §5.1).";
        BrokenHead, "broken_head", PROTOCOL_ERROR, "Another frame stands between a head and its continuation (RFC 9113 §6.10).";
        StrayContinuation, "stray_continuation", PROTOCOL_ERROR, "CONTINUATION continues nothing (RFC 9113 §6.10).";
        PaddingTooLong, "padding_too_long", PROTOCOL_ERROR, "Padding is as long as its frame or longer (RFC 9113 §6.1).";
        WindowExceeded, "window_exceeded", FLOW_CONTROL_ERROR, "More was sent than the connection's window allowed (RFC 9113 §6.9.1).";
        WindowOverflow, "window_overflow", FLOW_CONTROL_ERROR, "A window grew beyond 2^31 - 1 (RFC 9113 §6.9.1).";
        EmptyIncrement, "empty_increment", PROTOCOL_ERROR, "The connection's window is increased by nothing (RFC 9113 §6.9).";
        InvalidSetting, "invalid_setting", PROTOCOL_ERROR, "A setting has a value that it cannot have (RFC 9113 §6.5.2).";
        InvalidWindowSetting, "invalid_window_setting", FLOW_CONTROL_ERROR, "The initial window is set beyond 2^31 - 1 (RFC 9113 §6.5.2).";
        Push, "push", PROTOCOL_ERROR, "PUSH_PROMISE comes though pushing is not allowed (RFC 9113 §8.4).";
        Compression, "compression", COMPRESSION_ERROR, "A field block cannot be decoded (RFC 9113 §4.3).";
        Resets, "resets", ENHANCE_YOUR_CALM, "The peer resets too many streams.";
        Faults, "faults", ENHANCE_YOUR_CALM, "The peer makes too many of its streams fail.";
        Pings, "pings", ENHANCE_YOUR_CALM, "Too many PING frames come.";
        SettingsFrames, "settings_frames", ENHANCE_YOUR_CALM, "Too many SETTINGS frames come.";
        EmptyFrames, "empty_frames", ENHANCE_YOUR_CALM, "Too many frames come that bring nothing.";
        Priorities, "priorities", ENHANCE_YOUR_CALM, "Too many PRIORITY frames come.";
        WindowUpdates, "window_updates", ENHANCE_YOUR_CALM, "Too many WINDOW_UPDATE frames come.";
        UnknownFrames, "unknown_frames", ENHANCE_YOUR_CALM, "Too many frames of unknown types come.";
        StrayFrames, "stray_frames", ENHANCE_YOUR_CALM, "Too many frames come for streams that are closed.";
        Continuations, "continuations", ENHANCE_YOUR_CALM, "A head is cut into too many frames.";
        BlockTooLarge, "block_too_large", ENHANCE_YOUR_CALM, "A compressed head is too large to be read to its end.";
        SettingsTimeout, "settings_timeout", SETTINGS_TIMEOUT, "SETTINGS do not come, or ours are not acknowledged in time (RFC 9113 §6.5.3).";
        HeadTimeout, "head_timeout", ENHANCE_YOUR_CALM, "A head, or another frame, has begun and does not end in time.";
        OutputFull, "output_full", ENHANCE_YOUR_CALM, "The peer asks for answers and does not read them.";
    }
}

causes! {
    /// Why one stream was refused or reset for the peer's fault.
    Fault {
        UppercaseName, "uppercase_name", PROTOCOL_ERROR, "A field name has a letter in upper case (RFC 9113 §8.2.1).";
        InvalidName, "invalid_name", PROTOCOL_ERROR, "A field name is empty or not a token (RFC 9113 §8.2.1).";
        InvalidValue, "invalid_value", PROTOCOL_ERROR, "A field value has a control byte, or white space around it (RFC 9113 §8.2.1).";
        ConnectionField, "connection_field", PROTOCOL_ERROR, "A field belongs to an HTTP/1.1 connection (RFC 9113 §8.2.2).";
        InvalidTe, "invalid_te", PROTOCOL_ERROR, "TE is something other than trailers (RFC 9113 §8.2.2).";
        PseudoAfterField, "pseudo_after_field", PROTOCOL_ERROR, "A pseudo-header field follows a field (RFC 9113 §8.3).";
        PseudoInTrailers, "pseudo_in_trailers", PROTOCOL_ERROR, "Trailers have a pseudo-header field (RFC 9113 §8.1).";
        UnknownPseudo, "unknown_pseudo", PROTOCOL_ERROR, "A pseudo-header field is not known or not for this side (RFC 9113 §8.3).";
        RepeatedPseudo, "repeated_pseudo", PROTOCOL_ERROR, "A pseudo-header field comes twice (RFC 9113 §8.3).";
        MissingPseudo, "missing_pseudo", PROTOCOL_ERROR, "A pseudo-header field is missing (RFC 9113 §8.3.1).";
        InvalidMethod, "invalid_method", PROTOCOL_ERROR, "The method is not a token (RFC 9110 §9.1).";
        InvalidScheme, "invalid_scheme", PROTOCOL_ERROR, "The scheme is neither http nor https.";
        InvalidPath, "invalid_path", PROTOCOL_ERROR, "The path is empty, does not start with a slash, or has a byte that no path has (RFC 9113 §8.3.1).";
        InvalidAuthority, "invalid_authority", PROTOCOL_ERROR, "The authority has a byte that no authority has (RFC 9113 §8.3.1).";
        HostMismatch, "host_mismatch", PROTOCOL_ERROR, "Host names another authority than :authority (RFC 9113 §8.3.1).";
        InvalidStatus, "invalid_status", PROTOCOL_ERROR, "The status is not three digits from 100 to 599, or is 101 (RFC 9113 §8.6).";
        InvalidConnect, "invalid_connect", PROTOCOL_ERROR, "CONNECT has a field that it cannot have, or lacks one (RFC 9113 §8.5, RFC 8441 §4).";
        UnknownProtocol, "unknown_protocol", PROTOCOL_ERROR, "Extended CONNECT asks for something other than websocket (RFC 8441 §4).";
        InvalidLength, "invalid_length", PROTOCOL_ERROR, "Content-Length is not one plain decimal number (RFC 9110 §8.6).";
        LengthMismatch, "length_mismatch", PROTOCOL_ERROR, "The body is longer or shorter than Content-Length says (RFC 9113 §8.1.1).";
        UnexpectedBody, "unexpected_body", PROTOCOL_ERROR, "A body comes where there can be none (RFC 9110 §6.4.1).";
        BodyBeforeHead, "body_before_head", PROTOCOL_ERROR, "DATA comes before the final head (RFC 9113 §8.1).";
        UnendedTrailers, "unended_trailers", PROTOCOL_ERROR, "Trailers do not end the stream (RFC 9113 §8.1).";
        EndedInterim, "ended_interim", PROTOCOL_ERROR, "An informational response ends the stream (RFC 9113 §8.1).";
        TooManyInterims, "too_many_interims", ENHANCE_YOUR_CALM, "Too many informational responses come before the final one.";
        HeadTooLarge, "head_too_large", ENHANCE_YOUR_CALM, "The field section is larger than was allowed (RFC 9113 §10.5.1).";
        TooManyStreams, "too_many_streams", REFUSED_STREAM, "More streams are open than were allowed (RFC 9113 §5.1.2).";
        SelfDependency, "self_dependency", PROTOCOL_ERROR, "A stream depends on itself (RFC 7540 §5.3.1).";
        FrameSize, "frame_size", FRAME_SIZE_ERROR, "PRIORITY has an invalid size (RFC 9113 §6.3).";
        HalfClosed, "half_closed", STREAM_CLOSED, "A frame comes for a stream that the peer has ended or reset (RFC 9113 §5.1).";
        WindowExceeded, "window_exceeded", FLOW_CONTROL_ERROR, "More was sent than the stream's window allowed (RFC 9113 §6.9.1).";
        WindowOverflow, "window_overflow", FLOW_CONTROL_ERROR, "The stream's window grew beyond 2^31 - 1 (RFC 9113 §6.9.1).";
        EmptyIncrement, "empty_increment", PROTOCOL_ERROR, "The stream's window is increased by nothing (RFC 9113 §6.9).";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_name() {
        for names in [
            Reason::ALL.iter().map(|cause| cause.as_str()).collect::<Vec<_>>(),
            Fault::ALL.iter().map(|cause| cause.as_str()).collect(),
        ] {
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), names.len());
        }
    }

    #[test]
    fn a_code_that_nobody_registered_has_a_name_as_well() {
        assert_eq!(ErrorCode(0xb).as_str(), "enhance_your_calm");
        assert_eq!(ErrorCode(77).as_str(), "unknown");
    }
}
