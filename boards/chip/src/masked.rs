//! How long interrupts are masked, for benches. Only in builds with `--cfg trilane_masked`, so that others
//! don't pay.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

/// A counter of instructions, as a board has it.
pub trait Counter: 'static {
    /// A reading.
    fn read() -> u32;

    /// The instructions executed between two readings.
    fn instructions(from: u32, to: u32) -> u32;
}

/// The longest stretch with interrupts masked, on one core.
///
/// A board's critical section calls [`begins`](Self::begins) first thing after it has masked interrupts that
/// were not masked before, and [`ends`](Self::ends) last thing before it unmasks them.
pub struct Masked<C> {
    since: AtomicU32,
    longest: AtomicU32,
    /// What the readings themselves add to a stretch.
    own: AtomicU32,
    /// The sections inside the stretch that is under way.
    inner: AtomicU32,
    /// What each of them takes longer than one that isn't measured.
    inner_cost: AtomicU32,
    counter: PhantomData<fn() -> C>,
}

impl<C: Counter> Masked<C> {
    /// Nothing measured yet.
    pub const fn new() -> Self {
        Self {
            since: AtomicU32::new(0),
            longest: AtomicU32::new(0),
            own: AtomicU32::new(0),
            inner: AtomicU32::new(0),
            inner_cost: AtomicU32::new(0),
            counter: PhantomData,
        }
    }

    /// Measures what the readings themselves cost. The counter runs, and `shortest` is a stretch that would
    /// be none but for them.
    pub fn start(&self, shortest: impl Fn()) {
        self.own.store(0, Ordering::Relaxed);
        self.own.store(self.least(shortest), Ordering::Relaxed);
    }

    /// Measures, after [`start`](Self::start), what a section inside another takes, since its end calls
    /// [`inner_ends`](Self::inner_ends). One that isn't measured takes `unmeasured` instructions; `one` is a
    /// stretch that would be none but for one of them.
    pub fn start_inner(&self, one: impl Fn(), unmeasured: u32) {
        self.inner_cost.store(0, Ordering::Relaxed);
        self.inner_cost.store(self.least(one).saturating_sub(unmeasured), Ordering::Relaxed);
    }

    /// Of several, since an interrupt's may come between and be longer.
    fn least(&self, stretch: impl Fn()) -> u32 {
        let measured = |_| {
            self.longest.store(0, Ordering::Relaxed);
            stretch();
            self.longest.load(Ordering::Relaxed)
        };
        (0..16).map(measured).min().unwrap_or(0)
    }

    /// Interrupts have just been masked.
    #[inline(always)]
    pub fn begins(&self) {
        self.since.store(read::<C>(), Ordering::Relaxed);
    }

    /// Interrupts are about to be unmasked.
    #[inline(always)]
    pub fn ends(&self) {
        self.record(read::<C>());
    }

    /// A section inside another ends.
    #[inline(always)]
    pub fn inner_ends(&self) {
        self.inner.store(self.inner.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Out of line, as what comes after the reading is not measured, and critical sections are to stay short
    /// where they are inlined.
    #[inline(never)]
    fn record(&self, now: u32) {
        let stretch = C::instructions(self.since.load(Ordering::Relaxed), now);
        let inner = self.inner.load(Ordering::Relaxed) * self.inner_cost.load(Ordering::Relaxed);
        self.inner.store(0, Ordering::Relaxed);
        let stretch = stretch.saturating_sub(self.own.load(Ordering::Relaxed) + inner);
        if stretch > self.longest.load(Ordering::Relaxed) {
            self.longest.store(stretch, Ordering::Relaxed);
        }
    }

    /// The longest stretch since the last call, in instructions. Interrupts are masked.
    pub fn take(&self) -> u32 {
        let longest = self.longest.load(Ordering::Relaxed);
        self.longest.store(0, Ordering::Relaxed);
        longest
    }
}

impl<C: Counter> Default for Masked<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// A reading. Accesses to memory stay on the side of it on which they are written.
#[inline(always)]
fn read<C: Counter>() -> u32 {
    compiler_fence(Ordering::SeqCst);
    let reading = C::read();
    compiler_fence(Ordering::SeqCst);
    reading
}

/// Defines, in a module of the board, the board's [`Masked`] on the counter in the module `$counter`. `$free`
/// runs a function with interrupts masked that is not measured, `$start` calls
/// [`Masked::start`](masked::Masked::start).
#[macro_export]
macro_rules! masked {
    ($counter:path, $free:path, $start:expr) => {
        use $counter as counter;

        pub(crate) struct Count;

        impl $crate::masked::Counter for Count {
            #[inline(always)]
            fn read() -> u32 {
                counter::read()
            }

            #[inline(always)]
            fn instructions(from: u32, to: u32) -> u32 {
                counter::instructions(from, to)
            }
        }

        pub(crate) static MASKED: $crate::masked::Masked<Count> = $crate::masked::Masked::new();

        /// Measures what measuring costs. The counter runs.
        pub fn start() {
            $start()
        }

        /// Calls `f` with the longest stretch, since the last call, for which interrupts were masked, in
        /// instructions. Interrupts are masked meanwhile, which is not measured.
        pub fn take<R>(f: impl FnOnce(u32) -> R) -> R {
            $free(|| f(MASKED.take()))
        }
    };
}
