//! Records in the order of their indices, as the ingress and the members hold them.

use crate::row::Row;

/// What the ingress stored at acceptance: an event, and the term in which it was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// From 1 on.
    pub event: u8,
    /// The term of acceptance. With the index it names the record.
    pub term: u8,
}

/// The records from `base` on, and the term of the one below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Log {
    base: u8,
    term_below: u8,
    records: Row,
}

impl Log {
    /// No record, behind the pair (`term`, `index`).
    pub fn behind(index: u8, term: u8) -> Self {
        Self { base: index + 1, term_below: term, records: Row::default() }
    }

    /// The index of its first record.
    pub fn base(&self) -> u8 {
        self.base
    }

    /// The index of its last record; `base - 1` if there is none.
    pub fn end(&self) -> u8 {
        self.base - 1 + self.records.len()
    }

    /// The number of records.
    pub fn count(&self) -> u8 {
        self.records.len()
    }

    /// The record at an index.
    pub fn get(&self, index: u8) -> Option<Record> {
        let byte = self.records.get(index.checked_sub(self.base)?)?;
        Some(Record { event: byte & 15, term: byte >> 4 })
    }

    /// The term of the pair at an index, from `base - 1` on.
    pub fn term_at(&self, index: u8) -> Option<u8> {
        if index + 1 == self.base { Some(self.term_below) } else { Some(self.get(index)?.term) }
    }

    /// Whether both have the pair at `index`, and the same one.
    pub fn agrees(&self, other: &Self, index: u8) -> bool {
        self.term_at(index).is_some_and(|term| other.term_at(index) == Some(term))
    }

    /// Appends one at `end + 1`.
    pub fn push(&mut self, record: Record) {
        self.records.push(record.term << 4 | record.event);
    }

    /// Drops all behind `index`.
    pub fn cut_behind(&mut self, index: u8) {
        self.records.truncate((index + 1).saturating_sub(self.base));
    }

    /// Drops what lies below `base`, as far as there are records.
    pub fn evict(&mut self, base: u8) {
        let base = base.min(self.end() + 1);
        if base > self.base {
            self.term_below = self.term_at(base - 1).expect("the log reaches to its end");
            self.records.drop_front(base - self.base);
            self.base = base;
        }
    }

    /// The records with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Record)> {
        (self.base..=self.end()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// The events, each as a bit.
    pub fn events(&self) -> u8 {
        self.iter().fold(0, |events, (_, record)| events | bit(record.event))
    }
}

/// An event as a bit in a set.
pub fn bit(event: u8) -> u8 {
    1 << (event - 1)
}
