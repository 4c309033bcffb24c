//! The summary against the words it covers: two banks, two inserters, one drainer.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use std::task::Poll;
use trilane::bitmap::{AtomicBitmap, Bank};
use trilane::exec::TaskOptions;
use trilane_loom::{Plain, Stage, check};

/// Two threads insert a slot each while this one drains, and once more when they are done.
fn each_member_is_drained_once(slots: [u16; 2]) {
    check(move || {
        let set: Arc<AtomicBitmap<2>> = Arc::default();
        let inserters = slots.map(|slot| {
            let set = set.clone();
            thread::spawn(move || assert!(!set.insert(slot)))
        });
        let mut drained = Vec::new();
        set.drain(|slot| drained.push(slot));
        inserters.into_iter().for_each(|inserter| inserter.join().unwrap());
        set.drain(|slot| drained.push(slot));
        drained.sort_unstable();
        assert_eq!(drained, slots);
        assert!(set.is_empty());
    });
}

#[test]
fn each_member_of_one_bank_is_drained_once() {
    each_member_is_drained_once([3, 4]);
}

#[test]
fn each_member_of_two_banks_is_drained_once() {
    each_member_is_drained_once([3, 40]);
}

#[test]
fn what_was_written_before_an_insert_is_seen_by_the_drainer() {
    check(|| {
        let set: Arc<AtomicBitmap<2>> = Arc::default();
        let letters = [(3, Plain::new()), (40, Plain::new())];
        let inserters = letters.clone().map(|(slot, letter)| {
            let set = set.clone();
            thread::spawn(move || {
                letter.set(7);
                set.insert(slot);
            })
        });
        let drain = || {
            set.drain(|drained| {
                letters
                    .iter()
                    .filter(|(slot, _)| *slot == drained)
                    .for_each(|(_, letter)| assert_eq!(letter.get(), 7));
            });
        };
        drain();
        drain();
        inserters.into_iter().for_each(|inserter| inserter.join().unwrap());
    });
}

#[test]
fn an_insert_of_a_member_that_is_drained_meanwhile_makes_it_one_again() {
    check(|| {
        let set: Arc<AtomicBitmap<2>> = Arc::default();
        let inserters = [0, 0].map(|_| {
            let set = set.clone();
            thread::spawn(move || u32::from(set.insert(40)))
        });
        let mut drained = 0;
        set.drain(|_| drained += 1);
        let [first, second] = inserters.map(|inserter| inserter.join().unwrap());
        set.drain(|_| drained += 1);
        // Each insert either found the member there or made it one.
        assert_eq!(drained + first + second, 2);
    });
}

#[test]
fn what_a_free_bit_stands_for_belongs_to_one_claimer_at_a_time() {
    check(|| {
        let free = Arc::new(Bank::new(0b11));
        let guarded = [Plain::new(), Plain::new()];
        let claim = move |free: &Bank| {
            if let Some(bit) = free.claim() {
                let mine = &guarded[bit as usize];
                mine.set(mine.get() + 1);
                free.insert(bit);
            }
        };
        let claimers = [0, 0].map(|_| {
            let (free, claim) = (free.clone(), claim.clone());
            thread::spawn(move || claim(&free))
        });
        claim(&free);
        claimers.into_iter().for_each(|claimer| claimer.join().unwrap());
        assert_eq!(free.bits(), 0b11);
    });
}

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
