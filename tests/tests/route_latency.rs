//! `PeakEwma` against the formula in floating point, and what must not make an endpoint look fast.

use std::sync::Barrier;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::PeakEwma;

const LOG2: u32 = 10;
const HALF_LIFE: u32 = 1 << LOG2;
/// The least time between two moves down.
const PAUSE: u32 = HALF_LIFE / 256;

/// The average as Finagle has it, in real numbers, but that an old one counts for nothing.
#[derive(Default)]
struct Naive {
    average: f64,
}

impl Naive {
    fn record(&mut self, sample: u32, passed: u32, is_old: bool) -> f64 {
        let sample = f64::from(sample.max(1));
        if sample > self.average {
            self.average = sample;
        } else {
            let kept = (-f64::from(passed) * std::f64::consts::LN_2 / f64::from(HALF_LIFE)).exp();
            let kept = if is_old { 0.0 } else { kept };
            self.average = self.average * kept + sample * (1.0 - kept);
        }
        self.average
    }
}

fn samples() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..100, 0u32..100_000, 0u32..=PeakEwma::<LOG2>::MAX]
}

proptest! {
    #[test]
    fn the_average_is_finagles(
        records in vec((samples(), prop_oneof![PAUSE..4 * PAUSE, PAUSE..20 * HALF_LIFE]), 1..100),
        start in any::<u32>(),
    ) {
        let latency = PeakEwma::<LOG2>::new();
        let mut naive = Naive::default();
        let mut now = start;
        let mut peak = 0.0f64;
        for (sample, passed) in records {
            now = now.wrapping_add(passed);
            let wanted = naive.record(sample, passed, latency.is_old(now));
            let got = f64::from(latency.record(sample, now));
            // The share is off by up to 0.0002 and 0.6 % of itself, of a gap that is at most the largest
            // sample.
            peak = peak.max(wanted);
            prop_assert!((got - wanted).abs() <= 2.0 + 0.004 * peak, "{} for {}", got, wanted);
            prop_assert_eq!(latency.get(), got as u32);
        }
    }

    #[test]
    fn an_average_lies_between_the_sample_and_the_average_before(
        records in vec((samples(), any::<u32>()), 1..100),
    ) {
        let latency = PeakEwma::<LOG2>::new();
        let mut before = 0;
        for (sample, now) in records {
            let after = latency.record(sample, now);
            let sample = sample.max(1);
            prop_assert!(after >= sample.min(before.max(sample)) && after <= sample.max(before));
            prop_assert!(latency.get_faded(now) == after);
            before = after;
        }
    }

    #[test]
    fn a_failure_never_lowers_the_average(records in vec((samples(), any::<u32>(), any::<bool>()), 1..100)) {
        let latency = PeakEwma::<LOG2>::new();
        for (sample, now, failed) in records {
            let before = latency.get();
            if failed {
                let after = latency.record_failure(sample, now);
                prop_assert!(after >= before && latency.get_faded(now) == after);
                prop_assert_eq!(after, if before == 0 { 0 } else { before.max(sample).min(PeakEwma::<LOG2>::MAX) });
            } else {
                latency.record(sample, now);
            }
        }
    }

    #[test]
    fn an_idle_average_fades_as_the_formula(sample in samples(), passed in 0..20 * HALF_LIFE) {
        let latency = PeakEwma::<LOG2>::new();
        latency.record(sample, 5);
        let wanted = f64::from(sample.max(1)) * (-f64::from(passed) / f64::from(HALF_LIFE)).exp2();
        let got = latency.get_faded(5 + passed);
        prop_assert!(got >= 1, "measured stays measured");
        prop_assert!((f64::from(got) - wanted).abs() <= 1.0 + 0.0003 * f64::from(sample), "{} for {}", got, wanted);
    }
}

#[test]
fn nothing_is_measured_at_first() {
    let latency: PeakEwma = PeakEwma::new();
    assert_eq!((latency.get(), latency.get_faded(9)), (0, 0));
}

#[test]
fn a_sample_of_no_time_is_a_measurement() {
    let latency: PeakEwma = PeakEwma::new();
    assert_eq!(latency.record(0, 0), 1);
    assert_eq!(latency.get_faded(1 << 30), 1);
}

#[test]
fn an_average_gets_old_without_records_the_later_the_greater_it_is() {
    // An eighth of a half-life is 128 ticks, 131 ms.
    for (average, ticks) in [(1, 128), (8_000, 128), (2_048_000, 32_000)] {
        let latency = PeakEwma::<LOG2>::new();
        latency.record(average, 7);
        assert!(!latency.is_old(7 + ticks - 1) && latency.is_old(7 + ticks), "{average}");
        // A clock that went back makes nothing old.
        assert!(!latency.is_old(6));
        assert_eq!(latency.record(5, 7 + ticks), 5);
    }
}

#[test]
fn a_peak_counts_at_once() {
    let latency: PeakEwma = PeakEwma::new();
    latency.record(100, 0);
    assert_eq!(latency.record(100_000, 0), 100_000);
    assert_eq!(latency.record(u32::MAX, 0), PeakEwma::<13>::MAX);
}

#[test]
fn frequent_low_samples_forgive_as_fast_as_rare_ones() {
    // Rounding each tick's share alone never moves: 8,192 ticks of half-life, 60 us to go, ten samples a
    // tick.
    for (peak, usual) in [(160, 100), (10_000, 100), (1_000_000, 1_000)] {
        let latency: PeakEwma = PeakEwma::new();
        latency.record(peak, 0);
        for sample in 1..=81_920 {
            latency.record(usual, sample / 10);
        }
        let (got, wanted) = (latency.get(), usual + (peak - usual) / 2);
        assert!(got.abs_diff(wanted) <= 2 + wanted / 50, "{got} for {wanted}");
    }
}

#[test]
fn an_average_comes_all_the_way_down() {
    let latency = PeakEwma::<LOG2>::new();
    latency.record(101, 0);
    for moves in 1..=256 * 10 {
        latency.record(100, moves * PAUSE);
    }
    assert_eq!(latency.get(), 100);
}

#[test]
fn the_last_low_sample_does_not_weigh_as_much_as_all_before() {
    // Samples at the average hold it: the time since the last *change* must not be taken for silence.
    let latency = PeakEwma::<LOG2>::new();
    for record in 0..100 * 256 {
        latency.record(1_000, record * PAUSE);
    }
    let after = latency.record(1, 100 * 256 * PAUSE);
    assert!(after > 990, "{after}");
}

#[test]
fn failing_fast_is_not_being_fast() {
    // L6: an endpoint that refuses in 1 ms beside one that answers in 20 ms.
    let refusing = PeakEwma::<LOG2>::new();
    let answering = PeakEwma::<LOG2>::new();
    let broken_from_the_start = PeakEwma::<LOG2>::new();
    refusing.record(20_000, 0);
    for now in 0..20 * HALF_LIFE {
        answering.record(20_000, now);
        refusing.record_failure(1_000, now);
        broken_from_the_start.record_failure(1_000, now);
        assert!(refusing.get_faded(now) >= answering.get_faded(now));
    }
    assert_eq!(broken_from_the_start.get(), 0, "unmeasured, not fast");
}

#[test]
fn a_slow_failure_is_a_peak() {
    let latency: PeakEwma = PeakEwma::new();
    latency.record(1_000, 0);
    assert_eq!(latency.record_failure(5_000_000, 1), 5_000_000);
}

#[test]
fn a_clock_that_went_backwards_fades_nothing_and_counts_on_from_there() {
    let latency = PeakEwma::<LOG2>::new();
    latency.record(1_000, 100_000);
    assert_eq!(latency.record(100, 50_000), 1_000);
    assert_eq!(latency.get_faded(50_000), 1_000);
    assert_eq!(latency.record(1_000, 50_000), 1_000);
    assert_eq!(latency.get_faded(50_000 + HALF_LIFE), 500);
}

#[test]
fn ticks_wrap() {
    let latency = PeakEwma::<LOG2>::new();
    latency.record(1_000, u32::MAX - 9);
    assert_eq!(latency.get_faded(HALF_LIFE - 10), 500);
    assert_eq!(latency.record(100, HALF_LIFE - 10), 100);
}

#[test]
fn a_new_endpoint_in_the_slot_is_unmeasured() {
    let latency: PeakEwma = PeakEwma::new();
    latency.record(1_000_000, 7);
    latency.reset();
    assert_eq!(latency.get_faded(7), 0);
    assert_eq!(latency.record(10, 7), 10);
}

#[test]
fn records_that_race_leave_what_one_of_them_computed() {
    let latency = PeakEwma::<LOG2>::new();
    latency.record(500, 0);
    let all = Barrier::new(3);
    thread::scope(|scope| {
        for sample in [100, 200, 1_000] {
            let (latency, all) = (&latency, &all);
            scope.spawn(move || {
                all.wait();
                for now in 0..100_000 {
                    let average = latency.record(sample, now);
                    assert!((100..=1_000).contains(&average), "{average}");
                }
            });
        }
    });
}
