//! `Metrics` against the formula in floating point, bad reports, and `Gauges` read while they are written.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use proptest::prelude::*;
use trilane::route::{Gauges, Metrics, MetricsError};
use trilane::sync::with_lock;

/// The score as the formula is written, in permille.
fn naive_score(report: &Metrics) -> f64 {
    let ratio = |permille: u16| f64::from(permille) / 1_000.0;
    let connections = (f64::from(report.connections()) / 10_000.0).min(1.0);
    let response = (f64::from(report.response_ms()) / 1_000.0).min(1.0);
    let score = 0.3 * ratio(report.cpu())
        + 0.2 * ratio(report.memory())
        + 0.2 * connections
        + 0.15 * response
        + 0.15 * ratio(report.errors());
    score.clamp(0.0, 1.0) * 1_000.0
}

/// A report all of whose fields, and whose tick, follow from `number`.
fn numbered(number: u32) -> (Metrics, u32) {
    let share = (number % 1_001) as u16;
    (Metrics::new(share, 1_000 - share, number, !number, share).unwrap(), number)
}

proptest! {
    #[test]
    fn the_score_is_the_formulas_within_one_permille(
        cpu in 0u16..=1_000,
        memory in 0u16..=1_000,
        connections in prop_oneof![0u32..20_000, any::<u32>()],
        response_ms in prop_oneof![0u32..2_000, any::<u32>()],
        errors in 0u16..=1_000,
    ) {
        let report = Metrics::new(cpu, memory, connections, response_ms, errors).unwrap();
        let (score, naive) = (report.score(), naive_score(&report));
        prop_assert!(score <= 1_000);
        // Rounding costs half a permille, and floating point some more in the oracle.
        prop_assert!((f64::from(score) - naive).abs() <= 0.5 + 1e-6, "{} for {}", score, naive);
    }

    #[test]
    fn ratios_are_taken_to_the_nearest_permille(
        cpu in 0f32..=1.0,
        memory in 0f32..=1.0,
        response in prop_oneof![0f32..5_000.0, 0f32..1e10],
        errors in 0f32..=1.0,
    ) {
        let report = Metrics::from_ratios(cpu, memory, 1, response, errors).unwrap();
        let far = |permille: u16, ratio: f32| (f64::from(permille) - f64::from(ratio) * 1_000.0).abs();
        prop_assert!(far(report.cpu(), cpu) <= 0.5001);
        prop_assert!(far(report.memory(), memory) <= 0.5001);
        prop_assert!(far(report.errors(), errors) <= 0.5001);
        let response = f64::from(response).min(f64::from(u32::MAX));
        prop_assert!((f64::from(report.response_ms()) - response).abs() <= 0.5);
    }
}

#[test]
fn an_idle_endpoint_scores_nothing_and_a_drowned_one_all() {
    assert_eq!(Metrics::default().score(), 0);
    assert_eq!(Metrics::new(1_000, 1_000, u32::MAX, u32::MAX, 1_000).unwrap().score(), 1_000);
}

#[test]
fn each_weight_is_the_documented_one() {
    let score = |cpu, memory, connections, response_ms, errors| {
        Metrics::new(cpu, memory, connections, response_ms, errors).unwrap().score()
    };
    assert_eq!(score(1_000, 0, 0, 0, 0), 300);
    assert_eq!(score(0, 1_000, 0, 0, 0), 200);
    assert_eq!(score(0, 0, 10_000, 0, 0), 200);
    assert_eq!(score(0, 0, 0, 1_000, 0), 150);
    assert_eq!(score(0, 0, 0, 0, 1_000), 150);
    assert_eq!(score(0, 0, 25, 0, 0), 1); // half a permille, up
}

#[test]
fn what_is_no_share_is_refused_and_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.001, 1.001, f32::MAX] {
        assert_eq!(Metrics::from_ratios(bad, 0.0, 0, 0.0, 0.0), Err(MetricsError::Cpu), "{bad}");
        assert_eq!(Metrics::from_ratios(0.0, bad, 0, 0.0, 0.0), Err(MetricsError::Memory), "{bad}");
        assert_eq!(Metrics::from_ratios(0.0, 0.0, 0, 0.0, bad), Err(MetricsError::Errors), "{bad}");
    }
    assert_eq!(Metrics::new(1_001, 0, 0, 0, 0), Err(MetricsError::Cpu));
    assert_eq!(Metrics::new(0, u16::MAX, 0, 0, 0), Err(MetricsError::Memory));
    assert_eq!(Metrics::new(0, 0, 0, 0, 1_001), Err(MetricsError::Errors));
}

#[test]
fn what_is_no_time_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, -f32::MIN_POSITIVE] {
        assert_eq!(Metrics::from_ratios(0.0, 0.0, 0, bad, 0.0), Err(MetricsError::ResponseTime), "{bad}");
    }
    let slowest = Metrics::from_ratios(0.0, 0.0, 0, f32::MAX, 0.0).unwrap();
    assert_eq!(slowest.response_ms(), u32::MAX);
    assert_eq!(Metrics::from_ratios(-0.0, -0.0, 0, -0.0, -0.0), Ok(Metrics::default()));
}

#[test]
fn an_error_tells_what_to_report_instead() {
    assert_eq!(
        MetricsError::Errors.to_string(),
        "the error rate is not a share: report a ratio from 0 to 1, or 0 to 1,000 permille"
    );
}

#[test]
fn nothing_is_read_before_the_first_report() {
    let gauges = Gauges::new();
    assert_eq!((gauges.score(), gauges.try_read(), gauges.read()), (None, None, None));
}

#[test]
fn a_report_of_zeros_is_a_report() {
    let gauges = Gauges::new();
    with_lock(|cs| gauges.write(cs, Metrics::default(), 0));
    assert_eq!(gauges.score(), Some(0));
    assert_eq!(gauges.try_read(), Some((Metrics::default(), 0)));
    assert_eq!(gauges.read(), Some((Metrics::default(), 0)));
}

#[test]
fn the_latest_report_is_read() {
    let gauges = Gauges::new();
    for number in 0..2_000 {
        let (report, tick) = numbered(number);
        with_lock(|cs| gauges.write(cs, report, tick));
        assert_eq!(gauges.try_read(), Some((report, tick)));
        assert_eq!(gauges.read(), Some((report, tick)));
        assert_eq!(gauges.score(), Some(report.score()));
    }
}

#[test]
fn no_report_is_torn_while_two_threads_write_and_two_read() {
    const WRITES: u32 = 200_000;
    /// How many each of the readers gets before the writers stop, however seldom it runs.
    const READS: u32 = 1_000;
    let gauges = Gauges::new();
    let [tried, read] = [const { AtomicU32::new(0) }; 2];
    let enough = || tried.load(Ordering::Relaxed) >= READS && read.load(Ordering::Relaxed) >= READS;
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writers = [0, 1].map(|odd| {
            let (gauges, enough) = (&gauges, &enough);
            scope.spawn(move || {
                let mut number = odd;
                // A reader that gets nothing is a failure, and no reason to wait for ever.
                while number < WRITES || number < 100 * WRITES && !enough() {
                    let (report, tick) = numbered(number);
                    with_lock(|cs| gauges.write(cs, report, tick));
                    number += 2;
                }
            })
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Some((report, tick)) = gauges.try_read() {
                    assert_eq!((report, tick), numbered(tick));
                    tried.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match gauges.read() {
                    Some((report, tick)) => {
                        assert_eq!((report, tick), numbered(tick));
                        read.fetch_add(1, Ordering::Relaxed);
                    }
                    None => assert_eq!(read.load(Ordering::Relaxed), 0, "a report was there and is gone"),
                }
            }
        });
        let written = writers.map(thread::ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        written
    });
    assert!(
        written.iter().all(Result::is_ok) && enough(),
        "{tried:?} tries and {read:?} reads gave a report"
    );
}
