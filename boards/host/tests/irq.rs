//! The stand-in for an interrupt. One test, since there is one line in a process.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread::{self, ThreadId};

use board::irq;

static RUNS: AtomicU32 = AtomicU32::new(0);
static RUNNING: AtomicBool = AtomicBool::new(false);
static RAN_ON: Mutex<Option<ThreadId>> = Mutex::new(None);

#[test]
fn a_handler_behaves_like_an_interrupt() {
    // Nothing bound: a panic that says what to do.
    assert!(catch_unwind(irq::trigger).is_err());

    // It runs elsewhere and has run when trigger returns.
    irq::bind(|| {
        *RAN_ON.lock().unwrap() = Some(thread::current().id());
        RUNS.fetch_add(1, SeqCst);
    });
    irq::trigger();
    assert_eq!(RUNS.load(SeqCst), 1);
    assert_ne!(RAN_ON.lock().unwrap().expect("it ran"), thread::current().id());

    // A handler that pends itself runs again after it has returned, once.
    irq::bind(|| {
        assert!(!RUNNING.swap(true, SeqCst), "it interrupted itself");
        if RUNS.fetch_add(1, SeqCst) < 3 {
            irq::trigger();
            irq::trigger();
        }
        RUNNING.store(false, SeqCst);
    });
    irq::trigger();
    assert_eq!(RUNS.load(SeqCst), 4);

    // Triggers from several threads run one after the other, and none is lost.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| irq::trigger()));
        }
    });
    assert_eq!(RUNS.load(SeqCst), 104);

    // A panic in the handler is the trigger's panic, and the line works afterwards.
    irq::bind(|| panic!("fault"));
    let payload = catch_unwind(irq::trigger).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"fault"));
    irq::bind(|| {
        RUNS.fetch_add(1, SeqCst);
    });
    irq::trigger();
    assert_eq!(RUNS.load(SeqCst), 105);
}
