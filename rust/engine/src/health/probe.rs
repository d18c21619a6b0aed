//! One probe: a connection, or a `GET` and the status of its answer.

use std::{io, time::Duration};

use tidegate_plan::HealthProbe;
use tokio::net::{TcpStream, UnixStream};

use crate::io::Target;

/// A head that is longer than this is no answer.
const HEAD_MOST: usize = 16 * 1024;

/// How much of a body, and for how long, is read to let the server end it in peace.
const BODY_MOST: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_millis(200);

/// Good, or what is wrong. How long it may take is the caller's to say.
pub(super) async fn ask(target: &Target, probe: &HealthProbe, authority: &str) -> Result<(), String> {
    let socket = Socket::connect(target).await.map_err(|error| format!("no connection: {error}"))?;
    let HealthProbe::Http { path, host, status: (from, to) } = probe else { return Ok(()) };
    let host = if host.is_empty() { authority } else { host };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    socket.write(request.as_bytes()).await.map_err(|error| format!("the request was not taken: {error}"))?;
    let status = read_status(&socket).await?;
    let _ = tokio::time::timeout(BODY_TIME, drain(&socket)).await;
    if (*from..=*to).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
}

/// The status of the final answer.
async fn read_status(socket: &Socket) -> Result<u16, String> {
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
        match socket.read(&mut bytes).await {
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

async fn drain(socket: &Socket) {
    let mut bytes = Vec::new();
    while bytes.len() < BODY_MOST && socket.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn connect(target: &Target) -> io::Result<Self> {
        Ok(match target {
            Target::Ip(address) => Self::Tcp(TcpStream::connect(address).await?),
            Target::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
        })
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                Self::Unix(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
            };
            match written {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Appends what is there; 0 bytes is the end.
    async fn read(&self, out: &mut Vec<u8>) -> io::Result<usize> {
        let mut buffer = [0; 2048];
        loop {
            let read = match self {
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_read(&mut buffer)
                }
                Self::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_read(&mut buffer)
                }
            };
            match read {
                Ok(read) => {
                    out.extend_from_slice(&buffer[..read]);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
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
