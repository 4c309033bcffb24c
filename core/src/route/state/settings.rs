//! The options of a balancer as it keeps them: in words that may be changed, each as what it differs in from
//! the usual options. So a static balancer with those is all zeros, and takes no flash.

use crate::bitmap::rolled;
use crate::route::config::options::{FailureRate, Options};
use crate::route::state::link::{Link, Table};
use crate::sync::{FixedU32, Ordering};
use crate::time::Duration;

const WORDS: usize = 13;

/// Options, packed. Any context reads; changes inside the critical section.
pub(in crate::route) struct Settings {
    words: [FixedU32; WORDS],
    /// What goes by options that few set.
    pub rules: Link,
    /// What panic mode goes by.
    pub panic: Link,
}

/// Options as they are kept.
pub(in crate::route) type Packed = [u32; WORDS];

/// Without a failure rate, a share of failures that is never reached: whoever counts an outcome while the
/// options are exchanged opens no breaker for that.
const NEVER: u16 = u16::MAX;

const USUAL: Packed = pack(&Options::new());

const fn pair(low: u16, high: u16) -> u32 {
    low as u32 | (high as u32) << 16
}

#[inline(always)]
pub(in crate::route) const fn pack(options: &Options) -> Packed {
    let (rate, at_least, window) = match &options.failure_rate {
        None => (NEVER, 0, 0),
        Some(rate) => (rate.permille, rate.at_least, rate.window.as_micros()),
    };
    let flags = (options.failure_rate.is_some() as u16) << 8 | (options.route_unknown as u16) << 9;
    [
        pair(options.failures, flags | options.probes as u16),
        options.open_ticks,
        options.open_at_most,
        options.seed,
        options.probe_ticks,
        pair(options.max_ejected, options.panic_below),
        pair(options.panic_hosts, options.overprovisioning),
        pair(options.spill_from, rate),
        at_least as u32,
        window as u32,
        (window >> 32) as u32,
        options.slow_start_ticks,
        options.stale_ticks,
    ]
}

/// The options that were packed.
#[inline(always)]
pub(in crate::route) fn unpack(words: Packed) -> Options {
    let [low, high] = [|word: u32| word as u16, |word: u32| (word >> 16) as u16];
    let window = Duration::from_micros((words[10] as u64) << 32 | words[9] as u64);
    let rate = FailureRate { permille: high(words[7]), window, at_least: low(words[8]) };
    Options {
        failures: low(words[0]),
        failure_rate: (words[0] >> 24 & 1 == 1).then_some(rate),
        open_ticks: words[1],
        open_at_most: words[2],
        seed: words[3],
        probe_ticks: words[4],
        probes: (words[0] >> 16) as u8,
        max_ejected: low(words[5]),
        panic_below: high(words[5]),
        panic_hosts: low(words[6]),
        overprovisioning: high(words[6]),
        spill_from: low(words[7]),
        slow_start_ticks: words[11],
        stale_ticks: words[12],
        route_unknown: words[0] >> 25 & 1 == 1,
    }
}

impl Settings {
    pub const fn new(options: &Options, [rules, panic]: [Table; 2]) -> Self {
        let packed = pack(options);
        let mut words = [const { FixedU32::new(0) }; WORDS];
        let mut at = 0;
        while at < WORDS {
            words[at] = FixedU32::new(packed[at] ^ USUAL[at]);
            at += 1;
        }
        Self { words, rules: Link::new(rules), panic: Link::new(panic) }
    }

    /// Exchanges them; the caller is in the critical section.
    pub fn exchange(&self, options: &Packed, [rules, panic]: [Table; 2]) -> Packed {
        self.rules.set(rules);
        self.panic.set(panic);
        core::array::from_fn(|at| {
            rolled();
            let before = self.word(at);
            self.words[at].store(options[at] ^ USUAL[at], Ordering::Relaxed);
            before
        })
    }

    /// What they are.
    pub fn all(&self) -> Options {
        unpack(core::array::from_fn(|at| self.word(at)))
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        self.words[at].load(Ordering::Relaxed) ^ USUAL[at]
    }

    #[inline(always)]
    fn low(&self, at: usize) -> u16 {
        self.word(at) as u16
    }

    #[inline(always)]
    fn high(&self, at: usize) -> u16 {
        (self.word(at) >> 16) as u16
    }

    pub fn failures(&self) -> u32 {
        self.low(0) as u32
    }

    pub fn probes(&self) -> u32 {
        self.word(0) >> 16 & 0xff
    }

    /// The failure rate; without one, such as is never reached.
    pub fn failure_rate(&self) -> FailureRate {
        let window = Duration::from_micros((self.word(10) as u64) << 32 | self.word(9) as u64);
        FailureRate { permille: self.high(7), window, at_least: self.low(8) }
    }

    pub fn route_unknown(&self) -> bool {
        self.word(0) >> 25 & 1 == 1
    }

    pub fn open_ticks(&self) -> u32 {
        self.word(1)
    }

    pub fn most_open_ticks(&self) -> u32 {
        self.word(2).max(self.open_ticks())
    }

    pub fn seed(&self) -> u32 {
        self.word(3)
    }

    pub fn probe_ticks(&self) -> u32 {
        self.word(4)
    }

    pub fn max_ejected(&self) -> u32 {
        self.low(5) as u32
    }

    pub fn panic_below(&self) -> u32 {
        self.high(5) as u32
    }

    pub fn panic_hosts(&self) -> u32 {
        self.low(6) as u32
    }

    pub fn overprovisioning(&self) -> u32 {
        self.high(6) as u32
    }

    #[inline(always)]
    pub fn spill_from(&self) -> u32 {
        self.low(7) as u32
    }

    pub fn slow_start_ticks(&self) -> u32 {
        self.word(11)
    }

    pub fn stale_ticks(&self) -> u32 {
        self.word(12)
    }
}

#[cfg(all(test, not(trilane_loom)))]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_same_after_they_were_kept() {
        let seconds = Duration::from_secs;
        let rate = FailureRate { permille: 501, window: seconds(1 << 33), at_least: 65_535 };
        let all = Options::new()
            .failures(65_534)
            .open_for(seconds(7))
            .open_at_most(seconds(8))
            .seed(9)
            .probe_window(seconds(10))
            .probes(255)
            .max_ejected(11)
            .panic_below(12)
            .panic_hosts(13)
            .overprovisioning(1_401)
            .spill_from(14)
            .slow_start(seconds(15))
            .stale_after(seconds(16));
        let settings = Settings::new(&Options::new(), [Table::NONE; 2]);
        assert!(settings.words.iter().all(|word| word.load(Ordering::Relaxed) == 0), "no flash");
        for options in
            [Options::new(), all, all.failure_rate(rate), all.failure_rate(rate).route_unknown(true)]
        {
            settings.exchange(&pack(&options), [Table::NONE; 2]);
            assert_eq!(settings.failure_rate().permille > 1_000, options.failure_rate.is_none());
            assert_eq!((settings.all(), Settings::new(&options, [Table::NONE; 2]).all()), (options, options));
        }
    }
}
