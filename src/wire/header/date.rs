//! Date: the time a message was sent.

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{parse_u32, trim_lws};

/// Date (RFC 3261 §20.17).
///
/// ```
/// use oma_im::wire::header::Date;
///
/// assert_eq!(Date::parse(b"Sat, 13 Nov 2010 23:29:00 GMT")?.unix_seconds, 1_289_690_940);
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Seconds since 1970-01-01 00:00:00 UTC, without leap seconds; negative before.
    pub unix_seconds: i64,
}

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [(&[u8], i64, i64); 12] = [
    // name, days before it in a common year, its days in a leap year
    (b"Jan", 0, 31),
    (b"Feb", 31, 29),
    (b"Mar", 59, 31),
    (b"Apr", 90, 30),
    (b"May", 120, 31),
    (b"Jun", 151, 30),
    (b"Jul", 181, 31),
    (b"Aug", 212, 31),
    (b"Sep", 243, 30),
    (b"Oct", 273, 31),
    (b"Nov", 304, 30),
    (b"Dec", 334, 31),
];

impl Date {
    /// Parses a whole value: `Sat, 13 Nov 2010 23:29:00 GMT`, with case, no other zone.
    ///
    /// The day of the week has to be one, but need not be the right one.
    ///
    /// # Errors
    /// `HeaderValue` if it has another form, `Number` for a day or time that does not exist.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let fault = |kind| ParseError::new(kind, 0);
        let fields = fields(trim_lws(value)).ok_or(fault(ParseErrorKind::HeaderValue))?;
        let Fields {
            year,
            month: (_, before, days),
            day,
            time: [hour, minute, second],
        } = fields;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = if days == 29 && !leap { 28 } else { days };
        if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return Err(fault(ParseErrorKind::Number));
        }
        // Four digits of a year and the checks above keep every value small.
        #[allow(clippy::arithmetic_side_effects)]
        let unix_seconds = {
            let past = year - 1;
            let leap_days = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400);
            let this_year = before + i64::from(leap && before > 31) + day - 1;
            // Days from the first of January of the year 1 to that of 1970.
            let days = past * 365 + leap_days + this_year - 719_162;
            ((days * 24 + hour) * 60 + minute) * 60 + second
        };
        Ok(Self { unix_seconds })
    }
}

struct Fields {
    year: i64,
    month: (&'static [u8], i64, i64),
    day: i64,
    time: [i64; 3],
}

// rfc1123-date = wkday "," SP date1 SP time SP "GMT"; date1 = 2DIGIT SP month SP 4DIGIT
fn fields(date: &[u8]) -> Option<Fields> {
    let mut words = date.split(|&b| b == b' ');
    let wkday = words.next()?.strip_suffix(b",")?;
    let (day, name, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if !DAYS.contains(&wkday) || words.next() != Some(b"GMT") || words.next().is_some() {
        return None;
    }
    let mut parts = time.split(|&b| b == b':');
    let time = [
        number(parts.next()?, 2)?,
        number(parts.next()?, 2)?,
        number(parts.next()?, 2)?,
    ];
    let month = *MONTHS.iter().find(|month| month.0 == name)?;
    parts.next().is_none().then_some(Fields {
        year: number(year, 4)?,
        month,
        day: number(day, 2)?,
        time,
    })
}

/// A number of exactly so many digits.
fn number(digits: &[u8], width: usize) -> Option<i64> {
    (digits.len() == width).then(|| parse_u32(digits).ok().map(i64::from))?
}
