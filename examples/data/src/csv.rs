//! The rules for a row of `quakes.csv`, and the parser that holds them.
//!
//! The build script compiles this file. Numbers are decimals in fixed point, never floats: `4.7` is 470
//! hundredths, exactly. What can't be kept exactly is refused.
//!
//! | column | rule |
//! | --- | --- |
//! | `t_ms` | whole number of 32 bits, greater than in the row before |
//! | `net` | one to eight lower-case letters or digits |
//! | `mag` | -1 to 10, at most 2 decimals |
//! | `lat` | -90 to 90 degrees, at most 7 decimals |
//! | `lon` | -180 to 180 degrees, at most 7 decimals |
//! | `depth_km` | -10 to 1000 km, at most 3 decimals |
//! | `kind` | `earthquake`, `explosion` or `quarry` |

use core::fmt;
use core::iter::Enumerate;
use core::str::Lines;

use crate::fields::{Cell, Kind, Magnitude};

const COLUMNS: [&str; 7] = ["t_ms", "net", "mag", "lat", "lon", "depth_km", "kind"];
const LAST: usize = COLUMNS.len() - 1;

const TIME: Decimal = Decimal { decimals: 0, min: 0, max: u32::MAX as i64 };
const MAGNITUDE: Decimal = Decimal { decimals: 2, min: -1, max: 10 };
const LATITUDE: Decimal = Decimal { decimals: 7, min: -90, max: 90 };
const LONGITUDE: Decimal = Decimal { decimals: 7, min: -180, max: 180 };
const DEPTH: Decimal = Decimal { decimals: 3, min: -10, max: 1000 };

/// A row that keeps all rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub t_ms: u32,
    pub net: &'a str,
    pub mag: Magnitude,
    pub cell: Cell,
    pub kind: Kind,
}

/// A row that breaks one. Formats as `LINE: COLUMN: "CONTENT" REASON`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRow<'a> {
    /// Counted from 1, the header included.
    pub line: usize,
    pub column: &'static str,
    pub content: &'a str,
    pub fault: Fault,
}

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The header does not name this column here.
    Header,
    /// The file ends after its header.
    NoRows,
    /// The row ends before this column; the content is the row.
    Missing,
    /// The row goes on after this column; the content is what follows.
    Surplus,
    /// Not a decimal number.
    NotANumber,
    /// More decimals than are kept.
    TooPrecise { decimals: u32 },
    /// A number outside the limits.
    OutOfRange { min: i64, max: i64 },
    /// A time that is not later than the one before.
    NotAscending { previous: u32 },
    /// Not a network code.
    Network,
    /// A kind of event that the table has no name for.
    Kind,
    /// Bytes that are not UTF-8; the content is the part of the line before them.
    NotText,
}

impl fmt::Display for BadRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, content, fault } = self;
        write!(f, "{line}: {column}: {content:?} {fault}")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(f, "is not the name of this column in the header"),
            Self::NoRows => write!(f, "is followed by no row"),
            Self::Missing => write!(f, "ends before this column"),
            Self::Surplus => write!(f, "follows the last column"),
            Self::NotANumber => write!(f, "is not a decimal number"),
            Self::TooPrecise { decimals } => write!(f, "has more than {decimals} decimals"),
            Self::OutOfRange { min, max } => write!(f, "is not within {min} and {max}"),
            Self::NotAscending { previous } => write!(f, "is not later than {previous} in the row before"),
            Self::Network => write!(f, "is not a network code (one to eight lower-case letters or digits)"),
            Self::Kind => write!(f, "is not a known kind (earthquake, explosion, quarry)"),
            Self::NotText => write!(f, "is followed by bytes that are not UTF-8"),
        }
    }
}

/// Checks the header and gives the rows in order. The iterator ends after the first bad one.
pub fn rows(bytes: &[u8]) -> Result<Rows<'_>, BadRow<'_>> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_text(&bytes[..error.valid_up_to()])),
    };
    let mut lines = text.lines().enumerate();
    let (_, header) = lines.next().unwrap_or((0, ""));
    let bad = |column, content, fault| BadRow { line: 1, column, content, fault };

    let named = split(header).map_err(|(column, content, fault)| bad(column, content, fault))?;
    if let Some((column, content)) = COLUMNS.iter().zip(named).find(|(expected, found)| *expected != found) {
        return Err(bad(column, content, Fault::Header));
    }
    if lines.clone().next().is_none() {
        return Err(bad(COLUMNS[0], header, Fault::NoRows));
    }
    Ok(Rows { lines, previous: None, ended: false })
}

/// The rows of a file whose header is right.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    lines: Enumerate<Lines<'a>>,
    previous: Option<u32>,
    ended: bool,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, BadRow<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let (index, line) = self.lines.next()?;
        let row = row(line, self.previous).map_err(|(column, content, fault)| BadRow {
            line: index + 1,
            column,
            content,
            fault,
        });
        match row {
            Ok(row) => self.previous = Some(row.t_ms),
            Err(_) => self.ended = true,
        }
        Some(row)
    }
}

/// A fault with its column and content; the caller knows the line.
type Refusal<'a> = (&'static str, &'a str, Fault);

fn row(line: &str, previous: Option<u32>) -> Result<Row<'_>, Refusal<'_>> {
    let fields = split(line)?;
    let refuse = |column: usize, fault| (COLUMNS[column], fields[column], fault);
    let number =
        |column: usize, rule: Decimal| rule.parse(fields[column]).map_err(|fault| refuse(column, fault));

    // The limits in the rules make the narrowing casts below exact.
    let t_ms = number(0, TIME)? as u32;
    if let Some(previous) = previous.filter(|previous| *previous >= t_ms) {
        return Err(refuse(0, Fault::NotAscending { previous }));
    }
    let net = fields[1];
    if !(1..=8).contains(&net.len()) || !net.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(refuse(1, Fault::Network));
    }
    let mag = Magnitude::from_hundredths(number(2, MAGNITUDE)? as i16);
    let lat = number(3, LATITUDE)?.div_euclid(LATITUDE.one()) as i16;
    let lon = number(4, LONGITUDE)?.div_euclid(LONGITUDE.one()) as i16;
    number(5, DEPTH)?;
    let kind = match fields[6] {
        "earthquake" => Kind::Earthquake,
        "explosion" => Kind::Explosion,
        "quarry" => Kind::Quarry,
        _ => return Err(refuse(6, Fault::Kind)),
    };
    Ok(Row { t_ms, net, mag, cell: Cell { lat, lon }, kind })
}

fn split(line: &str) -> Result<[&str; COLUMNS.len()], Refusal<'_>> {
    if line.is_empty() {
        return Err((COLUMNS[0], line, Fault::Missing));
    }
    let mut fields = [""; COLUMNS.len()];
    let mut parts = line.splitn(COLUMNS.len() + 1, ',');
    for (field, column) in fields.iter_mut().zip(COLUMNS) {
        *field = parts.next().ok_or((column, line, Fault::Missing))?;
    }
    match parts.next() {
        None => Ok(fields),
        Some(rest) => Err((COLUMNS[LAST], rest, Fault::Surplus)),
    }
}

fn not_text(valid: &[u8]) -> BadRow<'_> {
    let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let content = str::from_utf8(&valid[start..]).unwrap_or_default();
    let column = COLUMNS[content.bytes().filter(|byte| *byte == b',').count().min(LAST)];
    BadRow { line, column, content, fault: Fault::NotText }
}

/// A decimal number kept as an integer of its last decimal place; the limits are in whole units, inclusive.
#[derive(Clone, Copy)]
struct Decimal {
    decimals: u32,
    min: i64,
    max: i64,
}

impl Decimal {
    const fn one(self) -> i64 {
        10_i64.pow(self.decimals)
    }

    /// `[-]digits[.digits]`, with a digit on either side of the point.
    fn parse(self, text: &str) -> Result<i64, Fault> {
        let (negative, size) = match text.strip_prefix('-') {
            Some(size) => (true, size),
            None => (false, text),
        };
        let (whole, fraction) = match size.split_once('.') {
            Some((_, "")) => return Err(Fault::NotANumber),
            Some(parts) => parts,
            None => (size, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::NotANumber);
        }
        if fraction.len() > self.decimals as usize {
            return Err(Fault::TooPrecise { decimals: self.decimals });
        }

        let Self { decimals, min, max } = self;
        let out_of_range = Fault::OutOfRange { min, max };
        let padding = core::iter::repeat_n(b'0', decimals as usize - fraction.len());
        let mut value = 0_i64;
        for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
            let digit = i64::from(digit - b'0');
            value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(out_of_range)?;
        }
        let value = if negative { -value } else { value };
        if value < min * self.one() || value > max * self.one() { Err(out_of_range) } else { Ok(value) }
    }
}

// The path makes the build script's view of this file resolve too.
#[cfg(test)]
#[path = "csv/tests.rs"]
mod tests;
