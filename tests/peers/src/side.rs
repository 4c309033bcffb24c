//! One contender in one world, ready to run any operation.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::contender::{Contender, Footnote, Keys, Worker};
use crate::measure::{BATCH, Clock, MOVED, Op, SELECTS_A_CHANGE, Sample};
use crate::world::World;

/// From this many nanoseconds a select on, a contender is not asked for 10,000 selects a change.
const SLOW: f64 = 2_000.0;
/// Two threads that overlap by more than this share of their time ran at a time.
const OVERLAP: f64 = 0.8;
/// How often it is tried.
const ATTEMPTS: u32 = 4;

/// One contender in one world.
pub trait Side {
    /// The contender's name.
    fn name(&self) -> &'static str;

    /// Whether it takes part in `op`.
    fn can(&self, op: Op) -> bool;

    /// What is different from what the row says.
    fn footnotes(&self, op: Op) -> Vec<Footnote>;

    /// Runs `operations`, a multiple of the operation's quantum. The world is as before afterwards.
    fn run(&mut self, op: Op, operations: u64) -> Sample;

    /// Panics if a select gives what isn't a candidate. On the way it sees whether the side is slow; under an
    /// emulator that makes everything `slower` by so much, it takes that into account.
    fn check(&mut self, slower: f64);

    /// Whether it is too slow for the headline as it is meant.
    fn is_slow(&self) -> bool;
}

/// A contender with its workers. A few rows share it; then it is leaked, since workers refer to it.
pub struct Of<C: Contender> {
    name: &'static str,
    footnotes: Vec<Footnote>,
    contender: &'static C,
    worker: C::Worker,
    second: Option<C::Worker>,
    leases: Vec<<C::Worker as Worker>::Lease>,
    keys: Keys,
    candidates: Vec<usize>,
    /// Which candidate is down or away next, and whether it is.
    turn: usize,
    gone: bool,
    only: fn(Op) -> bool,
    rebuilds: fn(Op) -> bool,
    slow: bool,
}

impl<C: Contender> Of<C> {
    /// `contender`, balancing over `world`.
    pub fn new(name: &'static str, footnotes: Vec<Footnote>, contender: C, world: &World) -> Self {
        let contender = &*Box::leak(Box::new(contender));
        Self {
            name,
            footnotes,
            contender,
            worker: contender.worker(),
            second: None,
            leases: Vec::with_capacity(BATCH as usize),
            keys: Keys::new(),
            candidates: world.candidates(),
            turn: 0,
            gone: false,
            only: |_| true,
            rebuilds: |_| false,
            slow: false,
        }
    }

    /// Takes part only in some operations.
    pub fn only(self, only: fn(Op) -> bool) -> Self {
        Self { only, ..self }
    }

    /// Does within these changes what others do at the first select after them.
    pub fn rebuilds(self, rebuilds: fn(Op) -> bool) -> Self {
        Self { rebuilds, ..self }
    }

    /// The endpoint that the next change is about, and whether it is gone after that.
    fn flip(&mut self) -> (usize, bool) {
        let endpoint = self.candidates[self.turn];
        self.gone = !self.gone;
        if !self.gone {
            self.next_turn();
        }
        (endpoint, self.gone)
    }

    /// A division would cost as much as what is measured.
    fn next_turn(&mut self) {
        self.turn += 1;
        if self.turn == self.candidates.len() {
            self.turn = 0;
        }
    }

    fn change_health(&mut self) {
        let (endpoint, gone) = self.flip();
        self.contender.set_up(endpoint, !gone);
    }

    fn change_members(&mut self) {
        let (endpoint, gone) = self.flip();
        if gone { self.contender.remove(endpoint) } else { self.contender.add(endpoint) }
    }

    fn report(&mut self) {
        self.next_turn();
        // Below 700, as at the beginning.
        self.contender.report(self.candidates[self.turn], (self.keys.next() >> 55) as u16);
    }

    fn lease(&mut self) {
        let lease = self.worker.select(self.keys.next());
        self.worker.release(black_box(lease));
    }

    fn select(&mut self, clock: &mut Clock, operations: u64) {
        let Self { worker, leases, keys, .. } = self;
        clock.time(|| leases.extend((0..operations).map(|_| worker.select(keys.next()))));
        black_box(&mut *leases).drain(..).for_each(|lease| worker.release(lease));
    }

    fn first(&mut self, operations: u64, change: fn(&mut Self), with_change: bool) -> Sample {
        let mut clock = Clock::default();
        for _ in 0..operations {
            if !with_change {
                change(self);
            }
            let key = self.keys.next();
            let lease = clock.time(|| {
                if with_change {
                    change(self);
                }
                self.worker.select(key)
            });
            self.worker.release(black_box(lease));
        }
        clock.sample(operations)
    }

    /// Endpoints leave by the clock and come back by none, or the other way round.
    fn moved(&mut self, operations: u64, removal: bool) -> Sample {
        let mut clock = Clock::default();
        for _ in 0..operations / MOVED {
            // A few, so that none is moved twice.
            let moved: Vec<usize> = (0..MOVED)
                .map(|_| {
                    self.next_turn();
                    self.candidates[self.turn]
                })
                .collect();
            let remove = || moved.iter().for_each(|&endpoint| self.contender.remove(endpoint));
            let add = || moved.iter().for_each(|&endpoint| self.contender.add(endpoint));
            if removal {
                clock.time(remove);
                // What the removal has left to do is not the addition's.
                let lease = self.worker.select(1);
                self.worker.release(lease);
                add();
            } else {
                remove();
                let lease = self.worker.select(1);
                self.worker.release(lease);
                clock.time(add);
            }
            let lease = self.worker.select(1);
            self.worker.release(lease);
        }
        clock.sample(operations)
    }

    fn headline(&mut self, operations: u64) -> Sample {
        let mut clock = Clock::default();
        if self.slow {
            let mut change = Sample::default();
            let mut selects = Sample::default();
            add(&mut change, &self.first(2, Self::change_members, true));
            add(&mut selects, &self.run(Op::Lease, 8));
            let each = |part: f64, count: u64| part / count as f64;
            let whole = |change: f64, select: f64| change + select * (SELECTS_A_CHANGE - 1) as f64;
            return Sample {
                operations: SELECTS_A_CHANGE,
                nanos: whole(each(change.nanos, 2), each(selects.nanos, 8)),
                allocations: whole(each(change.allocations, 2), each(selects.allocations, 8)),
            };
        }
        for _ in 0..operations / SELECTS_A_CHANGE {
            clock.time(|| {
                self.change_members();
                for _ in 0..SELECTS_A_CHANGE {
                    self.lease();
                }
            });
        }
        clock.sample(operations)
    }

    /// Two threads at a time, and really so: a run in which one of them had to wait for a processor says
    /// nothing of what they do to each other, so the run is repeated, up to [`ATTEMPTS`] times. The one that
    /// overlapped most counts.
    fn threads(&mut self, operations: u64) -> Sample {
        let mut best = (0.0, Sample::default());
        for _ in 0..ATTEMPTS {
            let (overlap, sample) = self.both(operations);
            if overlap > best.0 {
                best = (overlap, sample);
            }
            if overlap > OVERLAP {
                break;
            }
        }
        best.1
    }

    /// Runs both, and says what share of the time from the first's start to the last's end both were at it.
    fn both(&mut self, operations: u64) -> (f64, Sample) {
        let Self { contender, worker, second, keys, .. } = self;
        let second = second.get_or_insert_with(|| contender.worker());
        let ready = AtomicU32::new(0);
        let run = |worker: &mut C::Worker, mut keys: Keys| {
            let mut clock = Clock::default();
            ready.fetch_add(1, Ordering::AcqRel);
            while ready.load(Ordering::Acquire) < 2 {
                std::hint::spin_loop();
            }
            let start = Instant::now();
            clock.time(|| {
                for _ in 0..operations {
                    let lease = worker.select(keys.next());
                    worker.release(black_box(lease));
                }
            });
            (start, Instant::now(), clock.sample(operations))
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| run(second, keys.clone()));
            (run(worker, keys.clone()), other.join().expect("does not panic"))
        });
        let common = one.1.min(other.1).saturating_duration_since(one.0.max(other.0));
        let all = one.1.max(other.1) - one.0.min(other.0);
        let mut sum = one.2;
        add(&mut sum, &other.2);
        // Never 0, so that there is a best.
        ((common.as_secs_f64() / all.as_secs_f64()).max(1e-9), sum)
    }
}

fn add(sum: &mut Sample, other: &Sample) {
    sum.operations += other.operations;
    sum.nanos += other.nanos;
    sum.allocations += other.allocations;
}

impl<C: Contender> Side for Of<C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn can(&self, op: Op) -> bool {
        (self.only)(op)
    }

    fn footnotes(&self, op: Op) -> Vec<Footnote> {
        let mut footnotes = self.footnotes.clone();
        if (self.rebuilds)(op) {
            footnotes.push(Footnote::PaidInTheChange);
        }
        if op == Op::Headline && self.slow {
            footnotes.push(Footnote::WeightedMean);
        }
        footnotes
    }

    fn run(&mut self, op: Op, operations: u64) -> Sample {
        let mut clock = Clock::default();
        match op {
            Op::Headline => return self.headline(operations),
            Op::Threads => return self.threads(operations),
            Op::HealthFirst => return self.first(operations, Self::change_health, false),
            Op::MemberFirst => return self.first(operations, Self::change_members, false),
            Op::HealthAndFirst => return self.first(operations, Self::change_health, true),
            Op::MemberAndFirst => return self.first(operations, Self::change_members, true),
            Op::ReportAndFirst => return self.first(operations, Self::report, true),
            Op::Remove => return self.moved(operations, true),
            Op::Add => return self.moved(operations, false),
            Op::Select => {
                let mut left = operations;
                while left > 0 {
                    let batch = left.min(BATCH);
                    self.select(&mut clock, batch);
                    left -= batch;
                }
            }
            Op::Lease => clock.time(|| (0..operations).for_each(|_| self.lease())),
            Op::Health => clock.time(|| (0..operations).for_each(|_| self.change_health())),
            Op::Report => clock.time(|| {
                (0..operations).for_each(|_| self.report());
            }),
            Op::MemberAndBuild => clock.time(|| {
                for _ in 0..operations {
                    self.change_members();
                    self.contender.settle();
                }
            }),
        }
        clock.sample(operations)
    }

    fn is_slow(&self) -> bool {
        self.slow
    }

    fn check(&mut self, slower: f64) {
        for _ in 0..100 {
            let lease = self.worker.select(self.keys.next());
            let endpoint = self.worker.finish(lease);
            assert!(
                self.candidates.contains(&endpoint),
                "{}: endpoint {endpoint} is no candidate",
                self.name
            );
        }
        self.slow = self.run(Op::Lease, 8).nanos_each() > SLOW * slower;
    }
}
