//! Accounts that pay for calls: an estimate is reserved on all of them, then what the call really took is settled.
//!
//! **Admission.** A call is let in where `spent + reserved + amount ≤ limit` holds on each of its accounts, and then
//! holds its amounts on all of them; where one can't pay, none holds anything. So while calls take no more than was
//! reserved for them, an account is never overspent, however many run at once; else it is overspent by no more than
//! the calls in flight took beyond their reservations, and nobody is let in after that.
//!
//! **Windows.** Tokens and money are booked into the window in which the call *settles*, the moment that its usage
//! record bears, so that an account equals the sum of the records of its window. What is reserved is carried
//! into a new window, for that is where it will be booked. A *request* is counted in the window in which it was let in
//! (a limit on requests is a limit on how fast they begin), and a call that is dropped unsettled counts nowhere.

mod reservation;
mod state;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

pub use reservation::Reservation;
use reservation::{Held, Later};
use state::Account;
pub use window::Window;

/// What an account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Calls, when they are let in.
    Requests,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Both.
    Tokens,
    /// Picodollars.
    Usd,
    /// Calls in flight: one each, as long as it runs.
    InFlight,
}

/// One limit or budget, as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSpec {
    /// Unique among accounts. State is carried over to the account of the same name, metric and window.
    pub name: String,
    /// What is counted.
    pub metric: Metric,
    /// The most in one window: requests, tokens, picodollars, or calls in flight.
    pub limit: u64,
    /// When it begins again; [`Window::None`] for calls in flight.
    pub window: Window,
    /// What was spent before: any moment of the window (milliseconds since 1970), and how much. An account whose state
    /// is carried over knows better, and leaves this aside.
    pub opening: Option<(u64, u64)>,
}

/// What one call takes, estimated or actual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// 1, or 0 for a call that is not to be counted.
    pub requests: u64,
    /// Tokens.
    pub input: u64,
    /// Tokens.
    pub output: u64,
    /// Picodollars; `None` where the price is not known. Such a call needs an account with something left, holds
    /// nothing on it, and books nothing.
    pub usd: Option<u64>,
}

/// An account that can't pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Its index. Where several can't pay: the one that will be able to last.
    pub account: u32,
    /// What it counts.
    pub metric: Metric,
    /// The most in one window.
    pub limit: u64,
    /// What was spent in this window.
    pub spent: u64,
    /// What calls in flight hold.
    pub reserved: u64,
    /// What the call would have held. More than `limit` never passes.
    pub asked: u64,
    /// When the window ends, in milliseconds since 1970; `None` for accounts without windows. Calls in flight that end
    /// may give something back earlier.
    pub resets_at_ms: Option<u64>,
}

/// What one account has, for header fields and the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The most in one window.
    pub limit: u64,
    /// What was spent in this window.
    pub spent: u64,
    /// What calls in flight hold.
    pub reserved: u64,
    /// When the window ends, in milliseconds since 1970; `None` for accounts without windows.
    pub resets_at_ms: Option<u64>,
}

/// All accounts of a plan. Workers share them, and so do plans: a call that was let in under an old plan settles into the
/// same state that the new plan sees.
#[derive(Clone, Debug)]
pub struct Accounts {
    entries: Arc<[Entry]>,
}

/// The limit belongs to the plan, the state to every plan that names it.
#[derive(Debug)]
struct Entry {
    limit: u64,
    account: Arc<Account>,
}

impl Accounts {
    /// Accounts in the order of `specs`, whose places are their indices. State comes from `before` where the name, the
    /// metric and the window are the same; a changed limit holds from the next call on.
    pub fn new(specs: &[AccountSpec], before: Option<&Accounts>) -> Self {
        let known: HashMap<&str, &Arc<Account>> = before
            .map(|before| before.entries.iter().map(|entry| (entry.account.name(), &entry.account)).collect())
            .unwrap_or_default();
        let entries = specs.iter().map(|spec| {
            let same = known.get(spec.name.as_str()).filter(|account| account.means(spec));
            Entry {
                limit: spec.limit,
                account: same.map_or_else(|| Arc::new(Account::new(spec)), |&same| Arc::clone(same)),
            }
        });
        Self { entries: entries.collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Holds `amounts` on all accounts `which`, or on none. An index that is named twice counts once; one that does
    /// not exist counts as not named.
    ///
    /// Others may have back what is held from `until_ms` on (rounded up by at most ten seconds): a call that hangs for
    /// ever must not block an account for ever. Give a moment at which the call can't run any more. Settling
    /// after it still books the actual amounts. Times are milliseconds since 1970.
    pub fn reserve(
        &self,
        which: &[u32],
        amounts: &Amounts,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Reservation, Exhausted> {
        let mut held: Vec<Held> = Vec::with_capacity(which.len());
        held.extend(
            which.iter().filter(|&&index| self.entry(index).is_some()).map(|&index| Held::none(index)),
        );
        // Accounts are always locked in the order of their ids, which is the same in every plan.
        held.sort_unstable_by_key(|held| self.id(held.account));
        held.dedup_by_key(|held| self.id(held.account));

        let mut locked = Vec::with_capacity(held.len());
        let mut refusal = Later::default();
        for held in &held {
            let Some(entry) = self.entry(held.account) else { continue };
            let sums = entry.account.lock(now_ms);
            let asked = amounts.of(entry.account.metric());
            if !sums.fits(entry.limit, asked.unwrap_or(1)) {
                refusal.offer(entry.exhausted(held.account, &sums, asked.unwrap_or(0)));
            }
            locked.push((sums, asked.unwrap_or(0), entry.account.metric()));
        }
        if let Some(exhausted) = refusal.take() {
            return Err(exhausted);
        }
        for (held, (sums, amount, metric)) in held.iter_mut().zip(&mut locked) {
            sums.take(held, *metric, *amount, until_ms);
        }
        drop(locked);
        Ok(Reservation::new(Arc::clone(&self.entries), held))
    }

    /// Books what was spent elsewhere: an account's name, a moment, and how much. What was spent in a window that is over, or on an
    /// account that is not here, is passed over. Times are milliseconds since 1970.
    pub fn book(&self, spent: &[(String, u64, u64)], now_ms: u64) {
        let known: HashMap<&str, &Arc<Account>> =
            self.entries.iter().map(|entry| (entry.account.name(), &entry.account)).collect();
        for (name, at_ms, amount) in spent {
            if let Some(account) = known.get(name.as_str()) {
                account.book(*at_ms, *amount, now_ms);
            }
        }
    }

    /// What one account has at `now_ms`; `None` for an index that does not exist.
    pub fn view(&self, index: u32, now_ms: u64) -> Option<View> {
        let entry = self.entry(index)?;
        let sums = entry.account.lock(now_ms);
        Some(View {
            limit: entry.limit,
            spent: sums.spent(),
            reserved: sums.reserved(),
            resets_at_ms: sums.resets_at_ms(),
        })
    }

    fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)
    }

    fn id(&self, index: u32) -> u64 {
        self.entry(index).map_or(0, |entry| entry.account.id())
    }
}

impl Amounts {
    /// What of them a metric counts; `None` where that is not known.
    fn of(&self, metric: Metric) -> Option<u64> {
        match metric {
            Metric::Requests => Some(self.requests),
            Metric::InputTokens => Some(self.input),
            Metric::OutputTokens => Some(self.output),
            Metric::Tokens => Some(self.input.saturating_add(self.output)),
            Metric::Usd => self.usd,
            Metric::InFlight => Some(1),
        }
    }
}

impl Entry {
    fn exhausted(&self, account: u32, sums: &state::Sums, asked: u64) -> Exhausted {
        Exhausted {
            account,
            metric: self.account.metric(),
            limit: self.limit,
            spent: sums.spent(),
            reserved: sums.reserved(),
            asked,
            resets_at_ms: sums.resets_at_ms(),
        }
    }
}
