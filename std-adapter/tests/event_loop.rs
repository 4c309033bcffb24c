//! An executor on a thread that has an event loop of its own: a pend is one of its events.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use trilane::exec::{Cancelled, Cx, Executor, Platform, TaskPool};
use trilane::time::{Duration, Instant};
use trilane_std::clock::Clock;

/// What the loop waits for.
enum Event {
    /// The executor is to be driven.
    Pended,
    /// The loop's own: a number for the tasks.
    Input(u32),
    /// The end.
    Quit,
}

/// The platform of an executor that the loop drives.
struct Loop {
    clock: Clock,
    alarm: Mutex<Option<Instant>>,
    events: Sender<Event>,
}

impl Platform for Loop {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn set_alarm(&self, at: Option<Instant>) {
        *self.alarm.lock().unwrap() = at;
    }

    fn pend(&self) {
        // Nobody may be there to hear it: then nobody drives either.
        let _ = self.events.send(Event::Pended);
    }

    /// Never called: the loop waits itself.
    fn idle(&self, _quiet: &dyn Fn() -> bool) {}
}

impl Loop {
    /// Waits for the next event until the alarm, which counts as a pend and is forgotten.
    fn next(&self, inbox: &Receiver<Event>) -> Event {
        let alarm = *self.alarm.lock().unwrap();
        let Some(alarm) = alarm else { return inbox.recv().unwrap() };
        match inbox.recv_timeout((alarm - self.now()).into()) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                *self.alarm.lock().unwrap() = None;
                Event::Pended
            }
            Err(error) => panic!("{error}"),
        }
    }
}

type Exec = Executor<Loop, 1, 8>;

/// What the loop hands to the tasks.
#[derive(Default)]
struct Inputs {
    sum: AtomicU32,
    /// How often a task has seen it.
    looks: AtomicU32,
    reader: Mutex<Option<Waker>>,
}

/// Reads until the sum is `enough`, then lets the loop end; sleeps after each look.
async fn read(cx: Cx, inputs: Arc<Inputs>, enough: u32, quit: Sender<Event>) -> Result<u32, Cancelled> {
    let mut looks = 0;
    loop {
        let seen = std::future::poll_fn(|context| {
            *inputs.reader.lock().unwrap() = Some(context.waker().clone());
            match inputs.sum.load(SeqCst) {
                0 => Poll::Pending,
                sum => Poll::Ready(sum),
            }
        })
        .await;
        looks += 1;
        inputs.looks.store(looks, SeqCst);
        if seen == enough {
            quit.send(Event::Quit).unwrap();
            return Ok(looks);
        }
        cx.sleep(Duration::from_micros(500)).await?;
    }
}

/// Runs the loop on this thread with what `start` makes to drive the executor; how often it drove, and what
/// the task saw.
fn run<D: FnMut()>(start: impl FnOnce(&'static Exec) -> D) -> (u32, u32) {
    const INPUTS: u32 = 100;
    let pool: &TaskPool<256, 8> = Box::leak(Box::new(TaskPool::new()));
    let (events, inbox) = channel();
    let platform = Loop { clock: Clock::new(), alarm: Mutex::new(None), events: events.clone() };
    let executor: &Exec = Box::leak(Box::new(Executor::new(platform)));
    let inputs: Arc<Inputs> = Arc::default();
    let (its, quit) = (inputs.clone(), events.clone());
    let mut task = executor.spawn(pool, move |cx| read(cx, its, (1..=INPUTS).sum(), quit)).unwrap();
    let seen = inputs.clone();
    let source = thread::spawn(move || {
        for number in 1..=INPUTS {
            events.send(Event::Input(number)).unwrap();
            // However slow the loop is, the first look is at no more than this.
            while seen.looks.load(SeqCst) == 0 {
                thread::yield_now();
            }
            thread::sleep(std::time::Duration::from_micros(100));
        }
    });

    let mut drive = start(executor);
    let mut drives = 0;
    loop {
        match executor.platform().next(&inbox) {
            Event::Pended => {
                drive();
                drives += 1;
            }
            Event::Input(number) => {
                inputs.sum.fetch_add(number, SeqCst);
                if let Some(reader) = inputs.reader.lock().unwrap().take() {
                    reader.wake();
                }
            }
            Event::Quit => break,
        }
    }
    source.join().unwrap();
    (drives, task.try_join().unwrap().unwrap().unwrap())
}

#[test]
fn a_loop_drives_a_runner() {
    let (drives, looks) = run(|executor| {
        let mut runner = executor.start().unwrap();
        move || runner.drive()
    });
    assert!(looks > 1 && drives >= looks, "{looks} looks in {drives} drives");
    assert!(drives < 10_000, "{drives} drives: it span");
}

#[test]
fn a_loop_drives_by_the_handler() {
    let (drives, looks) = run(|executor| {
        let handler = executor.start_in_handler().unwrap();
        // SAFETY: `run` calls it on one thread, and not from within itself: the runner's context (Executor
        // Invariant 5).
        move || unsafe { handler.on_interrupt() }
    });
    assert!(looks > 1 && drives >= looks, "{looks} looks in {drives} drives");
    assert!(drives < 10_000, "{drives} drives: it span");
}
