//! The daemon that is run: it remembers all that it was given, and what it says depends on all of it.

use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError, StateError};
use xxhash_rust::xxh3::xxh3_64;

/// An event as the daemon saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Seen {
    pub producer: u64,
    pub sequence: u64,
    pub time: u64,
    pub seed: u64,
    pub payload: u64,
}

/// Gives out up to three outputs an event, with a digest of all events so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// All events, in their order.
    pub seen: Vec<Seen>,
    /// Of all events.
    pub digest: u64,
    /// It was given an event that it had before, or one before another of the same producer.
    pub is_wrong: bool,
}

impl Counter {
    const SEEN: usize = 40;

    fn note(&mut self, seen: Seen) {
        let last = self.seen.iter().rev().find(|other| other.producer == seen.producer);
        self.is_wrong |= last.is_some_and(|last| seen.sequence <= last.sequence);
        let words = [self.digest, seen.producer, seen.sequence, seen.time, seen.seed, seen.payload];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.digest = xxh3_64(&bytes);
        self.seen.push(seen);
    }

    /// What it gives out at an event, in their order; `None` if it refuses it.
    pub fn answer(&mut self, seen: Seen) -> Option<Vec<Vec<u8>>> {
        if seen.payload % 16 == 15 {
            return None;
        }
        self.note(seen);
        let outputs = seen.payload % 4;
        let output = |number: u64| {
            let words = [seen.producer, seen.sequence, number, self.digest];
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        Some((0..outputs).map(output).collect())
    }
}

impl Daemon for Counter {
    const MAX_OUTPUTS: usize = 3;
    const MAX_OUTPUT_BYTES: usize = 96;

    fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
        let event = delivery.event;
        let payload = event.payload().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let seen = Seen {
            producer: event.link().origin.get(),
            sequence: event.link().sequence.get(),
            time: delivery.time.as_micros(),
            seed: delivery.seed,
            payload,
        };
        let Some(outputs) = self.answer(seen) else {
            return Err(ProcessError::Refuse);
        };
        for output in outputs {
            outbox.send(&output)?;
        }
        Ok(())
    }

    fn snapshot(&self, buffer: &mut [u8]) -> Result<usize, StateError> {
        let words = self
            .seen
            .iter()
            .flat_map(|seen| [seen.producer, seen.sequence, seen.time, seen.seed, seen.payload]);
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let place = buffer.get_mut(..bytes.len()).ok_or(StateError::NoRoom { needed: bytes.len() })?;
        place.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        if !state.len().is_multiple_of(Self::SEEN) {
            return Err(StateError::Invalid);
        }
        *self = Self::default();
        for bytes in state.chunks(Self::SEEN) {
            let word = |at: usize| u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap());
            let seen =
                Seen { producer: word(0), sequence: word(1), time: word(2), seed: word(3), payload: word(4) };
            self.note(seen);
        }
        Ok(())
    }
}
