//! The options of a balancer as it keeps them: in words that may be changed, each as what it differs in from
//! the usual options. So a static balancer with those is all zeros, and takes no flash.

use crate::route::config::options::{FailureRate, Options};
use crate::sync::{FixedU32, Ordering};
use crate::time::Duration;

const WORDS: usize = 13;

/// Options, packed. Any context reads; changes inside the critical section.
pub(in crate::route) struct Settings([FixedU32; WORDS]);

const USUAL: [u32; WORDS] = pack(&Options::new());

const fn pair(low: u16, high: u16) -> u32 {
    low as u32 | (high as u32) << 16
}

const fn pack(options: &Options) -> [u32; WORDS] {
    let (rate, at_least, window) = match &options.failure_rate {
        None => (0, 0, 0),
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

impl Settings {
    pub const fn new(options: &Options) -> Self {
        let packed = pack(options);
        let mut words = [const { FixedU32::new(0) }; WORDS];
        let mut at = 0;
        while at < WORDS {
            words[at] = FixedU32::new(packed[at] ^ USUAL[at]);
            at += 1;
        }
        Self(words)
    }

    /// The caller is in the critical section.
    pub fn set(&self, options: &Options) {
        for ((word, packed), usual) in self.0.iter().zip(pack(options)).zip(USUAL) {
            word.store(packed ^ usual, Ordering::Relaxed);
        }
    }

    pub fn get(&self) -> Options {
        Options {
            failures: self.low(0),
            failure_rate: self.failure_rate(),
            open_ticks: self.open_ticks(),
            open_at_most: self.word(2),
            seed: self.seed(),
            probe_ticks: self.probe_ticks(),
            probes: self.probes() as u8,
            max_ejected: self.low(5),
            panic_below: self.high(5),
            panic_hosts: self.low(6),
            overprovisioning: self.high(6),
            spill_from: self.low(7),
            slow_start_ticks: self.slow_start_ticks(),
            stale_ticks: self.stale_ticks(),
            route_unknown: self.route_unknown(),
        }
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        self.0[at].load(Ordering::Relaxed) ^ USUAL[at]
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

    #[inline(always)]
    pub fn failure_rate(&self) -> Option<FailureRate> {
        if self.word(0) >> 24 & 1 == 0 {
            return None;
        }
        let window = Duration::from_micros((self.word(10) as u64) << 32 | self.word(9) as u64);
        Some(FailureRate { permille: self.high(7), window, at_least: self.low(8) })
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
        let settings = Settings::new(&Options::new());
        assert!(settings.0.iter().all(|word| word.load(Ordering::Relaxed) == 0), "no flash");
        for options in
            [Options::new(), all, all.failure_rate(rate), all.failure_rate(rate).route_unknown(true)]
        {
            settings.set(&options);
            assert_eq!((settings.get(), Settings::new(&options).get()), (options, options));
        }
    }
}
