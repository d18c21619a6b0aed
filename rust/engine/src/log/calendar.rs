//! Instants as the log writes them, worked out once a second on each thread.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{number::push_three, zone};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `21/Nov/2026:04:00:00 +0000`, in local time, as nginx's `$time_local`.
pub(super) fn push_local(time: SystemTime, out: &mut Vec<u8>) {
    let (second, _) = since_epoch(time);
    LOCAL.with_borrow_mut(|(known, text)| {
        if *known != second {
            *known = second;
            *text = local(second as i64, zone::offset(second as i64));
        }
        out.extend_from_slice(text);
    });
}

/// `2026-11-21T04:00:00.123Z` (RFC 3339), in UTC.
pub(super) fn push_utc(time: SystemTime, out: &mut Vec<u8>) {
    let (second, millisecond) = since_epoch(time);
    UTC.with_borrow_mut(|(known, text)| {
        if *known != second {
            *known = second;
            *text = utc(second as i64);
        }
        out.extend_from_slice(text);
    });
    out.push(b'.');
    push_three(millisecond, out);
    out.push(b'Z');
}

/// Whole seconds since 1970, and the milliseconds beyond. Before 1970 there are no requests.
pub(super) fn since_epoch(time: SystemTime) -> (u64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs(), since.subsec_millis())
}

/// Year, month and day of the day that is `days` after 1970-01-01, in the Gregorian calendar.
pub(super) fn date(days: i64) -> (i64, u32, u32) {
    // Years begin in March here, so that the leap day is a year's last; 400 years have 146097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

thread_local! {
    static LOCAL: RefCell<(u64, [u8; 26])> = const { RefCell::new((u64::MAX, [0; 26])) };
    static UTC: RefCell<(u64, [u8; 19])> = const { RefCell::new((u64::MAX, [0; 19])) };
}

fn local(second: i64, offset: i32) -> [u8; 26] {
    let mut text = *b"dd/Mmm/yyyy:hh:mm:ss +hhmm";
    let shifted = second + i64::from(offset);
    let (year, month, day) = date(shifted.div_euclid(86_400));
    two(&mut text[0..2], day);
    text[3..6].copy_from_slice(MONTHS[month as usize - 1]);
    two(&mut text[7..9], (year / 100) as u32);
    two(&mut text[9..11], (year % 100) as u32);
    clock(&mut text[12..20], shifted);
    text[21] = if offset < 0 { b'-' } else { b'+' };
    two(&mut text[22..24], offset.unsigned_abs() / 3600);
    two(&mut text[24..26], offset.unsigned_abs() / 60 % 60);
    text
}

fn utc(second: i64) -> [u8; 19] {
    let mut text = *b"yyyy-mm-ddThh:mm:ss";
    let (year, month, day) = date(second.div_euclid(86_400));
    two(&mut text[0..2], (year / 100) as u32);
    two(&mut text[2..4], (year % 100) as u32);
    two(&mut text[5..7], month);
    two(&mut text[8..10], day);
    clock(&mut text[11..19], second);
    text
}

fn clock(text: &mut [u8], second: i64) {
    let of_day = second.rem_euclid(86_400) as u32;
    two(&mut text[0..2], of_day / 3600);
    two(&mut text[3..5], of_day / 60 % 60);
    two(&mut text[6..8], of_day % 60);
}

fn two(text: &mut [u8], number: u32) {
    text[0] = b'0' + (number / 10 % 10) as u8;
    text[1] = b'0' + (number % 10) as u8;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_are_written_as_rfc_3339() {
        let mut out = Vec::new();
        push_utc(UNIX_EPOCH + Duration::from_millis(1_795_233_600_123), &mut out);
        assert_eq!(out, b"2026-11-21T04:00:00.123Z");
        out.clear();
        push_utc(UNIX_EPOCH + Duration::from_millis(1_709_251_199_007), &mut out);
        assert_eq!(out, b"2024-02-29T23:59:59.007Z");
    }

    #[test]
    fn local_time_carries_its_offset() {
        assert_eq!(&local(1_795_233_600, 0), b"21/Nov/2026:04:00:00 +0000");
        assert_eq!(&local(1_795_233_600, 19_800), b"21/Nov/2026:09:30:00 +0530");
        assert_eq!(&local(1_795_233_600, -18_000), b"20/Nov/2026:23:00:00 -0500");
    }

    #[test]
    fn dates_follow_one_another_for_four_hundred_years() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(date(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                4 | 6 | 9 | 11 => 30,
                2 if leap => 29,
                2 => 28,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
