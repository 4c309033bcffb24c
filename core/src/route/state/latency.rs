//! How slow an endpoint has been lately, with a bias for bad news.
//!
//! The "peak EWMA" of Finagle, which linkerd and tower took over
//! (`com.twitter.finagle.loadbalancer.PeakEwma`, 2015): a sample above the average takes its place at once;
//! one below moves it down by a share that grows with the time since the last move,
//! `average * w + sample * (1 - w)` with `w = exp(-dt / tau)`. So one slow answer is felt by the next select,
//! and trust comes back over seconds.
//!
//! # In integers
//!
//! * Time fades by half-lives instead of `tau`, and a half-life is a power of two in ticks:
//!   `w = 2^(-dt / half-life)`, the same curve with `tau = half-life / ln 2`. The whole half-lives are a
//!   shift; for the rest a cubic in 16-bit fractions stands for `2^-x`. `w` is off by less than 0.0002, and
//!   in a move `1 - w` by less than 0.6 % of itself. The simpler `tau / (tau + dt)` is off by up to 0.2. No
//!   division, no loop; the widest operation is 32 x 32 to 64 bits.
//! * The average has four bits after the point, and moves down at most 256 times a half-life: lower samples
//!   that come sooner after the last move are passed over, peaks never. Without that, one tick's share of a
//!   long half-life rounds to nothing, and an endpoint that answers often would never be forgiven.
//!
//! # Old averages
//!
//! An endpoint that was slow gets few requests, so nothing corrects its average. If nothing was recorded for
//! an eighth of a half-life, and for 16 times the average, that is *old*: choices try the endpoint now and
//! then, and the sample that comes takes the average's place. If that was luck, the next peak counts as ever.
//! To one that is still slow, a request is out for at most a 17th of the time.

use crate::sync::{AtomicU32, Ordering, const_fn};

/// Bits after the point of an average.
const POINT: u32 = 4;
/// log2 of how often the average may move down in a half-life.
const LOG2_MOVES: u32 = 8;

/// log2 of how many times in a half-life an average gets old.
const LOG2_OLD: u32 = 3;

/// The peak-sensitive moving average of one endpoint's latency; half-life 2^`LOG2_HALF_LIFE` ticks of 1.024
/// ms.
///
/// The default is 8.4 s (a `tau` of 12.1 s; Finagle's is 10 s). Latencies are in microseconds, 1 to
/// [`MAX`](Self::MAX) (268 s; more counts as that); 0 stands for "never measured". 8 bytes.
///
/// # Shared use
///
/// Any context may record, and no operation waits. Two records at the same time each compute a new average
/// from the one they found, and the first to store it stays: the other sample is lost, a peak too, as if its
/// request had not been made. So an average only ever changes from what a record found to what it computed of
/// that, and whoever tells others of changes misses none.
///
/// # Examples
///
/// ```
/// use trilane::route::PeakEwma;
///
/// let latency: PeakEwma<10> = PeakEwma::new(); // a half-life of about a second
/// latency.record(1_000, 0);
/// assert_eq!(latency.record(9_000, 1), 9_000); // a peak counts at once
/// assert_eq!(latency.get_faded(1_025), 4_500); // after a half-life, half of it is forgiven
/// assert_eq!(latency.record(1_000, 1_025), 1_000); // and it is old, so that the sample takes its place
/// assert_eq!(latency.record_failure(10, 2_049), 1_000); // failing fast is not being fast
/// ```
pub struct PeakEwma<const LOG2_HALF_LIFE: u32 = 13> {
    // Sixteenths of a microsecond; 0: never measured.
    average: AtomicU32,
    // When it last moved, or was found in its place.
    at_tick: AtomicU32,
}

impl<const LOG2_HALF_LIFE: u32> PeakEwma<LOG2_HALF_LIFE> {
    /// The largest latency that is told from larger ones, in microseconds.
    pub const MAX: u32 = u32::MAX >> POINT;

    /// The least number of ticks between two moves down.
    const PAUSE: u32 = {
        assert!(LOG2_HALF_LIFE <= 24, "a half-life is at most 2^24 ticks, 4.7 hours");
        if LOG2_HALF_LIFE > LOG2_MOVES { 1 << (LOG2_HALF_LIFE - LOG2_MOVES) } else { 1 }
    };

    const_fn! {
        /// Never measured.
        pub const fn new() -> Self {
            Self { average: AtomicU32::new(0), at_tick: AtomicU32::new(0) }
        }
    }

    /// Takes in that a request took `sample_us` (0 counts as 1) and ended at `now_tick`; the new average in
    /// microseconds, rounded up. O(1).
    ///
    /// A sample takes the place of an [old](Self::is_old) average. Ticks wrap. A clock that went backwards
    /// fades nothing, and time counts from there.
    pub fn record(&self, sample_us: u32, now_tick: u32) -> u32 {
        self.change(sample_us, now_tick).1
    }

    /// Does what [`record`](Self::record) does; the average that it found, and the new one.
    fn change(&self, sample_us: u32, now_tick: u32) -> (u32, u32) {
        let sample = sample_us.clamp(1, Self::MAX) << POINT;
        let average = self.average.load(Ordering::Relaxed);
        let before = micros(average);
        if sample > average {
            return (before, self.put(average, sample, now_tick));
        }
        let passed = now_tick.wrapping_sub(self.at_tick.load(Ordering::Relaxed)) as i32;
        if (0..Self::PAUSE as i32).contains(&passed) {
            return (before, before);
        }
        let gap = average - sample;
        // To the nearest, but a gap always shrinks: an average doesn't stay above what it is an average of.
        let share = if (Reading::<LOG2_HALF_LIFE> { average, passed }).is_old() {
            ONE
        } else {
            forgiven::<LOG2_HALF_LIFE>(passed)
        };
        let step = (u64::from(gap) * u64::from(share) + (ONE as u64 / 2)) >> 16;
        let less = if passed > 0 { (step as u32).max(1).min(gap) } else { 0 };
        (before, self.put(average, average - less, now_tick))
    }

    /// Takes in that a request failed `sample_us` after it was sent, at `now_tick`; the new average in
    /// microseconds. O(1).
    ///
    /// A failure makes an endpoint look slower, never faster: above the average it counts as any peak, else
    /// the average stays, and doesn't fade for that time. An endpoint that has never succeeded stays
    /// unmeasured, however it fails: the first sample would else be how fast it can refuse.
    pub fn record_failure(&self, sample_us: u32, now_tick: u32) -> u32 {
        let sample = sample_us.clamp(1, Self::MAX) << POINT;
        let average = self.average.load(Ordering::Relaxed);
        if average == 0 {
            return 0;
        }
        self.put(average, average.max(sample), now_tick)
    }

    /// The average after the last record, in microseconds, rounded up; 0: never measured. One load.
    #[inline(always)]
    pub fn get(&self) -> u32 {
        micros(self.average.load(Ordering::Relaxed))
    }

    /// What the average has faded to at `now_tick` when nothing was recorded since, in microseconds; at least
    /// 1, or 0: never measured. O(1), changes nothing.
    ///
    /// By this an endpoint that was slow once, and that nobody has asked since, comes into the choice again.
    #[inline]
    pub fn get_faded(&self, now_tick: u32) -> u32 {
        let average = self.average.load(Ordering::Relaxed);
        let passed = now_tick.wrapping_sub(self.at_tick.load(Ordering::Relaxed)) as i32;
        let lost = (u64::from(average) * u64::from(forgiven::<LOG2_HALF_LIFE>(passed))) >> 16;
        micros((average - lost as u32).max(u32::from(average != 0)))
    }

    /// The average, halved for each half-life that has passed without a record, in microseconds; at least 1,
    /// or 0: never measured. Two loads and two shifts: for choices, where [`get_faded`](Self::get_faded) is
    /// slower.
    #[inline(always)]
    pub fn get_halved(&self, now_tick: u32) -> u32 {
        self.read(now_tick).halved()
    }

    /// Whether nothing was recorded for so long that the average may no longer be right: for an eighth of a
    /// half-life, and for 16 times the average. Two loads.
    #[inline(always)]
    pub fn is_old(&self, now_tick: u32) -> bool {
        self.read(now_tick).is_old()
    }

    /// What there is to be said of it at `now_tick`. Two loads.
    #[inline(always)]
    pub(in crate::route) fn read(&self, now_tick: u32) -> Reading<LOG2_HALF_LIFE> {
        let average = self.average.load(Ordering::Relaxed);
        let passed = now_tick.wrapping_sub(self.at_tick.load(Ordering::Relaxed)) as i32;
        Reading { average, passed }
    }

    /// Forgets everything: for a slot that gets a new endpoint.
    pub fn reset(&self) {
        self.average.store(0, Ordering::Relaxed);
    }

    fn put(&self, before: u32, average: u32, now_tick: u32) -> u32 {
        self.at_tick.store(now_tick, Ordering::Relaxed);
        let stored = self.average.compare_exchange(before, average, Ordering::Relaxed, Ordering::Relaxed);
        micros(stored.map_or_else(|other| other, |_| average))
    }
}

impl<const LOG2_HALF_LIFE: u32> Default for PeakEwma<LOG2_HALF_LIFE> {
    fn default() -> Self {
        Self::new()
    }
}

/// A latency as it was read.
#[derive(Clone, Copy)]
pub(in crate::route) struct Reading<const LOG2_HALF_LIFE: u32 = 13> {
    average: u32,
    /// So many ticks since it was recorded.
    passed: i32,
}

impl<const LOG2_HALF_LIFE: u32> Reading<LOG2_HALF_LIFE> {
    pub const NONE: Self = Self { average: 0, passed: 0 };

    /// After so many ticks without a record, a low average is old.
    const OLD: u32 = 1 << LOG2_HALF_LIFE.saturating_sub(LOG2_OLD);

    /// [`PeakEwma::get_halved`].
    #[inline(always)]
    pub fn halved(self) -> u32 {
        if self.passed < 1 << LOG2_HALF_LIFE {
            return micros(self.average);
        }
        let halvings = (self.passed >> LOG2_HALF_LIFE).min(31);
        micros((self.average >> halvings).max((self.average != 0) as u32))
    }

    /// [`PeakEwma::is_old`].
    #[inline(always)]
    pub fn is_old(self) -> bool {
        // 16 times the average in ticks, each of 2^14 of its units.
        self.passed >= (self.average >> 10).max(Self::OLD) as i32
    }
}

/// One, with 16 bits after the point.
const ONE: u32 = 1 << 16;

/// `1 - 2^(-passed / 2^log2)` with 16 bits after the point; 0 for a negative `passed`.
#[inline(always)]
const fn forgiven<const LOG2: u32>(passed: i32) -> u32 {
    if passed <= 0 {
        return 0;
    }
    let passed = passed as u32;
    let halvings = passed >> LOG2;
    if halvings > 16 {
        return ONE;
    }
    let rest = passed & ((1 << LOG2) - 1);
    let x = if LOG2 <= 16 { rest << (16 - LOG2) } else { rest >> (LOG2 - 16) };
    // 1 - 2^-x for x below 1: ln 2 at the origin, one half at 1, and the least error between.
    let curve = (x * (45_426 - ((x * (15_419 - ((x * 2_761) >> 16))) >> 16))) >> 16;
    ONE - ((ONE - curve) >> halvings)
}

/// An average in microseconds, rounded up: what was measured is never 0. An average is at most
/// [`PeakEwma::MAX`] with its bits after the point, so this doesn't overflow.
#[inline(always)]
const fn micros(average: u32) -> u32 {
    average.wrapping_add((1 << POINT) - 1) >> POINT
}
