//! Where a term took over from the one before: the cuts, and the hand-over that follows each of them.

use core::fmt;

use heapless::Vec;
use xxhash_rust::xxh3::xxh3_64;

use crate::causal::{
    Bloom, Chain, Event, Frame, FrameWriter, Head, Link, LinkHash, Ordinal, Origin, Sequence, words,
};
use crate::group::rules::{Rule, lacks};

/// Which group it is. Two groups whose outputs may meet have different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GroupId(u64);

impl GroupId {
    /// The group with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The origin of the group's outputs in a term: XXH3-64 (seed 0) of group and term, eight bytes each
    /// with the little end first.
    pub fn origin(self, term: u64) -> Origin {
        let mut bytes = [0; 16];
        words::write([self.0, term], &mut bytes);
        Origin::new(xxh3_64(&bytes))
    }
}

/// How far the outlet has let out.
///
/// Marks of a group are ordered: the later one is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mark {
    /// The term whose origin the last link has.
    pub term: u64,
    /// The sequence of the last link.
    pub sequence: Sequence,
    /// All events up to this index are done: their outputs are let out, or they have none.
    pub done: u64,
    /// The last output.
    pub ordinal: Ordinal,
}

impl Mark {
    /// How many numbers it is.
    pub(super) const WORDS: usize = 5;

    /// It as numbers, as they are kept and sent.
    pub(super) fn to_words(self) -> [u64; Self::WORDS] {
        let Self { term, sequence, done, ordinal: Ordinal { index, output } } = self;
        [term, sequence.get(), done, index, output.into()]
    }

    /// What [`to_words`](Self::to_words) gave; none if a number is larger than it can be.
    pub(super) fn from_words(words: [u64; Self::WORDS]) -> Option<Self> {
        let [term, sequence, done, index, output] = words;
        let ordinal = Ordinal { index, output: u32::try_from(output).ok()? };
        Some(Self { term, sequence: Sequence::new(sequence), done, ordinal })
    }

    /// Whether the output at `ordinal` is let out.
    #[inline]
    pub fn has_passed(&self, ordinal: Ordinal) -> bool {
        ordinal <= self.ordinal || ordinal.index <= self.done
    }
}

/// The last link that was let out when a term began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cut {
    /// The term that began.
    pub term: u64,
    /// Where the outlet was; [`Mark::term`] is an earlier term, not always the one before.
    pub mark: Mark,
    /// The hash of the last link.
    pub hash: LinkHash,
    /// Its horizon.
    pub horizon: Bloom,
}

impl Cut {
    /// How many numbers it is.
    pub(super) const WORDS: usize = 8;

    /// It as numbers, as they are kept and sent.
    pub(super) fn to_words(self) -> [u64; Self::WORDS] {
        let [m0, m1, m2, m3, m4] = self.mark.to_words();
        [self.term, m0, m1, m2, m3, m4, self.hash.get(), self.horizon.bits()]
    }

    /// What [`to_words`](Self::to_words) gave; none if a number is larger than it can be.
    pub(super) fn from_words(words: [u64; Self::WORDS]) -> Option<Self> {
        let [term, m0, m1, m2, m3, m4, hash, horizon] = words;
        let mark = Mark::from_words([m0, m1, m2, m3, m4])?;
        Some(Self { term, mark, hash: LinkHash::new(hash), horizon: Bloom::from_bits(horizon) })
    }

    /// The first event of the new term's chain. It is a function of the cut alone, so whoever computes it
    /// computes the same.
    pub(super) fn hand_over(&self, group: GroupId, own: u64) -> (Chain, [u8; HandOver::FRAME]) {
        let mut frame = [0; HandOver::FRAME];
        let head = Head { sequence: Sequence::GENESIS, next_parent: self.hash };
        let mut chain = Chain::resume(group.origin(self.term), head);
        let hand_over = HandOver {
            group,
            origin: group.origin(self.mark.term),
            sequence: self.mark.sequence,
            hash: self.hash,
            term: self.term,
            ordinal: self.mark.ordinal,
        };
        if let Ok(mut writer) = FrameWriter::new(&mut frame) {
            hand_over.write(writer.payload());
            if lacks(Rule::HandOverOfCut)
                && let Some(place) = writer.payload().last_mut()
            {
                *place = own as u8;
            }
            // There is room, and a sequence after the first.
            let _ = writer.seal(HandOver::PAYLOAD, &mut chain, self.horizon);
        }
        (chain, frame)
    }
}

/// What the first event of each term but the first says: which chain it goes on from, and where that ended.
///
/// | bytes of the payload | what; numbers of 64 bits, the little end first |
/// | --- | --- |
/// | 0..8 | group |
/// | 8..32 | the chain before: origin, last sequence, its hash |
/// | 32..40 | the new term |
/// | 40..56 | the last output: index of its event, which of the event's it is |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandOver {
    /// The group.
    pub group: GroupId,
    /// Whose chain was cut.
    pub origin: Origin,
    /// The last event of it that was let out.
    pub sequence: Sequence,
    /// The hash of that event.
    pub hash: LinkHash,
    /// The term that begins.
    pub term: u64,
    /// The last output that was let out.
    pub ordinal: Ordinal,
}

impl HandOver {
    /// The bytes of its payload.
    pub const PAYLOAD: usize = 56;
    /// The bytes of its frame.
    pub const FRAME: usize = Frame::OVERHEAD + Self::PAYLOAD;

    /// The hand-over that `event` is, if it is one: the first of its origin, and its parent not the origin's
    /// genesis. An output of the group's first term is none.
    pub fn read(event: Event<'_>) -> Option<Self> {
        let Link { origin, sequence, parent, .. } = event.link();
        let follows_another = parent != Head::genesis(origin).next_parent;
        if sequence != Sequence::new(1) || !follows_another || event.payload().len() != Self::PAYLOAD {
            return None;
        }
        let [group, before, last, hash, term, index, output] = words::read(event.payload());
        Some(Self {
            group: GroupId(group),
            origin: Origin::new(before),
            sequence: Sequence::new(last),
            hash: LinkHash::new(hash),
            term,
            ordinal: Ordinal { index, output: output as u32 },
        })
    }

    fn write(&self, payload: &mut [u8]) {
        let Self { group, origin, sequence, hash, term, ordinal } = *self;
        let place = [group.0, origin.get(), sequence.get(), hash.get(), term];
        let [group, origin, sequence, hash, term] = place;
        words::write([group, origin, sequence, hash, term, ordinal.index, ordinal.output.into()], payload);
    }
}

/// The cuts of a group, oldest first, as the outlet keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts<const N: usize> {
    entries: Vec<Cut, N>,
    /// The term with which the list was given out.
    term: u64,
}

impl<const N: usize> Cuts<N> {
    /// No cuts, of no term.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), term: 0 }
    }

    /// The term with which the list was given out.
    #[inline]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// The cuts, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Cut> {
        self.entries.iter()
    }

    /// The newest cut.
    pub fn last(&self) -> Option<&Cut> {
        self.entries.last()
    }

    /// The cut of the chain that has the origin of `term`.
    #[inline]
    pub(super) fn of(&self, term: u64) -> Option<&Cut> {
        if lacks(Rule::CutList) {
            return self.last().filter(|cut| cut.mark.term == term);
        }
        self.entries.iter().find(|cut| cut.mark.term == term)
    }

    /// The first cut by which a term after `term` began.
    pub(super) fn after(&self, term: u64) -> Option<&Cut> {
        self.entries.iter().find(|cut| cut.term > term)
    }

    /// The list of a group's first term.
    pub(super) fn begin(&mut self) {
        self.entries.clear();
        self.term = 1;
    }

    /// Begins the next term behind `cut`. If nothing was let out in the term before, its entry is replaced:
    /// whoever went on in it has let nothing out.
    ///
    /// # Errors
    ///
    /// [`CutsFull`]; nothing has changed then.
    pub(super) fn push(&mut self, cut: Cut) -> Result<(), CutsFull> {
        let is_empty_term = cut.mark.term < self.term && !lacks(Rule::StrikeEmptyTerms);
        if let Some(last) = self.entries.last_mut()
            && is_empty_term
            && last.term == self.term
        {
            *last = cut;
        } else {
            self.entries.push(cut).map_err(|_| CutsFull { limit: N })?;
        }
        self.term = cut.term;
        Ok(())
    }

    /// The list as it was kept; `None` if one of its cuts isn't one. No more than `N` are taken.
    pub(super) fn restore(
        &mut self,
        term: u64,
        entries: impl Iterator<Item = [u64; Cut::WORDS]>,
    ) -> Option<()> {
        self.entries = entries.take(N).map(Cut::from_words).collect::<Option<_>>()?;
        self.term = term;
        Some(())
    }

    /// Forgets the cuts up to that by which `term` began. The newest stays: its hand-over may be wanted
    /// again.
    pub(super) fn forget_through(&mut self, term: u64) {
        while self.entries.len() > 1 && self.entries.first().is_some_and(|cut| cut.term <= term) {
            self.entries.remove(0);
        }
    }

    /// The term that began by the oldest cut, if there is no room for another cut of the present term.
    pub(super) fn oldest_in_the_way(&self) -> Option<u64> {
        if self.entries.len() < N { None } else { self.entries.first().map(|cut| cut.term) }
    }
}

/// The list of cuts has no room for another: there is no new term until two members have come past the
/// oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CutsFull {
    /// How many there may be.
    pub limit: usize,
}

impl fmt::Display for CutsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there are {} cuts, and fewer than two members past the oldest: bring them up to date, or raise CUTS",
            self.limit
        )
    }
}

impl core::error::Error for CutsFull {}
