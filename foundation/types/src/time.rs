//! Points in time, in UTC, to the microsecond.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::Spoken;

/// A point in time: microseconds since 1970-01-01 UTC.
///
/// As text it is the timestamp of every answer: ISO 8601, always six fraction digits, no suffix (`docs/contract.md`, "Values").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point this many microseconds after 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// Microseconds since 1970-01-01 UTC.
    pub const fn micros(self) -> i64 {
        self.0
    }
    /// Whole seconds since 1970-01-01 UTC.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// Time gone by since `earlier`; zero when `earlier` lies ahead (a clock was set back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    /// This point moved back by `age`.
    #[must_use]
    pub fn minus(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
    }
    /// `YYYY-MM-DD HH:MM:SS`, as phantom-casper prints it.
    pub fn date_and_time(self) -> String {
        let t = self.civil();
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }
    /// `Tue 2025-09-09 01:11:47 UTC`, the form in which systemd shows a time.
    pub fn service_manager_form(self) -> String {
        let day = self.civil().weekday().to_string();
        format!("{} {} UTC", &day[..3], self.date_and_time())
    }

    fn civil(self) -> OffsetDateTime {
        // Only years beyond 9999 are out of its range: no stored time and no clock of a working host is there.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self(time.duration_since(UNIX_EPOCH).map_or_else(|before| -micros(before.duration()), micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.microsecond()
        )
    }
}

/// A text that is no point in time of RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in 2025-09-09T01:11:47Z")]
pub struct TimestampError;

impl Spoken for TimestampError {
    fn turkish(&self) -> String {
        "bir zaman şöyle yazılır: 2025-09-09T01:11:47Z".to_owned()
    }
}

/// RFC 3339 in UTC, with a `Z` or without as the API writes it; the fraction may have any number of digits, of which six
/// count.
impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let fits = whole.len() == 19 && whole.is_ascii() && !fraction.is_empty();
        if !fits || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TimestampError);
        }
        let signs: String = [4, 7, 10, 13, 16].iter().map(|at| char::from(whole.as_bytes()[*at])).collect();
        let number = |from: usize, to: usize| match &whole[from..to] {
            sign if sign.starts_with('+') => Err(TimestampError),
            digits => digits.parse::<u16>().map_err(|_| TimestampError),
        };
        let byte = |from: usize| number(from, from + 2)?.try_into().map_err(|_| TimestampError);
        if !signs.eq_ignore_ascii_case("--T::") {
            return Err(TimestampError);
        }
        let month: u8 = byte(5)?;
        let month = time::Month::try_from(month).map_err(|_| TimestampError)?;
        let date = time::Date::from_calendar_date(number(0, 4)?.into(), month, byte(8)?);
        let clock = time::Time::from_hms(byte(11)?, byte(14)?, byte(17)?);
        let at = date.map_err(|_| TimestampError)?.with_time(clock.map_err(|_| TimestampError)?).assume_utc();
        let micros: i64 = format!("{fraction:0<6}")[..6].parse().map_err(|_| TimestampError)?;
        Ok(Self(at.unix_timestamp() * 1_000_000 + micros))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "timestamp" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_time() {
        let t = Timestamp::from_micros(1_757_380_307_076_656);
        assert_eq!(t.to_string(), "2025-09-09T01:11:47.076656");
        assert_eq!(t.date_and_time(), "2025-09-09 01:11:47");
        assert_eq!(t.service_manager_form(), "Tue 2025-09-09 01:11:47 UTC");
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00.000000");
    }

    #[test]
    fn a_text_is_read_back() {
        for micros in [0, 1_757_380_307_076_656, -1, 253_402_300_799_999_999] {
            let t = Timestamp::from_micros(micros);
            assert_eq!(t.to_string().parse(), Ok(t));
        }
        let second = Ok(Timestamp::from_micros(1_757_380_307_000_000));
        assert_eq!("2025-09-09T01:11:47Z".parse(), second);
        assert_eq!("2025-09-09t01:11:47.000000999Z".parse(), second);
        for bad in [
            "",
            "Z",
            "2025-09-09",
            "2025-09-09 01:11:47",
            "2025-13-09T01:11:47Z",
            "2025-02-30T01:11:47Z",
            "2025-09-09T25:11:47Z",
            "2025-09-09T01:11:47.Z",
            "2025-09-09T01:11:47.x",
            "+025-09-09T01:11:47",
            "2025-09-09T01:11:47+02:00",
            "ğğğğğğğğğ1",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(TimestampError), "{bad}");
        }
    }
}
