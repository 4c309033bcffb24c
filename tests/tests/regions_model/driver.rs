//! Who drives the executor, and compares it with the book.

use super::*;

type Waiting = Pin<Box<dyn Future<Output = Option<(Held, CloseError)>> + Send>>;

/// A world and the one who drives it.
struct Driver<const BANKS: usize, const PER_BANK: usize> {
    world: Arc<World<BANKS, PER_BANK>>,
    runner: Runner<Manual, BANKS, PER_BANK>,
    waiting: Vec<Waiting>,
}

impl<const BANKS: usize, const PER_BANK: usize> Driver<BANKS, PER_BANK> {
    fn new(seed: u64, alone: bool) -> Self {
        hush();
        let book = Pages {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            operations: 0,
            now: 0,
            alone,
            ending: false,
            tasks: BTreeMap::new(),
            spawned: 0,
            building: 0,
            regions: Vec::new(),
            fates: Fates::default(),
        };
        let book = Arc::new(Mutex::new(book));
        BOOK.set(Some(book.clone()));
        let regions: &Regions<TABLE> = leak(Regions::new());
        let executor = leak(Executor::new(Manual::new())).with_regions(regions);
        let (handles, held) = (Mutex::default(), Mutex::default());
        let world = Arc::new(World { executor, pool: leak(TaskPool::new()), book, handles, held });
        Self { world, runner: executor.start().unwrap(), waiting: Vec::new() }
    }

    fn step(&mut self) {
        match self.world.draw(16) {
            0 => {
                pages(&self.world.book).operations += 1;
                let close = self.world.draw(2) == 0;
                if let Some(held) = self.world.some_region() {
                    self.waiting.push(Box::pin(held.wait(close, false)));
                }
            }
            1 if self.world.draw(8) == 0 => {
                // A wait that is given up, and the region with it.
                let given_up = self.waiting.pop();
                caught(|| drop(given_up));
            }
            _ => drop(caught(|| self.world.act())),
        }
        if self.world.draw(3) == 0 {
            self.settle();
            if self.world.draw(2) == 0 {
                let next = self.runner.next_alarm().map_or(u64::MAX, Instant::as_micros);
                let mut book = pages(&self.world.book);
                let span = book.draw(30) as u64;
                book.now = (book.now + span).min(next.max(book.now));
                drop(book);
                self.settle();
            }
        }
    }

    /// Runs until nothing is runnable, and looks whether all is as it should be.
    fn settle(&mut self) {
        let now = pages(&self.world.book).now;
        while caught(|| self.runner.poll_pending(us(now))).is_none_or(|pass| pass.more) {}
        let world = &self.world;
        self.waiting.retain_mut(|wait| match caught(|| poll_once(wait.as_mut())) {
            Some(Poll::Pending) => true,
            Some(Poll::Ready(left)) => {
                left.into_iter().for_each(|(held, _)| world.put_back(held));
                false
            }
            None => false,
        });
        while caught(|| self.runner.poll_pending(us(now))).is_none_or(|pass| pass.more) {}
        if pages(&self.world.book).alone {
            self.compare();
        }
        let mut book = pages(&self.world.book);
        // What is over and out of everybody's hands is of no more interest.
        let is_over = |task: &Task| {
            let reclaimed = task.forgotten && task.region.is_some_and(|region| book.has_ended(region));
            !task.future && !task.output && (!task.handle || reclaimed)
        };
        let over: Vec<_> =
            book.tasks.iter().filter(|(_, task)| is_over(task)).map(|(&number, _)| number).collect();
        for number in over {
            let task = book.tasks.remove(&number);
            book.fates.note(&task.expect("it was there just now"));
        }
    }

    fn compare(&self) {
        let executor = self.world.executor;
        let mut book = pages(&self.world.book);
        let book = &mut *book;
        let ended: Vec<bool> = (0..book.regions.len()).map(|region| book.has_ended(region)).collect();
        let whys: Vec<_> = (0..book.regions.len()).map(|region| book.why(region)).collect();
        let is_over = |task: &Task| task.region.is_some_and(|region| ended[region]);
        for (number, task) in &mut book.tasks {
            match executor.task(task.id) {
                Ok(info) if info.state == TaskState::Done => {
                    assert!(!task.future && task.handle, "task {number} takes a slot for nobody");
                    assert!(!is_over(task) || task.awaited, "a result has outlived its region");
                }
                Ok(info) => {
                    assert!(task.future, "task {number} is over and lives on");
                    assert_eq!(info.region, task.region.map(|region| book.regions[region].id));
                    if info.cancelled.is_some() {
                        let asked = *task.asked_at.get_or_insert(book.now);
                        let end = asked.saturating_add(task.limits.1);
                        assert!(end > book.now, "task {number} has outlived its clean-up");
                        let alarm = self.runner.next_alarm();
                        let is_in_time = alarm.is_some_and(|alarm| alarm <= us(end)) || end == u64::MAX;
                        assert!(is_in_time, "{alarm:?} for a clean-up until {end}, at {}", book.now);
                    }
                    let why = task.region.and_then(|region| whys[region]);
                    assert!(why <= info.cancelled, "task {number} is to stop: {why:?}");
                    assert!(
                        info.cancelled.is_none() || task.polls_asked < task.limits.0,
                        "task {number} will never be polled again"
                    );
                }
                Err(_) => {
                    assert!(!task.future && !task.output || task.outcomes > 0, "task {number} is lost");
                    assert!(!task.handle || task.outcomes > 0 || is_over(task), "result {number} is lost");
                }
            }
        }
        for (region, scope) in book.regions.iter().enumerate().filter(|&(region, _)| !ended[region]) {
            let info = executor.regions().find(|info| info.id == scope.id).expect("a region is lost");
            assert_eq!(usize::from(info.tasks), book.population(region));
            let children = |&inner: &usize| book.regions[inner].parent == Some(region) && !ended[inner];
            assert_eq!(usize::from(info.children), (0..ended.len()).filter(children).count());
            assert_eq!(info.closing, whys[region]);
            assert_eq!(info.parent, scope.parent.map(|parent| book.regions[parent].id));
        }
    }

    /// Ends everything; then every slot is there again.
    fn end(mut self) -> (u64, Fates) {
        let world = self.world.clone();
        pages(&world.book).ending = true;
        for wait in std::mem::take(&mut self.waiting) {
            caught(|| drop(wait));
        }
        let executor = world.executor;
        for round in 0.. {
            while let Some(held) = world.some_region() {
                caught(|| drop(held));
            }
            while let Some(handle) = world.some_handle() {
                caught(|| drop(handle));
            }
            if executor.tasks().count() + executor.regions().count() == 0 {
                break;
            }
            assert!(round < 300, "this never ends:\n{}", trilane_tests::dump(executor));
            for task in executor.tasks() {
                let _ended = executor.cancel(task.id);
            }
            let wakers: Vec<_> =
                pages(&world.book).tasks.values().filter_map(|task| task.waker.clone()).collect();
            wakers.into_iter().for_each(Waker::wake);
            self.settle();
            pages(&world.book).now += 1_000;
            self.settle();
        }
        let book = pages(&world.book);
        assert!(book.tasks.values().all(|task| !task.future && !task.output), "something was not dropped");
        let fresh: &TaskPool<64, 65> = leak(TaskPool::new());
        let all: Vec<_> =
            (0..BANKS * PER_BANK).map(|_| executor.spawn(fresh, |_| async {}).unwrap()).collect();
        assert_eq!(executor.spawn(fresh, |_| async {}).unwrap_err().kind, SpawnErrorKind::ExecutorFull);
        let other: &Executor<Manual, 1, 16> = leak(Executor::new(Manual::new()));
        let pool: Vec<_> = (0..POOL).map(|_| other.spawn(world.pool, |_| async {}).unwrap()).collect();
        assert_eq!(other.spawn(world.pool, |_| async {}).unwrap_err().kind, SpawnErrorKind::PoolFull);
        let regions: Vec<_> =
            (0..TABLE).map(|_| executor.open_region(RegionOptions::new()).unwrap()).collect();
        assert_eq!(executor.open_region(RegionOptions::new()).unwrap_err(), OpenError::Full);
        drop((all, pool, regions));
        (book.operations, book.fates)
    }
}

/// Plays until so many operations have been made, 2,000 or so with each executor.
pub(crate) fn play<const BANKS: usize, const PER_BANK: usize>(operations: u64, threads: u64) {
    let (mut done, mut seed, mut fates) = (0, (BANKS as u64) << 32, Fates::default());
    while done < operations {
        seed += 1;
        let mut driver = Driver::<BANKS, PER_BANK>::new(seed, threads == 1);
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let world = driver.world.clone();
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        caught(|| world.act());
                    }
                })
            })
            .collect();
        while pages(&driver.world.book).operations < 2_000 || others.iter().any(|other| !other.is_finished())
        {
            driver.step();
        }
        others.into_iter().for_each(|other| other.join().unwrap());
        let (operations, seen) = driver.end();
        done += operations;
        fates.returned += seen.returned;
        fates.forced += seen.forced;
        fates.panicked += seen.panicked;
        fates.forgotten += seen.forgotten;
        fates.joined += seen.joined;
        fates.closes += seen.closes;
    }
    println!("{done} operations on executors of {BANKS} banks: {fates:?}");
    assert!(done >= operations);
    let Fates { returned, forced, panicked, forgotten, joined, closes } = fates;
    assert!([returned, forced, panicked, forgotten, joined, closes].into_iter().all(|seen| seen > 100));
}
