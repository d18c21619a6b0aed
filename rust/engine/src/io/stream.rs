//! A connected stream, whatever it is made of.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::{
    h2::H2,
    tls::{self, Secure, Tls},
};

/// Where an endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connected stream, whatever it is made of.
#[derive(Debug)]
pub enum Stream {
    /// TCP, without Nagle's delay.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
    /// TLS over another; boxed, so that plain connections stay small.
    Tls(Box<Tls>),
    /// No client: it takes everything, says nothing and never goes.
    Nobody,
    /// One of many streams on an HTTP/2 connection.
    H2(H2),
    /// Two queues in memory, for tests.
    #[cfg(feature = "memory")]
    Memory(super::memory::Pipe),
}

impl Stream {
    /// Whether nobody on the way to the other end can read it.
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::H2(stream) => stream.is_secure(),
            _ => false,
        }
    }

    /// Whether it carries one message each way and then ends.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// Reads what is there, at most `buf`; 0 bytes is the end. A short read costs no second call to see that nothing is left.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let polled = match self {
            Self::Tls(tls) => return tls.poll_read(cx, buf.initialize_unfilled()),
            Self::H2(stream) => return stream.poll_read(cx, buf.initialize_unfilled()),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Nobody => return Poll::Pending,
            #[cfg(feature = "memory")]
            Self::Memory(pipe) => pipe.poll_read(cx, &mut buf),
        };
        polled.map_ok(|()| buf.filled().len())
    }

    /// Writes as much of `parts` as is taken now, in one system call.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (self, parts) {
            // One part goes out by `send`, which is cheaper than `writev`.
            (Self::Tcp(stream), [part]) => Pin::new(stream).poll_write(cx, part),
            (Self::Tcp(stream), parts) => Pin::new(stream).poll_write_vectored(cx, parts),
            (Self::Unix(stream), parts) => Pin::new(stream).poll_write_vectored(cx, parts),
            (Self::Tls(tls), parts) => tls.poll_write(cx, parts),
            (Self::Nobody, parts) => Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum())),
            (Self::H2(stream), parts) => stream.poll_write(cx, parts),
            #[cfg(feature = "memory")]
            (Self::Memory(pipe), parts) => pipe.poll_write(cx, parts),
        }
    }

    /// Ready when there is something to read or the stream has ended; costs no system call (within TLS: one, where
    /// something has come that is no content).
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(tls) => tls.poll_read_ready(cx),
            Self::Nobody => Poll::Pending,
            Self::H2(stream) => stream.poll_read_ready(cx),
            #[cfg(feature = "memory")]
            Self::Memory(pipe) => pipe.poll_read_ready(cx),
        }
    }

    /// The protocol that TLS has agreed on (RFC 7301); `None` where there was none to agree on.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(tls) => tls.alpn(),
            _ => None,
        }
    }

    /// Whether the other end has broken the connection off; one that only has said all it had to say has not.
    /// If not, the task of `cx` is woken when it does. Costs a system call only where there is something to read.
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> bool {
        let failed = |error: io::Result<Option<io::Error>>| !matches!(error, Ok(None));
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx).is_ready() && failed(stream.take_error()),
            Self::Unix(stream) => stream.poll_read_ready(cx).is_ready() && failed(stream.take_error()),
            Self::Tls(tls) => tls.poll_broken(cx),
            Self::Nobody => false,
            Self::H2(stream) => stream.poll_broken(cx),
            #[cfg(feature = "memory")]
            Self::Memory(pipe) => pipe.poll_broken(cx),
        }
    }

    /// Whether the other end is not there any more to take an answer: it broke the connection off, or closed it. What
    /// it sent meanwhile stays to be read. If not, the task of `cx` is woken when it may be.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp(stream) => {
                let mut byte = [0];
                let mut buf = ReadBuf::new(&mut byte);
                match stream.poll_peek(cx, &mut buf) {
                    Poll::Ready(Ok(read)) => read == 0,
                    Poll::Ready(Err(_)) => true,
                    Poll::Pending => false,
                }
            }
            other => other.poll_broken(cx),
        }
    }

    /// Where the other end connected to; `None` where there is no such address.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Tls(tls) => tls.local_address(),
            _ => None,
        }
    }

    /// Lets the other end see a break and no end, when this one is dropped.
    pub fn break_off(&mut self) {
        match self {
            // Without a time to linger, closing sends RST and drops what was not sent.
            Self::Tcp(stream) => drop(socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))),
            Self::Tls(tls) => tls.break_off(),
            #[cfg(feature = "memory")]
            Self::Memory(pipe) => pipe.reset(),
            // A stream that is dropped before its end is reset; a Unix socket knows no breaks.
            Self::H2(_) | Self::Unix(_) | Self::Nobody => {}
        }
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => tls.poll_shutdown(cx),
            Self::Nobody => Poll::Ready(Ok(())),
            Self::H2(stream) => stream.poll_shutdown(),
            #[cfg(feature = "memory")]
            Self::Memory(pipe) => pipe.poll_shutdown(),
        }
    }
}

/// Opens a plain connection to `target`.
async fn connect(target: &Target) -> io::Result<Stream> {
    match target {
        Target::Ip(address) => {
            let stream = TcpStream::connect(*address).await?;
            // Without it first tokens of a stream arrive 40 ms late.
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Target::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectFault {
    /// Nobody took it.
    Connect(io::Error),
    /// Somebody did, but not within TLS as it was asked for.
    Tls(tls::Fault),
}

impl std::fmt::Display for ConnectFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Tls(fault) => write!(f, "TLS: {fault}"),
        }
    }
}

/// Opens a connection to `target`, within TLS where `secure` says how: for requests, which in tests go through memory.
/// `first` is sent before anything else, in the clear: a PROXY header, or nothing.
pub async fn connect_secure(
    target: &Target,
    first: &[u8],
    secure: Option<&Secure>,
) -> Result<Stream, ConnectFault> {
    #[cfg(feature = "memory")]
    if let Some(pipe) = super::memory::connect(target) {
        let mut stream = pipe.await.map(Stream::Memory).map_err(ConnectFault::Connect)?;
        send(&mut stream, first).await.map_err(ConnectFault::Connect)?;
        return Ok(stream);
    }
    connect_outside(target, first, secure).await
}

/// The same, always through the system: for probes, which run on a thread of their own.
pub async fn connect_outside(
    target: &Target,
    first: &[u8],
    secure: Option<&Secure>,
) -> Result<Stream, ConnectFault> {
    let mut stream = connect(target).await.map_err(ConnectFault::Connect)?;
    send(&mut stream, first).await.map_err(ConnectFault::Connect)?;
    match secure {
        None => Ok(stream),
        Some(secure) => tls::handshake(stream, secure).await.map_err(ConnectFault::Tls),
    }
}

async fn send(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)])).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[sent..];
    }
    Ok(())
}
