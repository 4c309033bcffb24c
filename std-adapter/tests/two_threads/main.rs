//! Do the interfaces of the core carry over to a runtime of several threads? Two executors on two threads,
//! and one whose runner moves between two threads, have to come through the same [`scenes`].
//!
//! ThreadSanitizer reports nothing (`cargo board sanitize`), and some 300 races if the bitmaps' operations
//! are made relaxed.
//!
//! # What carries over
//!
//! * **`Cx`, handles, regions, wakers.** They are addresses of static memory and work from any thread, inside
//!   tasks of another executor too: spawn, cancel, join, sleep, close. A wait that one task makes by
//!   another's `Cx` is ended by a request to the task that waits, not to the one whose `Cx` it is.
//! * **Pools and tables of regions** may be shared by executors of different threads.
//! * **The header's states.** All that a runner touches alone lies in its executor, in plain cells and in
//!   counters that are loaded and stored; nothing is kept by thread. So a runner may move between passes,
//!   under the two conditions of [`moving`]: all tasks are `Send`, and the move synchronises.
//!   `Executor::start_in_handler` meets the first by its type: whoever has a `Handler` gets no
//!   `LocalSpawner`. Executor Invariant 5 then has to say less: passes follow one another, in whatever
//!   thread.
//! * **Panics.** A poll that unwinds leaves the executor whole: the thread catches it and goes on, and
//!   joiners learn of it.
//!
//! # What a runtime of several threads needs besides
//!
//! * **Stealing.** An executor is polled by one thread at a time: which task is being polled is a field of
//!   the core, draining presumes that nobody else drains, counters are loaded and stored. Either a worker
//!   takes over a whole runner, as [`moving`] does, with all of its up to 1,024 tasks; or a header has to say
//!   that its task is being polled, and in whose ring it is. Its state word has three bits left, 13 to 15.
//! * **Ids.** A `TaskId` is a slot and a generation: two executors give equal ones, and cancelling by the id
//!   of another executor's task may hit a stranger. A runtime of a thousand executors (a slot has ten bits,
//!   hence no more than 1,024 tasks in each) needs an id that names the executor.
//! * **Regions** hold tasks of one executor, and refuse others. One that spans workers is one region for
//!   each, closed together.
//! * **The lock.** Every spawn, join, sleep and push to a lane enters the critical section, which on a host
//!   is one mutex of the process. Workers that share nothing else still share that; the door `sync` has to
//!   give each executor, and each shared table of regions, a lock of its own.
//! * **The platform.** `Thread` is for good that of the first thread that sleeps on it. A runner that moves
//!   needs one on which whoever has the runner sleeps, like `moving::Roaming`.
//! * **Sizes.** Executors and pools have theirs from constants; who chooses at run time makes several.

mod moving;
mod play;
mod scenes;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use play::play;
use scenes::{Exec, Pool};
use trilane::exec::{Platform, Regions, TaskPool};
use trilane_std::thread::Thread;

/// Room for fewer regions than the scenes may want at once.
type Table = Regions<6>;

/// How often four scenes are played.
const ROUNDS: u32 = 3_000;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[test]
fn tasks_of_two_threads_share_a_pool_and_a_table_of_regions() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let regions: &Table = leak(Regions::new());
    let pool: &Pool = leak(TaskPool::new());
    let executors: [&Exec<Thread>; 2] =
        [(); 2].map(|()| leak(Exec::new(Thread::new())).with_regions(regions));
    let threads = executors.map(|executor| {
        thread::spawn(|| {
            let mut runner = executor.start().unwrap();
            // A task's panic ends the pass, not the executor.
            let mut run = || runner.run_until(|| STOP.load(SeqCst));
            while catch_unwind(AssertUnwindSafe(&mut run)).is_err() {}
        })
    });
    play(executors, pool, ROUNDS, 0x7412_A9E5);
    STOP.store(true, SeqCst);
    for (executor, thread) in executors.into_iter().zip(threads) {
        executor.platform().pend();
        thread.join().unwrap();
    }
}
