//! HTTP/2 connections of one worker to one endpoint: shared by its requests, each of which is a stream.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::{Rc, Weak},
    task::Poll,
};

use tidegate_http2::{Role, Settings};
use tokio::sync::Notify;

use crate::{
    gates::Permit,
    io::{
        Stream,
        h2::{Driver, H2, Session, Turn},
    },
    worker::Worker,
};

/// How long a connection may have something to say that the endpoint does not take.
const SEND_MS: u32 = 30_000;

/// Reads in a row before other connections have their turn.
const TURNS_MOST: u32 = 16;

/// The connections that are open, and whether another is on its way.
#[derive(Debug, Default)]
pub struct Sessions {
    open: RefCell<Vec<Rc<Session>>>,
    /// One is being opened; whoever needs one waits for it instead of opening another.
    opening: Cell<bool>,
    opened: Notify,
    /// The endpoint was asked which protocol it speaks, and it was HTTP/1.1.
    old: Cell<bool>,
}

/// The right to open a connection; others wait until it is dropped.
#[derive(Debug)]
pub struct Opening<'a>(&'a Sessions);

impl Sessions {
    /// A stream on a connection that has room.
    pub fn stream(&self) -> Option<H2> {
        self.open.borrow().iter().find_map(Session::open)
    }

    /// Whether the endpoint is known to speak HTTP/1.1 only.
    pub fn is_old(&self) -> bool {
        self.old.get()
    }

    /// The endpoint chose HTTP/1.1.
    pub fn found_old(&self) {
        self.old.set(true);
    }

    /// The right to open a connection; `None` while somebody else does.
    pub fn begin(&self) -> Option<Opening<'_>> {
        // Made only where it is given: dropping one says that the opening is over.
        (!self.opening.replace(true)).then(|| Opening(self))
    }

    /// Until somebody has opened a connection, or has failed to.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Takes over a connection that speaks HTTP/2 and serves it until it is not needed any more. `idle_ms`: how
    /// long it may be without a stream, 0 for ever.
    pub fn add(self: &Rc<Self>, worker: &Rc<Worker>, stream: Stream, idle_ms: u32, permit: Option<Permit>) {
        let settings = Settings { scheme_https: stream.is_secure(), ..Settings::default() };
        let driver = Driver::new(Role::Client, settings, stream);
        self.open.borrow_mut().push(driver.session.clone());
        tokio::task::spawn_local(drive(worker.clone(), driver, Rc::downgrade(self), idle_ms, permit));
    }

    fn forget(&self, session: &Rc<Session>) {
        self.open.borrow_mut().retain(|open| !Rc::ptr_eq(open, session));
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.opened.notify_waiters();
    }
}

/// Reads and writes for a connection until it ends, is idle for too long, or its endpoint is of no plan any more.
async fn drive(
    worker: Rc<Worker>,
    mut driver: Driver,
    sessions: Weak<Sessions>,
    idle_ms: u32,
    permit: Option<Permit>,
) {
    let deadline = worker.timers.deadline();
    let mut waits = None;
    poll_fn(|cx| {
        let mut turns = 0;
        loop {
            let turn = {
                let mut scratch = worker.scratch.borrow_mut();
                driver.poll_turn(cx, &mut scratch, || worker.look_at_clock())
            };
            let streams = driver.session.streams();
            match turn {
                Turn::Over(_) => return Poll::Ready(()),
                Turn::Moved if turns < TURNS_MOST => {
                    turns += 1;
                    waits = None;
                    continue;
                }
                Turn::Moved => cx.waker().wake_by_ref(),
                Turn::Idle | Turn::Blocked => {
                    let milliseconds = match (turn, streams) {
                        (Turn::Blocked, _) => SEND_MS,
                        (_, 0) => idle_ms,
                        _ => 0,
                    };
                    if waits.replace(milliseconds) != Some(milliseconds) {
                        deadline.set(milliseconds);
                    }
                    let unwanted = streams == 0 && sessions.strong_count() == 0;
                    if unwanted || deadline.poll_passed(cx) {
                        driver.session.announce_end();
                        return Poll::Ready(());
                    }
                }
            }
            return Poll::Pending;
        }
    })
    .await;
    if let Some(sessions) = sessions.upgrade() {
        sessions.forget(&driver.session);
    }
    driver.shut();
    drop(permit);
}
