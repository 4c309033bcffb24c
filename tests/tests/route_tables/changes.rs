//! Tables that are told which slots have changed, and may spare themselves the others.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::route::{HashTable, Member, Members, Progress, Ring};

use super::{build, hashes, large_ring, maglev, ring};

const SLOTS: usize = 64;

/// A ring of 10 points for each unit of weight.
fn few<const POINTS: usize, const DIRECTORY: usize>() -> Ring<POINTS, DIRECTORY, 10> {
    Ring::new()
}

/// Who is in which slot, and what a build is told to look at.
#[derive(Clone, Debug)]
struct Told {
    members: Vec<Option<Member>>,
    changed: u64,
}

impl Members for Told {
    fn member(&self, slot: u16) -> Option<Member> {
        self.members.get(usize::from(slot)).copied().flatten()
    }

    fn changed(&self, bank: usize) -> u32 {
        if bank < 2 { (self.changed >> (32 * bank)) as u32 } else { 0 }
    }
}

impl Told {
    fn of(members: &[(u64, u32)]) -> Self {
        let mut of: Vec<_> = members.iter().map(|&(id, weight)| Some(Member { id, weight })).collect();
        of.resize(SLOTS, None);
        Self { members: of, changed: u64::MAX }
    }

    fn listed(&self) -> super::Members {
        let slots = self.members.iter().enumerate();
        slots.filter_map(|(slot, member)| member.map(|member| (slot as u16, member))).collect()
    }

    /// Builds on to the end, and forgets what has changed; returns the steps.
    fn finish(&mut self, table: &dyn HashTable, slice: u32) -> u64 {
        table.begin(SLOTS as u16);
        let mut steps = 1;
        while table.step(slice, self) == Progress::Pending {
            steps += u64::from(slice);
        }
        self.changed = 0;
        steps
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Another member in this slot, or none.
    Change(usize, Option<(u64, u32)>),
    /// Begins a build, and does a few steps of it.
    Begin(u32),
    /// Builds to the end in slices.
    Finish(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = (0..100u64, prop_oneof![4 => Just(1), 1 => Just(0), 2 => 1..9u32, 1 => 20..60u32]);
    let step = prop_oneof![
        6 => (0..SLOTS, prop_oneof![3 => member.prop_map(Some), 2 => Just(None)])
            .prop_map(|(slot, member)| Step::Change(slot, member)),
        1 => (0..3_000u32).prop_map(Step::Begin),
        3 => (1..400u32).prop_map(Step::Finish),
    ];
    vec(step, 1..40)
}

/// After any changes, and builds that were given up in the middle, the table is as one made anew.
fn is_as_one_made_anew(
    table: &dyn HashTable,
    fresh: &dyn HashTable,
    from: &[(u64, u32)],
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let mut told = Told::of(from);
    told.finish(table, 1 << 20);
    for step in steps {
        match *step {
            Step::Change(slot, member) => {
                told.members[slot] = member.map(|(id, weight)| Member { id, weight });
                told.changed |= 1 << slot;
            }
            Step::Begin(steps) => {
                table.begin(SLOTS as u16);
                if table.step(steps, &told) == Progress::Done {
                    told.changed = 0;
                }
            }
            Step::Finish(slice) => {
                told.finish(table, slice);
                build(fresh, &told.listed());
                for hash in hashes(1_000) {
                    prop_assert_eq!(table.find(hash), fresh.find(hash), "{:#x}", hash);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_ring_that_is_told_what_has_changed_is_as_one_made_anew(
        from in vec((0..100u64, 1..5u32), 0..SLOTS), steps in steps(),
    ) {
        // With room for all points, with room if they are halved, with room for fewer than there are members.
        is_as_one_made_anew(&few::<8_000, 256>(), &few::<8_000, 256>(), &from, &steps)?;
        is_as_one_made_anew(&few::<500, 64>(), &few::<500, 64>(), &from, &steps)?;
        is_as_one_made_anew(&few::<30, 4>(), &few::<30, 4>(), &from, &steps)?;
    }

    #[test]
    fn a_maglev_table_that_is_told_what_has_changed_is_as_one_made_anew(
        from in vec((0..100u64, 1..5u32), 0..SLOTS), steps in steps(),
    ) {
        is_as_one_made_anew(&*maglev::<251, 64>(), &*maglev::<251, 64>(), &from, &steps)?;
        is_as_one_made_anew(&*maglev::<1_021, 64>(), &*maglev::<1_021, 64>(), &from, &steps)?;
    }

    #[test]
    fn a_change_in_the_middle_of_a_build_is_in_the_next_one_at_the_latest(
        slot in 0..8usize, at in 0..2_000u32, later in 0..8usize,
    ) {
        let table = ring::<4_000, 64>();
        let fresh = ring::<4_000, 64>();
        let mut told = Told::of(&[(1, 1), (2, 1), (3, 2), (4, 1), (5, 1), (6, 1), (7, 1), (8, 3)]);
        told.finish(&*table, 1 << 20);
        told.members[slot] = Some(Member { id: 20, weight: 2 });
        told.changed = 1 << slot;
        table.begin(SLOTS as u16);
        let done = table.step(at, &told) == Progress::Done;
        // Nobody is told of this before the build is done.
        told.members[later] = Some(Member { id: 30, weight: 1 });
        while !done && table.step(50, &told) == Progress::Pending {}
        told.changed = 1 << later;
        told.finish(&*table, 50);
        build(&*fresh, &told.listed());
        for hash in hashes(1_000) {
            prop_assert_eq!(table.find(hash), fresh.find(hash));
        }
    }
}

#[test]
fn a_build_for_which_nothing_has_changed_is_done_at_once() {
    for table in [&*ring::<4_000, 64>() as &dyn HashTable, &*maglev::<251, 64>()] {
        let mut told = Told::of(&[(1, 1), (2, 1), (3, 2)]);
        let whole = told.finish(table, 1);
        assert!(whole > 300, "{whole}");
        let again = told.finish(table, 1);
        assert!(again <= SLOTS as u64 + 2, "{again}");
        assert!(hashes(100).all(|hash| table.find(hash).is_some()));
    }
}

#[test]
fn one_endpoint_of_many_is_exchanged_in_a_step_for_each_point() {
    struct Thousand(u16);
    impl Members for Thousand {
        fn member(&self, slot: u16) -> Option<Member> {
            (slot < 1_000 && slot != self.0).then_some(Member { id: u64::from(slot), weight: 1 })
        }

        fn changed(&self, bank: usize) -> u32 {
            // The slot that comes or goes.
            u32::from(bank == 3) << 4
        }
    }
    let ring = large_ring();
    ring.begin(1_000);
    while ring.step(1 << 20, &|slot| Thousand(1_000).member(slot)) == Progress::Pending {}
    for gone in [100, 1_000] {
        ring.begin(1_000);
        let mut steps = 1u32;
        while ring.step(1, &Thousand(gone)) == Progress::Pending {
            steps += 1;
        }
        // Slots, points, directory.
        assert!((100_000..4 * 1_000 + 160_000 + 2 * 32_768 + 160 * 10).contains(&steps), "{steps}");
    }
}
