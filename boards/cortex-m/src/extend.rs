//! A short hardware counter as 64-bit time.

use core::sync::atomic::{AtomicU32, Ordering};

use critical_section::CriticalSection;

/// How often a counter of `BITS` bits has wrapped: the upper half of a 64-bit time.
///
/// The counter counts **up** from 0 to `2^BITS - 1` and starts over (a board with a down-counter subtracts,
/// one with odd units divides; see [`Wraps::read`]). Its wrap sets a flag that pends an interrupt, and the
/// interrupt calls [`Wraps::on_interrupt`].
///
/// # When it is correct
///
/// From any context, whether the wrap interrupt has run yet or is kept out by a mask or a higher priority,
/// provided that it runs at the latest half a period after the wrap. The flag may rise on the last tick
/// before the wrap, as a down-counter's does that signals on reaching zero: a flag seen while the counter
/// stands in its upper half announces a wrap that is still to come.
///
/// 32 bits of wraps and `BITS` of 20 or more, in microseconds, last for 142 years.
pub struct Wraps<const BITS: u32>(AtomicU32);

impl<const BITS: u32> Wraps<BITS> {
    /// The counter's period.
    pub const PERIOD: u64 = 1 << BITS;

    /// No wrap so far.
    pub const fn new() -> Self {
        const { assert!(BITS >= 1 && BITS <= 32, "a counter has 1 to 32 bits") };
        Self(AtomicU32::new(0))
    }

    /// The time now, in the counter's unit.
    ///
    /// `count` reads the counter, `flag` says whether its wrap interrupt is pending in the timer (not in the
    /// interrupt controller, which forgets it on entry). At most two reads of the counter and one of the
    /// flag.
    #[inline]
    pub fn read(&self, _: CriticalSection<'_>, count: impl Fn() -> u32, flag: impl Fn() -> bool) -> u64 {
        let mut wraps = self.0.load(Ordering::Relaxed);
        let mut now = count();
        // The order matters: a flag that is still down after the read proves that the count belongs to the
        // period of `wraps`. One that is up says nothing about an earlier read, so the counter is read again.
        if flag() {
            now = count();
            wraps = wraps.wrapping_add(u32::from(Self::has_wrapped(now)));
        }
        Self::join(wraps, now)
    }

    /// Counts one wrap; called by the wrap interrupt and by nobody else. `clear` takes the timer's flag down.
    ///
    /// Spins until the counter has wrapped when the interrupt came on the tick before, which is one tick at
    /// most.
    #[inline]
    pub fn on_interrupt(&self, _: CriticalSection<'_>, count: impl Fn() -> u32, clear: impl FnOnce()) {
        while !Self::has_wrapped(count()) {
            core::hint::spin_loop();
        }
        clear();
        // A load and a store, because a Cortex-M0 has no read-modify-write; the critical section makes them
        // one.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether a counter whose flag is up has wrapped already: it stands in its lower half.
    const fn has_wrapped(count: u32) -> bool {
        (count as u64) < Self::PERIOD / 2
    }

    const fn join(wraps: u32, count: u32) -> u64 {
        ((wraps as u64) << BITS) | count as u64
    }
}

impl<const BITS: u32> Default for Wraps<BITS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;

    use super::*;

    /// A counter of 4 bits whose flag rises `early` ticks before the wrap and which moves on with each
    /// access.
    struct Timer {
        now: Cell<u64>,
        flags_raised: Cell<u64>,
        early: u64,
        step: u64,
    }

    impl Timer {
        fn at(now: u64, early: u64, step: u64) -> Self {
            Self { now: Cell::new(now), flags_raised: Cell::new(0), early, step }
        }

        fn tick(&self) -> u64 {
            let now = self.now.get();
            self.now.set(now + self.step);
            now
        }

        fn count(&self) -> u32 {
            (self.tick() % 16) as u32
        }

        /// Wraps whose flag has risen and that no interrupt has taken down yet.
        fn flag(&self) -> bool {
            (self.tick() + self.early) / 16 > self.flags_raised.get()
        }

        fn clear(&self) {
            self.flags_raised.set(self.flags_raised.get() + 1);
        }
    }

    fn read(wraps: &Wraps<4>, timer: &Timer) -> u64 {
        critical_section::with(|cs| wraps.read(cs, || timer.count(), || timer.flag()))
    }

    fn interrupt(wraps: &Wraps<4>, timer: &Timer) {
        critical_section::with(|cs| wraps.on_interrupt(cs, || timer.count(), || timer.clear()));
    }

    #[test]
    fn a_pending_wrap_counts_before_its_interrupt_has_run() {
        let (wraps, timer) = (Wraps::<4>::new(), Timer::at(18, 0, 0));
        assert_eq!(read(&wraps, &timer), 18);
        interrupt(&wraps, &timer);
        assert_eq!(read(&wraps, &timer), 18);
    }

    #[test]
    fn a_flag_raised_on_the_last_tick_announces_a_wrap_to_come() {
        let (wraps, timer) = (Wraps::<4>::new(), Timer::at(15, 1, 0));
        assert!(timer.flag());
        assert_eq!(read(&wraps, &timer), 15);
    }

    #[test]
    fn the_interrupt_waits_for_a_wrap_that_its_flag_announced() {
        let (wraps, timer) = (Wraps::<4>::new(), Timer::at(15, 1, 1));
        interrupt(&wraps, &timer);
        timer.now.set(16);
        assert_eq!(read(&wraps, &timer), 16);
    }

    #[test]
    fn time_never_goes_back_wherever_the_wrap_falls() {
        // Every phase of the wrap against the accesses of a read, with the interrupt run after every read,
        // every second, and so on up to the limit of half a period.
        for early in 0..=1 {
            for start in 0..32 {
                for reads_per_interrupt in 1..=2 {
                    let (wraps, timer) = (Wraps::<4>::new(), Timer::at(0, early, 1));
                    let (mut last, mut reads) = (0, 0);
                    timer.now.set(start % 8);
                    while timer.now.get() < 200 {
                        let earliest = timer.now.get();
                        let read = read(&wraps, &timer);
                        let latest = timer.now.get();
                        assert!((earliest..=latest).contains(&read), "{read} outside {earliest}..={latest}");
                        assert!(read >= last, "{read} after {last}");
                        last = read;
                        reads += 1;
                        if reads % reads_per_interrupt == 0 && timer.flag() {
                            interrupt(&wraps, &timer);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_full_width_counter_continues_into_the_upper_word() {
        let wraps = Wraps::<32>::new();
        critical_section::with(|cs| {
            assert_eq!(wraps.read(cs, || u32::MAX, || false), u64::from(u32::MAX));
            assert_eq!(wraps.read(cs, || 0, || true), 1 << 32);
            wraps.on_interrupt(cs, || 0, || ());
            assert_eq!(wraps.read(cs, || 5, || false), (1 << 32) + 5);
        });
    }
}
