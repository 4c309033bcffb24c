//! An executor, and what anybody may do to it.

#[path = "driver.rs"]
pub(crate) mod driver;
#[path = "life.rs"]
mod life;

use super::*;

/// One executor and all around it.
struct World<const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<Manual, BANKS, PER_BANK>,
    pool: &'static TaskPool<64, POOL>,
    book: Book,
    handles: Mutex<Vec<Handle>>,
    held: Mutex<Vec<Held>>,
}

/// Makes a task that plays.
type Build = Box<dyn FnOnce(Cx) -> Playing + Send>;
type Playing = Pin<Box<dyn Future<Output = Output> + Send>>;
type Spawned = Result<JoinHandle<Output>, SpawnErrorKind>;

impl<const BANKS: usize, const PER_BANK: usize> World<BANKS, PER_BANK> {
    fn draw(&self, below: usize) -> usize {
        pages(&self.book).draw(below)
    }

    fn some_handle(&self) -> Option<Handle> {
        take_some(&self.handles, &self.book)
    }

    fn some_region(&self) -> Option<Held> {
        take_some(&self.held, &self.book)
    }

    fn put_back(&self, held: Held) {
        self.held.lock().unwrap().push(held);
    }

    /// What can be done from anywhere.
    fn act(self: &Arc<Self>) {
        let what = {
            let mut book = pages(&self.book);
            book.operations += 1;
            book.draw(20)
        };
        let mut book = pages(&self.book);
        let task = book.some_task();
        match what {
            0..=3 => {
                let waker = task.and_then(|task| book.tasks[&task].waker.clone());
                drop(book);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            4 | 5 => {
                let Some((id, alive)) = task.map(|task| (book.tasks[&task].id, book.tasks[&task].future))
                else {
                    return;
                };
                let asked = self.executor.cancel(id);
                assert!(!book.alone || alive || asked == Err(CancelError::Stale) || asked.is_ok());
            }
            6 => {
                let level = book.draw(3) as u8;
                if let Some(task) = task {
                    let _stale =
                        self.executor.set_priority(book.tasks[&task].id, Priority::new(level).unwrap());
                }
            }
            7 => {
                let due = us(book.now + book.draw(60) as u64);
                if let Some(task) = task {
                    let _stale = self.executor.set_deadline(book.tasks[&task].id, Some(due));
                }
            }
            8 | 9 => {
                drop(book);
                drop(self.some_handle());
            }
            10 => {
                drop(book);
                if let Some(handle) = self.some_handle() {
                    let in_region = pages(&self.book).tasks[&handle.number].region.is_some();
                    // Out of a region, its slot would be lost.
                    if in_region { handle.forget() } else { self.handles.lock().unwrap().push(handle) }
                }
            }
            11 | 12 => {
                drop(book);
                if let Some(Err(not_yet)) = self.some_handle().map(Handle::try_join) {
                    self.handles.lock().unwrap().push(not_yet);
                }
            }
            13 | 14 => {
                drop(book);
                drop(self.some_region());
            }
            15 => {
                drop(book);
                if let Some(held) = self.some_region() {
                    pages(&self.book).close(held.number, Reason::User);
                    held.region.cancel().expect("nobody has closed it");
                    self.put_back(held);
                }
            }
            16 => {
                drop(book);
                self.open(None);
            }
            _ => {
                drop(book);
                let inside = self.draw(4) > 0;
                match inside.then(|| self.some_region()).flatten() {
                    Some(held) => {
                        self.spawn_by(Some(held.number), |options, build| {
                            held.region.spawn_with(options, self.pool, build).map_err(|error| error.kind)
                        });
                        self.put_back(held);
                    }
                    None => self.spawn_by(None, |options, build| {
                        self.executor.spawn_with(options, self.pool, build).map_err(|error| error.kind)
                    }),
                }
            }
        }
    }

    /// Opens a region, in that of the task with `cx`, in another, or in none.
    fn open(self: &Arc<Self>, cx: Option<Cx>) {
        let mut book = pages(&self.book);
        let quota = if book.one_in(3) { book.draw(4) as u16 } else { u16::MAX };
        let (fail_fast, inside) = (book.one_in(3), book.draw(3) > 0);
        let (alone, ending) = (book.alone, book.ending);
        drop(book);
        if ending {
            return;
        }
        let mut options = RegionOptions::new().quota(quota);
        if fail_fast {
            options = options.fail_fast();
        }
        let (parent, opened) = match (cx, inside.then(|| self.some_region()).flatten()) {
            (Some(cx), around) => {
                if let Some(around) = around {
                    self.put_back(around);
                }
                let parent = cx.region().map(|id| pages(&self.book).region_by_id(id));
                (parent, cx.open_region(options))
            }
            (None, Some(around)) => {
                let opened = around.region.open_region(options);
                let parent = around.number;
                self.put_back(around);
                (Some(parent), opened)
            }
            (None, None) => (None, self.executor.open_region(options)),
        };
        let mut book = pages(&self.book);
        match opened {
            Ok(region) => {
                assert!(!alone || parent.is_none_or(|parent| book.regions[parent].closing.is_none()));
                let number = book.regions.len();
                book.regions.push(Scope { id: region.id(), parent, quota, fail_fast, closing: None });
                drop(book);
                self.put_back(Held { region, number, book: self.book.clone() });
            }
            // Regions that have ended take their places until somebody takes note; at the end all are free.
            Err(OpenError::Full) => {}
            Err(OpenError::Closed) => {
                assert!(!alone || parent.is_some_and(|parent| book.closes(parent)));
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Spawns a task that plays, in `region`.
    fn spawn_by(self: &Arc<Self>, region: Option<usize>, spawn: impl FnOnce(TaskOptions, Build) -> Spawned) {
        let mut book = pages(&self.book);
        if book.ending {
            return;
        }
        let number = book.spawned;
        book.spawned += 1;
        let kind = book.draw(LIMITS.len());
        let mut options = TaskOptions::new().attributes(&KINDS[kind]);
        options = options.priority(Priority::new(book.draw(3) as u8).unwrap());
        if book.one_in(4) {
            options = options.deadline(us(book.now + book.draw(40) as u64)).on_miss(OnMiss::Cancel);
        }
        if book.one_in(4) {
            options = options.poll_quota(std::num::NonZeroU16::new(1 + book.draw(6) as u16).unwrap());
        }
        let closing = region.is_some_and(|region| book.regions[region].closing.is_some());
        drop(book);
        let spawned = spawn(options, self.build(number, kind));
        let book = pages(&self.book);
        match spawned {
            Ok(handle) => {
                let task = &book.tasks[&number];
                assert_eq!(task.region, region, "a task has strayed into another region");
                assert_eq!(task.id, handle.id());
                if let Some(region) = region.filter(|_| book.alone) {
                    assert!(!closing, "spawned into a region that closes");
                    assert!(book.population(region) <= book.regions[region].quota.into());
                }
                let handle = Handle { handle: Some(handle), number, book: self.book.clone() };
                // Never both locks in this order.
                drop(book);
                self.handles.lock().unwrap().push(handle);
            }
            Err(_) if !book.alone => {}
            Err(SpawnErrorKind::RegionClosed) => assert!(region.is_some_and(|region| book.closes(region))),
            Err(SpawnErrorKind::QuotaExceeded) => {
                let region = region.expect("only regions have quotas");
                assert_eq!(book.population(region), book.regions[region].quota.into());
            }
            Err(SpawnErrorKind::PoolFull) => {
                assert_eq!(self.executor.tasks().count() + book.building, POOL);
            }
            Err(SpawnErrorKind::ExecutorFull) => {
                assert_eq!(self.executor.tasks().count() + book.building, BANKS * PER_BANK);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What makes the task of that number. It may act itself, while the task is neither here nor there.
    fn build(self: &Arc<Self>, number: usize, kind: usize) -> Build {
        /// Notes that a build is over, also if it unwinds.
        struct Building(Book);

        impl Drop for Building {
            fn drop(&mut self) {
                pages(&self.0).building -= 1;
            }
        }

        let world = self.clone();
        Box::new(move |cx: Cx| {
            let mut book = pages(&world.book);
            let region = cx.region().map(|id| book.region_by_id(id));
            let task = Task {
                id: cx.id(),
                region,
                limits: LIMITS[kind],
                waker: None,
                asked_at: None,
                polls_asked: 0,
                returned: false,
                panicked: false,
                forced: None,
                future: true,
                output: false,
                handle: false,
                forgotten: false,
                awaited: false,
                outcomes: 0,
            };
            book.tasks.insert(number, task);
            book.building += 1;
            let acts = book.one_in(8);
            drop(book);
            let building = Building(world.book.clone());
            let life = Life { book: world.book.clone(), number, is_output: false };
            if acts {
                world.act();
            }
            pages(&world.book).tasks.get_mut(&number).unwrap().handle = true;
            drop(building);
            world.around(cx, life)
        })
    }
}

fn take_some<T>(from: &Mutex<Vec<T>>, book: &Book) -> Option<T> {
    let mut from = from.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let nth = pages(book).draw(from.len().max(1));
    (nth < from.len()).then(|| from.swap_remove(nth))
}

/// Does something that may unwind on purpose.
fn caught<R>(what: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<OnPurpose>() => None,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

/// Keeps what unwinds on purpose from being reported.
fn hush() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<OnPurpose>() {
                report(info);
            }
        }));
    });
}
