//! When an account begins again, in UTC: the first and the last moment of the window that a moment is in.

/// When an account begins again (UTC; a week begins on Monday, as ISO 8601 has it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// Never.
    None,
    /// Each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day.
    Day,
    /// Each week.
    Week,
    /// Each month of the Gregorian calendar.
    Month,
}

impl Window {
    /// The window that `at_ms` is in: its first moment, and the first that is no longer in it, both in milliseconds since
    /// 1970. The week in which 1970 began is cut off at its beginning; what is too late for 64 bits ends at `u64::MAX`.
    pub fn bounds(self, at_ms: u64) -> (u64, u64) {
        let day = at_ms / DAY_MS;
        match self {
            Window::None => (0, u64::MAX),
            Window::Minute => every(MINUTE_MS, at_ms),
            Window::Hour => every(HOUR_MS, at_ms),
            Window::Day => every(DAY_MS, at_ms),
            Window::Week => {
                // The first day of 1970 was a Thursday, three days after a Monday.
                let into = (day + 3) % 7;
                days(day.saturating_sub(into), day + 7 - into)
            }
            Window::Month => {
                let (first, next) = month(day + DAYS_BEFORE_1970);
                days(first - DAYS_BEFORE_1970, next - DAYS_BEFORE_1970)
            }
        }
    }
}

fn every(length: u64, at_ms: u64) -> (u64, u64) {
    let first = at_ms - at_ms % length;
    (first, first.saturating_add(length))
}

fn days(first: u64, next: u64) -> (u64, u64) {
    (first.saturating_mul(DAY_MS), next.saturating_mul(DAY_MS))
}

/// The month that a day is in: its first day and the next month's. Days are counted from 1 March of the year 0, so that the
/// leap day is the last of its year and every year's months begin at the same places.
fn month(day: u64) -> (u64, u64) {
    let mut year = day * 400 / DAYS_IN_400_YEARS;
    // The estimate is off by one at most, near the turn of a year.
    while year_start(year) > day {
        year -= 1;
    }
    while year_start(year + 1) <= day {
        year += 1;
    }
    let start = year_start(year);
    let index = MONTH_STARTS.partition_point(|&first| first <= day - start) - 1;
    let next = MONTH_STARTS.get(index + 1).map_or_else(|| year_start(year + 1), |&next| start + next);
    (start + MONTH_STARTS[index], next)
}

/// The first of March of a year: its leap day, if it had one, is just over.
fn year_start(year: u64) -> u64 {
    year * 365 + year / 4 - year / 100 + year / 400
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const DAYS_IN_400_YEARS: u64 = 146_097;
/// From 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// March, April … February: days before each since 1 March.
const MONTH_STARTS: [u64; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];
