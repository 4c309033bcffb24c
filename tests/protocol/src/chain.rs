//! A member's chain of outputs, and the cuts that it walks through.

use crate::row::Row;

/// The most terms that a search may see.
pub const TERMS: usize = 6;
/// The most outputs, with a hand-over, that can be kept.
const KEPT: usize = 7;

/// How far the outlet has let out: the mark, and the last link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mark {
    /// The index up to which all is let out.
    pub done: u8,
    /// The number of outputs let out. As every event has as many, it stands for the ordinal (index, k).
    pub outputs: u8,
    /// The last link's origin. The origin of a term is the term's number.
    pub origin: u8,
    /// The last link's sequence.
    pub sequence: u8,
}

/// Where a term took over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Cut {
    /// The last link let out.
    pub mark: Mark,
    /// Its hash.
    pub hash: u32,
    /// Its horizon: the number of events that it contains.
    pub horizon: u8,
    /// The next term found that nothing was let out since, and has replaced the entry.
    pub struck: bool,
}

/// The cut of every term so far. A version of the list is the term with which it was given out.
pub type Cuts = [Cut; TERMS];

/// The hash that the first link of a group has as its parent.
pub const GENESIS: u32 = 0x9e37_79b9;

/// A link's hash: of its parent's, its origin and sequence, and of what it says.
pub fn hash(parent: u32, origin: u8, sequence: u8, content: [u64; 2]) -> u32 {
    let mut hash = u64::from(parent) << 16 | u64::from(origin) << 8 | u64::from(sequence);
    for word in content {
        let product = u128::from(hash ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(word ^ 0x8bb8_4b93_962e_acc9);
        hash = (product >> 64) as u64 ^ product as u64;
    }
    (hash ^ hash >> 32) as u32
}

/// The hash of a term's hand-over. `own` is 0 if it is a function of the cut alone.
pub fn hand_over(cut: &Cut, term: u8, horizon: u8, own: u8) -> u32 {
    let Mark { done: _, outputs, origin, sequence } = cut.mark;
    let place = u64::from_le_bytes([origin, sequence, outputs, horizon, own, 1, 0, 0]);
    hash(cut.hash, term, 1, [place, 0])
}

/// The chain up to the last output computed, and those of its links that are not known to be let out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Chain {
    /// The origin of the last link.
    pub origin: u8,
    /// The sequence of the last link.
    pub sequence: u8,
    /// The outputs computed, under whatever origin.
    pub computed: u8,
    /// The hash of the last link: the parent of the next.
    pub head: u32,
    /// The parent of the first link kept.
    parent: u32,
    kept: [u32; KEPT],
    count: u8,
}

/// A link that is kept until the outlet has let it out.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its sequence.
    pub sequence: u8,
    /// The hash of the link before it.
    pub parent: u32,
    /// Its own hash.
    pub hash: u32,
    /// The ordinal, from 1 on; a hand-over has none.
    pub output: Option<u8>,
}

impl Chain {
    /// The chain at a link that is let out.
    pub fn at(origin: u8, sequence: u8, head: u32) -> Self {
        Self { origin, sequence, head, parent: head, ..Self::default() }
    }

    /// Appends the next output, which belongs to the event at `index` and shows the state behind it. `salt`
    /// is 0 if all members stamp the same time.
    pub fn append_output(&mut self, state: Row, index: u8, salt: u8) {
        self.computed += 1;
        let place = u64::from_le_bytes([self.computed, index, salt, 2, 0, 0, 0, 0]);
        self.append(hash(self.head, self.origin, self.sequence + 1, [place, state.prefix(index)]));
    }

    /// Begins the origin of a term with its hand-over.
    pub fn begin(&mut self, cut: &Cut, term: u8, hash: u32) {
        *self = Self { computed: self.computed, ..Self::at(term, 0, cut.hash) };
        self.append(hash);
    }

    fn append(&mut self, hash: u32) {
        self.kept[usize::from(self.count)] = hash;
        self.count += 1;
        self.sequence += 1;
        self.head = hash;
    }

    /// The links kept, in their order.
    pub fn kept(&self) -> impl Iterator<Item = Link> + use<> {
        let Self { origin, sequence, computed, parent, kept, count, .. } = *self;
        (0..count).map(move |place| {
            let behind = count - 1 - place;
            let sequence = sequence - behind;
            let is_hand_over = sequence == 1 && origin > 1;
            let output = (!is_hand_over).then(|| computed - behind);
            let before = usize::from(place).checked_sub(1).map_or(parent, |before| kept[before]);
            Link { sequence, parent: before, hash: kept[usize::from(place)], output }
        })
    }

    /// Drops the links that the mark has passed.
    pub fn drop_passed(&mut self, mark: &Mark) {
        let Self { origin, .. } = *self;
        let is_passed = |link: &Link| match link.output {
            Some(ordinal) => ordinal <= mark.outputs,
            None => (origin, link.sequence) <= (mark.origin, mark.sequence),
        };
        let passed = self.kept().take_while(is_passed).count();
        if passed > 0 {
            self.parent = self.kept[passed - 1];
            self.kept.copy_within(passed.., 0);
            self.kept[KEPT - passed..].fill(0);
            self.count -= passed as u8;
        }
    }

    /// Whether no link is kept.
    pub fn keeps_none(&self) -> bool {
        self.count == 0
    }

    /// Drops all links kept.
    pub fn drop_all(&mut self) {
        *self = Self { computed: self.computed, ..Self::at(self.origin, self.sequence, self.head) };
    }

    /// Keeps the hand-over again, where the chain has it as its last link.
    pub fn keep_hand_over(&mut self, cut: &Cut) {
        if self.sequence == 1 && self.count == 0 {
            let hash = self.head;
            self.begin(cut, self.origin, hash);
        }
    }
}
