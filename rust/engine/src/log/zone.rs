//! The local offset from UTC, from `TZ` or `/etc/localtime` (RFC 9636), for the one format that is in local time.

use std::{fs, sync::OnceLock};

use super::calendar::date;

const DAY: i64 = 86_400;

/// Seconds that local time is ahead of UTC at `second` after 1970. UTC where the zone can't be read.
pub(super) fn offset(second: i64) -> i32 {
    static ZONE: OnceLock<Zone> = OnceLock::new();
    ZONE.get_or_init(|| Zone::find(std::env::var("TZ").ok().as_deref())).offset(second)
}

/// Offsets by time: those listed, and a rule for what comes after.
#[derive(Debug, Default, PartialEq)]
struct Zone {
    before: i32,
    /// From when, and the offset.
    changes: Vec<(i64, i32)>,
    rule: Option<Rule>,
}

/// A year's rule as POSIX writes it: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Debug, PartialEq)]
struct Rule {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Debug, PartialEq)]
struct Summer {
    offset: i32,
    start: Edge,
    end: Edge,
}

/// A day of the year, and seconds of local time on it.
#[derive(Debug, PartialEq)]
struct Edge {
    day: Day,
    time: i64,
}

#[derive(Debug, PartialEq)]
enum Day {
    /// 1 to 365; the leap day is never counted.
    Julian(i64),
    /// 0 to 365.
    Zero(i64),
    /// The `week`th `weekday` (0 is Sunday) of `month`; the fifth is the last.
    Weekday { month: u32, week: i64, weekday: i64 },
}

impl Zone {
    fn find(tz: Option<&str>) -> Self {
        let name = tz.map(|name| name.strip_prefix(':').unwrap_or(name));
        let bytes = match name {
            None => fs::read("/etc/localtime"),
            Some("") => return Self::default(),
            Some(path) if path.starts_with('/') => fs::read(path),
            Some(name) => fs::read(format!("/usr/share/zoneinfo/{name}")),
        };
        let from_file = bytes.ok().and_then(|bytes| Self::parse(&bytes));
        from_file
            .or_else(|| Some(Self { rule: Some(Rule::parse(name?)?), ..Self::default() }))
            .unwrap_or_default()
    }

    /// A TZif file (RFC 9636 §3).
    fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Header::parse(bytes)?;
        if header.version == 0 {
            return Self::parse_block(bytes.get(44..)?, &header, 4, &[]);
        }
        let second = bytes.get(44 + header.block_len(4)..)?;
        let header = Header::parse(second)?;
        let footer = second.get(44 + header.block_len(8)..)?;
        Self::parse_block(second.get(44..)?, &header, 8, footer)
    }

    fn parse_block(block: &[u8], header: &Header, time_len: usize, footer: &[u8]) -> Option<Self> {
        let (times, rest) = block.split_at_checked(header.times * time_len)?;
        let (kinds, rest) = rest.split_at_checked(header.times)?;
        let records = rest.get(..header.types * 6)?;
        let offset_of = |kind: u8| {
            let record = records.get(usize::from(kind) * 6..)?;
            Some(i32::from_be_bytes(record.first_chunk().copied()?))
        };
        let mut changes = Vec::with_capacity(header.times);
        for (time, kind) in times.chunks_exact(time_len).zip(kinds) {
            let time = match time_len {
                4 => i64::from(i32::from_be_bytes(time.try_into().ok()?)),
                _ => i64::from_be_bytes(time.try_into().ok()?),
            };
            changes.push((time, offset_of(*kind)?));
        }
        let rule = std::str::from_utf8(footer).ok().and_then(|footer| Rule::parse(footer.trim_matches('\n')));
        Some(Self { before: offset_of(0)?, changes, rule })
    }

    fn offset(&self, second: i64) -> i32 {
        let passed = self.changes.partition_point(|(from, _)| *from <= second);
        match (&self.rule, passed) {
            (Some(rule), passed) if passed == self.changes.len() => rule.offset(second),
            (_, 0) => self.before,
            (_, passed) => self.changes[passed - 1].1,
        }
    }
}

struct Header {
    version: u8,
    times: usize,
    types: usize,
    /// Bytes behind the types that are of no interest, without the leap seconds.
    others: usize,
    leaps: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"TZif") {
            return None;
        }
        let count = |at: usize| {
            let four: [u8; 4] = bytes.get(20 + at * 4..)?.first_chunk().copied()?;
            // Real files have at most a few thousand of anything.
            usize::try_from(u32::from_be_bytes(four)).ok().filter(|count| *count <= 1 << 20)
        };
        let others = count(0)? + count(1)? + count(5)?;
        Some(Self { version: *bytes.get(4)?, times: count(3)?, types: count(4)?, others, leaps: count(2)? })
    }

    fn block_len(&self, time_len: usize) -> usize {
        self.times * (time_len + 1) + self.types * 6 + self.leaps * (time_len + 4) + self.others
    }
}

impl Rule {
    /// POSIX.1-2017 §8.3, with the hours beyond a day that RFC 9636 §3.3.1 allows.
    fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan(text);
        scan.name()?;
        let standard = -(scan.time()? as i32);
        if scan.0.is_empty() {
            return Some(Self { standard, summer: None });
        }
        scan.name()?;
        let offset = if scan.0.starts_with(',') { standard + 3600 } else { -(scan.time()? as i32) };
        let start = scan.edge()?;
        let end = scan.edge()?;
        scan.0.is_empty().then_some(Self { standard, summer: Some(Summer { offset, start, end }) })
    }

    fn offset(&self, second: i64) -> i32 {
        let Some(summer) = &self.summer else { return self.standard };
        let local_day = (second + i64::from(self.standard)).div_euclid(DAY);
        let (year, _, _) = date(local_day);
        // Each edge is given in the local time that ends at it.
        let start = summer.start.second(year) - i64::from(self.standard);
        let end = summer.end.second(year) - i64::from(summer.offset);
        let is_summer =
            if start < end { (start..end).contains(&second) } else { !(end..start).contains(&second) };
        if is_summer { summer.offset } else { self.standard }
    }
}

impl Edge {
    /// Seconds of local time from 1970 to this edge of `year`.
    fn second(&self, year: i64) -> i64 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day = match self.day {
            Day::Julian(day) => day_number(year, 1) + day - 1 + i64::from(leap && day >= 60),
            Day::Zero(day) => day_number(year, 1) + day,
            Day::Weekday { month, week, weekday } => {
                let first = day_number(year, month);
                let next = if month == 12 { day_number(year + 1, 1) } else { day_number(year, month + 1) };
                // 1970-01-01 was a Thursday.
                let day = first + (weekday - (first + 4)).rem_euclid(7) + (week - 1) * 7;
                if day >= next { day - 7 } else { day }
            }
        };
        day * DAY + self.time
    }
}

/// Days from 1970-01-01 to the first of a month.
fn day_number(year: i64, month: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let month_from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn take(&mut self, length: usize) -> &str {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn eat(&mut self, character: char) -> bool {
        let eaten = self.0.strip_prefix(character);
        self.0 = eaten.unwrap_or(self.0);
        eaten.is_some()
    }

    fn name(&mut self) -> Option<()> {
        let length = match self.0.strip_prefix('<') {
            Some(rest) => rest.find('>')? + 2,
            None => self.0.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.0.len()),
        };
        (self.take(length).len() >= 3).then_some(())
    }

    fn number(&mut self) -> Option<i64> {
        let length = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        self.take(length).parse().ok().filter(|number| *number <= 1000)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self) -> Option<i64> {
        let negative = self.eat('-');
        let _ = !negative && self.eat('+');
        let mut seconds = self.number()? * 3600;
        for unit in [60, 1] {
            if self.eat(':') {
                seconds += self.number()? * unit;
            }
        }
        Some(if negative { -seconds } else { seconds })
    }

    fn edge(&mut self) -> Option<Edge> {
        if !self.eat(',') {
            return None;
        }
        let day = if self.eat('J') {
            Day::Julian(self.number().filter(|day| (1..=365).contains(day))?)
        } else if self.eat('M') {
            let month = self.number().filter(|month| (1..=12).contains(month))? as u32;
            let week = self.eat('.').then(|| self.number())?.filter(|week| (1..=5).contains(week))?;
            let weekday = self.eat('.').then(|| self.number())?.filter(|weekday| *weekday <= 6)?;
            Day::Weekday { month, week, weekday }
        } else {
            Day::Zero(self.number().filter(|day| *day <= 365)?)
        };
        let time = if self.eat('/') { self.time()? } else { 7200 };
        Some(Edge { day, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_time_follows_the_rule_of_the_zone() {
        let berlin = Rule::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC.
        for (second, offset) in
            [(1_774_745_999, 3600), (1_774_746_000, 7200), (1_792_889_999, 7200), (1_792_890_000, 3600)]
        {
            assert_eq!(berlin.offset(second), offset, "{second}");
        }
    }

    #[test]
    fn south_of_the_equator_summer_spans_the_new_year() {
        let sydney = Rule::parse("AEST-10AEDT,M10.1.0,M4.1.0/3").unwrap();
        // 2026-01-15, 2026-06-15 and 2026-12-15, noon in UTC.
        assert_eq!(sydney.offset(1_768_478_400), 39_600);
        assert_eq!(sydney.offset(1_781_524_800), 36_000);
        assert_eq!(sydney.offset(1_797_336_000), 39_600);
    }

    #[test]
    fn zones_without_summer_time_and_with_odd_names_are_read() {
        assert_eq!(Rule::parse("<+0545>-5:45").unwrap().offset(0), 20_700);
        assert_eq!(Rule::parse("UTC0").unwrap().offset(0), 0);
        for nonsense in ["", "X", "UTC", "CET-1CEST", "CET-1CEST,M13.1.0,M1.1.0", "CET-1CEST,J1,J2,J3"] {
            assert_eq!(Rule::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn days_are_numbered_as_dates_are_written() {
        for days in -1000..60_000 {
            let (year, month, day) = date(days);
            assert_eq!(day_number(year, month) + i64::from(day) - 1, days);
        }
    }

    fn file(version: u8, time_len: usize, changes: &[(i64, u8)], offsets: &[i32]) -> Vec<u8> {
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.resize(20, 0);
        for count in [0, 0, 0, changes.len(), offsets.len(), 4] {
            bytes.extend((count as u32).to_be_bytes());
        }
        changes.iter().for_each(|(time, _)| bytes.extend(&time.to_be_bytes()[8 - time_len..]));
        changes.iter().for_each(|(_, kind)| bytes.push(*kind));
        for offset in offsets {
            bytes.extend(offset.to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(b"ABC\0");
        bytes
    }

    #[test]
    fn a_zone_file_says_what_held_when_and_its_footer_what_comes_after() {
        let mut bytes = file(b'2', 4, &[], &[0]);
        bytes.extend(file(b'2', 8, &[(1000, 1), (2000, 0)], &[-3600, 7200]));
        bytes.extend(b"\nXYZ-3\n");
        let zone = Zone::parse(&bytes).unwrap();
        for (second, offset) in [(999, -3600), (1000, 7200), (1999, 7200), (2000, 10_800)] {
            assert_eq!(zone.offset(second), offset, "{second}");
        }
    }

    #[test]
    fn a_zone_file_of_the_first_version_is_read() {
        let zone = Zone::parse(&file(0, 4, &[(-5, 1)], &[60, 120])).unwrap();
        assert_eq!((zone.offset(-6), zone.offset(-5)), (60, 120));
    }

    #[test]
    fn a_broken_zone_file_is_no_zone() {
        let whole = file(0, 4, &[(-5, 1)], &[60, 120]);
        for length in 0..whole.len() - 4 {
            assert_eq!(Zone::parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(Zone::parse(&file(0, 4, &[(-5, 9)], &[60])), None, "a kind that is not listed");
    }
}
