//! What is on loan, and whose turn it is when something comes back.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// So many wait before the queue takes more memory.
const ROOM: usize = 64;

/// A few things, each on loan to one at a time: who has which, and who waits, tasks and threads in one queue
/// in the order in which they came.
///
/// # Waiting Invariant
///
/// Whoever waits first counts itself, then looks whether a thing is free; whoever gives one back while nobody
/// is counted first frees it, then looks whether anybody is. A fence on each side, between the two, makes one
/// of them see the other. As long as anybody is counted, what comes back goes to the first in the queue
/// without being free in between, and newcomers take nothing.
///
/// No waker is cloned, called or dropped inside the queue's lock.
pub struct Loans {
    out: Box<[Flag]>,
    /// How many are in the queue.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

/// On a cache line of its own, so that two threads with two things don't meet.
#[repr(align(64))]
struct Flag(AtomicBool);

struct Queue {
    /// By rising number.
    waiters: VecDeque<(u64, Waker)>,
    /// Who was given what and hasn't taken it yet.
    given: VecDeque<(u64, usize)>,
    next_number: u64,
}

impl Loans {
    /// Of so many things, all of them free.
    pub fn new(count: usize) -> Self {
        let room = || VecDeque::with_capacity(ROOM);
        let queue = Queue { waiters: VecDeque::with_capacity(ROOM), given: room(), next_number: 0 };
        let out = (0..count).map(|_| Flag(AtomicBool::new(false))).collect();
        Self { out, waiting: AtomicUsize::new(0), queue: Mutex::new(queue) }
    }

    /// Takes one that is free, unless others wait.
    pub fn try_take(&self) -> Option<usize> {
        if self.waiting.load(Ordering::Relaxed) == 0 { self.claim() } else { None }
    }

    /// Takes one, when all who came before have; `None` if `end` comes first.
    pub fn take_until(&self, end: Option<Instant>) -> Option<usize> {
        if let Some(thing) = self.try_take() {
            return Some(thing);
        }
        let waker = own_waker();
        let mut context = Context::from_waker(&waker);
        let mut turn = self.turn();
        loop {
            if let Poll::Ready(thing) = Pin::new(&mut turn).poll(&mut context) {
                return Some(thing);
            }
            match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return None,
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Waits for one.
    pub fn turn(&self) -> Turn<'_> {
        Turn { loans: self, number: None }
    }

    /// Gives one back.
    pub fn give_back(&self, thing: usize) {
        let Some(Flag(out)) = self.out.get(thing) else { return };
        // Waiting Invariant.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            out.store(false, Ordering::Release);
            fence(Ordering::SeqCst);
            // Whoever has taken it by now gives it back later.
            if self.waiting.load(Ordering::Relaxed) == 0 || out.swap(true, Ordering::Acquire) {
                return;
            }
        }
        let mut queue = self.lock();
        let Some((number, waker)) = queue.waiters.pop_front() else {
            // Inside the lock, so that whoever counts itself next finds it free.
            return out.store(false, Ordering::Release);
        };
        queue.given.push_back((number, thing));
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(queue);
        waker.wake();
    }

    fn claim(&self) -> Option<usize> {
        let start = own_start();
        let order = (0..self.out.len()).map(|at| (start + at) % self.out.len());
        // Looking first, so that many who find all taken don't write.
        let free = |flag: &AtomicBool| !flag.load(Ordering::Relaxed) && !flag.swap(true, Ordering::Acquire);
        order.into_iter().find(|&at| free(&self.out[at].0))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take_given(&mut self, number: u64) -> Option<usize> {
        let at = self.given.iter().position(|&(to, _)| to == number)?;
        self.given.remove(at).map(|(_, thing)| thing)
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.waiters.binary_search_by_key(&number, |&(number, _)| number).ok()
    }
}

/// A place in the queue, from the first poll on.
pub struct Turn<'a> {
    loans: &'a Loans,
    number: Option<u64>,
}

impl Future for Turn<'_> {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let loans = self.loans;
        let waker = context.waker().clone();
        let mut queue = loans.lock();
        let Some(number) = self.number else {
            // Waiting Invariant.
            loans.waiting.fetch_add(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if queue.waiters.is_empty()
                && let Some(thing) = loans.claim()
            {
                loans.waiting.fetch_sub(1, Ordering::Relaxed);
                // The waker goes after the lock.
                drop(queue);
                return Poll::Ready(thing);
            }
            let number = queue.next_number;
            queue.next_number += 1;
            queue.waiters.push_back((number, waker));
            self.number = Some(number);
            return Poll::Pending;
        };
        if let Some(thing) = queue.take_given(number) {
            self.number = None;
            drop(queue);
            return Poll::Ready(thing);
        }
        let place = queue.find(number).and_then(|at| queue.waiters.get_mut(at));
        let before = place.map(|(_, place)| std::mem::replace(place, waker));
        drop(queue);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut queue = self.loans.lock();
        let given = queue.take_given(number);
        let left = queue.find(number).and_then(|at| queue.waiters.remove(at));
        if left.is_some() {
            self.loans.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        drop(queue);
        if let Some(thing) = given {
            self.loans.give_back(thing);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn new_waker() -> Waker {
    Arc::new(Unpark(thread::current())).into()
}

thread_local! {
    static WAKER: Waker = new_waker();
}

fn own_waker() -> Waker {
    WAKER.try_with(Waker::clone).unwrap_or_else(|_| new_waker())
}

/// Where this thread begins to look.
fn own_start() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static START: usize = {
            // All that a thread allocates, it allocates here.
            let _ended = WAKER.try_with(|_| ());
            THREADS.fetch_add(1, Ordering::Relaxed)
        };
    }
    START.with(|start| *start)
}
