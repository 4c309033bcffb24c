//! The ring of records, against a queue of vectors.

use std::collections::VecDeque;

use proptest::prelude::*;
use trilane::causal::{PushError, RecordRing};

const BYTES: usize = 50;
const RECORDS: usize = 6;

type Ring = RecordRing<u32, BYTES, RECORDS>;

/// Oracle: the records and where they lie, with the rule of the docs: behind the newest, else at the start.
#[derive(Default)]
struct Model {
    first: u64,
    records: VecDeque<(u32, Vec<u8>, usize)>,
}

impl Model {
    fn place(&self, length: usize) -> Option<usize> {
        let taken: Vec<_> =
            self.records.iter().map(|(_, bytes, start)| *start..start + bytes.len()).collect();
        let free = |start: usize| {
            let end = start + length;
            end <= BYTES && taken.iter().all(|taken| taken.end <= start || end <= taken.start)
        };
        let Some(newest) = taken.last() else { return (length <= BYTES).then_some(0) };
        // A newest one before the oldest has the free bytes between the two, and nowhere else.
        let oldest = taken.first().unwrap();
        let is_around = newest.start < oldest.start;
        if free(newest.end) && (!is_around || newest.end + length <= oldest.start) {
            return Some(newest.end);
        }
        (!is_around && newest.end + length > BYTES && free(0)).then_some(0)
    }

    fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    fn push(&mut self, header: u32, bytes: Vec<u8>) -> Result<u64, PushError> {
        if bytes.len() > BYTES {
            return Err(PushError::TooLong { length: bytes.len(), limit: BYTES });
        }
        if self.records.len() == RECORDS {
            return Err(PushError::NoRecords);
        }
        let start = self.place(bytes.len()).ok_or(PushError::NoBytes)?;
        let index = self.next();
        self.records.push_back((header, bytes, start));
        Ok(index)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    /// Room for a number of records, and the lengths of those that are committed.
    Reserve(usize, usize, Vec<usize>),
    Evict(i64),
    Truncate(i64),
    Clear(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reserve = (0_usize..4, 1_usize..30, proptest::collection::vec(1_usize..12, 0..4));
    let step = prop_oneof![
        8 => (1_usize..26).prop_map(Step::Push),
        1 => (40_usize..55).prop_map(Step::Push),
        2 => reserve.prop_map(|(records, bytes, lengths)| Step::Reserve(records, bytes, lengths)),
        4 => (-2_i64..9).prop_map(Step::Evict),
        2 => (-2_i64..9).prop_map(Step::Truncate),
        1 => (0_u64..100).prop_map(Step::Clear),
    ];
    proptest::collection::vec(step, 1..80)
}

fn check(ring: &Ring, model: &Model) {
    assert_eq!((ring.indices(), ring.len()), (model.first..model.next(), model.records.len()));
    assert_eq!(ring.is_empty(), model.records.is_empty());
    for (index, (header, bytes, _)) in (model.first..).zip(&model.records) {
        let record = ring.get(index).unwrap();
        assert_eq!((record.header, record.bytes), (*header, &bytes[..]));
    }
    assert_eq!(ring.get(model.next()), None);
    assert_eq!(model.first.checked_sub(1).and_then(|index| ring.get(index)), None);
}

proptest! {
    #[test]
    fn records_come_back_whole_and_in_order_whatever_is_evicted_or_truncated(steps in steps()) {
        let mut ring = Ring::new(0);
        let mut model = Model::default();
        for (n, step) in (0_u32..).zip(steps) {
            let bytes = |length| vec![n as u8; length];
            let at = |offset| model.first.saturating_add_signed(offset);
            match step {
                Step::Push(length) => {
                    prop_assert_eq!(ring.push(n, &bytes(length)), model.push(n, bytes(length)));
                }
                Step::Reserve(records, mut left, lengths) => {
                    let fits = records + model.records.len() <= RECORDS && model.place(left).is_some();
                    let mut room = ring.reserve(records, left);
                    prop_assert_eq!(room.is_ok(), fits);
                    for (nth, length) in lengths.into_iter().enumerate().filter(|_| fits) {
                        let Ok(room) = room.as_mut() else { unreachable!() };
                        prop_assert_eq!(room.bytes().len(), left);
                        room.bytes().iter_mut().take(length).for_each(|byte| *byte = n as u8);
                        if nth >= records || length > left {
                            prop_assert_eq!(room.commit(n, length), Err(PushError::NotReserved));
                            break;
                        }
                        // The rest of the room is one piece: what it began with says where the model has it.
                        if nth == 0 {
                            let start = model.place(left).unwrap();
                            model.records.push_back((n, bytes(length), start));
                        } else {
                            let (_, before, start) = model.records.back().unwrap();
                            let start = start + before.len();
                            model.records.push_back((n, bytes(length), start));
                        }
                        prop_assert_eq!(room.commit(n, length), Ok(model.next() - 1));
                        left -= length;
                    }
                }
                Step::Evict(offset) => {
                    let through = at(offset);
                    ring.evict_through(through);
                    while !model.records.is_empty() && model.first <= through {
                        model.records.pop_front();
                        model.first += 1;
                    }
                }
                Step::Truncate(offset) => {
                    let from = at(offset);
                    ring.truncate_from(from);
                    while !model.records.is_empty() && model.next() > from {
                        model.records.pop_back();
                    }
                }
                Step::Clear(next) => {
                    ring.clear(next);
                    model = Model { first: next, ..Model::default() };
                }
            }
            check(&ring, &model);
        }
    }
}

#[test]
fn records_without_bytes_are_records() {
    let mut ring: RecordRing<u8, 4, 3> = RecordRing::new(0);
    ring.push(1, b"full").unwrap();
    ring.push(2, b"").unwrap();
    assert_eq!(ring.push(3, b"x"), Err(PushError::NoBytes));
    ring.push(3, b"").unwrap();
    assert_eq!(ring.push(4, b""), Err(PushError::NoRecords));
    ring.evict_through(0);
    ring.push(4, b"next").unwrap();
    let headers: Vec<_> = ring.indices().map(|index| ring.get(index).unwrap().header).collect();
    assert_eq!(headers, [2, 3, 4]);
    assert_eq!(ring.get(3).unwrap().bytes, b"next");
}

#[test]
fn a_ring_without_records_takes_all_its_bytes_again() {
    let mut ring: RecordRing<(), 8, 4> = RecordRing::new(());
    for _ in 0..20 {
        ring.push((), b"123").unwrap();
        ring.evict_through(u64::MAX);
        ring.push((), b"12345678").unwrap();
        ring.truncate_from(0);
    }
    assert_eq!(ring.indices(), 20..20);
}

#[test]
fn the_last_index_but_one_is_the_last_that_is_given() {
    let mut ring: RecordRing<(), 8, 4> = RecordRing::new(());
    ring.clear(u64::MAX - 1);
    assert_eq!(ring.push((), b"1"), Ok(u64::MAX - 1));
    assert_eq!(ring.push((), b"2"), Err(PushError::IndexOverflow));
    assert_eq!(ring.indices(), u64::MAX - 1..u64::MAX);
}

#[test]
fn what_is_not_committed_leaves_no_trace() {
    let mut ring: RecordRing<(), 8, 4> = RecordRing::new(());
    ring.push((), b"12").unwrap();
    ring.reserve(2, 6).unwrap().bytes().fill(0xee);
    assert_eq!(ring.indices(), 0..1);
    ring.push((), b"345678").unwrap();
    assert_eq!(ring.get(0).unwrap().bytes, b"12");
}

#[test]
fn as_many_bytes_as_the_docs_say_are_taken_for_sure() {
    const N: usize = 7;
    for offset in 0..BYTES {
        for used in 0..=BYTES + 1 - 2 * N {
            let mut ring = Ring::new(0);
            // The record in use begins at `offset`, or at the start if it does not fit there.
            ring.push(0, &[0]).unwrap();
            ring.push(0, &vec![0; offset.saturating_sub(1)]).unwrap();
            ring.evict_through(0);
            if ring.push(0, &vec![0; used]).is_ok() {
                ring.evict_through(1);
                assert!(ring.push(0, &[0; N]).is_ok(), "offset {offset}, {used} in use");
            }
        }
    }
}
