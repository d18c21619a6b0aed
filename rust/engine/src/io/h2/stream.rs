//! One stream of an HTTP/2 connection, as the engine reads and writes it: the text of one HTTP/1.1 message each way.

use std::{
    io::{self, IoSlice},
    rc::Rc,
    task::{Context, Poll},
};

use tidegate_http2::{ErrorCode, Read, Role, Write};

use super::Session;

/// One stream. Dropped before both directions have ended it is reset.
pub struct H2 {
    session: Rc<Session>,
    id: u32,
}

impl std::fmt::Debug for H2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H2").field("id", &self.id).finish_non_exhaustive()
    }
}

impl H2 {
    pub(super) fn new(session: Rc<Session>, id: u32) -> Self {
        Self { session, id }
    }

    /// Whether the connection below is within TLS.
    pub fn is_secure(&self) -> bool {
        self.session.secure
    }

    pub(in crate::io) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut codec = self.session.codec.borrow_mut();
        let read = codec.read(self.id, buf);
        // Room that was given back may have to be told.
        let tells = !codec.output().is_empty();
        drop(codec);
        if tells {
            self.session.wake_driver();
        }
        match read {
            Read::Bytes(read) => Poll::Ready(Ok(read)),
            Read::End => Poll::Ready(Ok(0)),
            Read::Reset(code) => Poll::Ready(Err(reset(code))),
            Read::Pending => match self.wait(cx) {
                true => Poll::Pending,
                false => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            },
        }
    }

    pub(in crate::io) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.session.over.get().is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = self.session.codec.borrow_mut().write(self.id, parts);
        match written {
            Write::Taken(taken) => {
                self.session.wake_driver();
                Poll::Ready(Ok(taken))
            }
            Write::Blocked => {
                self.wait(cx);
                Poll::Pending
            }
            Write::Reset(code) => Poll::Ready(Err(reset(code))),
            Write::Malformed => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }

    pub(in crate::io) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.codec.borrow().is_readable(self.id) || !self.wait(cx) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Whether the peer has given the stream up, or the connection has gone.
    pub(in crate::io) fn poll_broken(&self, cx: &mut Context<'_>) -> bool {
        matches!(self.session.codec.borrow_mut().read(self.id, &mut []), Read::Reset(_)) || !self.wait(cx)
    }

    /// Ends our direction.
    pub(in crate::io) fn poll_shutdown(&mut self) -> Poll<io::Result<()>> {
        self.session.codec.borrow_mut().finish(self.id);
        self.session.wake_driver();
        Poll::Ready(Ok(()))
    }

    /// Registers the task of `cx`. `false`: there is nothing to wait for, the connection is over.
    fn wait(&self, cx: &Context<'_>) -> bool {
        if self.session.over.get().is_some() {
            return false;
        }
        let mut waiting = self.session.waiting.borrow_mut();
        match waiting.get_mut(&self.id) {
            Some(known) if known.will_wake(cx.waker()) => {}
            Some(known) => known.clone_from(cx.waker()),
            None => drop(waiting.insert(self.id, cx.waker().clone())),
        }
        true
    }
}

impl Drop for H2 {
    fn drop(&mut self) {
        self.session.waiting.borrow_mut().remove(&self.id);
        let mut codec = self.session.codec.borrow_mut();
        let code = match (codec.is_written(self.id), self.session.role) {
            (true, _) => None,
            // What was cut must look cut.
            (false, Role::Server) => Some(ErrorCode::INTERNAL_ERROR),
            (false, Role::Client) => Some(ErrorCode::CANCEL),
        };
        codec.release(self.id, code);
        drop(codec);
        self.session.wake_driver();
    }
}

fn reset(code: ErrorCode) -> io::Error {
    // A stream that the peer has not looked at may be tried again as if it had never been sent.
    let kind = match code {
        ErrorCode::REFUSED_STREAM => io::ErrorKind::ConnectionRefused,
        _ => io::ErrorKind::ConnectionReset,
    };
    kind.into()
}
