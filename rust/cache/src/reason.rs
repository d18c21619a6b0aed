//! Why a request was answered as it was: the names that Cache-Status, logs, metrics and tests have in common.

/// How a request on a cached route was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// From the store.
    Hit,
    /// From the store, though stale: a new answer is fetched beside.
    Stale,
    /// From the store, though stale: the origin failed.
    StaleError,
    /// From the store, after the origin said that it still holds.
    Revalidated,
    /// From what another request was fetching.
    Joined,
    /// From the origin: nothing that would do was kept.
    Miss,
    /// From the origin: what was kept had to be asked about, and has changed.
    Expired,
    /// From the origin, beside the store.
    Pass,
    /// Not at all: the client wanted it only from the store.
    Refused,
}

impl Outcome {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::StaleError => "stale_error",
            Self::Revalidated => "revalidated",
            Self::Joined => "joined",
            Self::Miss => "miss",
            Self::Expired => "expired",
            Self::Pass => "pass",
            Self::Refused => "refused",
        }
    }

    /// All of them, in the order in which metrics print them.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Stale,
        Self::StaleError,
        Self::Revalidated,
        Self::Joined,
        Self::Miss,
        Self::Expired,
        Self::Pass,
        Self::Refused,
    ];
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a request went to the origin, or its answer was not kept.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// As Cache-Status, logs and metrics name it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

reasons! {
    /// Nothing is kept under the key.
    UriMiss = "uri_miss",
    /// Other variants are kept under the key.
    VaryMiss = "vary_miss",
    /// Only a part of what was asked for is kept.
    Partial = "partial",
    /// What is kept is stale.
    Stale = "stale",
    /// What is kept may not be given without asking.
    NoCache = "no_cache",
    /// The request wants the origin's word.
    RequestNoCache = "request_no_cache",
    /// The request forbids storing.
    RequestNoStore = "request_no_store",
    /// The request has a condition that only the origin can answer.
    Precondition = "precondition",
    /// The request asks for ranges that are not kept.
    Range = "range",
    /// The method is not one that is kept.
    Method = "method",
    /// The request has a body.
    RequestBody = "request_body",
    /// The connection is to become another protocol.
    Upgrade = "upgrade",
    /// A `bypass` of the route holds.
    Bypass = "bypass",
    /// The answer to this was seen not to be one that can be kept, a short while ago.
    HitForPass = "hit_for_pass",
    /// Who fetched the same took too long.
    WaitOver = "wait_over",
    /// Two keys have one hash.
    KeyCollision = "key_collision",
    /// HEAD is not kept; it is answered from what GET brought.
    Head = "head",
    /// The answer says `no-store`.
    NoStore = "no_store",
    /// The answer is for one user.
    Private = "private",
    /// The request has credentials and the answer does not say that others may have it.
    Authorization = "authorization",
    /// The answer sets cookies.
    SetCookie = "set_cookie",
    /// The answer varies with everything.
    VaryStar = "vary_star",
    /// The answer varies with more than is looked at.
    VaryTooMuch = "vary_too_much",
    /// The status is not one that is kept without the origin's word.
    Status = "status",
    /// The status is not understood, and the answer asks that it be.
    StatusNotUnderstood = "status_not_understood",
    /// The answer was stale when it came, and nothing could revive it.
    Expired = "expired",
    /// Nothing says how long the answer holds.
    NoFreshness = "no_freshness",
    /// The answer is larger than what is kept.
    TooLarge = "too_large",
    /// The fills under way hold as much memory as they may.
    FillMemory = "fill_memory",
    /// The answer's length is not known, or not what it said.
    Incomplete = "incomplete",
    /// The answer has trailers.
    Trailers = "trailers",
    /// The part that came does not fit what it says.
    BadPart = "bad_part",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
