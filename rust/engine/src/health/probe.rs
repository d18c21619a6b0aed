//! One probe: a connection, or a `GET` and the status of its answer.

use std::{
    future::poll_fn,
    io::{self as std_io, IoSlice},
    time::Duration,
};

use tidegate_plan::HealthProbe;

use crate::{
    abuse::descriptors::is_ours,
    io::{self, ConnectFault, Stream, Target, tls::Secure},
};

/// A head that is longer than this is no answer.
const HEAD_MOST: usize = 16 * 1024;

/// How much of a body, and for how long, is read to let the server end it in peace.
const BODY_MOST: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_millis(200);

/// What a probe found.
#[derive(Debug)]
pub(super) enum Found {
    /// The endpoint answers as it should.
    Good,
    /// What is wrong with it.
    Bad(String),
    /// Nothing: this process could not ask, for want of descriptors or ports.
    Nothing,
}

/// Asks the endpoint. How long it may take is the caller's to say.
pub(super) async fn ask(
    target: &Target,
    first: &[u8],
    secure: Option<&Secure>,
    probe: &HealthProbe,
    authority: &str,
) -> Found {
    let mut stream = match io::connect_outside(target, first, secure).await {
        Ok(stream) => stream,
        Err(ConnectFault::Connect(error)) if is_ours(&error) => return Found::Nothing,
        Err(error) => return Found::Bad(format!("no connection: {error}")),
    };
    match inquire(&mut stream, probe, authority).await {
        Ok(()) => Found::Good,
        Err(why) => Found::Bad(why),
    }
}

async fn inquire(stream: &mut Stream, probe: &HealthProbe, authority: &str) -> Result<(), String> {
    let HealthProbe::Http { path, host, status: (from, to) } = probe else {
        let _ = poll_fn(|cx| stream.poll_shutdown(cx)).await; // the end of a handshake is still to be sent
        return Ok(());
    };
    let host = if host.is_empty() { authority } else { host };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let written = write(stream, request.as_bytes()).await;
    written.map_err(|error| format!("the request was not taken: {error}"))?;
    let status = read_status(stream).await?;
    let _ = tokio::time::timeout(BODY_TIME, drain(stream)).await;
    if (*from..=*to).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
}

/// The status of the final answer.
async fn read_status(stream: &mut Stream) -> Result<u16, String> {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            match status(&bytes[..end]) {
                None => return Err("the answer is not HTTP".into()),
                Some(100..=199) => drop(bytes.drain(..end + 4)),
                Some(status) => return Ok(status),
            }
        }
        if bytes.len() > HEAD_MOST {
            return Err("the answer's head does not end".into());
        }
        match read(stream, &mut bytes).await {
            Ok(0) => return Err("the connection ended before an answer".into()),
            Ok(_) => {}
            Err(error) => return Err(format!("the connection ended before an answer: {error}")),
        }
    }
}

/// `HTTP/1.x NNN` (RFC 9112 §4).
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', hundreds @ b'1'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9', after @ ..] =
        rest
    else {
        return None;
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    matches!(after.first(), None | Some(b' ' | b'\r'))
        .then(|| digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
}

async fn drain(stream: &mut Stream) {
    let mut bytes = Vec::new();
    while bytes.len() < BODY_MOST && read(stream, &mut bytes).await.is_ok_and(|read| read > 0) {}
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) -> std_io::Result<()> {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)])).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Appends what is there; 0 bytes is the end.
async fn read(stream: &mut Stream, out: &mut Vec<u8>) -> std_io::Result<usize> {
    let mut buffer = [0; 2048];
    let read = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
    out.extend_from_slice(&buffer[..read]);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_line_is_a_status_line() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\nServer: x"), Some(204));
        assert_eq!(status(b"HTTP/1.0 200"), Some(200));
        for other in
            [&b"HTTP/2 200"[..], b"SSH-2.0-OpenSSH", b"HTTP/1.1 2000", b"HTTP/1.1 99", b"HTTP/1.1 600", b""]
        {
            assert_eq!(status(other), None);
        }
    }
}
