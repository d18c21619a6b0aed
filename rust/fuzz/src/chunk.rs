//! Chunked bodies: the same result however the bytes come, and the one that the naive reader has.

use tidegate_http1::{ChunkDecoder, ChunkFault, ChunkLimits};

use crate::reader;

/// Data, trailers, bytes taken.
type Body = (Vec<u8>, Vec<u8>, usize);

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for step in [1, 3, 7] {
        assert_eq!(decode(data, step), whole, "in steps of {step}");
    }
    if let Ok(Some((body, trailers, taken))) = whole {
        let read = reader::chunked(data);
        assert_eq!(read.as_ref().map(|read| (&read.0, read.1)), Some((&body, taken)));
        assert!(trailers.is_empty() || trailers.ends_with(b"\r\n"));
        let trailers = trailers.to_ascii_lowercase();
        for name in
            [&b"content-length:"[..], b"transfer-encoding:", b"host:", b"connection:", b"authorization:"]
        {
            assert!(!trailers.starts_with(name));
            let line = [b"\n", name].concat();
            assert!(!trailers.windows(line.len()).any(|window| window == line));
        }
    }
}

/// `Ok(None)` where the body does not end within `data`.
fn decode(data: &[u8], step: usize) -> Result<Option<Body>, ChunkFault> {
    let mut decoder = ChunkDecoder::new(ChunkLimits::default());
    let (mut body, mut taken) = (Vec::new(), 0);
    for end in (0..data.len()).step_by(step).map(|start| data.len().min(start + step)) {
        while taken < end {
            let piece = &data[taken..end];
            let found = decoder.decode(piece)?;
            assert!(found.consumed <= piece.len() && found.data.end <= found.consumed);
            body.extend_from_slice(&piece[found.data]);
            taken += found.consumed;
            if found.done {
                return Ok(Some((body, decoder.trailers().to_vec(), taken)));
            }
            assert!(found.consumed > 0, "bytes are taken until the end");
        }
    }
    Ok(None)
}
