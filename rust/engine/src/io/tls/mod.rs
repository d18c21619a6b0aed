//! TLS over a stream: what is secret on the wire is plain on this side, with the same readiness as any other stream.

mod client;
mod facts;
mod fault;
mod names;
mod server;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io::{self, BufRead as _, IoSlice, Read as _, Write as _},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use rustls::{ClientConnection, Connection, ServerConnection, pki_types::ServerName};

use super::Stream;

pub use client::{Client, Refused};
pub use facts::{Facts, Shown};
pub use fault::{Fault, HandshakeFault};
pub use server::Server;

/// HTTP/1.1, as ALPN names it.
pub const HTTP1: &[u8] = b"http/1.1";

/// HTTP/2, as ALPN names it.
pub const HTTP2: &[u8] = b"h2";

/// What an authority offers that looks whether a name is ours (RFC 8737 §6.2), as ALPN names it.
pub const ACME: &[u8] = b"acme-tls/1";

/// Ciphertext that is read at once where no caller's buffer is at hand: handshakes and what comes to idle connections.
const SMALL_READ: usize = 8 * 1024;

/// How one endpoint is spoken to.
#[derive(Debug, Clone)]
pub struct Secure {
    /// What all endpoints of the upstream share.
    pub client: Arc<Client>,
    /// The name that its certificate must bear, and that SNI tells.
    pub name: ServerName<'static>,
    /// As logs call it: `upstream api: 10.0.0.1:443`.
    pub label: Arc<str>,
}

/// A stream within TLS.
pub struct Tls {
    inner: Stream,
    connection: Connection,
    /// Ciphertext that was read and not taken yet, because what was decrypted before it still waits.
    pending: Vec<u8>,
    /// What is wrong with the peer's records; told once everything before it was read.
    failed: Option<io::Error>,
    /// The inner stream took less than it was given.
    blocked: bool,
    /// Nothing more is written.
    closing: bool,
    whose: Whose,
}

/// At whose other end the peer is.
#[derive(Debug, Clone)]
enum Whose {
    Upstream(Arc<str>),
    Listener(Arc<Server>),
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Shakes hands as a client over `inner`. The end of the handshake goes out with the first bytes that are written.
pub async fn handshake(inner: Stream, secure: &Secure) -> Result<Stream, Fault> {
    let connection = ClientConnection::new(secure.client.config(), secure.name.clone())
        .map_err(|error| Fault::of(&error))?;
    let mut tls = Box::new(Tls {
        inner,
        connection: connection.into(),
        pending: Vec::new(),
        failed: None,
        blocked: false,
        closing: false,
        whose: Whose::Upstream(secure.label.clone()),
    });
    poll_fn(|cx| tls.poll_handshake(cx)).await.map_err(|end| Fault::from(&end))?;
    Ok(Stream::Tls(tls))
}

/// How a handshake ended before it was done.
#[derive(Debug)]
pub enum HandshakeEnd {
    /// The peer closed the connection.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// What the peer sent will not do.
    Tls(rustls::Error),
}

impl Tls {
    /// The server's side of a connection over `inner`, of which `first` has been read already.
    pub fn server(
        inner: Stream,
        session: ServerConnection,
        server: Arc<Server>,
        first: Vec<u8>,
    ) -> Box<Self> {
        Box::new(Self {
            inner,
            connection: session.into(),
            pending: first,
            failed: None,
            blocked: false,
            closing: false,
            whose: Whose::Listener(server),
        })
    }

    /// Goes on with the handshake until it is done. The last of it may go out with the first bytes that are written.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeEnd>> {
        loop {
            if !self.pending.is_empty() && self.connection.is_handshaking() {
                let first = std::mem::take(&mut self.pending);
                ready!(self.take_handshake(cx, &first))?;
            }
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            // One that takes nothing more may have said why: that is found by reading.
            let _ = self.poll_flush(cx);
            let mut bytes = [0; SMALL_READ];
            let read = match ready!(self.inner.poll_read(cx, &mut bytes)) {
                Ok(0) => return Poll::Ready(Err(HandshakeEnd::Closed)),
                Ok(read) => read,
                Err(error) => return Poll::Ready(Err(HandshakeEnd::Io(error))),
            };
            ready!(self.take_handshake(cx, &bytes[..read]))?;
        }
    }

    fn take_handshake(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<(), HandshakeEnd>> {
        if let Err(error) = self.take(bytes, &mut [], &mut 0) {
            match (&self.whose, facts::is_no_certificate(&error)) {
                (Whose::Listener(_), true) => self.tell_unknown_name(cx),
                _ => drop(self.poll_flush(cx)), // the alert that tells the peer
            }
            return Poll::Ready(Err(HandshakeEnd::Tls(error)));
        }
        Poll::Ready(Ok(()))
    }

    /// There is no certificate for the client: says so in the words of RFC 6066 §3 where it is for the name.
    fn tell_unknown_name(&mut self, cx: &mut Context<'_>) {
        const UNRECOGNIZED_NAME: u8 = 112;
        const HANDSHAKE_FAILURE: u8 = 40;
        let why = if self.is_name_unknown() { UNRECOGNIZED_NAME } else { HANDSHAKE_FAILURE };
        // A fatal alert in a plain record: nothing is encrypted before the server has answered.
        let alert = [21, 3, 3, 0, 2, 2, why];
        let _ = self.inner.poll_write(cx, &[IoSlice::new(&alert)]);
    }

    fn is_name_unknown(&self) -> bool {
        match (&self.whose, &self.connection) {
            (Whose::Listener(server), Connection::Server(session)) => !server.knows(session.server_name()),
            _ => false,
        }
    }

    /// Why a client's handshake ended.
    pub fn fault(&self, end: &HandshakeEnd) -> HandshakeFault {
        match end {
            HandshakeEnd::Closed => HandshakeFault::ClosedByClient,
            HandshakeEnd::Io(_) => HandshakeFault::Broken,
            HandshakeEnd::Tls(error) if facts::is_no_certificate(error) && self.is_name_unknown() => {
                HandshakeFault::UnknownName
            }
            HandshakeEnd::Tls(error) => HandshakeFault::of(error),
        }
    }

    /// What the handshake has settled.
    pub fn facts(&self) -> Facts {
        Facts::of(&self.connection)
    }

    /// Whether the client is an authority that has looked whether the name is ours.
    pub fn is_challenge(&self) -> bool {
        self.alpn() == Some(ACME)
    }

    /// The protocol that was agreed on; `None` where the client offered none.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Gives ciphertext to the connection. What it decrypts goes to `plain` from `filled` on as far as there is no
    /// room for it within; what can't be taken yet is kept.
    fn take(&mut self, mut bytes: &[u8], plain: &mut [u8], filled: &mut usize) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            match self.connection.read_tls(&mut bytes) {
                // The peer has said that nothing more comes; what does is nobody's.
                Ok(0) => break,
                Ok(_) => {
                    self.connection.process_new_packets()?;
                }
                // The connection takes nothing while more than a record's content waits to be read.
                Err(_) => match self.connection.reader().read(&mut plain[*filled..]) {
                    Ok(0) => {
                        self.pending.extend_from_slice(bytes);
                        break;
                    }
                    Ok(read) => *filled += read,
                    Err(_) => return Err(rustls::Error::General("a record is too large".into())),
                },
            }
        }
        Ok(())
    }

    /// Remembers what is wrong, and tells it: the caller sees no more than a connection that broke off.
    fn fail(&mut self, error: &rustls::Error) {
        let fault = Fault::of(error);
        match &self.whose {
            Whose::Upstream(label) => {
                crate::log::tell("warn", "tls", &format!("{label}: TLS failed: {fault}"));
            }
            Whose::Listener(server) => {
                crate::log::tell("info", "tls_client", &format!("{}: TLS failed: {fault}", server.label()));
            }
        }
        self.failed = Some(io::Error::new(io::ErrorKind::InvalidData, fault.to_string()));
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
            if let Some(failed) = self.failed.take() {
                return Poll::Ready(Err(failed));
            }
            let mut filled = 0;
            let taken = if self.pending.is_empty() {
                // Ciphertext comes to the second half of the buffer, and what it says goes to the first.
                let (plain, cipher) = buf.split_at_mut(buf.len() / 2);
                let read = match self.inner.poll_read(cx, cipher) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => return self.waits(cx),
                };
                if read == 0 {
                    self.end_of_input();
                    continue;
                }
                self.take(&cipher[..read], plain, &mut filled)
            } else {
                let pending = std::mem::take(&mut self.pending);
                self.take(&pending, buf, &mut filled)
            };
            if let Err(error) = taken {
                self.fail(&error);
            }
            if filled > 0 {
                filled += self.connection.reader().read(&mut buf[filled..]).unwrap_or(0);
                return Poll::Ready(Ok(filled));
            }
        }
    }

    /// Nothing is there to read. What is still to be said goes out now and not before, so that tickets go with the
    /// first answer; whether it can is none of the reader's affairs.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.connection.wants_write() {
            let _ = self.poll_flush(cx);
        }
        Poll::Pending
    }

    fn end_of_input(&mut self) {
        // An empty read says so; whether it was announced by `close_notify` is seen by who reads next.
        let _ = self.connection.read_tls(&mut io::empty());
    }

    /// Takes up to 64 KiB of `parts` as one run of records and sends what the inner stream takes of them. The rest goes
    /// out before anything else is taken, by reading or by writing.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.blocked {
            ready!(self.poll_flush(cx))?;
        }
        let taken = self.connection.writer().write_vectored(parts)?;
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    /// Sends what is encrypted already.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Inner(&mut self.inner, cx)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.blocked = false;
        Poll::Ready(Ok(()))
    }

    /// Ready when there is content to read or the stream has ended. Session tickets and the like are taken in passing:
    /// they come to idle connections and say nothing of them.
    pub(super) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let waits = matches!(self.connection.reader().fill_buf(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if !waits || self.failed.is_some() || !self.pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.inner.poll_read_ready(cx)?.is_pending() {
                return self.waits(cx);
            }
            let mut bytes = [0; SMALL_READ];
            let read = match self.inner.poll_read(cx, &mut bytes) {
                Poll::Ready(read) => read?,
                Poll::Pending => return self.waits(cx),
            };
            match read {
                0 => self.end_of_input(),
                read => {
                    if let Err(error) = self.take(&bytes[..read], &mut [], &mut 0) {
                        self.fail(&error);
                    }
                }
            }
        }
    }

    pub(super) fn local_address(&self) -> Option<std::net::SocketAddr> {
        self.inner.local_address()
    }

    /// Breaks off without `close_notify`, which would make a cut look like an end (RFC 8446 §6.1).
    pub(super) fn break_off(&mut self) {
        self.closing = true;
        self.inner.break_off();
    }

    pub(super) fn poll_broken(&self, cx: &mut Context<'_>) -> bool {
        self.inner.poll_broken(cx)
    }

    /// `close_notify`, then the end of the inner stream's direction.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.announce_end();
        ready!(self.poll_flush(cx))?;
        self.inner.poll_shutdown(cx)
    }

    fn announce_end(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.connection.send_close_notify();
        }
    }

    /// Whether the session went on from an earlier one.
    #[cfg(test)]
    fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }
}

impl Drop for Tls {
    /// Tells the peer as far as that costs no waiting, so that it can tell an end from a cut (RFC 8446 §6.1).
    fn drop(&mut self) {
        if !self.connection.is_handshaking() {
            self.announce_end();
            let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// The inner stream as the connection writes to it.
struct Inner<'a, 'b>(&'a mut Stream, &'a mut Context<'b>);

impl io::Write for Inner<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.poll_write(self.1, parts) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client) && self.name == other.name
    }
}
