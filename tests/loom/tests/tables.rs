//! Look-ups in a hash table against its rebuilds, each half written once more while readers may still be in
//! it.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{HashTable, Maglev, Member, Progress, Ring};
use trilane_loom::check;

/// Makes `slot` the lone member of a table whose build has begun.
fn finish(table: &impl HashTable, slot: u16) {
    let member = |at| (at == slot).then_some(Member { id: u64::from(at), weight: 1 });
    while table.step(1000, &member) == Progress::Pending {}
}

fn build(table: &impl HashTable, slot: u16) {
    table.begin(3);
    finish(table, slot);
}

/// Slot 0 is built before, slots 1 and 2 while another thread looks twice. What it finds never goes back,
/// which it would if a look-up saw a half that is being written, or one older than its version. Two exchanges
/// leave it one of its four tries.
fn a_reader_sees_one_build_after_the_other<T>(build_two: impl Fn(&Arc<T>) + Sync + Send + 'static)
where
    T: HashTable + Default + Send + Sync + 'static,
{
    check(move || {
        let table = Arc::new(T::default());
        build(&*table, 0);
        let reader = {
            let table = table.clone();
            thread::spawn(move || {
                let first = table.find(0).unwrap();
                let second = table.find(0).unwrap();
                assert!(first <= second && second <= 2, "{first}, then {second}");
            })
        };
        build_two(&table);
        reader.join().unwrap();
        assert_eq!(table.find(0), Some(2));
    });
}

#[test]
fn a_reader_of_a_ring_sees_one_build_after_the_other() {
    a_reader_sees_one_build_after_the_other::<Ring<1, 2>>(|table| {
        build(&**table, 1);
        build(&**table, 2);
    });
}

#[test]
fn a_reader_of_maglev_sees_one_build_after_the_other() {
    a_reader_sees_one_build_after_the_other::<Maglev<2, 3>>(|table| {
        build(&**table, 1);
        build(&**table, 2);
    });
}

#[test]
fn a_build_that_one_thread_begins_and_another_finishes_is_seen_as_whole() {
    a_reader_sees_one_build_after_the_other::<Maglev<2, 3>>(|table| {
        build(&**table, 1);
        table.begin(3);
        let table = table.clone();
        // The spawn orders the two, as the lock of builders does.
        thread::spawn(move || finish(&*table, 2)).join().unwrap();
    });
}
