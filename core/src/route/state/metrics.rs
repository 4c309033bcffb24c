//! What an endpoint reports of itself, and the cell that keeps the latest report.
//!
//! A report is five numbers that are read together, by selectors and interrupts, while somebody else writes
//! the next one. No atomic here is wider than 32 bits, so [`Gauges`] is a seqlock: a version, odd while a
//! write is under way, around plain words. Readers write nothing, so they don't disturb each other, and one
//! try is bounded.
//!
//! # Version Invariant
//!
//! What a reader returns was written by one write. Writers exclude each other by the critical section, so
//! versions and words change in one order, and a write goes: odd version, release fence, words, even version
//! (release).
//!
//! * A reader that loads a word of write *n* before its acquire fence has synchronised with the release fence
//!   before that word. Its second load of the version comes after, and so sees the odd version of *n* or
//!   something later: it can't accept a word that is too new.
//! * A reader whose first load (acquire) gives the even version of *n* has synchronised with the store of it,
//!   which comes after all words of *n*: it can't accept a word that is too old.
//!
//! The words are relaxed atomics, because they may be read while they are written (H. Boehm, "Can seqlocks
//! get along with programming language memory models?", MSPC 2012). Versions come round after 2^31 - 1
//! writes; a reader that is held up between its two loads for exactly as many would be fooled.

use core::fmt;

use crate::sync::{AtomicU32, CriticalSection, Ordering, const_fn, fence, with_lock};

/// What an endpoint says of itself: loads and error rate in permille, connections, response time in
/// milliseconds; or just [how loaded it is](Self::from_score).
///
/// # Examples
///
/// ```
/// use trilane::route::{Metrics, MetricsError};
///
/// let busy = Metrics::new(800, 500, 2_000, 250, 0).unwrap();
/// assert_eq!(busy.score(), 240 + 100 + 40 + 38);
/// assert_eq!(Metrics::from_ratios(0.8, 0.5, 2_000, 250.0, 0.0), Ok(busy));
/// assert_eq!(Metrics::from_ratios(f32::NAN, 0.5, 2_000, 250.0, 0.0), Err(MetricsError::Cpu));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Metrics {
    cpu: u16,
    memory: u16,
    errors: u16,
    connections: u32,
    response_ms: u32,
    score: u16,
}

/// Which value of a report is out of its range; nothing of the report is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MetricsError {
    /// The processor load is not between none and all of it.
    Cpu,
    /// The memory in use is not between none and all of it.
    Memory,
    /// The response time is negative, infinite or not a number.
    ResponseTime,
    /// The share of requests that failed is not between none and all of them.
    Errors,
    /// The score is above 1,000.
    Score,
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Cpu => "the processor load",
            Self::Memory => "the memory load",
            Self::ResponseTime => {
                return f.write_str("the response time is not a time: report milliseconds from 0 up");
            }
            Self::Errors => "the error rate",
            Self::Score => return f.write_str("the score is too high: report 0 (idle) to 1,000 (full)"),
        };
        write!(f, "{name} is not a share: report a ratio from 0 to 1, or 0 to 1,000 permille")
    }
}

impl core::error::Error for MetricsError {}

impl Metrics {
    /// A report in integers: processor load, memory load and error rate in permille, response time in
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// The first of the three shares that is above 1,000.
    pub const fn new(
        cpu: u16,
        memory: u16,
        connections: u32,
        response_ms: u32,
        errors: u16,
    ) -> Result<Self, MetricsError> {
        if cpu > 1_000 {
            return Err(MetricsError::Cpu);
        }
        if memory > 1_000 {
            return Err(MetricsError::Memory);
        }
        if errors > 1_000 {
            return Err(MetricsError::Errors);
        }
        Ok(Self::scored(cpu, memory, errors, connections, response_ms))
    }

    /// A report in ratios (0 to 1) and milliseconds, each rounded to the nearest permille or millisecond.
    ///
    /// A response time of more than `u32::MAX` milliseconds counts as that.
    ///
    /// # Errors
    ///
    /// The first value that is not a number, infinite, negative, or a ratio above 1.
    pub const fn from_ratios(
        cpu: f32,
        memory: f32,
        connections: u32,
        response_ms: f32,
        error_rate: f32,
    ) -> Result<Self, MetricsError> {
        let Some(cpu) = permille(cpu) else { return Err(MetricsError::Cpu) };
        let Some(memory) = permille(memory) else { return Err(MetricsError::Memory) };
        if !(response_ms.is_finite() && response_ms >= 0.0) {
            return Err(MetricsError::ResponseTime);
        }
        let Some(errors) = permille(error_rate) else { return Err(MetricsError::Errors) };
        Ok(Self::scored(cpu, memory, errors, connections, rounded(response_ms)))
    }

    /// A report of nothing but the score, 0 (idle) to 1,000 (as loaded as counts): for an endpoint that knows
    /// itself how loaded it is. Everything else of it is 0.
    ///
    /// # Errors
    ///
    /// [`MetricsError::Score`] above 1,000.
    ///
    /// # Examples
    ///
    /// ```
    /// use trilane::route::{Metrics, MetricsError};
    ///
    /// let half_full = Metrics::from_score(500).unwrap(); // for `Balancer::report`
    /// assert_eq!((half_full.score(), half_full.cpu()), (500, 0));
    /// assert_eq!(Metrics::from_score(1_001), Err(MetricsError::Score));
    /// ```
    pub const fn from_score(score: u16) -> Result<Self, MetricsError> {
        if score > 1_000 {
            return Err(MetricsError::Score);
        }
        Ok(Self { cpu: 0, memory: 0, errors: 0, connections: 0, response_ms: 0, score })
    }

    /// The report of these values, which are in range.
    const fn scored(cpu: u16, memory: u16, errors: u16, connections: u32, response_ms: u32) -> Self {
        let counted = if connections < 10_000 { connections } else { 10_000 };
        let waited = if response_ms < 1_000 { response_ms } else { 1_000 };
        // In millionths; the values' ranges keep it within one million.
        let exact =
            300 * cpu as u32 + 200 * memory as u32 + 20 * counted + 150 * waited + 150 * errors as u32;
        Self { cpu, memory, errors, connections, response_ms, score: ((exact + 500) / 1_000) as u16 }
    }

    /// Processor load, permille.
    pub const fn cpu(&self) -> u16 {
        self.cpu
    }

    /// Memory in use, permille.
    pub const fn memory(&self) -> u16 {
        self.memory
    }

    /// Open connections.
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// Response time, milliseconds.
    pub const fn response_ms(&self) -> u32 {
        self.response_ms
    }

    /// Requests that failed, permille.
    pub const fn errors(&self) -> u16 {
        self.errors
    }

    /// How loaded the endpoint is, 0 (idle) to 1,000 (as loaded as counts).
    ///
    /// 0.3 cpu + 0.2 memory + 0.2 min(connections / 10,000, 1) + 0.15 min(response / 1 s, 1) + 0.15 errors,
    /// computed without loss and then rounded to the nearest permille, halves up; or what was
    /// [given](Self::from_score).
    pub const fn score(&self) -> u16 {
        self.score
    }
}

/// `ratio` in permille; `None` unless it is a number from 0 to 1.
const fn permille(ratio: f32) -> Option<u16> {
    if ratio >= 0.0 && ratio <= 1.0 { Some(rounded(ratio * 1_000.0) as u16) } else { None }
}

/// The nearest integer to `value`, which is not negative, or `u32::MAX`.
const fn rounded(value: f32) -> u32 {
    let whole = value as u32;
    whole.saturating_add((value - whole as f32 >= 0.5) as u32)
}

/// The latest report of one endpoint, shared between contexts. 24 bytes.
///
/// # Examples
///
/// ```
/// use trilane::route::{Gauges, Metrics};
/// use trilane::sync::with_lock;
///
/// static GAUGES: Gauges = Gauges::new();
/// assert_eq!(GAUGES.score(), None);
///
/// let report = Metrics::new(800, 500, 2_000, 250, 0).unwrap();
/// with_lock(|cs| GAUGES.write(cs, report, 17));
/// assert_eq!(GAUGES.try_read(), Some((report, 17)));
/// assert_eq!(GAUGES.score(), Some(report.score()));
/// ```
pub struct Gauges {
    // 0: nothing was reported yet; odd: a write is under way.
    version: AtomicU32,
    // Processor load; memory load in the upper half.
    loads: AtomicU32,
    // Error rate; the score and one in the upper half, 0 as long as nothing was reported.
    errors: AtomicU32,
    connections: AtomicU32,
    response_ms: AtomicU32,
    at_tick: AtomicU32,
}

/// How often [`Gauges::read`] tries before it takes the lock.
const TRIES: u32 = 8;

impl Gauges {
    const_fn! {
        /// Nothing was reported yet.
        pub const fn new() -> Self {
            Self {
                version: AtomicU32::new(0),
                loads: AtomicU32::new(0),
                errors: AtomicU32::new(0),
                connections: AtomicU32::new(0),
                response_ms: AtomicU32::new(0),
                at_tick: AtomicU32::new(0),
            }
        }
    }

    /// Puts `report` in place of the one before; `at_tick` is when it was made. O(1), from any context.
    ///
    /// The critical section keeps other writers out, and is why a chip with one core never shows a
    /// half-written report.
    pub fn write(&self, _cs: CriticalSection<'_>, report: Metrics, at_tick: u32) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version | 1, Ordering::Relaxed);
        // Version Invariant: whoever sees a word of this write sees the odd version too.
        fence(Ordering::Release);
        self.loads.store(u32::from(report.cpu) | u32::from(report.memory) << 16, Ordering::Relaxed);
        self.errors.store(u32::from(report.errors) | u32::from(report.score + 1) << 16, Ordering::Relaxed);
        self.connections.store(report.connections, Ordering::Relaxed);
        self.response_ms.store(report.response_ms, Ordering::Relaxed);
        self.at_tick.store(at_tick, Ordering::Relaxed);
        // 0 stays the mark of a cell without a report.
        let next = version.wrapping_add(2).max(2);
        // Version Invariant: whoever sees the new version sees all words.
        self.version.store(next, Ordering::Release);
    }

    /// Forgets the report: the slot gets another endpoint. O(1), from any context.
    ///
    /// It counts as a write: were the version to begin anew, a slow reader could take two endpoints' reports
    /// for one.
    pub fn clear(&self, _cs: CriticalSection<'_>) {
        let version = self.version.load(Ordering::Relaxed);
        if version != 0 {
            self.version.store(version | 1, Ordering::Relaxed);
            fence(Ordering::Release);
            self.errors.store(0, Ordering::Relaxed);
            self.version.store(version.wrapping_add(2).max(2), Ordering::Release);
        }
    }

    /// The latest report and its tick, in one try: what an interrupt uses. O(1), never waits.
    ///
    /// `None` while nothing was reported, or when another core is writing right now ([`score`](Self::score)
    /// tells which).
    pub fn try_read(&self) -> Option<(Metrics, u32)> {
        let before = self.version.load(Ordering::Acquire);
        if before == 0 || before & 1 != 0 {
            return None;
        }
        let (report, scored) = (self.words(), self.score().is_some());
        // Version Invariant: if a word was newer than `before`, the next load is too.
        fence(Ordering::Acquire);
        (scored && self.version.load(Ordering::Relaxed) == before).then_some(report)
    }

    /// The latest report and its tick; `None` while nothing was reported.
    ///
    /// A few tries; if writers get in between each time, it reads once more with writers kept out. So it
    /// ends, and may wait for the lock once: an interrupt rather uses [`try_read`](Self::try_read).
    pub fn read(&self) -> Option<(Metrics, u32)> {
        for _ in 0..TRIES {
            self.score()?;
            if let Some(report) = self.try_read() {
                return Some(report);
            }
        }
        with_lock(|_cs| self.try_read())
    }

    /// The score of the latest report ([`Metrics::score`]), or `None` while nothing was reported. One load.
    #[inline(always)]
    pub fn score(&self) -> Option<u16> {
        ((self.errors.load(Ordering::Relaxed) >> 16) as u16).checked_sub(1)
    }

    /// The words as they are, perhaps of two reports.
    fn words(&self) -> (Metrics, u32) {
        let loads = self.loads.load(Ordering::Relaxed);
        let errors = self.errors.load(Ordering::Relaxed);
        let report = Metrics {
            cpu: loads as u16,
            memory: (loads >> 16) as u16,
            errors: errors as u16,
            connections: self.connections.load(Ordering::Relaxed),
            response_ms: self.response_ms.load(Ordering::Relaxed),
            score: ((errors >> 16) as u16).saturating_sub(1),
        };
        (report, self.at_tick.load(Ordering::Relaxed))
    }
}

impl Default for Gauges {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauges").field(&self.read()).finish()
    }
}
