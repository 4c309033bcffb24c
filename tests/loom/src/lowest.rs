//! The strategy of the router's models: the lowest slot, and what it sees of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use trilane::route::{Endpoints, Needs, Pool, Strategy, Turn};

use crate::Plain;

/// Picks the lowest candidate that isn't barred, without a list or a cursor: as few steps as a select can
/// have.
///
/// What it saw last is kept in atomics that the checker doesn't know, so that watching orders nothing.
pub struct Lowest {
    needs: Needs,
    full: AtomicU32,
    exact: AtomicU32,
    /// The weight of slot 0 when the last build began, in a variable that one context at a time may touch.
    built: Plain,
    /// See [`meanwhile`](Lowest::meanwhile).
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Lowest {
    /// Needs nothing.
    #[expect(clippy::new_without_default, reason = "a model says that it makes one")]
    pub fn new() -> Self {
        Self::with(Needs::default())
    }

    /// With these needs.
    pub fn with(needs: Needs) -> Self {
        Self {
            needs,
            full: AtomicU32::new(0),
            exact: AtomicU32::new(0),
            built: Plain::new(),
            meanwhile: Mutex::new(None),
        }
    }

    /// The next pick is made, then this happens, then the selector gets to know the pick: so that what a
    /// model has to happen between the two needs no order of the threads to be found.
    pub fn meanwhile(&self, event: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(event));
    }

    /// Whether the endpoint that was picked last was full, and how many leases it had, counted exactly.
    pub fn seen(&self) -> (bool, u32) {
        (self.full.load(Ordering::SeqCst) == 1, self.exact.load(Ordering::SeqCst))
    }

    /// The weight of slot 0 as the last build found it.
    pub fn built(&self) -> u32 {
        self.built.get()
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for Lowest
{
    type Cache = ();
    const EMPTY: () = ();

    fn needs(&self) -> Needs {
        self.needs
    }

    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        _cache: &mut (),
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let slots = pool.candidates.words().iter().zip(0u16..).flat_map(|(&word, bank)| {
            (0..32).filter(move |index| word >> index & 1 == 1).map(move |index| bank * 32 + index)
        });
        let slot = slots.into_iter().find(|&slot| !turn.barred.contains(slot))?;
        if self.needs.on_demand && pool.endpoints.is_build_outdated() {
            pool.endpoints.want_build();
        }
        self.full.store(pool.endpoints.is_full(slot).into(), Ordering::SeqCst);
        self.exact.store(pool.endpoints.exact_count(slot), Ordering::SeqCst);
        let event = self.meanwhile.lock().unwrap().take();
        if let Some(event) = event {
            event();
        }
        Some(slot)
    }

    fn begin(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        self.built.set(endpoints.weight(0));
    }
}
