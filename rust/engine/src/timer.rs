//! Deadlines that cost a store: each connection has one, and a wheel looks at it only when it might be due.
//!
//! A deadline that moves to a later time (as almost all do, once a request) is not moved in the wheel; when its old
//! place comes round, the wheel sees that it is not due and puts it where it belongs now. Only one that moves
//! to an earlier time is entered again. So a busy connection touches the wheel about once per time-out, not per request.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

/// How fine deadlines are. A deadline is never early and at most two ticks late.
pub const TICK: Duration = Duration::from_millis(50);

/// Slots of the wheel; a deadline further off than this is looked at once per turn.
const SLOTS: usize = 2048;

const NEVER: u64 = u64::MAX;

/// All deadlines of a worker.
#[derive(Debug)]
pub struct Timers {
    now: Cell<u64>,
    /// Every deadline counts as passed.
    cut: Cell<bool>,
    slots: RefCell<Vec<Vec<Rc<Entry>>>>,
    /// Entries of connections that have gone, still listed perhaps: the next connection takes one over with its
    /// place in the wheel, so that the wheel holds no more entries than there were connections at once.
    free: RefCell<Vec<Rc<Entry>>>,
}

/// The one deadline of a connection.
#[derive(Debug)]
pub struct Deadline {
    entry: Rc<Entry>,
    timers: Rc<Timers>,
}

#[derive(Debug)]
struct Entry {
    /// In ticks.
    due: Cell<u64>,
    /// The tick at which the wheel looks at it next; other places that it stands in are stale.
    listed: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Timers {
    /// A wheel with nothing in it, at tick 0.
    pub fn new() -> Self {
        Self {
            now: Cell::new(0),
            cut: Cell::new(false),
            slots: RefCell::new((0..SLOTS).map(|_| Vec::new()).collect()),
            free: RefCell::default(),
        }
    }

    /// A deadline that is not set.
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let free = self.free.borrow_mut().pop();
        let entry = free.unwrap_or_else(|| {
            Rc::new(Entry { due: Cell::new(NEVER), listed: Cell::new(NEVER), waker: RefCell::new(None) })
        });
        Deadline { entry, timers: self.clone() }
    }

    /// Moves on to `elapsed` since the start and wakes what is due.
    pub fn advance(&self, elapsed: Duration) {
        let target = (elapsed.as_millis() / TICK.as_millis()) as u64;
        while self.now.get() < target {
            let now = self.now.get() + 1;
            self.now.set(now);
            let mut turned = std::mem::take(&mut self.slots.borrow_mut()[now as usize % SLOTS]);
            for entry in turned.drain(..) {
                self.look(entry, now);
            }
            // Keep the room that the slot had.
            let slot = &mut self.slots.borrow_mut()[now as usize % SLOTS];
            if slot.is_empty() {
                *slot = turned;
            }
        }
    }

    /// Ends every wait that there is and that there will be, as if its time were over: the worker ends.
    pub fn cut(&self) {
        self.cut.set(true);
        self.wake_all();
    }

    /// Whether it has been.
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Wakes everybody who has set a deadline, be it none, so that they see that something else has changed.
    pub fn wake_all(&self) {
        for entry in self.slots.borrow().iter().flatten() {
            if let Some(waker) = entry.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    fn look(&self, entry: Rc<Entry>, now: u64) {
        if entry.listed.get() != now {
            return; // listed anew since
        }
        entry.listed.set(NEVER);
        let due = entry.due.get();
        if due <= now {
            if let Some(waker) = entry.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        } else if due != NEVER || entry.waker.borrow().is_some() {
            // Somebody who waits without a deadline stays listed, for `wake_all`.
            self.list(&entry, due);
        }
    }

    fn list(&self, entry: &Rc<Entry>, due: u64) {
        let at = due.min(self.now.get() + SLOTS as u64 - 1);
        entry.listed.set(at);
        self.slots.borrow_mut()[at as usize % SLOTS].push(entry.clone());
    }
}

impl Deadline {
    /// Sets it `milliseconds` from now; zero means never.
    pub fn set(&self, milliseconds: u32) {
        if milliseconds == 0 {
            self.entry.due.set(NEVER);
            if self.entry.listed.get() == NEVER {
                self.timers.list(&self.entry, NEVER);
            }
            return;
        }
        let ticks = u64::from(milliseconds).div_ceil(TICK.as_millis() as u64);
        let due = self.timers.now.get() + ticks + 1;
        self.entry.due.set(due);
        if due < self.entry.listed.get() {
            self.timers.list(&self.entry, due);
        }
    }

    /// Whether it has passed; if not, the task of `cx` is woken when it does.
    pub fn poll_passed(&self, cx: &mut Context<'_>) -> bool {
        if self.entry.due.get() <= self.timers.now.get() || self.timers.cut.get() {
            return true;
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        false
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.entry.due.set(NEVER);
        self.entry.waker.borrow_mut().take();
        self.timers.free.borrow_mut().push(self.entry.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(deadline: &Deadline) -> bool {
        deadline.poll_passed(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_deadline_is_never_early_and_at_most_two_ticks_late() {
        let timers = Rc::new(Timers::new());
        let deadline = timers.deadline();
        deadline.set(500);
        timers.advance(Duration::from_millis(500));
        assert!(!passed(&deadline));
        timers.advance(Duration::from_millis(600));
        assert!(passed(&deadline));
    }

    #[test]
    fn a_deadline_that_moved_later_does_not_pass_at_its_old_time() {
        let timers = Rc::new(Timers::new());
        let deadline = timers.deadline();
        deadline.set(1000);
        timers.advance(Duration::from_millis(900));
        deadline.set(1000);
        timers.advance(Duration::from_millis(1500));
        assert!(!passed(&deadline));
        timers.advance(Duration::from_millis(2100));
        assert!(passed(&deadline));
    }

    #[test]
    fn a_deadline_that_moved_earlier_wakes_at_its_new_time() {
        struct Flag(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let timers = Rc::new(Timers::new());
        let deadline = timers.deadline();
        let flag = std::sync::Arc::new(Flag(false.into()));
        let waker = Waker::from(flag.clone());
        deadline.set(300_000);
        assert!(!deadline.poll_passed(&mut Context::from_waker(&waker)));
        deadline.set(1000);
        timers.advance(Duration::from_millis(1100));
        assert!(flag.0.load(std::sync::atomic::Ordering::Relaxed));
    }

    #[test]
    fn a_deadline_further_off_than_the_wheel_is_kept() {
        let timers = Rc::new(Timers::new());
        let deadline = timers.deadline();
        deadline.set(3_600_000);
        timers.advance(Duration::from_secs(3599));
        assert!(!passed(&deadline));
        timers.advance(Duration::from_secs(3601));
        assert!(passed(&deadline));
    }

    #[test]
    fn a_cut_ends_every_wait_also_one_without_a_deadline() {
        let timers = Rc::new(Timers::new());
        let (one, other) = (timers.deadline(), timers.deadline());
        one.set(500);
        other.set(0);
        assert!(!passed(&one) && !passed(&other));
        timers.cut();
        assert!(passed(&one) && passed(&other));
        one.set(500);
        assert!(passed(&one), "nothing is waited for any more");
    }

    #[test]
    fn an_unset_deadline_never_passes() {
        let timers = Rc::new(Timers::new());
        let deadline = timers.deadline();
        deadline.set(1000);
        deadline.set(0);
        timers.advance(Duration::from_secs(10_000));
        assert!(!passed(&deadline));
    }

    #[test]
    fn a_connection_after_another_takes_its_entry_over() {
        let timers = Rc::new(Timers::new());
        for _ in 0..100_000 {
            timers.deadline().set(75_000);
        }
        let listed: usize = timers.slots.borrow().iter().map(Vec::len).sum();
        assert_eq!(listed, 1);
        let deadline = timers.deadline();
        timers.advance(Duration::from_secs(100));
        assert!(!passed(&deadline), "a deadline starts unset, whatever its entry was set to before");
    }
}
