//! The summary against the words it covers: two banks, two wakers, one runner.
#![cfg(trilane_loom)]

use std::task::Poll;

use loom::thread;
use trilane::exec::TaskOptions;
use trilane_loom::{Plain, Stage, check};

#[test]
fn a_wake_in_either_bank_is_never_lost() {
    check(|| {
        let (stage, mut runner) = Stage::<2, 1>::set();
        let mut number = 0;
        let mut pairs = [0, 0].map(|_| {
            number += 1;
            let written = number;
            let letter = Plain::new();
            let read = letter.clone();
            let (handle, waker) =
                stage.spawn_asleep(&mut runner, TaskOptions::new(), move |_| Poll::Ready(read.get()));
            let writer = thread::spawn(move || {
                letter.set(written);
                waker.wake();
            });
            (handle, writer)
        });
        runner.run_until(|| pairs.iter().all(|(handle, _)| handle.is_finished()));
        assert_eq!(pairs.each_mut().map(|(handle, _)| handle.try_join().unwrap()), [Ok(1), Ok(2)]);
        pairs.into_iter().for_each(|(_, writer)| writer.join().unwrap());
    });
}
