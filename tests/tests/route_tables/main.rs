//! `Ring` and `Maglev` against naive oracles, and what both promise: shares, little disruption, any slicing,
//! small changes, readers beside the builder, the same answers on every target.

mod beside;
mod changes;
mod oracle;
mod promises;
mod same_everywhere;
mod shares;

use std::sync::atomic::{AtomicUsize, Ordering};

use trilane::route::{HashTable, Maglev, Member, Progress, Ring};

/// Who is in which slot.
type Members = Vec<(u16, Member)>;

/// Members in slots 0, 1, ... with these ids and weights.
fn members(of: impl IntoIterator<Item = (u64, u32)>) -> Members {
    (0..).zip(of).map(|(slot, (id, weight))| (slot, Member { id, weight })).collect()
}

/// Members with ids 1, 2, ... and weight 1.
fn equals(count: u64) -> Members {
    members((1..=count).map(|id| (id, 1)))
}

fn in_slot(members: &Members) -> impl Fn(u16) -> Option<Member> {
    move |slot| members.iter().find(|(of, _)| *of == slot).map(|(_, member)| *member)
}

/// Builds the table of `members` in slices of `slice` steps, and returns how many steps it took, to the next
/// full slice.
fn build_in_slices(table: &dyn HashTable, members: &Members, slice: u32) -> u64 {
    let mut of = vec![None; 1024];
    members.iter().for_each(|(slot, member)| of[usize::from(*slot)] = Some(*member));
    let slots = members.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
    table.begin(slots);
    let mut steps = u64::from(slice);
    while table.step(slice, &|slot| of[usize::from(slot)]) == Progress::Pending {
        steps += u64::from(slice);
    }
    steps
}

fn build(table: &dyn HashTable, members: &Members) {
    build_in_slices(table, members, 1 << 20);
}

/// `count` hashes, evenly spread over all that there are.
fn hashes(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|index| index.wrapping_mul(0x9E37_79B1))
}

/// For a thousand members. It wouldn't fit a stack.
fn large_ring() -> &'static Ring<160_000, 32_768> {
    static RINGS: [Ring<160_000, 32_768>; 4] = [const { Ring::new() }; 4];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    &RINGS[NEXT.fetch_add(1, Ordering::Relaxed)]
}

fn ring<const POINTS: usize, const DIRECTORY: usize>() -> Box<Ring<POINTS, DIRECTORY>> {
    Box::default()
}

fn maglev<const SIZE: usize, const SLOTS: usize>() -> Box<Maglev<SIZE, SLOTS>> {
    Box::default()
}
