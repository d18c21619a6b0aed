//! HTTP dates (RFC 9110 §5.6.7): three forms are read, one is written.

/// Seconds since 1970; `None` for what is no date in any of the three forms.
///
/// Days of the week are not checked against the date, and letters may be in any case: such dates are not sent on.
pub fn parse(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let comma = text.iter().position(|byte| *byte == b',');
    match comma {
        // Sun, 06 Nov 1994 08:49:37 GMT
        Some(3) => {
            let rest: &[u8; 26] = text.get(3..)?.try_into().ok()?;
            if &rest[..2] != b", " || rest[4] != b' ' || rest[8] != b' ' || rest[13] != b' ' {
                return None;
            }
            zone(&rest[22..])?;
            seconds(number(&rest[9..13])?, month(&rest[5..8])?, number(&rest[2..4])?, &rest[14..22])
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        Some(at @ 6..=9) => {
            let rest: &[u8; 24] = text.get(at..)?.try_into().ok()?;
            if &rest[..2] != b", " || rest[4] != b'-' || rest[8] != b'-' || rest[11] != b' ' {
                return None;
            }
            zone(&rest[20..])?;
            // Two digits: years from 1970 to 2069.
            let short = number(&rest[9..11])?;
            let year = if short < 70 { 2000 + short } else { 1900 + short };
            seconds(year, month(&rest[5..8])?, number(&rest[2..4])?, &rest[12..20])
        }
        // Sun Nov  6 08:49:37 1994
        None => {
            let text: &[u8; 24] = text.try_into().ok()?;
            if text[3] != b' ' || text[7] != b' ' || text[10] != b' ' || text[19] != b' ' {
                return None;
            }
            let day = number(text[8..10].trim_ascii_start())?;
            seconds(number(&text[20..])?, month(&text[4..7])?, day, &text[11..19])
        }
        _ => None,
    }
}

fn zone(text: &[u8]) -> Option<()> {
    text.eq_ignore_ascii_case(b" GMT").then_some(())
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + i64::from(digit - b'0')),
        _ => None,
    })
}

fn month(name: &[u8]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let at = MONTHS.chunks(3).position(|month| name.eq_ignore_ascii_case(month))?;
    Some(at as i64 + 1)
}

/// Days from a civil date, counted in eras of 400 years that begin in March.
fn seconds(year: i64, month: i64, day: i64, time: &[u8]) -> Option<i64> {
    if time.len() != 8 || time[2] != b':' || time[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&time[..2])?, number(&time[3..5])?, number(&time[6..])?);
    // 60 is a leap second.
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year = if month > 2 { year } else { year - 1 };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_rfc_9110_are_one_moment() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(parse(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse(b"Thu, 31 Dec 2099 23:59:59 GMT"), Some(4_102_444_799));
        assert_eq!(parse(b"Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
    }

    #[test]
    fn what_only_looks_like_a_date_is_none() {
        for text in [
            "0",
            "",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 25:01:18 GMT",
            "Thu, 18 Foo 2050 02:01:18 GMT",
            ",",
            "Thu, 18 Aug 2050",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
