//! Durations and dates as header fields write them.

use std::fmt;

/// A count; some write it as `150000.0`.
pub(super) fn count(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| millis(text, 1.0))
}

/// A number times `scale`, in whole milliseconds; `None` for what is no number of 0 or more.
pub(super) fn millis(text: &str, scale: f64) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    // The cast saturates.
    (number.is_finite() && number >= 0.0).then_some((number * scale).round() as u64)
}

/// Milliseconds until a limit is full again: a duration (`6m0s`, `20ms`), seconds, a time (RFC 3339), or seconds or
/// milliseconds since 1970, which are told by their size.
pub(super) fn until(text: &str, now: u64) -> Option<u64> {
    /// More seconds than any window has (1.5 years), and fewer than have passed since 1970.
    const EPOCH_SECONDS: u64 = 50_000_000;
    /// The same in milliseconds: as seconds it would be the year 3555.
    const EPOCH_MILLIS: u64 = 50_000_000_000;
    if let Some(ms) = millis(text, 1000.0) {
        let seconds = ms / 1000;
        return Some(match seconds {
            ..EPOCH_SECONDS => ms,
            EPOCH_SECONDS..EPOCH_MILLIS => ms.saturating_sub(now.saturating_mul(1000)),
            EPOCH_MILLIS.. => seconds.saturating_sub(now.saturating_mul(1000)),
        });
    }
    duration(text).or_else(|| Some(rfc3339(text)?.saturating_sub(now.saturating_mul(1000))))
}

/// Go's form: numbers with units, `1h2m3.5s`, in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let scale = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 6e4,
            "h" => 36e5,
            "d" => 864e5,
            _ => return None,
        };
        sum = sum.saturating_add(millis(number, scale)?);
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

/// `2026-11-21T08:00:30.25+01:00` in milliseconds since 1970.
fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|field| field.parse::<u32>().ok());
    let days = days(date.next()??, date.next()??, date.next()??)?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds = clock(time)?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let offset = match zone.split_at_checked(1)? {
        ("+", zone) => i64::try_from(clock(zone)?).ok()?,
        ("-", zone) => -i64::try_from(clock(zone)?).ok()?,
        (_, "") => 0,
        _ => return None,
    };
    let seconds = days.checked_mul(86_400)?.checked_add(seconds)?.checked_add_signed(-offset)?;
    seconds.checked_mul(1000)?.checked_add(millis(&fraction.to_string(), 1000.0)?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7, the form that must be sent) in seconds since 1970.
pub(super) fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut fields = rest.split_ascii_whitespace();
    let day = fields.next()?.parse().ok()?;
    let name = fields.next()?;
    let month = MONTHS.iter().zip(1u32..).find(|(month, _)| **month == name)?.1;
    let year = fields.next()?.parse().ok()?;
    let seconds = clock(fields.next()?)?;
    let zone = fields.next()?;
    (zone == "GMT").then_some(days(year, month, day)?.checked_mul(86_400)?.checked_add(seconds)?)
}

/// `08:49:37`, or without the seconds, in seconds.
fn clock(text: &str) -> Option<u64> {
    let mut fields = text.splitn(3, ':').map(|field| field.parse::<u64>().ok().filter(|value| *value <= 60));
    let (hours, minutes) = (fields.next()??, fields.next()??);
    let seconds = fields.next().unwrap_or(Some(0))?;
    (hours < 24).then_some(hours * 3_600 + minutes * 60 + seconds)
}

/// Days from 1970 to a day of the Gregorian calendar, which is counted in years that begin in March.
fn days(year: u32, month: u32, day: u32) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year / 4 - year / 100 + year / 400;
    // 719,468 days lie between March of the year 0 and January of 1970.
    Some(u64::from(before + (153 * month + 2) / 5 + day - 1 - 719_468))
}

/// Seconds since 1970, written as `2026-11-21T08:00:30Z`.
pub(super) struct Rfc3339(pub u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The year 9999 is the last with four digits.
        let seconds = self.0.min(253_402_300_799);
        let (day, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let date = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
        write!(f, "{year:04}-{month:02}-{date:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
    }
}

/// Milliseconds, written in Go's form: `6m0s`, `1.5s`, `250ms`.
pub(super) struct Duration(pub u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        if ms < 1_000 {
            return if ms == 0 { f.write_str("0s") } else { write!(f, "{ms}ms") };
        }
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if ms >= 60_000 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}", seconds / 1_000)?;
        match seconds % 1_000 {
            0 => {}
            part if part % 100 == 0 => write!(f, ".{}", part / 100)?,
            part if part % 10 == 0 => write!(f, ".{:02}", part / 10)?,
            part => write!(f, ".{part:03}")?,
        }
        f.write_str("s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_with_zones_and_fractions() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("2000-02-29T12:00:00Z"), Some(951_825_600_000));
        assert_eq!(rfc3339("2026-11-21T09:00:00.25+01:00"), rfc3339("2026-11-21T08:00:00.25Z"));
        assert_eq!(rfc3339("2026-13-21T08:00:00Z"), None);
        assert_eq!(rfc3339("2026-11-21"), None);
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for (ms, text) in
            [(0, "0s"), (250, "250ms"), (1_500, "1.5s"), (360_000, "6m0s"), (3_600_000, "1h0m0s")]
        {
            assert_eq!(Duration(ms).to_string(), text);
        }
        assert_eq!(duration("1h2m3.5s"), Some(3_723_500));
        assert_eq!(duration("12"), None);
    }

    proptest! {
        #[test]
        fn durations_and_times_survive_writing_and_reading(ms in 0u64..1_000_000_000, seconds in 0u64..253_402_300_799) {
            prop_assert_eq!(duration(&Duration(ms).to_string()), Some(ms));
            prop_assert_eq!(rfc3339(&Rfc3339(seconds).to_string()), Some(seconds * 1000));
        }
    }
}
