//! What there is of each slot.

use crate::id::Key;
use crate::route::{EndpointId, Gauges, Health, PeakEwma};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// All of the weight, in 64ths.
pub(in crate::route) const FULL: u32 = 64;

/// What there is of each slot. On hosts on cache lines of its own, so that two endpoints' counts don't slow
/// each other.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(in crate::route) struct Record {
    words: [Word; Words::count as usize],
    pub gauges: Gauges,
    pub latency: PeakEwma,
}

impl Record {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            words: array_of![Word(AtomicU32::new(0)); Words::count as usize],
            gauges: Gauges::new(),
            latency: PeakEwma::new(),
        }
    }
    }

    /// The handle of the endpoint that has it, at `slot`.
    #[inline(always)]
    pub fn handle(&self, slot: u16) -> EndpointId {
        EndpointId(Key::new(slot, self.generations().load(Ordering::Acquire)))
    }

    /// The number that the caller gave it.
    #[inline(always)]
    pub fn number(&self) -> u64 {
        (self.ids_high().get() as u64) << 32 | self.ids_low().get() as u64
    }

    /// The worst that any source says of it.
    pub fn health(&self) -> Health {
        Health::worst(self.healths().get())
    }

    /// The weight as it was given.
    #[inline(always)]
    pub fn weight(&self) -> u32 {
        self.places().get() & 0xffff
    }

    /// What is left of the weight, in 64ths of the unit, 1 to 2^22: what a choice goes by. Of an endpoint
    /// that would get nothing, but is taken for want of others, all of the weight.
    #[inline(always)]
    pub fn weight_left(&self) -> u32 {
        let factor = self.factors().get();
        (self.weight() * if factor == 0 { FULL } else { factor }).max(1)
    }

    /// The exact count of leases, and the [inverse](Self::inverses) of the weight.
    #[inline(always)]
    pub fn leases_and_inverse(&self) -> (u32, u32) {
        (self.exact().get(), self.inverses().get())
    }
}

/// A word that any context reads, and that the holder of the critical section writes, or several at once.
pub(in crate::route) struct Word(AtomicU32);

impl Word {
    #[inline(always)]
    pub fn get(&self) -> u32 {
        self.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn set(&self, value: u32) {
        self.store(value, Ordering::Relaxed);
    }
}

impl core::ops::Deref for Word {
    type Target = AtomicU32;

    #[inline(always)]
    fn deref(&self) -> &AtomicU32 {
        &self.0
    }
}

/// Names the words that a slot has.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[allow(non_camel_case_types, reason = "the names are the functions' below")]
        enum Words { $($name,)* count }

        impl Record {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub fn $name(&self) -> &Word {
                    &self.words[Words::$name as usize]
                }
            )*
        }
    };
}

words! {
    generations,
    breakers,
    /// Leases, counted exactly where a cap or the strategy asks for that.
    exact,
    /// What is left of the weight, in 64ths; 0: nothing.
    factors,
    /// 2^32 or so over what is left of the weight in 64ths of the unit: costs are multiples of it. The number
    /// that is divided has all divisors up to 16, so that endpoints of such weights may have equal costs.
    inverses,
    /// Weight in the low half, zone, tier, and whether it is switched off.
    places,
    ids_low,
    ids_high,
    tag_bits,
    caps,
    healths,
    failures,
    rates,
    /// The tick at which the present half-window of `rates` began.
    rate_from,
    breaker_at,
    ramp_from,
    stale_at,
}
