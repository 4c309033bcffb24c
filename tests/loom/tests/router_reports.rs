//! The reports of endpoints against their readers.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{Gauges, Metrics};
use trilane::sync::with_lock;
use trilane_loom::{check, check_with};

/// A report whose five numbers all tell `n`.
fn report(n: u16) -> Metrics {
    Metrics::new(n, n, n.into(), n.into(), n).unwrap()
}

/// A report that is read beside `writes`, which leave report `last`, is one whole report or none.
fn is_read_whole_beside(writes: fn(&Gauges), last: u16) {
    check(move || {
        let gauges = Arc::new(Gauges::new());
        with_lock(|cs| gauges.write(cs, report(1), 1));
        let writer = {
            let gauges = gauges.clone();
            thread::spawn(move || writes(&gauges))
        };
        if let Some((metrics, tick)) = gauges.try_read() {
            assert_eq!(metrics, report(tick as u16));
        }
        writer.join().unwrap();
        assert_eq!(gauges.try_read(), Some((report(last), last.into())));
    });
}

#[test]
fn a_report_is_read_whole_while_the_next_two_are_written() {
    let writes = |gauges: &Gauges| {
        with_lock(|cs| gauges.write(cs, report(2), 2));
        with_lock(|cs| gauges.write(cs, report(3), 3));
    };
    is_read_whole_beside(writes, 3);
}

#[test]
fn a_report_is_read_whole_while_it_is_cleared_and_another_endpoints_comes() {
    let writes = |gauges: &Gauges| {
        with_lock(|cs| gauges.clear(cs));
        with_lock(|cs| gauges.write(cs, report(2), 2));
    };
    is_read_whole_beside(writes, 2);
}

#[test]
fn a_reader_that_may_wait_gets_a_report_whatever_comes_between() {
    check_with(2, || {
        let gauges = Arc::new(Gauges::new());
        with_lock(|cs| gauges.write(cs, report(1), 1));
        let writer = {
            let gauges = gauges.clone();
            thread::spawn(move || with_lock(|cs| gauges.write(cs, report(2), 2)))
        };
        let (metrics, tick) = gauges.read().unwrap();
        assert_eq!(metrics, report(tick as u16));
        writer.join().unwrap();
    });
}
