//! The tables against the rules that their docs state, written down without regard to time, memory or slices.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{HashTable, Maglev, Member, Progress, Ring, RoutingKey};

use super::{Members, build, build_in_slices, in_slot};

/// A sorted vector of points.
struct NaiveRing {
    bits: u32,
    points: Vec<(u32, u16)>,
}

impl NaiveRing {
    fn new(capacity: usize, directory: u32, points_per_weight: u64, members: &Members) -> Self {
        let bits = (directory.ilog2() + 22).min(32);
        let count = |member: &Member, halvings: u32| match u64::from(member.weight) {
            0 => 0,
            weight => ((weight.min((1 << 22) - 1) * points_per_weight) >> halvings).max(1),
        };
        let fits =
            |halvings: &u32| members.iter().map(|(_, m)| count(m, *halvings)).sum::<u64>() <= capacity as u64;
        let halvings = (0..31).find(fits).unwrap_or(31);
        let mut members = members.clone();
        members.sort_unstable_by_key(|(slot, _)| *slot);
        let mut points: Vec<_> = members
            .iter()
            .flat_map(|(slot, member)| {
                (0..count(member, halvings) as u32).map(|number| {
                    let bytes = [&member.id.to_le_bytes()[..], &number.to_le_bytes()].concat();
                    (Self::place((RoutingKey::new(&bytes).hash() >> 32) as u32, bits), *slot)
                })
            })
            .take(capacity)
            .collect();
        points.sort_unstable();
        Self { bits, points }
    }

    fn place(hash: u32, bits: u32) -> u32 {
        hash >> (32 - bits)
    }

    fn find(&self, hash: u32) -> Option<u16> {
        let place = Self::place(hash, self.bits);
        let next = self.points.partition_point(|(point, _)| *point < place);
        self.points.get(next).or(self.points.first()).map(|(_, slot)| *slot)
    }
}

/// The paper's procedure, with preference lists written out, and turns as `Maglev`'s docs have them.
fn naive_maglev(size: u64, members: &Members) -> Vec<Option<u16>> {
    let mut members: Members = members.iter().filter(|(_, member)| member.weight != 0).copied().collect();
    members.sort_unstable_by_key(|(slot, _)| *slot);
    let mut table = vec![None; size as usize];
    let mut upper = 0;
    let total: u64 = members.iter().map(|(_, member)| u64::from(member.weight)).sum();
    let mut queue: Vec<_> = members
        .iter()
        .map(|(slot, member)| {
            let hash = RoutingKey::from_id(member.id).hash();
            let (offset, skip) =
                (((hash >> 32) * size) >> 32, 1 + (((hash & 0xFFFF_FFFF) * (size - 1)) >> 32));
            let list = (0..size).map(move |index| ((offset + index * skip) % size) as usize);
            assert_eq!(list.clone().collect::<HashSet<_>>().len() as u64, size, "a permutation");
            let lower = upper;
            upper += u64::from(member.weight);
            let quota = (upper * size).div_ceil(total) - (lower * size).div_ceil(total);
            (*slot, list, quota)
        })
        .collect();
    let rounds = size.div_ceil(members.len().max(1) as u64);
    for round in 0..rounds {
        for (slot, list, quota) in &mut queue {
            for _ in (*quota * round).div_ceil(rounds)..(*quota * (round + 1)).div_ceil(rounds) {
                let free = list.find(|entry| table[*entry].is_none()).unwrap();
                table[free] = Some(*slot);
            }
        }
    }
    table
}

fn any_members(most: usize) -> impl Strategy<Value = Members> {
    let weight = prop_oneof![3 => Just(1), 1 => Just(0), 3 => 1..20u32, 1 => 1..70_000u32];
    vec((0..64u16, any::<u64>(), weight), 0..most).prop_map(|of| {
        let mut taken = HashSet::new();
        let mut members: Members =
            of.into_iter().map(|(slot, id, weight)| (slot, Member { id, weight })).collect();
        members.retain(|(slot, _)| taken.insert(*slot));
        members
    })
}

fn check_ring<const POINTS: usize, const DIRECTORY: usize>(
    members: &Members,
    slice: u32,
    probes: &[u32],
) -> Result<(), TestCaseError> {
    let ring: Box<Ring<POINTS, DIRECTORY, 40>> = Box::new(Ring::new());
    let naive = NaiveRing::new(POINTS, DIRECTORY as u32, 40, members);
    build_in_slices(&*ring, members, slice);
    // The points themselves and their neighbours are where a search goes wrong.
    let at_points = naive.points.iter().map(|(place, _)| place << (32 - naive.bits));
    let near = at_points.flat_map(|hash| [hash.wrapping_sub(1), hash, hash.wrapping_add(1)]);
    for hash in near.chain(probes.iter().copied()).chain([0, u32::MAX]) {
        prop_assert_eq!(ring.find(hash), naive.find(hash), "{:#x}", hash);
    }
    Ok(())
}

fn check_maglev<const SIZE: usize>(members: &Members, slice: u32) -> Result<(), TestCaseError> {
    let table: Box<Maglev<SIZE, 64>> = Box::default();
    build_in_slices(&*table, members, slice);
    for (entry, slot) in (0u64..).zip(naive_maglev(SIZE as u64, members)) {
        // The first and the last hash of the entry.
        let first = (entry << 32).div_ceil(SIZE as u64) as u32;
        let last = (((entry + 1) << 32).div_ceil(SIZE as u64) - 1) as u32;
        prop_assert_eq!([first, last].map(|hash| table.find(hash)), [slot, slot], "entry {}", entry);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_ring_in_any_slices_is_a_sorted_vector_of_points(
        members in any_members(30), slice in 1..500u32, probes in vec(any::<u32>(), 50),
    ) {
        check_ring::<1200, 256>(&members, slice, &probes)?;
        check_ring::<1200, 2>(&members, slice, &probes)?;
        check_ring::<200, 4096>(&members, slice, &probes)?;
        check_ring::<5, 4>(&members, slice, &probes)?;
    }

    #[test]
    fn maglev_in_any_slices_is_the_paper_s_with_quotas(members in any_members(30), slice in 1..500u32) {
        check_maglev::<251>(&members, slice)?;
        check_maglev::<23>(&members, slice)?;
        check_maglev::<3>(&members, slice)?;
        check_maglev::<2>(&members, slice)?;
    }

    #[test]
    fn a_build_begun_anew_in_the_middle_is_that_of_the_members_of_then(
        before in any_members(30), after in any_members(30), at in 0..3_000u32,
    ) {
        let (ring, maglev) = (super::ring::<400, 64>(), super::maglev::<251, 64>());
        let (fresh_ring, fresh_maglev) = (super::ring::<400, 64>(), super::maglev::<251, 64>());
        for (table, fresh) in [(&*ring as &dyn HashTable, &*fresh_ring as &dyn HashTable), (&*maglev, &*fresh_maglev)] {
            table.begin(64);
            let _ = table.step(at, &in_slot(&before));
            table.begin(64);
            while table.step(7, &in_slot(&after)) == Progress::Pending {}
            fresh.begin(64);
            while fresh.step(u32::MAX, &in_slot(&after)) == Progress::Pending {}
            prop_assert!(super::hashes(2_000).all(|hash| table.find(hash) == fresh.find(hash)));
        }
    }
}

#[test]
fn with_equal_weights_that_divide_evenly_maglev_is_the_paper_s() {
    // 1021 = 4 × 255 + 1: one endpoint has one entry more, in the last round; in the paper it is the first.
    let members = super::equals(4);
    let size = 1021u64;
    let table: Box<Maglev<1021, 4>> = Box::default();
    build(&*table, &members);
    let lists = members.iter().map(|(_, member)| {
        let hash = RoutingKey::from_id(member.id).hash();
        (((hash >> 32) * size) >> 32, 1 + (((hash & 0xFFFF_FFFF) * (size - 1)) >> 32), 0)
    });
    let mut lists: Vec<(u64, u64, u64)> = lists.collect();
    let mut entries = vec![None; 1021];
    let mut filled = 0;
    'fill: loop {
        for (slot, (offset, skip, next)) in lists.iter_mut().enumerate() {
            let mut candidate = (*offset + *next * *skip) % size;
            while entries[candidate as usize].is_some() {
                *next += 1;
                candidate = (*offset + *next * *skip) % size;
            }
            entries[candidate as usize] = Some(slot as u16);
            *next += 1;
            filled += 1;
            if filled == size {
                break 'fill;
            }
        }
    }
    let found = (0..size).map(|entry| table.find((entry << 32).div_ceil(size) as u32));
    let others = found.zip(entries).filter(|(ours, theirs)| ours != theirs).count();
    assert!(others <= 1, "{others} entries differ");
}
