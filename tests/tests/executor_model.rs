//! Random programs on an executor that is driven by hand, against a naive simulator.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::exec::{Cx, Executor, JoinHandle, Manual, TaskId, TaskOptions, TaskPool};
use trilane::sched::{Fairness, Priority};
use trilane::time::Duration;
use trilane_tests::oracle::{NaiveExecutor, Program, Step, Tally};
use trilane_tests::{leak, pool, settle, us};

/// Tasks with random steps, numbered from 0; the blockers come after them.
const TASKS: usize = 8;
/// Slots that are not blocked, so that some spawns find the executor full.
const ROOM: usize = 6;
const POOL: usize = 64;

type Unit = Executor<Manual, 1, 8>;

/// What the tasks of one run share.
struct World<const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<Manual, BANKS, PER_BANK>,
    pool: &'static TaskPool<1024, POOL>,
    programs: Vec<Program>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    spawned: Vec<Option<TaskId>>,
    handles: Vec<Option<JoinHandle<usize>>>,
    wakers: Vec<Option<Waker>>,
    polls: Vec<(u64, usize)>,
    joins: Vec<(usize, usize)>,
}

impl<const BANKS: usize, const PER_BANK: usize> World<BANKS, PER_BANK> {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    /// A step that needs no waiting, made by a task or by the one who drives.
    fn act(self: &Arc<Self>, step: &Step) {
        match *step {
            Step::Wake(number) => {
                if let Some(waker) = &self.record().wakers[number] {
                    waker.wake_by_ref();
                }
            }
            Step::Deadline(number, deadline) => {
                if let Some(id) = self.record().spawned[number] {
                    let _stale_or_passed = self.executor.set_deadline(id, deadline.map(us));
                }
            }
            Step::Priority(number, priority) => {
                if let Some(id) = self.record().spawned[number] {
                    let _stale = self.executor.set_priority(id, Priority::new(priority).unwrap());
                }
            }
            Step::Spawn(number) => self.spawn(number),
            Step::Detach(number) => {
                let handle = self.record().handles[number].take();
                drop(handle);
            }
            Step::Yield | Step::Park | Step::Sleep(_) | Step::Join(_) => {}
        }
    }

    fn spawn(self: &Arc<Self>, number: usize) {
        if self.record().spawned[number].is_some() {
            return;
        }
        let program = &self.programs[number];
        let mut options = TaskOptions::new().priority(Priority::new(program.priority).unwrap());
        if let Some(deadline) = program.deadline {
            options = options.deadline(us(deadline));
        }
        let world = self.clone();
        if let Ok(handle) = self.executor.spawn_with(options, self.pool, |cx| play(cx, world, number)) {
            let mut record = self.record();
            record.spawned[number] = Some(handle.id());
            record.handles[number] = Some(handle);
        }
    }
}

/// Plays a program and returns its number. Boxed, because it spawns others of its kind.
fn play<const BANKS: usize, const PER_BANK: usize>(
    cx: Cx,
    world: Arc<World<BANKS, PER_BANK>>,
    number: usize,
) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    let watched = world.clone();
    let mut steps = Box::pin(async move {
        for step in world.programs[number].steps.clone() {
            match step {
                Step::Yield => cx.yield_now().await,
                Step::Park => trilane_tests::future::parked().await,
                Step::Sleep(span) => cx.sleep(Duration::from_micros(span)).await.unwrap(),
                Step::Join(child) => {
                    let handle = world.record().handles[child].take();
                    if let Some(handle) = handle {
                        assert_eq!(handle.await, Ok(child));
                        world.record().joins.push((number, child));
                    }
                }
                step => world.act(&step),
            }
        }
        number
    });
    Box::pin(std::future::poll_fn(move |context| {
        let mut record = watched.record();
        record.polls.push((cx.now().as_micros(), number));
        record.wakers[number] = Some(context.waker().clone());
        drop(record);
        steps.as_mut().poll(context)
    }))
}

/// What the one who drives does before a pass, and by how much time goes on.
type Stage = (Vec<Step>, u64);

fn waiting_step() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Step::Yield), Just(Step::Park), (0u64..30).prop_map(Step::Sleep)]
}

/// Steps after which `others` is asked for: tasks that spawn or are joined.
fn step(others: std::ops::Range<usize>) -> BoxedStrategy<Step> {
    let any_task = 0..TASKS;
    let common = prop_oneof![
        3 => any_task.clone().prop_map(Step::Wake),
        2 => (any_task.clone(), deadline()).prop_map(|(number, deadline)| Step::Deadline(number, deadline)),
        1 => (any_task, 0u8..3).prop_map(|(number, priority)| Step::Priority(number, priority)),
    ];
    if others.is_empty() {
        return common.boxed();
    }
    prop_oneof![
        4 => common,
        2 => others.clone().prop_map(Step::Spawn),
        1 => others.prop_map(Step::Detach),
    ]
    .boxed()
}

fn deadline() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(prop_oneof![0u64..100, (0u64..2).prop_map(|high| high << 32 | 50)])
}

/// A task spawns and joins those with greater numbers only, so no two wait for each other.
fn program(number: usize) -> impl Strategy<Value = Program> {
    let greater = number + 1..TASKS;
    let steps = if greater.is_empty() {
        prop_oneof![waiting_step(), step(greater)].boxed()
    } else {
        prop_oneof![2 => waiting_step(), 3 => step(greater.clone()), 1 => greater.prop_map(Step::Join)]
            .boxed()
    };
    (0u8..3, deadline(), vec(steps, 0..5)).prop_map(|(priority, deadline, steps)| Program {
        priority,
        deadline,
        steps,
    })
}

fn programs() -> impl Strategy<Value = Vec<Program>> {
    (0..TASKS).map(program).collect::<Vec<_>>()
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    vec((vec(step(0..TASKS), 0..4), 0u64..25), 1..5)
}

fn fairness() -> impl Strategy<Value = Fairness> {
    (0u8..3).prop_map(|timed_streak| Fairness { cancel_streak: 16, timed_streak })
}

fn compare<const BANKS: usize, const PER_BANK: usize>(
    fairness: Fairness,
    mut programs: Vec<Program>,
    stages: Vec<Stage>,
) {
    let blockers = BANKS * PER_BANK - ROOM;
    programs.extend((0..blockers).map(|_| Program { priority: 0, deadline: None, steps: vec![Step::Park] }));
    let executor = leak(Executor::<Manual, BANKS, PER_BANK>::new(Manual::new())).with_fairness(fairness);
    let mut runner = executor.start().unwrap();
    let mut naive = NaiveExecutor::new(BANKS as u16, PER_BANK as u16, fairness, &programs);
    let mut record = Record::default();
    record.spawned.resize_with(programs.len(), || None);
    record.handles.resize_with(programs.len(), || None);
    record.wakers.resize_with(programs.len(), || None);
    let world = Arc::new(World { executor, pool: pool(), programs, record: Mutex::new(record) });

    let mut now = 0;
    let mut stage = |steps: &[Step], span: u64| {
        for step in steps {
            world.act(step);
            naive.act(step);
        }
        now += span;
        settle(&mut runner, us(now));
        naive.pass(now);
        assert_eq!(world.record().polls, naive.polls);
        assert_eq!(world.record().joins, naive.joins);
        naive.is_over()
    };

    let tasks_and_blockers = TASKS..TASKS + blockers;
    stage(&tasks_and_blockers.clone().map(Step::Spawn).collect::<Vec<_>>(), 0);
    stage(&(0..3).map(Step::Spawn).collect::<Vec<_>>(), 0);
    for (steps, span) in stages {
        stage(&steps, span);
    }
    // Whoever parks is woken and whoever sleeps slept out, until all have ended; a program has fewer than 10
    // steps.
    for _ in 0..10 * TASKS {
        stage(&(0..TASKS).map(Step::Wake).collect::<Vec<_>>(), 100);
    }
    assert!(stage(&tasks_and_blockers.map(Step::Wake).collect::<Vec<_>>(), 100), "a task never ended");

    let counters = executor.counters();
    let tally = Tally {
        polls: counters.polls,
        coalesced: counters.coalesced,
        stale_wakes: counters.stale_wakes,
        spawns: counters.spawns,
        completions: counters.completions,
        misses: counters.misses,
    };
    assert_eq!(tally, naive.tally);
    assert_eq!(counters.wakes, counters.polls);
    assert_eq!(counters.spawns, counters.completions);

    // Whoever was not joined is joined now; then all slots are there again.
    for (number, handle) in std::mem::take(&mut world.record().handles).into_iter().enumerate() {
        if let Some(mut handle) = handle {
            assert_eq!(handle.try_join(), Some(Ok(number)));
        }
    }
    assert_eq!(executor.tasks().count(), 0);
    let pool = pool::<POOL>();
    let again: Vec<_> = (0..BANKS * PER_BANK).map(|_| executor.spawn(pool, async |_| {}).unwrap()).collect();
    assert!(executor.spawn(pool, async |_| {}).is_err());
    drop(again);
}

proptest! {
    // Orders that matter are rare.
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_executor_of_one_bank_agrees_with_the_simulator(
        fairness in fairness(), programs in programs(), stages in stages(),
    ) {
        assert_eq!(Unit::CAPACITY, ROOM + 2);
        compare::<1, 8>(fairness, programs, stages);
    }

    #[test]
    fn an_executor_of_part_filled_banks_agrees_with_the_simulator(
        fairness in fairness(), programs in programs(), stages in stages(),
    ) {
        compare::<3, 5>(fairness, programs, stages);
    }

    #[test]
    fn an_executor_of_full_banks_agrees_with_the_simulator(
        fairness in fairness(), programs in programs(), stages in stages(),
    ) {
        compare::<2, 32>(fairness, programs, stages);
    }
}
