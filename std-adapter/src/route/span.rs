//! Spans as people write them.

use serde::de::{Deserialize, Deserializer, Error};
use trilane::time::Duration;

/// The units, each in microseconds.
const UNITS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// `1m 30s`: whole numbers, each with its unit; spaces are ignored. `None` for anything else, and for spans
/// that are longer than 2^64 us.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut micros = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(unit_at);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        micros = micros.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
        rest = after.trim_start();
    }
    Some(Duration::from_micros(micros))
}

/// For `#[serde(deserialize_with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        D::Error::custom(format_args!(
            "\"{text}\" is no span of time: write whole numbers with units (us, ms, s, m, h, d), as \"1m 30s\""
        ))
    })
}

/// The same for what may be left out.
pub fn option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let micros = |text| parse(text).map(|span| span.as_micros());
        for (text, expected) in [
            ("0s", 0),
            ("7us", 7),
            ("250ms", 250_000),
            ("90 s", 90_000_000),
            ("1m 30s", 90_000_000),
            (" 1m30s ", 90_000_000),
            ("2h", 7_200_000_000),
            ("1d1us", 86_400_000_001),
            ("18446744073709551615us", u64::MAX),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
        for text in [
            "",
            " ",
            "5",
            "s",
            "5 m 3",
            "1.5s",
            "-1s",
            "5x",
            "5S",
            "5ms!",
            "1s,2s",
            "18446744073709551616us",
            "99999999999999d",
            "é",
            "5é",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }
}
