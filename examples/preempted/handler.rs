//! The interrupt's handler, which has a selector of its own.

use core::cell::RefCell;
use core::hint::black_box;
use core::mem::swap;
use core::sync::atomic::{Ordering, compiler_fence};

use board::{counter, irq};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use trilane::route::{Class, EndpointId, Health, Random, Request, RoutingKey};
use trilane::time::Instant;

use Ordering::{Relaxed, SeqCst};

use super::book::{End, book};
use super::ops::{BEGAN, IN_THIS, NOW, OP, PER_MILLI};
use super::{Caller, FLEET, MEAN_PAUSE, Taken, classes, release};

/// What the handler works with.
pub struct Urgent {
    selector: Caller,
    classes: [Class; 2],
    random: Random,
    held: [Option<Taken>; 3],
    /// A lease for whoever wants another one for it: each side ends leases that the other has taken.
    pub traded: Option<Taken>,
    /// Whose health it sets.
    own: [EndpointId; 2],
}

/// There while there are interrupts.
pub static URGENT: CriticalSectionMutex<RefCell<Option<Urgent>>> =
    CriticalSectionMutex::new(RefCell::new(None));

fn interrupt() {
    let at = counter::read();
    let op = OP.load(Relaxed);
    let again = IN_THIS.load(Relaxed);
    IN_THIS.store(again + 1, Relaxed);
    let since = counter::instructions(BEGAN.load(Relaxed), at);
    book(|book| {
        if let Some(hits) = book.hits.get_mut(op as usize) {
            hits.count += 1;
            // Later, what an interrupt before this one took would be among them.
            if again == 0 {
                hits.places[since as usize / 32 % hits.places.len()] |= 1 << (since % 32);
            }
        }
    });
    // It is there, but before the first and after the last.
    let pause = URGENT.lock(|urgent| {
        urgent.borrow_mut().as_mut().map(|urgent| {
            urgent.run();
            urgent.pause()
        })
    });
    if let Some(pause) = pause {
        irq::trigger_after(pause);
    }
}

impl Urgent {
    /// Lets the interrupt come, now and again.
    #[inline(never)]
    pub fn start(own: [EndpointId; 2]) {
        let mut selector = FLEET.selector(3).expect("a stripe is free");
        let classes = classes(&mut selector);
        let urgent =
            Self { selector, classes, random: Random::new(4), held: [const { None }; 3], traded: None, own };
        URGENT.lock(|empty| *empty.borrow_mut() = Some(urgent));
        irq::bind(interrupt);
        irq::trigger();
    }

    /// The handler finds nothing from now on, and doesn't come again.
    #[inline(never)]
    pub fn stop() {
        URGENT.lock(|urgent| {
            let mut urgent = urgent.borrow_mut();
            if let Some(urgent) = urgent.as_mut() {
                let held = urgent.held.iter_mut().chain([&mut urgent.traded]);
                held.filter_map(Option::take).for_each(release);
            }
            *urgent = None;
        });
    }

    fn run(&mut self) {
        let now = Instant::from_millis(NOW.load(Relaxed).into());
        let [place, class, key, own] = [3, 2, 40, 2].map(|below| self.random.below(below));

        if self.random.below(4) == 0 {
            swap(&mut self.held[place as usize], &mut self.traded);
        }
        if let Some(lease) = self.held[place as usize].take() {
            let (id, end) = (lease.endpoint(), End::any(&mut self.random));
            timed(|| end.put(lease, now));
            book(|book| book.count(id, end));
        }
        let request = Request::new(self.classes[class as usize]).key(RoutingKey::from_id(key.into()));
        let lease = timed(|| self.selector.select(&request, now)).ok();
        book(|book| match &lease {
            Some(lease) => book.pick_in_handler(lease.endpoint(), class as usize),
            None => book.refused += 1,
        });
        self.held[place as usize] = lease;

        if self.random.below(2) == 0 {
            let (id, healthy) = (self.own[own as usize], self.random.below(2) == 0);
            let health = if healthy { Health::Healthy } else { Health::Unhealthy };
            if healthy {
                book(|book| book.allow(id, [true; 2]));
            }
            timed(|| FLEET.set_health(id, health, now)).expect("nobody removes it");
            if !healthy {
                book(|book| book.allow(id, [false; 2]));
            }
        }
    }

    /// Microseconds until the next interrupt, after part of one has passed.
    fn pause(&mut self) -> u32 {
        let per_milli = PER_MILLI.load(Relaxed);
        for loops in 0..self.random.below(per_milli / 4_000 + 1) {
            black_box(loops);
        }
        1 + self.random.below(2 * MEAN_PAUSE * 1_000 / per_milli)
    }
}

/// Does `f`, and takes note of how long it took.
#[inline(always)]
fn timed<R>(f: impl FnOnce() -> R) -> R {
    let from = counter::read();
    compiler_fence(SeqCst);
    let result = f();
    compiler_fence(SeqCst);
    let took = counter::instructions(from, counter::read());
    book(|book| book.worst = book.worst.max(took));
    result
}
