//! What may be selected, written down beside the balancer, and what has come of it.

use core::cell::RefCell;

use embassy_sync::blocking_mutex::CriticalSectionMutex;
use trilane::route::{EndpointId, Random};
use trilane::time::{Duration, Instant};

use super::ops::{Hits, OPS};
use super::{SLOTS, Taken, millis};

/// An endpoint, and until when it could be selected: for any request, and for those that need a GPU.
#[derive(Clone, Copy)]
struct Entry {
    id: Option<EndpointId>,
    until: [u32; 2],
}

/// An endpoint that is being added.
#[derive(Clone, Copy)]
pub struct Coming {
    pub may: [bool; 2],
    /// The handler has got it before the program.
    pub seen: Option<EndpointId>,
}

/// Nothing puts an end to it yet.
const OPEN: u32 = u32::MAX;

/// What may be selected, and what has come of it.
pub struct Book {
    /// Counts changes.
    pub time: u32,
    entries: [Entry; SLOTS],
    pub coming: Option<Coming>,
    /// Whom the program is changing: until that is done, the handler doesn't know what becomes of it.
    pub changing: Option<EndpointId>,
    /// By slot: selected, succeeded, failed, released.
    pub counts: [[usize; 4]; SLOTS],
    /// Selects that got nothing.
    pub refused: usize,
    /// What has gone wrong first, if anything has.
    pub wrong: Option<&'static str>,
    /// What the handler's longest call took, in instructions.
    pub worst: u32,
    pub hits: [Hits; OPS.len()],
}

static BOOK: CriticalSectionMutex<RefCell<Book>> = CriticalSectionMutex::new(RefCell::new(Book {
    time: 0,
    entries: [Entry { id: None, until: [0; 2] }; SLOTS],
    coming: None,
    changing: None,
    counts: [[0; 4]; SLOTS],
    refused: 0,
    wrong: None,
    worst: 0,
    hits: [const { Hits { count: 0, places: [0; 16] } }; OPS.len()],
}));

/// Reads or writes the book, with interrupts masked: what the program does isn't under way then.
pub fn book<R>(f: impl FnOnce(&mut Book) -> R) -> R {
    BOOK.lock(|book| f(&mut book.borrow_mut()))
}

impl Book {
    /// Adding has come to an end, with `id` in a slot or with nothing.
    pub fn added(&mut self, id: Option<EndpointId>) {
        let Some(Coming { may, seen }) = self.coming.take() else { return };
        self.expect(seen.is_none() || seen == id, "the handler got something else than was added");
        if let Some(id) = id {
            let slot = id.slot() as usize;
            if seen.is_none() {
                self.counts[slot] = [0; 4];
            }
            self.entries[slot] = Entry { id: Some(id), until: may.map(|may| if may { OPEN } else { 0 }) };
        }
    }

    /// What `id` may be selected for: to be called with more before a change, and with less after it.
    pub fn allow(&mut self, id: EndpointId, may: [bool; 2]) {
        for (until, may) in self.entries[id.slot() as usize].until.iter_mut().zip(may) {
            match (may, *until == OPEN) {
                (true, _) => *until = OPEN,
                (false, true) if self.changing != Some(id) => *until = self.time,
                (false, _) => {}
            }
        }
        self.time += 1;
    }

    /// A pick of a class by somebody who has seen what there was at `time`, and perhaps what came after.
    pub fn pick(&mut self, id: EndpointId, class: usize, time: u32) {
        let entry = &self.entries[id.slot() as usize];
        let may = entry.id == Some(id) && entry.until[class] >= time;
        self.expect(may, "it could not be had");
        self.count(id, End::Selected);
    }

    /// A pick of the handler's, whom nothing interrupts.
    pub fn pick_in_handler(&mut self, id: EndpointId, class: usize) {
        let slot = id.slot() as usize;
        let known = self.entries[slot].id == Some(id);
        let Some(coming) = self.coming.as_mut().filter(|_| !known) else {
            return self.pick(id, class, OPEN);
        };
        if coming.seen.is_none() {
            coming.seen = Some(id);
            self.counts[slot] = [0; 4];
        }
        let may = coming.may[class] && coming.seen == Some(id);
        self.expect(may, "it could not be had");
        self.count(id, End::Selected);
    }

    /// Takes note of `wrong` unless all is `right`.
    pub fn expect(&mut self, right: bool, wrong: &'static str) {
        if !right && self.wrong.is_none() {
            self.wrong = Some(wrong);
        }
    }

    pub fn count(&mut self, id: EndpointId, what: End) {
        self.counts[id.slot() as usize][what as usize] += 1;
    }
}

/// What becomes of a lease.
#[derive(Clone, Copy)]
pub enum End {
    Selected,
    Succeeded,
    Failed,
    Released,
}

impl End {
    pub fn any(random: &mut Random) -> Self {
        [Self::Succeeded, Self::Succeeded, Self::Failed, Self::Released][random.below(4) as usize]
    }

    #[inline(always)]
    pub fn put(self, lease: Taken, now: Instant) {
        match self {
            Self::Succeeded => lease.succeed(millis(3), now),
            Self::Failed => lease.fail(Duration::ZERO, now),
            _ => drop(lease),
        }
    }
}
