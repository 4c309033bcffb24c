//! A software-pended interrupt.
//!
//! The host has no interrupts; another thread stands in. To the program it looks like one: the handler runs
//! in another context than the executor, has run when [`trigger`] returns, never runs twice at once, and a
//! trigger from within it runs it once more afterwards.
//!
//! One difference: a critical section doesn't delay the handler, it stops it. Don't trigger inside one; a
//! handler that enters a critical section would wait for the trigger, and the trigger for the handler.

use std::cell::Cell;
use std::panic;
use std::sync::{Mutex, PoisonError};
use std::thread;

use trilane::time::Duration;

use crate::machine::{Alarm, MACHINE};

/// What runs. Taken briefly, never across a run.
static HANDLER: Mutex<Option<fn()>> = Mutex::new(None);
/// Held for a run: an interrupt does not interrupt itself.
static LINE: Mutex<()> = Mutex::new(());

thread_local! {
    /// On the handler's thread, whether it has triggered itself; `None` on all others.
    static PENDED: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Makes `handler` what [`trigger`] runs, in place of any before it.
pub fn bind(handler: fn()) {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) = Some(handler);
}

/// Runs the handler on another thread and waits until it has returned.
///
/// From the handler itself: runs it once more after it has returned, however often this is called.
///
/// # Panics
///
/// When no handler is bound, and when the handler panics: then with the same payload, so that the program
/// ends as it would on a chip.
pub fn trigger() {
    if PENDED.get().is_some() {
        PENDED.set(Some(true));
        return;
    }
    let handler = *HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
    let handler = handler.expect("irq::trigger needs a handler: call irq::bind first");

    let line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = move || {
        PENDED.set(Some(true));
        while PENDED.replace(Some(false)) == Some(true) {
            handler();
        }
    };
    let finished = thread::Builder::new()
        .name("irq".into())
        .spawn(run)
        .unwrap_or_else(|error| panic!("no thread for the interrupt: {error}"))
        .join();
    drop(line);
    if let Err(payload) = finished {
        panic::resume_unwind(payload);
    }
    // What the handler has pended is less urgent than the handler, but more than who called.
    MACHINE.interrupt();
}

/// Runs the handler `micros` from now, in place of an earlier call's: for what has to happen while the
/// program sleeps or [spins](crate::spin).
pub fn trigger_after(micros: u32) {
    let at = MACHINE.now() + Duration::from_micros(micros.into());
    MACHINE.set_alarm(Alarm::Irq, Some(at));
}
