//! Who waits for which event of which socket.
//!
//! # What an event is
//!
//! A source is registered once, for edges: the system tells when it *becomes* readable or writable, and each
//! direction counts that. Whoever finds nothing to read waits until the count is another than it was before
//! the attempt. So an edge between the attempt and the wait isn't lost, and a wait is no system call.
//!
//! # The key
//!
//! An event carries a key: the slot of its source, and the slot's generation. The generation changes when the
//! source goes, so an event that is under way then wakes nobody, whoever has the slot next.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::poller::{AsSource, Poller};
use super::sleepers::{Driver, TICK, wake_all};
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use crate::sync::{Mutex, MutexGuard, thread};

/// The slots of the first segment; each further one has twice as many as that before it.
const FIRST: usize = 64;
/// So there is room for a million sources.
const SEGMENTS: usize = 15;
/// The bits of a key that name the slot; those above are the generation.
const INDEX_BITS: u32 = usize::BITS / 2;

/// The number of the wait that nobody takes back: that of functions that poll.
pub(crate) const POLL: u64 = 0;

/// Why a socket can't be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoReactor {
    /// It was made outside of a runtime.
    OutsideRuntime,
    /// It was made in a [`Simulation`](super::Simulation), where nobody waits for the world outside.
    Simulated,
    /// The runtime in which it was made has ended.
    RuntimeEnded,
    /// The runtime has a million sockets.
    Full,
}

impl fmt::Display for NoReactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutsideRuntime => {
                "a socket belongs to a runtime, and here is none: make it in a task of a `Runtime`, or inside \
                 of `Runtime::block_on`"
            }
            Self::Simulated => "a simulation has no sockets: run this part of the program in a `Runtime`",
            Self::RuntimeEnded => "the socket's runtime has ended: make the socket in a runtime that lives",
            Self::Full => "the runtime has room for no more sockets: drop some",
        })
    }
}

impl std::error::Error for NoReactor {}

impl From<NoReactor> for io::Error {
    fn from(error: NoReactor) -> Self {
        Self::other(error)
    }
}

/// What one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The sources of a runtime. It makes no system call before the first is registered.
#[derive(Default)]
pub(crate) struct Reactor {
    os: OnceLock<Poller>,
    segments: [OnceLock<Box<[Slot]>>; SEGMENTS],
    /// Whoever has this lock calls nobody.
    free: Mutex<Free>,
    /// The sources of this life.
    used: AtomicUsize,
}

#[derive(Default)]
struct Free {
    slots: Vec<usize>,
    /// How many slots there are.
    all: usize,
}

#[derive(Default)]
struct Slot {
    generation: AtomicU32,
    /// How many events there were, by direction.
    events: [AtomicU64; 2],
    /// Who waits, by direction, with the numbers by which they take that back. Whoever has this lock calls
    /// nobody.
    waiting: Mutex<[Vec<(u64, Waker)>; 2]>,
    next_wait: AtomicU64,
}

impl Reactor {
    /// Registers a source. `is_over` says whether the runtime has ended. Also returns whether it is the
    /// first.
    ///
    /// # Safety
    ///
    /// It is [deregistered](Source::deregister) before it is closed.
    pub unsafe fn register(
        &'static self,
        io: impl AsSource,
        is_over: impl FnOnce() -> bool,
    ) -> io::Result<(Source, bool)> {
        let (source, os, is_first) = {
            let mut free = lock(&self.free);
            if is_over() {
                return Err(NoReactor::RuntimeEnded.into());
            }
            let os = self.os()?;
            let index = free.slots.pop().or_else(|| self.grow(&mut free)).ok_or(NoReactor::Full)?;
            let slot = self.slot(index).ok_or(NoReactor::Full)?;
            // So that no wait allocates, but that of one task among many.
            lock(&slot.waiting).iter_mut().for_each(|waiting| waiting.reserve(1));
            let source = Source { reactor: self, slot, index, generation: slot.generation.load(SeqCst) };
            (source, os, self.used.fetch_add(1, SeqCst) == 0)
        };
        // SAFETY: the caller's promise.
        let added = unsafe { os.add(io, source.key()) };
        match added {
            Ok(()) => Ok((source, is_first)),
            Err(error) => {
                source.vacate();
                Err(error)
            }
        }
    }

    /// The runtime has ended: its sources are dead, and whoever waits for one is woken.
    pub fn end_life(&self) {
        let mut woken = Vec::new();
        let free = lock(&self.free);
        (0..free.all).filter_map(|index| self.slot(index)).for_each(|slot| slot.renew(&mut woken));
        self.used.store(0, SeqCst);
        drop(free);
        wake_all(&mut woken);
    }

    /// Under the lock of `free`, so it is made once.
    fn os(&self) -> io::Result<&Poller> {
        if let Some(os) = self.os.get() {
            return Ok(os);
        }
        let os = Poller::new()?;
        Ok(self.os.get_or_init(|| os))
    }

    /// Makes another segment, and returns one of its slots, if there may be another.
    fn grow(&self, free: &mut Free) -> Option<usize> {
        let (segment, _) = place(free.all);
        let slots = self.segments.get(segment)?.get_or_init(|| {
            let slots = 0..FIRST << segment;
            slots.map(|_| Slot::default()).collect()
        });
        let first = free.all;
        free.all += slots.len();
        free.slots.extend((first + 1..free.all).rev());
        Some(first)
    }

    fn slot(&self, index: usize) -> Option<&Slot> {
        let (segment, offset) = place(index);
        self.segments.get(segment)?.get()?.get(offset)
    }
}

/// The segment of a slot, and which one of the segment it is.
fn place(index: usize) -> (usize, usize) {
    let segment = (index / FIRST + 1).ilog2() as usize;
    (segment, index - FIRST * ((1 << segment) - 1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver for Reactor {
    fn is_used(&self) -> bool {
        self.used.load(SeqCst) != 0
    }

    fn wait(&self, limit: Option<Duration>, woken: &mut Vec<Waker>) {
        let Some(os) = self.os.get() else { return };
        let waited = os.wait(limit, |key, happened| {
            let (index, generation) = (key & (usize::MAX >> INDEX_BITS), key >> INDEX_BITS);
            if let Some(slot) = self.slot(index) {
                slot.fire(generation, happened, woken);
            }
        });
        if waited.is_err() {
            // The system is out of something: try again soon, but don't keep a processor from it meanwhile.
            thread::sleep(limit.map_or(TICK, |limit| limit.min(TICK)));
        }
    }

    fn notify(&self) {
        if let Some(os) = self.os.get() {
            os.notify();
        }
    }
}

impl Slot {
    /// An event of the source that has, or had, the slot in `generation`.
    fn fire(&self, generation: usize, happened: [bool; 2], woken: &mut Vec<Waker>) {
        let mut waiting = lock(&self.waiting);
        if generation != self.generation.load(SeqCst) as usize & (usize::MAX >> INDEX_BITS) {
            return;
        }
        for direction in 0..2 {
            if happened[direction] {
                self.events[direction].fetch_add(1, SeqCst);
                woken.extend(waiting[direction].drain(..).map(|(_, waker)| waker));
            }
        }
    }

    /// Whoever waits for what was there is woken, and finds that it has gone.
    fn renew(&self, woken: &mut Vec<Waker>) {
        let mut waiting = lock(&self.waiting);
        self.generation.fetch_add(1, SeqCst);
        woken.extend(waiting.iter_mut().flat_map(|waiting| waiting.drain(..).map(|(_, waker)| waker)));
    }
}

/// What is registered.
pub(crate) struct Source {
    reactor: &'static Reactor,
    slot: &'static Slot,
    index: usize,
    generation: u32,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}.{})", self.index, self.generation)
    }
}

impl Source {
    fn key(&self) -> usize {
        // Of a generation, as many bits as there is room for.
        self.index | (self.generation as usize) << INDEX_BITS
    }

    /// Before it is closed. A wait that goes on is woken, and fails.
    pub fn deregister(self, io: impl AsSource) {
        if let Some(os) = self.reactor.os.get() {
            // It fails when somebody has closed the source already; then there is nothing to be done.
            let _ = os.delete(io);
        }
        self.vacate();
    }

    fn vacate(self) {
        let mut woken = Vec::new();
        let mut free = lock(&self.reactor.free);
        if self.check().is_ok() {
            self.slot.renew(&mut woken);
            self.reactor.used.fetch_sub(1, SeqCst);
        }
        free.slots.push(self.index);
        drop(free);
        wake_all(&mut woken);
    }

    fn check(&self) -> Result<(), NoReactor> {
        if self.slot.generation.load(SeqCst) == self.generation {
            Ok(())
        } else {
            Err(NoReactor::RuntimeEnded)
        }
    }

    /// How many events there were: read it before an attempt.
    pub fn seen(&self, direction: Direction) -> Result<u64, NoReactor> {
        self.check()?;
        Ok(self.slot.events[direction as usize].load(SeqCst))
    }

    /// Whether there was an event since `seen`; if not, the task is woken when there is one. A `wait` has one
    /// waker a direction, the latest.
    pub fn poll_event(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        seen: u64,
        wait: u64,
    ) -> Poll<Result<(), NoReactor>> {
        // Cloned and dropped outside of the lock: it may be foreign.
        let waker = cx.waker().clone();
        let mut waiting = lock(&self.slot.waiting);
        if let Err(error) = self.check() {
            drop(waiting);
            return Poll::Ready(Err(error));
        }
        if self.slot.events[direction as usize].load(SeqCst) != seen {
            drop(waiting);
            return Poll::Ready(Ok(()));
        }
        let waiting_here = &mut waiting[direction as usize];
        let before = match waiting_here.iter_mut().find(|(number, _)| *number == wait) {
            Some((_, before)) => Some(mem::replace(before, waker)),
            None => {
                waiting_here.push((wait, waker));
                None
            }
        };
        drop(waiting);
        drop(before);
        Poll::Pending
    }

    pub fn wait(&self, direction: Direction) -> Wait<'_> {
        Wait { source: self, direction, number: POLL }
    }
}

/// A wait that is taken back when it is dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    source: &'a Source,
    direction: Direction,
    /// [`POLL`] before there was something to wait for.
    number: u64,
}

impl Wait<'_> {
    /// Whether there was an event since `seen`.
    pub fn poll(&mut self, cx: &Context<'_>, seen: u64) -> Poll<Result<(), NoReactor>> {
        if self.number == POLL {
            self.number = self.source.slot.next_wait.fetch_add(1, Relaxed) + 1;
        }
        self.source.poll_event(cx, self.direction, seen, self.number)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.number == POLL {
            return;
        }
        let mut waiting = lock(&self.source.slot.waiting);
        let waiting_here = &mut waiting[self.direction as usize];
        let index = waiting_here.iter().position(|(number, _)| *number == self.number);
        let waker = index.map(|index| waiting_here.swap_remove(index));
        drop(waiting);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_source_that_has_gone_wakes_nobody() {
        let (slot, mut woken) = (Slot::default(), Vec::new());
        slot.renew(&mut woken);
        lock(&slot.waiting)[0].push((1, Waker::noop().clone()));
        slot.fire(0, [true, true], &mut woken);
        assert_eq!((woken.len(), slot.events[0].load(SeqCst)), (0, 0));
        slot.fire(1, [true, false], &mut woken);
        assert_eq!((woken.len(), slot.events[0].load(SeqCst)), (1, 1));
    }

    #[test]
    fn each_slot_has_a_place_of_its_own() {
        let mut next = (0, 0);
        for index in 0..100_000 {
            if next.1 == FIRST << next.0 {
                next = (next.0 + 1, 0);
            }
            assert_eq!(place(index), next);
            next.1 += 1;
        }
    }
}
