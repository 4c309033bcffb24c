//! One week of earthquakes as a static table: an input for examples that is real, fits into flash, and is the
//! same on every target.
//!
//! The source is the public feed of the U.S. Geological Survey,
//! <https://earthquake.usgs.gov/earthquakes/feed/>: one week of its catalogue, cut down to the columns used
//! here. It is in the public domain.
//!
//! `quakes.csv` holds one event a row, with the columns `t_ms,net,mag,lat,lon,depth_km,kind`; times count
//! from the first event. The build script checks each row (`src/csv.rs` states the rules) and fails the
//! build, naming the line, rather than leave one out. The table is constant data: 12 bytes an event in flash,
//! no RAM, no start-up work, and no floating point. Position is kept as the cell of the 1-degree grid; depth
//! is checked and then left out.
//!
//! # Examples
//!
//! ```
//! use quake_table::{EVENTS, Kind};
//!
//! let strongest = EVENTS.iter().max_by_key(|event| event.mag).unwrap();
//! assert_eq!(strongest.kind, Kind::Earthquake);
//! assert_eq!(strongest.mag.to_string(), "6.40");
//! ```

#![no_std]

// The build script is the parser's user; the crate itself only tests it.
#[cfg(test)]
mod csv;
mod fields;

pub use fields::{Cell, Kind, Magnitude};

/// One seismic event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the first event of the table.
    pub t_ms: u32,
    /// Magnitude.
    pub mag: Magnitude,
    /// Where it was.
    pub cell: Cell,
    /// The reporting network: an index into [`NETWORKS`].
    pub net: u8,
    /// What it was.
    pub kind: Kind,
}

const _: () = assert!(size_of::<Event>() <= 12);

impl Event {
    /// The code of the reporting network, such as `us`; `?` for an index that [`NETWORKS`] does not have,
    /// which no event of the table holds.
    pub fn network(&self) -> &'static str {
        NETWORKS.get(usize::from(self.net)).copied().unwrap_or("?")
    }
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));
