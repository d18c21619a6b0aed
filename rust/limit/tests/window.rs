//! Windows: against a table, and against the civil arithmetic of the `time` crate.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use proptest::prelude::*;
use tidegate_limit::Window;
use time::{Date, Duration, Month, OffsetDateTime, Time, Weekday};

fn ms(year: i32, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> u64 {
    let date = Date::from_calendar_date(year, Month::try_from(month).unwrap(), day).unwrap();
    at(date, Time::from_hms(hour, minute, second).unwrap())
}

fn at(date: Date, time: Time) -> u64 {
    u64::try_from(date.with_time(time).assume_utc().unix_timestamp_nanos() / 1_000_000).unwrap()
}

#[test]
fn windows_begin_and_end_where_the_calendar_says() {
    let day = |year, month, day| ms(year, month, day, 0, 0, 0);
    let table = [
        (ms(2024, 2, 29, 12, 34, 56), Window::Minute, ms(2024, 2, 29, 12, 34, 0), ms(2024, 2, 29, 12, 35, 0)),
        (ms(2024, 2, 29, 23, 59, 59), Window::Hour, ms(2024, 2, 29, 23, 0, 0), day(2024, 3, 1)),
        (ms(2024, 2, 29, 12, 0, 0), Window::Day, day(2024, 2, 29), day(2024, 3, 1)),
        (ms(2024, 2, 29, 12, 0, 0), Window::Month, day(2024, 2, 1), day(2024, 3, 1)),
        (day(2023, 2, 28), Window::Month, day(2023, 2, 1), day(2023, 3, 1)),
        (day(2000, 2, 29), Window::Month, day(2000, 2, 1), day(2000, 3, 1)),
        (day(2100, 2, 28), Window::Month, day(2100, 2, 1), day(2100, 3, 1)),
        (day(2025, 12, 31), Window::Month, day(2025, 12, 1), day(2026, 1, 1)),
        (day(2026, 1, 1), Window::Month, day(2026, 1, 1), day(2026, 2, 1)),
        // A Sunday, and the Monday after it, across a turn of the year.
        (ms(2024, 12, 29, 23, 59, 59), Window::Week, day(2024, 12, 23), day(2024, 12, 30)),
        (day(2024, 12, 30), Window::Week, day(2024, 12, 30), day(2025, 1, 6)),
        (0, Window::Month, 0, day(1970, 2, 1)),
        (0, Window::Week, 0, day(1970, 1, 5)),
        (day(1970, 1, 5), Window::Week, day(1970, 1, 5), day(1970, 1, 12)),
        (123, Window::None, 0, u64::MAX),
    ];
    for (at, window, first, next) in table {
        assert_eq!(window.bounds(at), (first, next), "{window:?} of {at}");
    }
}

#[test]
fn the_last_moments_of_64_bits_have_windows_too() {
    for window in [Window::Minute, Window::Hour, Window::Day, Window::Week, Window::Month] {
        let (first, next) = window.bounds(u64::MAX);
        assert!(first < next && next == u64::MAX, "{window:?}: {first} {next}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn windows_agree_with_another_calendar(at_ms in 345_600_000u64..250_000_000_000_000) {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000).unwrap();
        let date = moment.date();
        let day = |date| at(date, Time::MIDNIGHT);
        prop_assert_eq!(Window::Day.bounds(at_ms), (day(date), day(date + Duration::DAY)));
        let mut monday = date;
        while monday.weekday() != Weekday::Monday {
            monday = monday.previous_day().unwrap();
        }
        prop_assert_eq!(Window::Week.bounds(at_ms), (day(monday), day(monday + Duration::WEEK)));
        let first = date.replace_day(1).unwrap();
        let next = (first + Duration::days(31)).replace_day(1).unwrap();
        prop_assert_eq!(Window::Month.bounds(at_ms), (day(first), day(next)));
        let hour = at(date, Time::from_hms(moment.hour(), 0, 0).unwrap());
        prop_assert_eq!(Window::Hour.bounds(at_ms), (hour, hour + 3_600_000));
        let minute = hour + u64::from(moment.minute()) * 60_000;
        prop_assert_eq!(Window::Minute.bounds(at_ms), (minute, minute + 60_000));
    }

    #[test]
    fn windows_lie_side_by_side(at_ms: u64) {
        for window in [Window::Minute, Window::Hour, Window::Day, Window::Week, Window::Month] {
            let (first, next) = window.bounds(at_ms);
            prop_assert!(first <= at_ms && at_ms < next || next == u64::MAX);
            prop_assert_eq!(window.bounds(first), (first, next));
            if next < u64::MAX {
                prop_assert_eq!(window.bounds(next).0, next);
                prop_assert_eq!(window.bounds(next - 1), (first, next));
            }
        }
    }
}
