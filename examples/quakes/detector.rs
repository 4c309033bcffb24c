//! Finds what deserves an alert in a stream of seismic events: pure data, fixed capacity, no clock of its
//! own.

use core::fmt;

use quake_table::{Cell, Event, Kind, Magnitude};

/// The weakest magnitude that raises an alert by itself.
pub const STRONG: Magnitude = Magnitude::from_hundredths(450);
/// This many earthquakes in one cell ...
pub const SWARM: usize = 5;
/// ... within this many milliseconds, inclusive, are a swarm. A cell alerts again only after a longer pause.
pub const WINDOW_MS: u32 = 3_600_000;

/// An event of magnitude [`STRONG`] or more, of any kind. Formats as `strong t=597232190 net=us mag=4.70`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strong<'a>(pub &'a Event);

impl<'a> Strong<'a> {
    /// The alert that `event` raises by itself, if any.
    pub fn check(event: &'a Event) -> Option<Self> {
        (event.mag >= STRONG).then_some(Self(event))
    }
}

impl fmt::Display for Strong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strong t={} net={} mag={}", self.0.t_ms, self.0.network(), self.0.mag)
    }
}

/// The fifth or a later earthquake of a cell within the window. Formats as `swarm t=399876990 cell=37,-118`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Time of the earthquake that completed the swarm, in milliseconds.
    pub t_ms: u32,
    /// Where.
    pub cell: Cell,
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "swarm t={} cell={}", self.t_ms, self.cell)
    }
}

/// Why a [`Detector`] refused an event. Its state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DetectorError {
    /// Each entry belongs to a cell that is still active, and the event's cell has none.
    Full {
        /// The cell without an entry.
        cell: Cell,
    },
    /// The event is earlier than the one before it.
    OutOfOrder {
        /// Time of the latest event accepted, in milliseconds.
        latest_ms: u32,
    },
}

impl fmt::Display for DetectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { cell } => write!(f, "no room to watch cell {cell}: give the detector more cells"),
            Self::OutOfOrder { latest_ms } => {
                write!(f, "the event is earlier than {latest_ms} ms, already seen")
            }
        }
    }
}

impl core::error::Error for DetectorError {}

/// Watches up to `CELLS` cells of the globe for swarms.
///
/// A cell needs an entry while an earthquake of its own lies within the window. Older entries can't change
/// any later decision (a swarm needs five earthquakes inside the window, and no alert is later than its
/// cell's last earthquake), so the next cell that needs one takes them over: forgetting is exact. One week of
/// the whole globe needs 16.
#[derive(Clone, Debug)]
pub struct Detector<const CELLS: usize> {
    tracks: [Option<Track>; CELLS],
    latest_ms: u32,
}

/// What is remembered of one cell.
#[derive(Clone, Copy, Debug)]
struct Track {
    cell: Cell,
    /// Times of the last earthquakes, oldest first; the newest is always there.
    times: [Option<u32>; SWARM],
    alerted: Option<u32>,
}

impl Track {
    const fn new(cell: Cell) -> Self {
        Self { cell, times: [None; SWARM], alerted: None }
    }

    fn is_active(&self, now_ms: u32) -> bool {
        self.times[SWARM - 1].is_some_and(|newest| now_ms.saturating_sub(newest) <= WINDOW_MS)
    }

    fn record(&mut self, now_ms: u32) -> Option<Swarm> {
        self.times.rotate_left(1);
        self.times[SWARM - 1] = Some(now_ms);
        let within = |then: u32| now_ms.saturating_sub(then) <= WINDOW_MS;
        if !self.times[0].is_some_and(within) || self.alerted.is_some_and(within) {
            return None;
        }
        self.alerted = Some(now_ms);
        Some(Swarm { t_ms: now_ms, cell: self.cell })
    }
}

impl<const CELLS: usize> Detector<CELLS> {
    /// A detector that has seen nothing.
    pub const fn new() -> Self {
        const { assert!(CELLS > 0, "a detector needs room for one cell") }
        Self { tracks: [None; CELLS], latest_ms: 0 }
    }

    /// Takes note of `event` and tells whether it completes a swarm. What is not an earthquake only moves
    /// time on.
    ///
    /// Worst case: one look at each of the `CELLS` entries.
    ///
    /// # Errors
    ///
    /// [`DetectorError::Full`] and [`DetectorError::OutOfOrder`]; the detector is then as it was before.
    pub fn observe(&mut self, event: &Event) -> Result<Option<Swarm>, DetectorError> {
        let now_ms = event.t_ms;
        if now_ms < self.latest_ms {
            return Err(DetectorError::OutOfOrder { latest_ms: self.latest_ms });
        }
        let swarm = match event.kind {
            Kind::Earthquake => self.track(event.cell, now_ms)?.record(now_ms),
            _ => None,
        };
        self.latest_ms = now_ms;
        Ok(swarm)
    }

    /// The entry of `cell`, which takes over a free or forgotten one when it has none.
    fn track(&mut self, cell: Cell, now_ms: u32) -> Result<&mut Track, DetectorError> {
        let mut spare = None;
        let mut found = None;
        for (index, entry) in self.tracks.iter().enumerate() {
            match entry {
                Some(track) if track.cell == cell => {
                    found = Some(index);
                    break;
                }
                Some(track) if track.is_active(now_ms) => {}
                _ => spare = spare.or(Some(index)),
            }
        }
        match (found, spare) {
            (Some(index), _) => Ok(self.tracks[index].get_or_insert(Track::new(cell))),
            (None, Some(index)) => Ok(self.tracks[index].insert(Track::new(cell))),
            (None, None) => Err(DetectorError::Full { cell }),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
