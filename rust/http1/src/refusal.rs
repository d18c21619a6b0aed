//! Why a request's head is refused.

use crate::cause::causes;
use crate::diagnose::FieldDefect;

causes! {
    /// One reason for which a request is refused and its connection closed.
    Refusal {
        NotHttp, "not_http", "RFC 9112 §3", "The first bytes cannot start an HTTP request.";
        EmptyLines, "empty_lines", "RFC 9112 §2.2", "More than one empty line stands before the request line.";
        BareCr, "bare_cr", "RFC 9112 §2.2", "A carriage return is not followed by a line feed.";
        BareLf, "bare_lf", "RFC 9112 §2.2", "A line ends with a line feed alone.";
        NulByte, "nul_byte", "RFC 9110 §5.5", "The head has a NUL byte.";
        ControlByte, "control_byte", "RFC 9110 §5.5", "The head has a control byte.";
        InvalidMethod, "invalid_method", "RFC 9110 §9.1", "The method is not a token.";
        ConnectMethod, "connect_method", "RFC 9110 §9.3.6", "This gateway opens no tunnels by CONNECT.";
        TraceMethod, "trace_method", "RFC 9110 §9.3.8", "TRACE would show what the gateway adds to a request.";
        WhitespaceInRequestLine, "whitespace_in_request_line", "RFC 9112 §3", "The request line has white space other than its two single spaces.";
        MissingVersion, "missing_version", "RFC 9112 §3", "The request line has no version; HTTP/0.9 is not served.";
        InvalidVersion, "invalid_version", "RFC 9112 §2.3", "The version is not of the form HTTP/1.1.";
        UnsupportedVersion, "unsupported_version", "RFC 9110 §15.6.6", "Only HTTP/1.0 and HTTP/1.1 are served here.";
        TargetTooLong, "target_too_long", "RFC 9110 §15.5.15", "The request line does not end within the limit for a head.";
        HeadTooLarge, "head_too_large", "RFC 6585 §5", "The head does not end within its limit.";
        TooManyFields, "too_many_fields", "RFC 6585 §5", "The head has more field lines than its limit.";
        ControlInTarget, "control_in_target", "RFC 9112 §3.2", "The request target has a control byte.";
        NonAsciiInTarget, "non_ascii_in_target", "RFC 3986 §2", "The request target has a byte outside ASCII.";
        InvalidTarget, "invalid_target", "RFC 9112 §3.2", "The request target has none of the forms that the method allows.";
        UnsupportedScheme, "unsupported_scheme", "RFC 9110 §4.2", "The target's scheme is neither http nor https.";
        AsteriskNotOptions, "asterisk_not_options", "RFC 9112 §3.2.4", "The target * is for OPTIONS only.";
        WhitespaceBeforeField, "whitespace_before_field", "RFC 9112 §2.2", "White space stands between the request line and the first field.";
        ObsFold, "obs_fold", "RFC 9112 §5.2", "A field line is continued on the next line.";
        SpaceBeforeColon, "space_before_colon", "RFC 9112 §5.1", "White space stands between a field name and its colon.";
        EmptyFieldName, "empty_field_name", "RFC 9110 §5.1", "A field line has no name.";
        InvalidFieldName, "invalid_field_name", "RFC 9110 §5.1", "A field name is not a token.";
        MissingColon, "missing_colon", "RFC 9112 §5", "A field line has no colon.";
        MissingHost, "missing_host", "RFC 9112 §3.2", "An HTTP/1.1 request must have a Host field.";
        RepeatedHost, "repeated_host", "RFC 9112 §3.2", "The request has more than one Host field.";
        InvalidHost, "invalid_host", "RFC 9110 §7.2", "The host is not a name, an IPv4 address or a bracketed IPv6 address.";
        InvalidPort, "invalid_port", "RFC 3986 §3.2.3", "The port is not a number from 0 to 65535.";
        Userinfo, "userinfo", "RFC 9110 §4.2.4", "The authority has user information.";
        ContentLengthAndTransferEncoding, "content_length_and_transfer_encoding", "RFC 9112 §6.1", "The request has both Content-Length and Transfer-Encoding.";
        RepeatedContentLength, "repeated_content_length", "RFC 9112 §6.3", "The request has more than one Content-Length.";
        InvalidContentLength, "invalid_content_length", "RFC 9110 §8.6", "Content-Length is not a plain decimal number.";
        ContentLengthTooLarge, "content_length_too_large", "RFC 9110 §8.6", "Content-Length is larger than any body can be.";
        RepeatedTransferEncoding, "repeated_transfer_encoding", "RFC 9112 §6.1", "The request has more than one Transfer-Encoding line.";
        InvalidTransferEncoding, "invalid_transfer_encoding", "RFC 9112 §6.1", "Transfer-Encoding is empty or has an empty member.";
        RepeatedChunked, "repeated_chunked", "RFC 9112 §6.1", "The chunked coding is applied more than once.";
        ChunkedNotFinal, "chunked_not_final", "RFC 9112 §6.3", "The chunked coding is not the final one.";
        UnknownTransferCoding, "unknown_transfer_coding", "RFC 9112 §6.1", "A transfer coding other than chunked is not understood here.";
        TransferEncodingOnHttp10, "transfer_encoding_on_http10", "RFC 9112 §6.1", "HTTP/1.0 has no Transfer-Encoding.";
        UnknownExpectation, "unknown_expectation", "RFC 9110 §10.1.1", "The only expectation that can be met is 100-continue.";
        TooManyConnectionOptions, "too_many_connection_options", "RFC 9110 §7.6.1", "Connection names more options than any client needs.";
        MalformedHead, "malformed_head", "RFC 9112 §2.1", "The head does not follow the grammar.";
    }
}

impl Refusal {
    /// The status code of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::ConnectMethod | Self::TraceMethod => 405,
            Self::TargetTooLong => 414,
            Self::UnknownExpectation => 417,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::UnknownTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }
}

impl From<FieldDefect> for Refusal {
    fn from(defect: FieldDefect) -> Self {
        match defect {
            FieldDefect::BareCr => Self::BareCr,
            FieldDefect::BareLf => Self::BareLf,
            FieldDefect::NulByte => Self::NulByte,
            FieldDefect::ControlByte => Self::ControlByte,
            FieldDefect::LeadingWhitespace => Self::WhitespaceBeforeField,
            FieldDefect::ObsFold => Self::ObsFold,
            FieldDefect::SpaceBeforeColon => Self::SpaceBeforeColon,
            FieldDefect::EmptyName => Self::EmptyFieldName,
            FieldDefect::InvalidName => Self::InvalidFieldName,
            FieldDefect::MissingColon => Self::MissingColon,
            FieldDefect::TooMany => Self::TooManyFields,
            FieldDefect::Unknown => Self::MalformedHead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_name_in_snake_case() {
        let mut names: Vec<_> = Refusal::ALL.iter().map(|cause| cause.as_str()).collect();
        assert!(names.iter().all(|name| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        }));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Refusal::ALL.len());
    }

    #[test]
    fn statuses_are_those_of_the_contract() {
        assert_eq!(Refusal::UnknownTransferCoding.status(), 501);
        assert_eq!(Refusal::ContentLengthAndTransferEncoding.status(), 400);
        assert_eq!(Refusal::ConnectMethod.status(), 405);
        assert!(Refusal::ALL.iter().all(|cause| (400..=505).contains(&cause.status())));
    }
}
