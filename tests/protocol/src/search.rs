//! A breadth-first search over fingerprints.
//!
//! A state is kept whole only while its level is expanded. What stays is its fingerprint, its parent and the
//! number of the step that led to it: enough to walk the shortest trace again. Steps that go on once the
//! faults have ended are kept as edges, and a walk back from the states in which all is done finds those that
//! cannot get there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use crate::invariants::{is_done, violation};
use crate::rules::{Step, moves};
use crate::setting::Setting;
use crate::state::{State, Violation};

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// The states that it reached.
    pub states: usize,
    /// The transitions that it took.
    pub transitions: usize,
    /// The steps to the state furthest away.
    pub depth: usize,
    /// Whether it reached all states.
    pub is_complete: bool,
    /// The first violation, with its shortest trace.
    pub found: Option<(Violation, Vec<Step>)>,
}

/// A fingerprint is its own hash.
#[derive(Default)]
struct Own(u64);

impl Hasher for Own {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed");
    }
    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

struct Search<'a> {
    setting: &'a Setting,
    numbers: HashMap<u64, u32, BuildHasherDefault<Own>>,
    /// For each state its parent, and which of the parent's steps led to it.
    parents: Vec<(u32, u8)>,
    /// Steps without a fault, from one state to another.
    edges: Vec<(u32, u32)>,
    done: Vec<u32>,
}

/// Searches all states of a setting, up to a limit of their number.
pub fn search(setting: &Setting, limit: usize) -> Report {
    let first = State::first(setting);
    let mut search =
        Search { setting, numbers: HashMap::default(), parents: vec![(0, 0)], edges: vec![], done: vec![] };
    search.numbers.insert(first.fingerprint(), 0);
    let (mut level, mut begin, mut depth, mut transitions) = (vec![first], 0, 0, 0);
    let mut found = Vec::new();
    while !level.is_empty() && search.parents.len() < limit {
        let mut next_level = Vec::new();
        for (place, state) in level.iter().enumerate() {
            let number = (begin + place) as u32;
            moves(setting, state, &mut found);
            transitions += found.len();
            for (step_number, (step, next)) in found.iter().enumerate() {
                let new = search.parents.len() as u32;
                let reached = match search.numbers.entry(next.fingerprint()) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(place) => {
                        place.insert(new);
                        search.parents.push((number, step_number as u8));
                        next_level.push(*next);
                        new
                    }
                };
                if reached == new {
                    if let Some(violation) = violation(setting, next) {
                        return search.report(depth + 1, transitions, false, Some((violation, new)));
                    }
                    if is_done(setting, next) {
                        search.done.push(new);
                    }
                }
                if !step.is_fault() && reached != number {
                    search.edges.push((number, reached));
                }
            }
        }
        begin = search.parents.len() - next_level.len();
        level = next_level;
        depth += usize::from(!level.is_empty());
    }
    // What was not expanded counts as good.
    search.done.extend(begin as u32..search.parents.len() as u32);
    let stuck = search.first_stuck().map(|number| (Violation::Stuck, number));
    search.report(depth, transitions, level.is_empty(), stuck)
}

impl Search<'_> {
    /// The first state from which none of those in `done` can be reached without a fault.
    fn first_stuck(&self) -> Option<u32> {
        let states = self.parents.len();
        let mut ends = vec![0_u32; states + 1];
        self.edges.iter().for_each(|(_, to)| ends[*to as usize + 1] += 1);
        for place in 0..states {
            ends[place + 1] += ends[place];
        }
        let mut begins = ends.clone();
        let mut sources = vec![0_u32; self.edges.len()];
        for (from, to) in &self.edges {
            let place = &mut begins[*to as usize];
            sources[*place as usize] = *from;
            *place += 1;
        }
        let mut is_good = vec![false; states];
        let mut left = self.done.clone();
        left.iter().for_each(|number| is_good[*number as usize] = true);
        while let Some(number) = left.pop() {
            let (begin, end) = (ends[number as usize], ends[number as usize + 1]);
            for source in &sources[begin as usize..end as usize] {
                if !std::mem::replace(&mut is_good[*source as usize], true) {
                    left.push(*source);
                }
            }
        }
        is_good.iter().position(|good| !good).map(|number| number as u32)
    }

    fn report(
        self,
        depth: usize,
        transitions: usize,
        is_complete: bool,
        found: Option<(Violation, u32)>,
    ) -> Report {
        let found = found.map(|(violation, number)| (violation, self.trace(number)));
        Report { states: self.parents.len(), transitions, depth, is_complete, found }
    }

    /// The steps from the first state, walked again.
    fn trace(&self, mut number: u32) -> Vec<Step> {
        let mut numbers = Vec::new();
        while number != 0 {
            let (parent, step) = self.parents[number as usize];
            numbers.push(step);
            number = parent;
        }
        let (mut state, mut found) = (State::first(self.setting), Vec::new());
        let walk = numbers.into_iter().rev().map(|number| {
            moves(self.setting, &state, &mut found);
            let (step, next) = found[usize::from(number)];
            state = next;
            step
        });
        walk.collect()
    }
}
