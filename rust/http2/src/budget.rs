//! What a peer may do that costs us more than it, or that no honest peer does often: token buckets by name.

use crate::Reason;

/// So many at once, and so many a second after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many may come at once.
    pub burst: u32,
    /// How many are given back each second.
    pub per_second: u32,
}

/// The budgets of a connection. One that is exceeded ends it with `ENHANCE_YOUR_CALM` and its own [`Reason`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams that the peer resets before they are answered (CVE-2023-44487, Rapid Reset): each may have cost a request
    /// upstream. A browser that leaves a page resets all it has open, 100 or so.
    pub resets: Allowance,
    /// Streams that are reset here, refused or answered 431 for the peer's fault (CVE-2025-8671, MadeYouReset): the same
    /// work as above, for which the peer sends an invalid frame instead.
    pub faults: Allowance,
    /// PING frames, each of which is answered (CVE-2019-9512). gRPC measures with one per round trip while data flows.
    pub pings: Allowance,
    /// SETTINGS frames, each of which is acknowledged (CVE-2019-9515).
    pub settings: Allowance,
    /// DATA frames that bring no byte and end nothing (CVE-2019-9518).
    pub empty_frames: Allowance,
    /// PRIORITY frames (CVE-2019-9513): ignored, as RFC 9113 §5.3.2 allows. Older browsers send a handful.
    pub priorities: Allowance,
    /// WINDOW_UPDATE frames beyond those that the DATA sent here explains.
    pub window_updates: Allowance,
    /// Frames of types that are not known: ignored (RFC 9113 §5.5), sent by clients to keep servers honest.
    pub unknown_frames: Allowance,
    /// DATA, HEADERS and RST_STREAM on streams that are closed: what was under way when a stream was reset here.
    pub stray_frames: Allowance,
    /// CONTINUATION frames in one field block (CVE-2024-27316 and its family). Blocks of any size that is taken fit.
    pub continuations: u32,
    /// Bytes of one field block as it comes, compressed.
    pub block_bytes: usize,
    /// Informational responses before the final one, for a client.
    pub interims: u32,
    /// Bytes of answers (to PING, to SETTINGS, of faults) that may wait in the output beside messages, for a peer that asks
    /// and does not read (CVE-2019-9517).
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let allowance = |burst, per_second| Allowance { burst, per_second };
        Self {
            resets: allowance(200, 20),
            faults: allowance(100, 10),
            pings: allowance(200, 50),
            settings: allowance(20, 2),
            empty_frames: allowance(100, 10),
            priorities: allowance(500, 50),
            window_updates: allowance(1000, 100),
            unknown_frames: allowance(100, 10),
            stray_frames: allowance(1000, 200),
            continuations: 16,
            block_bytes: 64 * 1024,
            interims: 16,
            output_bytes: 512 * 1024,
        }
    }
}

/// How far one budget has been used, in GCRA form: the time at which it is whole again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    whole_at: u64,
}

impl Bucket {
    /// Takes one; `false` where there is none left.
    fn take(&mut self, allowance: Allowance, now: u64) -> bool {
        let interval = 1_000_000_000 / u64::from(allowance.per_second.max(1));
        let whole_at = self.whole_at.max(now).saturating_add(interval);
        if whole_at - now > interval.saturating_mul(u64::from(allowance.burst)) {
            return false;
        }
        self.whole_at = whole_at;
        true
    }
}

/// The state of all budgets of one connection.
#[derive(Debug)]
pub(crate) struct Budgets {
    limits: Limits,
    buckets: [Bucket; KINDS],
    /// WINDOW_UPDATEs that DATA sent here explains and that have not come yet.
    earned: u32,
}

const KINDS: usize = 9;

impl Budgets {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, buckets: [Bucket::default(); KINDS], earned: 0 }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn reset(&mut self, now: u64) -> Result<(), Reason> {
        self.take(0, self.limits.resets, Reason::Resets, now)
    }

    pub(crate) fn fault(&mut self, now: u64) -> Result<(), Reason> {
        self.take(1, self.limits.faults, Reason::Faults, now)
    }

    pub(crate) fn ping(&mut self, now: u64) -> Result<(), Reason> {
        self.take(2, self.limits.pings, Reason::Pings, now)
    }

    pub(crate) fn settings(&mut self, now: u64) -> Result<(), Reason> {
        self.take(3, self.limits.settings, Reason::SettingsFrames, now)
    }

    pub(crate) fn empty_frame(&mut self, now: u64) -> Result<(), Reason> {
        self.take(4, self.limits.empty_frames, Reason::EmptyFrames, now)
    }

    pub(crate) fn priority(&mut self, now: u64) -> Result<(), Reason> {
        self.take(5, self.limits.priorities, Reason::Priorities, now)
    }

    pub(crate) fn unknown_frame(&mut self, now: u64) -> Result<(), Reason> {
        self.take(6, self.limits.unknown_frames, Reason::UnknownFrames, now)
    }

    pub(crate) fn stray_frame(&mut self, now: u64) -> Result<(), Reason> {
        self.take(7, self.limits.stray_frames, Reason::StrayFrames, now)
    }

    pub(crate) fn window_update(&mut self, now: u64) -> Result<(), Reason> {
        if self.earned > 0 {
            self.earned -= 1;
            return Ok(());
        }
        self.take(8, self.limits.window_updates, Reason::WindowUpdates, now)
    }

    /// A DATA frame was sent: the peer may tell of it on the stream and on the connection, in two steps each.
    pub(crate) fn sent_data(&mut self) {
        self.earned = self.earned.saturating_add(4).min(1 << 16);
    }

    fn take(&mut self, kind: usize, allowance: Allowance, reason: Reason, now: u64) -> Result<(), Reason> {
        if self.buckets[kind].take(allowance, now) { Ok(()) } else { Err(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_budget_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::default();
        let allowance = Allowance { burst: 3, per_second: 2 };
        let start = 7 * SECOND;
        assert!((0..3).all(|_| bucket.take(allowance, start)));
        assert!(!bucket.take(allowance, start));
        assert!(bucket.take(allowance, start + SECOND / 2));
        assert!(!bucket.take(allowance, start + SECOND / 2));
        assert!((0..3).all(|_| bucket.take(allowance, start + 10 * SECOND)));
        assert!(!bucket.take(allowance, start + 10 * SECOND));
    }

    #[test]
    fn window_updates_are_explained_by_data() {
        let mut budgets = Budgets::new(Limits {
            window_updates: Allowance { burst: 1, per_second: 1 },
            ..Limits::default()
        });
        budgets.sent_data();
        assert!((0..5).all(|_| budgets.window_update(0).is_ok()));
        assert_eq!(budgets.window_update(0), Err(Reason::WindowUpdates));
    }
}
