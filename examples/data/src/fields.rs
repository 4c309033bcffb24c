//! The values that a column of the table can hold. The build script compiles this file too, so the parser and
//! the table share one definition.

use core::fmt;

/// A magnitude, in hundredths.
///
/// Formats with two decimals, as `4.70` or `-0.05`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Magnitude(i16);

impl Magnitude {
    /// The magnitude `hundredths / 100`.
    pub const fn from_hundredths(hundredths: i16) -> Self {
        Self(hundredths)
    }

    /// The magnitude times 100.
    pub const fn hundredths(self) -> i16 {
        self.0
    }
}

impl fmt::Display for Magnitude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", size / 100, size % 100)
    }
}

/// A cell of the 1-degree grid: the degrees of its south-west corner.
///
/// Both are the floor of the position, so 0.5 degrees south lies in the cell -1. Formats as `33,-117`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Floor of the latitude in degrees, -90 to 90.
    pub lat: i16,
    /// Floor of the longitude in degrees, -180 to 180.
    pub lon: i16,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.lat, self.lon)
    }
}

/// What shook the ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A natural earthquake.
    Earthquake,
    /// An explosion outside a quarry.
    Explosion,
    /// A blast in a quarry.
    Quarry,
}
