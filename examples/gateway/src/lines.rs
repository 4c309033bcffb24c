//! Readings, a line each.

use std::fmt;

/// The longest line, in bytes.
pub const LONGEST: usize = 256;
/// The longest name of a sensor, in bytes.
const LONGEST_NAME: usize = 32;

/// What a sensor has measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which sensor.
    pub sensor: Box<str>,
    /// What it has measured; finite.
    pub value: f64,
}

/// Why a line is no reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// It has more than [`LONGEST`] bytes.
    Overlong,
    /// It is not UTF-8.
    NotText,
    /// It is not a name and a number with a space in between.
    NotTwoWords,
    /// The name is longer than 32 bytes, or has other characters than letters, digits, `-`, `_`, `.`, `/`.
    BadName,
    /// The number is none, or not finite.
    BadNumber,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlong => write!(f, "longer than {LONGEST} bytes"),
            Self::NotText => f.write_str("not UTF-8"),
            Self::NotTwoWords => f.write_str("not a sensor's name and a number, with a space in between"),
            Self::BadName => write!(
                f,
                "a sensor's name has up to {LONGEST_NAME} letters, digits and `-`, `_`, `.`, `/` alone"
            ),
            Self::BadNumber => f.write_str("not a finite number"),
        }
    }
}

/// Cuts bytes into lines. Empty lines, and those that begin with `#`, are passed over.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    at: usize,
    /// Its number, from 0.
    number: u64,
    /// The line is overlong, and its rest is still to come.
    is_skipping: bool,
}

impl Lines {
    /// More bytes have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line that says something, with its number, from 1.
    pub fn next(&mut self) -> Option<(u64, Result<Reading, BadLine>)> {
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
                if rest.len() <= LONGEST {
                    return None;
                }
                // No need to keep it.
                self.at = self.bytes.len();
                if !std::mem::replace(&mut self.is_skipping, true) {
                    return Some((self.number + 1, Err(BadLine::Overlong)));
                }
                return None;
            };
            let line = &rest[..length];
            self.at += length + 1;
            self.number += 1;
            if std::mem::take(&mut self.is_skipping) {
                continue; // It was reported when it became too long.
            }
            if let Some(result) = parse(line) {
                return Some((self.number, result));
            }
        }
    }

    /// No more bytes will come: the last line, if it has no end.
    pub fn finish(&mut self) -> Option<(u64, Result<Reading, BadLine>)> {
        let line = &self.bytes[self.at..];
        self.at = self.bytes.len();
        if self.is_skipping {
            return None;
        }
        parse(line).map(|result| (self.number + 1, result))
    }
}

/// `None` if it says nothing.
fn parse(line: &[u8]) -> Option<Result<Reading, BadLine>> {
    if line.len() > LONGEST {
        return Some(Err(BadLine::Overlong));
    }
    let Ok(line) = std::str::from_utf8(line) else { return Some(Err(BadLine::NotText)) };
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(sensor), Some(number), None) = (words.next(), words.next(), words.next()) else {
        return Some(Err(BadLine::NotTwoWords));
    };
    let may_be_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if sensor.len() > LONGEST_NAME || !sensor.bytes().all(may_be_in_name) {
        return Some(Err(BadLine::BadName));
    }
    match number.parse() {
        Ok(value) if f64::is_finite(value) => Some(Ok(Reading { sensor: sensor.into(), value })),
        _ => Some(Err(BadLine::BadNumber)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said = Vec<(u64, Result<Reading, BadLine>)>;

    /// What is said when the text comes in pieces of this length.
    fn cut(text: &[u8], length: usize) -> Said {
        let (mut lines, mut said) = (Lines::default(), Vec::new());
        for piece in text.chunks(length) {
            lines.push(piece);
            said.extend(std::iter::from_fn(|| lines.next()));
        }
        said.extend(lines.finish());
        said
    }

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        let long = "x".repeat(LONGEST - 2);
        let text = format!(
            "a 1\n\n# a comment\r\nb.c/d -2.5e3 \r\none\na b c\n{long} 1\n{long}x 1\nd nan\n\u{e9} 1\ne inf\nlast 4"
        );
        let mut text = text.into_bytes();
        text.splice(0..0, *b"\xff 1\n");
        let reading = |sensor: &str, value| Ok(Reading { sensor: sensor.into(), value });
        let wanted = vec![
            (1, Err(BadLine::NotText)),
            (2, reading("a", 1.0)),
            (5, reading("b.c/d", -2_500.0)),
            (6, Err(BadLine::NotTwoWords)),
            (7, Err(BadLine::NotTwoWords)),
            (8, Err(BadLine::BadName)),
            (9, Err(BadLine::Overlong)),
            (10, Err(BadLine::BadNumber)),
            (11, Err(BadLine::BadName)),
            (12, Err(BadLine::BadNumber)),
            (13, reading("last", 4.0)),
        ];
        for length in 1..=text.len() {
            assert_eq!(cut(&text, length), wanted, "pieces of {length}");
        }
    }

    #[test]
    fn a_line_without_end_is_reported_once_and_not_kept() {
        let mut lines = Lines::default();
        let mut said = Vec::new();
        for _ in 0..1_000 {
            lines.push(&[b'x'; 1_000]);
            said.extend(std::iter::from_fn(|| lines.next()));
            assert!(lines.bytes.len() <= 1_000 + LONGEST);
        }
        lines.push(b"x\nafter 1\n");
        said.extend(std::iter::from_fn(|| lines.next()));
        assert_eq!(said.len(), 2);
        assert_eq!((said[0].clone(), said[1].0), ((1, Err(BadLine::Overlong)), 2));
    }
}
