//! Why an upstream's answer or a chunked body is not accepted.

use crate::cause::causes;
use crate::diagnose::FieldDefect;

causes! {
    /// One reason for which a response cannot be relayed.
    ResponseFault {
        NotHttp, "not_http", "RFC 9112 §4", "The answer does not start with a status line.";
        UnsupportedVersion, "unsupported_version", "RFC 9112 §2.3", "The answer's version is neither HTTP/1.0 nor HTTP/1.1.";
        InvalidStatus, "invalid_status", "RFC 9110 §15", "The status code is not a number from 100 to 599.";
        InvalidStatusLine, "invalid_status_line", "RFC 9112 §4", "The status line does not follow the grammar.";
        BareCr, "bare_cr", "RFC 9112 §2.2", "A carriage return is not followed by a line feed.";
        BareLf, "bare_lf", "RFC 9112 §2.2", "A line ends with a line feed alone.";
        NulByte, "nul_byte", "RFC 9110 §5.5", "The head has a NUL byte.";
        ControlByte, "control_byte", "RFC 9110 §5.5", "The head has a control byte.";
        HeadTooLarge, "head_too_large", "RFC 9110 §5.4", "The head does not end within its limit.";
        TooManyFields, "too_many_fields", "RFC 9110 §5.4", "The head has more field lines than its limit.";
        WhitespaceBeforeField, "whitespace_before_field", "RFC 9112 §2.2", "White space stands between the status line and the first field.";
        ObsFold, "obs_fold", "RFC 9112 §5.2", "A field line is continued on the next line.";
        SpaceBeforeColon, "space_before_colon", "RFC 9112 §5.1", "White space stands between a field name and its colon.";
        EmptyFieldName, "empty_field_name", "RFC 9110 §5.1", "A field line has no name.";
        InvalidFieldName, "invalid_field_name", "RFC 9110 §5.1", "A field name is not a token.";
        MissingColon, "missing_colon", "RFC 9112 §5", "A field line has no colon.";
        ContentLengthAndTransferEncoding, "content_length_and_transfer_encoding", "RFC 9112 §6.3", "The response has both Content-Length and Transfer-Encoding.";
        RepeatedContentLength, "repeated_content_length", "RFC 9112 §6.3", "The response has more than one Content-Length.";
        InvalidContentLength, "invalid_content_length", "RFC 9110 §8.6", "Content-Length is not a plain decimal number.";
        ContentLengthTooLarge, "content_length_too_large", "RFC 9110 §8.6", "Content-Length is larger than any body can be.";
        RepeatedTransferEncoding, "repeated_transfer_encoding", "RFC 9112 §6.1", "The response has more than one Transfer-Encoding line.";
        InvalidTransferEncoding, "invalid_transfer_encoding", "RFC 9112 §6.1", "Transfer-Encoding is empty or has an empty member.";
        RepeatedChunked, "repeated_chunked", "RFC 9112 §6.1", "The chunked coding is applied more than once.";
        ChunkedNotFinal, "chunked_not_final", "RFC 9112 §6.3", "The chunked coding is not the final one.";
        UnknownTransferCoding, "unknown_transfer_coding", "RFC 9112 §6.1", "A transfer coding other than chunked is not understood here.";
        TransferEncodingOnHttp10, "transfer_encoding_on_http10", "RFC 9112 §6.1", "HTTP/1.0 has no Transfer-Encoding.";
        TooManyConnectionOptions, "too_many_connection_options", "RFC 9110 §7.6.1", "Connection names more options than any server needs.";
        MalformedHead, "malformed_head", "RFC 9112 §2.1", "The head does not follow the grammar.";
    }
}

causes! {
    /// One reason for which a chunked body cannot be read on.
    ChunkFault {
        MissingSize, "missing_chunk_size", "RFC 9112 §7.1", "A chunk has no size.";
        InvalidSize, "invalid_chunk_size", "RFC 9112 §7.1", "A chunk size has a byte that is no hexadecimal digit.";
        SizeTooLarge, "chunk_size_too_large", "RFC 9112 §7.1", "A chunk size is larger than any body can be.";
        InvalidExtension, "invalid_chunk_extension", "RFC 9112 §7.1.1", "A chunk extension does not follow the grammar.";
        ExtensionsTooLong, "chunk_extensions_too_long", "RFC 9112 §7.1.1", "The body's chunk extensions are longer than their limit.";
        BareCr, "bare_cr_in_chunk", "RFC 9112 §7.1", "A carriage return in the chunked framing is not followed by a line feed.";
        BareLf, "bare_lf_in_chunk", "RFC 9112 §7.1", "A line of the chunked framing ends with a line feed alone.";
        MissingDataEnd, "missing_chunk_end", "RFC 9112 §7.1", "A chunk's data is not followed by its line end.";
        TrailersTooLarge, "trailers_too_large", "RFC 9112 §7.1.2", "The trailer section does not end within its limit.";
        TooManyTrailers, "too_many_trailers", "RFC 9112 §7.1.2", "The trailer section has more lines than its limit.";
        InvalidTrailer, "invalid_trailer", "RFC 9112 §7.1.2", "A trailer line does not follow the grammar of fields.";
    }
}

impl From<FieldDefect> for ResponseFault {
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

impl From<FieldDefect> for ChunkFault {
    fn from(defect: FieldDefect) -> Self {
        match defect {
            FieldDefect::BareCr => Self::BareCr,
            FieldDefect::BareLf => Self::BareLf,
            FieldDefect::TooMany => Self::TooManyTrailers,
            _ => Self::InvalidTrailer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_name() {
        let mut names: Vec<_> = ResponseFault::ALL.iter().map(|cause| cause.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ResponseFault::ALL.len());
        let mut names: Vec<_> = ChunkFault::ALL.iter().map(|cause| cause.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ChunkFault::ALL.len());
    }
}
