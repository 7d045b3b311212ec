//! Dates as CPIM and disposition notifications have them (RFC 3339 §5.6).

use super::error::{ParseError, ParseErrorKind};
use super::sink::Sink;

const DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z: the format has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Reads a date with time and offset as milliseconds since 1970 in UTC.
///
/// Digits below the millisecond are dropped; the leap second 23:59:60 is the second after it.
///
/// # Errors
/// `HeaderValue` if it does not follow the grammar, `Number` if a field is out of its range or the
/// date lies before 1970.
///
/// ```
/// # use oma_im::wire::datetime;
/// assert_eq!(datetime::parse("1970-01-01T01:00:00.5+01:00"), Ok(500));
/// assert_eq!(datetime::parse("2026-11-22T18:41:56Z"), Ok(1_795_372_916_000));
/// assert!(datetime::parse("2026-02-29T00:00:00Z").is_err());
/// ```
pub fn parse(text: &str) -> Result<u64, ParseError> {
    let mut cursor = Cursor {
        rest: text.as_bytes(),
        total: text.len(),
    };
    let year = cursor.number(4, 0..=9999)?;
    cursor.expect(b"-")?;
    let month = cursor.number(2, 1..=12)?;
    cursor.expect(b"-")?;
    let day = cursor.number(2, 1..=days_in(year, month))?;
    cursor.expect(b"Tt")?;
    let hour = cursor.number(2, 0..=23)?;
    cursor.expect(b":")?;
    let minute = cursor.number(2, 0..=59)?;
    cursor.expect(b":")?;
    let second = cursor.number(2, 0..=60)?;
    let millis = cursor.fraction()?;
    let (west, offset) = match cursor.expect(b"Zz+-")? {
        sign @ (b'+' | b'-') => {
            let hours = cursor.number(2, 0..=23)?;
            cursor.expect(b":")?;
            let minutes = cursor.number(2, 0..=59)?;
            (sign == b'-', seconds(hours, minutes, 0))
        }
        _ => (false, 0),
    };
    if !cursor.rest.is_empty() {
        return Err(cursor.error(ParseErrorKind::HeaderValue));
    }
    let before_1970 = ParseError::new(ParseErrorKind::Number, 0);
    let local = days_since_1970(year, month, day)
        .and_then(|days| days.checked_mul(DAY))
        .map(|s| s.saturating_add(seconds(hour, minute, second)));
    // A date in the last hours of 1969 may be in 1970 once its offset is taken away.
    let utc = match local {
        Some(local) if west => local.checked_add(offset),
        Some(local) => local.checked_sub(offset),
        None => (year == 1969 && month == 12 && day == 31 && west)
            .then(|| seconds(hour, minute, second).saturating_add(offset))
            .and_then(|s| s.checked_sub(DAY)),
    };
    let millis = utc.map(|s| s.saturating_mul(1000).saturating_add(millis));
    millis.ok_or(before_1970)
}

/// Puts a date in UTC, to the second: `2026-11-22T18:41:56Z`.
///
/// A date after the year 9999 is put as its last second.
pub fn put(sink: &mut Sink<'_>, unix_millis: u64) {
    let seconds = (unix_millis / 1000).min(LAST_SECOND);
    let (year, month, day) = civil(seconds / DAY);
    let of_day = seconds % DAY;
    let fields = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (of_day / 3600, 2, b':'),
        (of_day / 60 % 60, 2, b':'),
        (of_day % 60, 2, b'Z'),
    ];
    for (value, width, after) in fields {
        if width == 4 {
            put_two(sink, value / 100);
        }
        put_two(sink, value);
        sink.put_byte(after);
    }
}

/// Puts a date as the value of a Date header (RFC 3261 §20.17): `Sun, 22 Nov 2026 18:41:56 GMT`.
///
/// A date after the year 9999 is put as its last second.
pub fn put_sip(sink: &mut Sink<'_>, unix_millis: u64) {
    const DAYS: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let name = |names: &[&'static [u8]], n: u64| -> &'static [u8] {
        usize::try_from(n)
            .ok()
            .and_then(|n| names.get(n))
            .copied()
            .unwrap_or_default()
    };
    let seconds = (unix_millis / 1000).min(LAST_SECOND);
    let (year, month, day) = civil(seconds / DAY);
    let of_day = seconds % DAY;
    // 1 January 1970 was a Thursday.
    sink.put(name(&DAYS, seconds / DAY % 7));
    sink.put(b", ");
    put_two(sink, day);
    sink.put(b" ");
    sink.put(name(&MONTHS, month.saturating_sub(1)));
    sink.put(b" ");
    put_two(sink, year / 100);
    put_two(sink, year);
    for (before, value) in [
        (b' ', of_day / 3600),
        (b':', of_day / 60 % 60),
        (b':', of_day % 60),
    ] {
        sink.put_byte(before);
        put_two(sink, value);
    }
    sink.put(b" GMT");
}

/// The two last digits.
fn put_two(sink: &mut Sink<'_>, value: u64) {
    sink.put_u64(value / 10 % 10);
    sink.put_u64(value % 10);
}

fn seconds(hour: u64, minute: u64, second: u64) -> u64 {
    hour.saturating_mul(3600)
        .saturating_add(minute.saturating_mul(60))
        .saturating_add(second)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before 1 January of `year`, counted from 1 January of the year 0.
fn days_before(year: u64) -> u64 {
    let Some(last) = year.checked_sub(1) else {
        return 0;
    };
    // The year 0 is a leap year, so one day more than the rule gives for the years after it.
    year.saturating_mul(365)
        .saturating_add(last / 4)
        .saturating_sub(last / 100)
        .saturating_add(last / 400)
        .saturating_add(1)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let months: u64 = (1..month).map(|m| days_in(year, m)).sum();
    days_before(year)
        .checked_sub(days_before(1970))?
        .checked_add(months)?
        .checked_add(day.checked_sub(1)?)
}

/// Year, month and day of a day since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    // 400 years have 146,097 days; the estimate is right or one too small or large.
    let from_zero = days.saturating_add(days_before(1970));
    let mut year = from_zero.saturating_mul(400) / 146_097;
    if days_before(year) > from_zero {
        year = year.saturating_sub(1);
    } else if days_before(year.saturating_add(1)) <= from_zero {
        year = year.saturating_add(1);
    }
    let mut left = from_zero.saturating_sub(days_before(year));
    let mut month = 1_u64;
    while month < 12 && left >= days_in(year, month) {
        left = left.saturating_sub(days_in(year, month));
        month = month.saturating_add(1);
    }
    (year, month, left.saturating_add(1))
}

struct Cursor<'b> {
    rest: &'b [u8],
    total: usize,
}

impl Cursor<'_> {
    fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError::new(kind, self.total.saturating_sub(self.rest.len()))
    }

    fn expect(&mut self, one_of: &[u8]) -> Result<u8, ParseError> {
        match self.rest {
            [byte, rest @ ..] if one_of.contains(byte) => {
                self.rest = rest;
                Ok(*byte)
            }
            _ => Err(self.error(ParseErrorKind::HeaderValue)),
        }
    }

    fn number(
        &mut self,
        digits: usize,
        range: core::ops::RangeInclusive<u64>,
    ) -> Result<u64, ParseError> {
        let mut value = 0_u64;
        for _ in 0..digits {
            let digit = self.expect(b"0123456789")?;
            value = value
                .saturating_mul(10)
                .saturating_add(u64::from(digit & 15));
        }
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(self.error(ParseErrorKind::Number))
        }
    }

    /// time-secfrac: any number of digits, at least one.
    fn fraction(&mut self) -> Result<u64, ParseError> {
        if self.expect(b".").is_err() {
            return Ok(0);
        }
        let mut millis = 0_u64;
        let mut unit = 100_u64;
        let first = self.expect(b"0123456789")?;
        millis = millis.saturating_add(unit.saturating_mul(u64::from(first & 15)));
        while let Ok(digit) = self.expect(b"0123456789") {
            unit /= 10;
            millis = millis.saturating_add(unit.saturating_mul(u64::from(digit & 15)));
        }
        Ok(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    fn text(millis: u64) -> String {
        let mut out = [0; 20];
        let mut sink = Sink::new(&mut out);
        put(&mut sink, millis);
        assert_eq!(sink.finish(), Ok(20));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn every_day_of_eight_thousand_years_goes_there_and_back() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST_SECOND / DAY {
            let expected = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
            assert_eq!(text(days * DAY * 1000), expected);
            assert_eq!(parse(&expected), Ok(days * DAY * 1000));
            day += 1;
            if day > days_in(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(year, 10_000);
        assert_eq!(text(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn the_examples_of_rfc_3339_name_the_same_moments() {
        // §5.8
        assert_eq!(parse("1985-04-12T23:20:50.52Z"), Ok(482_196_050_520));
        assert_eq!(
            parse("1996-12-19T16:39:57-08:00"),
            parse("1996-12-20T00:39:57Z")
        );
        assert_eq!(
            parse("1990-12-31T23:59:60Z"),
            parse("1990-12-31T15:59:60-08:00")
        );
        assert_eq!(parse("1990-12-31T23:59:60Z"), parse("1991-01-01T00:00:00Z"));
        assert_eq!(
            parse("1937-01-01T12:00:27.87+00:20").map_err(|e| e.kind),
            Err(ParseErrorKind::Number)
        );
        assert_eq!(parse("1969-12-31T23:30:00-01:00"), Ok(1_800_000));
        assert_eq!(
            parse("2006-04-04t12:16:49.123456789z"),
            Ok(1_144_153_009_123)
        );
    }

    #[test]
    fn a_date_header_has_names_for_day_and_month() {
        let text = |millis: u64| {
            let mut out = [0; 29];
            let mut sink = Sink::new(&mut out);
            put_sip(&mut sink, millis);
            assert_eq!(sink.finish(), Ok(29));
            String::from_utf8(out.to_vec()).unwrap()
        };
        // RFC 3261 §20.17
        let example = parse("2010-11-13T23:29:00Z").unwrap();
        assert_eq!(text(example), "Sat, 13 Nov 2010 23:29:00 GMT");
        assert_eq!(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        let (mut days, mut months) = (String::new(), String::new());
        for day in 0..7 {
            days.extend(text(day * DAY * 1000).chars().take(3));
        }
        for month in 1..=12 {
            let at = parse(&format!("2026-{month:02}-09T01:02:03Z")).unwrap();
            months.extend(text(at).chars().skip(8).take(3));
        }
        assert_eq!(days, "ThuFriSatSunMonTueWed");
        assert_eq!(months, "JanFebMarAprMayJunJulAugSepOctNovDec");
        assert_eq!(text(DAY * 1000 - 1), "Thu, 01 Jan 1970 23:59:59 GMT");
    }

    #[test]
    fn an_offset_moves_a_date_across_the_first_of_1970_or_not() {
        assert_eq!(parse("1970-01-01T01:00:00.5+01:00"), Ok(500));
        assert_eq!(parse("1970-01-01T00:00:00-00:01"), Ok(60_000));
        assert_eq!(parse("1969-12-31T23:00:00-01:00"), Ok(0));
        for before in [
            "1970-01-01T00:59:59+01:00",
            "1969-12-31T22:59:59-01:00",
            "1969-12-31T23:30:00+01:00",
            "1969-12-31T23:30:00Z",
            "1969-12-30T23:30:00-01:00",
            "1969-10-31T23:30:00-01:00",
            "1969-06-01T23:30:00-01:00",
            "1968-12-31T23:30:00-01:00",
            "1968-06-01T23:30:00-01:00",
            "0000-01-01T00:00:00Z",
        ] {
            let kind = parse(before).map_err(|error| error.kind);
            assert_eq!(kind, Err(ParseErrorKind::Number), "{before}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused_at_its_place() {
        for (bad, kind, offset) in [
            ("", ParseErrorKind::HeaderValue, 0),
            ("2026", ParseErrorKind::HeaderValue, 4),
            ("2026-13-01T00:00:00Z", ParseErrorKind::Number, 7),
            ("2026-00-01T00:00:00Z", ParseErrorKind::Number, 7),
            ("2026-02-29T00:00:00Z", ParseErrorKind::Number, 10),
            ("1900-02-29T00:00:00Z", ParseErrorKind::Number, 10),
            ("2026-11-22 00:00:00Z", ParseErrorKind::HeaderValue, 10),
            ("2026-11-22T24:00:00Z", ParseErrorKind::Number, 13),
            ("2026-11-22T00:60:00Z", ParseErrorKind::Number, 16),
            ("2026-11-22T00:00:61Z", ParseErrorKind::Number, 19),
            ("2026-11-22T00:00:00", ParseErrorKind::HeaderValue, 19),
            ("2026-11-22T00:00:00.Z", ParseErrorKind::HeaderValue, 20),
            ("2026-11-22T00:00:00+0100", ParseErrorKind::HeaderValue, 22),
            ("2026-11-22T00:00:00+24:00", ParseErrorKind::Number, 22),
            ("2026-11-22T00:00:00Z ", ParseErrorKind::HeaderValue, 20),
            ("+026-11-22T00:00:00Z", ParseErrorKind::HeaderValue, 0),
        ] {
            assert_eq!(parse(bad), Err(ParseError::new(kind, offset)), "{bad}");
        }
    }
}
