//! Whether a pick was right while everything changed: what was said of each endpoint, and between which two
//! instants.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use trilane::route::{EndpointId, Tags};

/// What an endpoint is, as far as filters ask; 0 is no cap, and a cap that changes is none either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its tags.
    pub tags: Tags,
    /// The number of its zone.
    pub zone: u8,
    /// The number of its tier.
    pub tier: u8,
    /// The most leases that it may have.
    pub cap: u32,
}

/// Something that was said of an endpoint: it became so at an instant between these two.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    generation: u32,
    value: T,
    began: u64,
    ended: u64,
}

/// What was said of one kind, of the endpoints of a slot one after the other: the last few.
#[derive(Debug)]
struct Line<T>(Mutex<Said<T>>);

#[derive(Debug)]
struct Said<T> {
    entries: [Option<Entry<T>>; KEPT],
    count: usize,
}

/// How much is kept of each kind and slot.
const KEPT: usize = 64;
/// It isn't so yet.
const NOT_YET: u64 = u64::MAX;

/// The verdict on a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// There was an instant at which the endpoint could serve.
    Eligible(Site),
    /// There was none.
    Ineligible,
    /// So much was said of it since the select began that it isn't known any more.
    Forgotten,
}

/// The history of a balancer's endpoints.
///
/// A change takes effect at some instant between the beginning and the end of its call, and a pick is
/// *eligible* if there is an instant between the beginning and the end of the select at which, for some
/// choice of those instants, the endpoint was a member, not switched off, of the place that was asked for,
/// healthy, and not known to be kept out by its breaker (a probe may be).
///
/// Breakers open and close by themselves; what is known is that one which was seen not closed stays so until
/// a probe succeeds.
///
/// Nothing here allocates once it is made.
#[derive(Debug)]
pub struct History {
    clock: AtomicU64,
    places: Vec<Line<Option<Site>>>,
    healthy: Vec<Line<bool>>,
    closed: Vec<Line<bool>>,
}

impl<T: Copy> Line<T> {
    fn new() -> Self {
        Self(Mutex::new(Said { entries: [const { None }; KEPT], count: 0 }))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Said<T>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, generation: u32, value: T, began: u64, ended: u64) -> usize {
        self.with(|said| said.push(Entry { generation, value, began, ended }))
    }

    fn end(&self, entry: usize, ended: u64) {
        self.with(|said| {
            if said.count - entry <= KEPT
                && let Some(entry) = &mut said.entries[entry % KEPT]
            {
                entry.ended = ended;
            }
        });
    }

    /// Calls `each` with every value that the endpoint of `generation` may have had between the two instants,
    /// and when it may have had it. Returns whether all of it is known.
    fn between(&self, generation: u32, from: u64, to: u64, mut each: impl FnMut(T, u64, u64)) -> bool {
        self.with(|said| {
            // From the last one back: what is before one that was over before `from` can't have been any
            // more.
            let mut until = NOT_YET;
            for at in (said.count.saturating_sub(KEPT)..said.count).rev() {
                let Some(entry) = said.entries[at % KEPT].filter(|entry| entry.generation == generation)
                else {
                    continue;
                };
                let (first, last) = (entry.began.max(from), until.min(to));
                if first <= last {
                    each(entry.value, first, last);
                }
                if entry.ended <= from {
                    return true;
                }
                until = entry.ended;
            }
            said.count <= KEPT
        })
    }
}

impl<T: Copy> Said<T> {
    fn push(&mut self, entry: Entry<T>) -> usize {
        self.entries[self.count % KEPT] = Some(entry);
        self.count += 1;
        self.count - 1
    }
}

impl History {
    /// A history of as many slots.
    pub fn new(slots: usize) -> Self {
        fn lines<T: Copy>(slots: usize) -> Vec<Line<T>> {
            (0..slots).map(|_| Line::new()).collect()
        }
        Self { clock: AtomicU64::new(1), places: lines(slots), healthy: lines(slots), closed: lines(slots) }
    }

    /// The present instant; no two are the same.
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst)
    }

    /// An endpoint has been added, in a call that began then; `None`: switched off.
    pub fn added(&self, id: EndpointId, place: Option<Site>, healthy: bool, began: u64) {
        let (slot, generation, ended) = (usize::from(id.slot()), id.key().generation(), self.now());
        self.closed[slot].push(generation, true, began, ended);
        self.healthy[slot].push(generation, healthy, began, ended);
        // The last, since it tells that the endpoint is known.
        self.places[slot].push(generation, place, began, ended);
    }

    /// Does `change`, after which the endpoint is so; `None`: it is removed or switched off. One context at a
    /// time for each endpoint.
    pub fn placing<R>(&self, id: EndpointId, place: Option<Site>, change: impl FnOnce() -> R) -> R {
        changing(self, &self.places[usize::from(id.slot())], id, place, change)
    }

    /// Does `change`, after which the endpoint's health is so. One context at a time for each endpoint.
    pub fn healing<R>(&self, id: EndpointId, healthy: bool, change: impl FnOnce() -> R) -> R {
        changing(self, &self.healthy[usize::from(id.slot())], id, healthy, change)
    }

    /// Does `success`, the end of a probe, which may close the breaker.
    pub fn closing<R>(&self, id: EndpointId, success: impl FnOnce() -> R) -> R {
        changing(self, &self.closed[usize::from(id.slot())], id, true, success)
    }

    /// The breaker was seen not closed in a call that began then, in the critical section: one that is just
    /// being opened outside of it keeps nobody out yet.
    pub fn seen_open(&self, id: EndpointId, began: u64) {
        let (generation, ended) = (id.key().generation(), self.now());
        self.closed[usize::from(id.slot())].with(|said| {
            let of_it = |at: usize| said.entries[at % KEPT].filter(|entry| entry.generation == generation);
            let mut entries = (said.count.saturating_sub(KEPT)..said.count).rev().filter_map(of_it);
            // If a probe has succeeded meanwhile, or is about to, it may be closed again.
            let sure = entries.clone().all(|entry| !entry.value || entry.ended < began);
            if sure && entries.next().is_some_and(|last| last.value) {
                said.push(Entry { generation, value: false, began, ended });
            }
        });
    }

    /// Judges a pick; `matches` says whether the place is one that was asked for.
    pub fn judge(
        &self,
        id: EndpointId,
        probe: bool,
        from: u64,
        to: u64,
        matches: impl Fn(&Site) -> bool,
    ) -> Pick {
        let (slot, generation) = (usize::from(id.slot()), id.key().generation());
        // It may have been picked before the call that has added it has returned.
        while self.places[slot].with(|said| {
            let newest = said.count.checked_sub(1).and_then(|last| said.entries[last % KEPT]);
            newest.is_none_or(|newest| newest.generation < generation)
        }) {
            std::thread::yield_now();
        }
        let mut found = None;
        let mut known = true;
        let places = self.places[slot].between(generation, from, to, |place, from, to| {
            let Some(place) = place.filter(|place| found.is_none() && matches(place)) else { return };
            known &= self.healthy[slot].between(generation, from, to, |healthy, from, to| {
                if healthy && probe {
                    found = Some(place);
                } else if healthy {
                    known &= self.closed[slot].between(generation, from, to, |closed, _, _| {
                        if closed {
                            found = Some(place);
                        }
                    });
                }
            });
        });
        match found {
            Some(place) => Pick::Eligible(place),
            None if places && known => Pick::Ineligible,
            None => Pick::Forgotten,
        }
    }
}

fn changing<T: Copy, R>(
    history: &History,
    line: &Line<T>,
    id: EndpointId,
    value: T,
    change: impl FnOnce() -> R,
) -> R {
    let entry = line.push(id.key().generation(), value, history.now(), NOT_YET);
    let result = change();
    line.end(entry, history.now());
    result
}
