//! Driving an executor: passes over what is due and woken.

use core::marker::PhantomData;

use super::counters::add;
use super::drain::Woken;
use super::executor::Executor;
use super::platform::Platform;
use super::shared::{Core, NOT_RUNNING};
use super::slots::Slots;
use super::spawn::LocalSpawner;
use crate::sync::{CriticalSection, Ordering, with_lock};
use crate::time::Instant;

/// The one that polls an executor's tasks. It stays in the context that started it.
pub struct Runner<P: Platform, const BANKS: usize, const PER_BANK: usize> {
    executor: &'static Executor<P, BANKS, PER_BANK>,
    _not_send: PhantomData<*const ()>,
}

/// What a pass has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pass {
    /// Tasks polled.
    pub polls: u32,
    /// Whether something is runnable still: the pass ended at its bound, or a wake came as it ended.
    pub more: bool,
}

impl<P: Platform, const BANKS: usize, const PER_BANK: usize> Runner<P, BANKS, PER_BANK> {
    /// The most polls of one pass: the capacity, but at least 128, so that reading the clock once a pass costs little.
    pub const POLLS_PER_PASS: u32 = {
        let capacity = (BANKS * PER_BANK) as u32;
        if capacity > 128 { capacity } else { 128 }
    };

    pub(super) fn new(executor: &'static Executor<P, BANKS, PER_BANK>) -> Self {
        Self { executor, _not_send: PhantomData }
    }

    /// The executor.
    pub const fn executor(&self) -> &'static Executor<P, BANKS, PER_BANK> {
        self.executor
    }

    /// Spawns tasks that stay in this context.
    pub const fn spawner(&self) -> LocalSpawner<P, BANKS, PER_BANK> {
        LocalSpawner::new(self.executor)
    }

    /// The time of the latest pass.
    pub fn now(&self) -> Instant {
        self.core().pass_time()
    }

    /// One pass: wakes whose sleep is over at `now`, then polls what is woken, in lane order, until nothing is or
    /// [`POLLS_PER_PASS`](Self::POLLS_PER_PASS) have been made.
    ///
    /// Before every poll the woken tasks are drained into the lanes, each once, so a task that keeps waking itself neither
    /// holds up its equals nor the pass. A `now` before that of an earlier pass is counted and taken as that one.
    ///
    /// Cost beside the polls: O(log n) a due sleep, O(banks touched) and one lane operation a poll.
    pub fn poll_pending(&mut self, now: Instant) -> Pass {
        let now = self.begin_pass(now);
        self.pass(Woken::NONE, now, Under::begin(self.core(), Self::POLLS_PER_PASS))
    }

    fn pass(&mut self, woken: Woken, now: Instant, under: Under) -> Pass {
        // SAFETY: this is the executor's runner, and it is in no poll: it is borrowed for the pass.
        unsafe {
            if Executor::<P, BANKS, PER_BANK>::OBSERVES {
                self.slots().poll_woken::<true>(woken, Self::POLLS_PER_PASS, &now);
            } else {
                self.slots().poll_woken::<false>(woken, Self::POLLS_PER_PASS, &now);
            }
        }
        Pass { polls: under.polls(), more: self.is_runnable() }
    }

    /// A pass that first polls the task that an interrupt has woken, if it is alone, and then reads the clock.
    fn pass_promptly(&mut self) -> Pass {
        let under = Under::begin(self.core(), 1);
        // SAFETY: as in `pass`.
        let woken = unsafe {
            if Executor::<P, BANKS, PER_BANK>::OBSERVES {
                self.slots().poll_promptly::<true>()
            } else {
                self.slots().poll_promptly::<false>()
            }
        };
        let under = under.go_on(Self::POLLS_PER_PASS);
        let held = Held { slots: self.slots(), woken };
        let now = self.begin_pass(self.executor.platform.now());
        core::mem::forget(held);
        self.pass(woken, now, under)
    }

    /// When the next pass is due if nothing is woken before: at the earliest end of a sleep or of a clean-up.
    pub fn next_alarm(&self) -> Option<Instant> {
        with_lock(|cs| self.next_due(cs)).map(Instant::from_micros)
    }

    /// When something is to be done that nothing wakes for: a sleep that ends, a clean-up whose time is over.
    #[inline(always)]
    fn next_due(&self, cs: CriticalSection<'_>) -> Option<u64> {
        // SAFETY: two numbers are read, nothing is called but `Slots` (Guarded Invariant).
        let (sleep, force) = unsafe {
            (
                self.core().timers.with(cs, |timers| timers.next_due()),
                self.slots().lanes().with(cs, |lanes| lanes.next_due(&self.slots())),
            )
        };
        match force {
            None => sleep,
            Some(force) => Some(sleep.map_or(force, |sleep| sleep.min(force))),
        }
    }

    /// Whether a pass would poll something now. Plain loads.
    pub fn is_runnable(&self) -> bool {
        self.core().queued.load(Ordering::Relaxed) > 0 || self.slots().is_woken() || self.core().has_work()
    }

    /// Passes for ever, sleeping in between.
    pub fn run(&mut self) -> ! {
        loop {
            self.run_until(|| false);
        }
    }

    /// Passes until `done`, which is looked at after each pass, sleeping in between.
    pub fn run_until(&mut self, mut done: impl FnMut() -> bool) {
        loop {
            let pass = self.pass_promptly();
            if done() {
                return;
            }
            if !pass.more {
                self.set_alarm();
                self.executor.platform.idle(&|| !self.is_runnable() && self.alarm_will_end_sleep());
            }
        }
    }

    /// One round for an owner that returns instead of sleeping: a pass, then the platform's alarm. If something is runnable
    /// still, the platform is pended, so that the owner is called again.
    ///
    /// This is what an interrupt's handler does ([`Handler`](super::Handler)), or a thread with an event loop of its own.
    pub fn drive(&mut self) {
        let mut more = self.pass_promptly().more;
        if !more {
            self.set_alarm();
            // As before a sleep: what came meanwhile, or an alarm that was spent before it was set, needs another round.
            more = self.is_runnable() || !self.alarm_will_end_sleep();
        }
        if more {
            self.executor.platform.pend();
        }
    }

    /// Takes the time of a pass, wakes whoever sleeps until then, and ends whose clean-up is over by then.
    #[inline(never)]
    fn begin_pass(&self, now: Instant) -> Instant {
        let core = self.core();
        // SAFETY: numbers are compared and stored, nothing is called but `Slots` (Guarded Invariant).
        let (latest, sleeps, clean_ups) = with_lock(|cs| unsafe {
            let latest = core.clock.with(cs, |clock| {
                clock.now = clock.now.max(now);
                // An alarm that is due is spent: a sleep until the same instant needs a new one.
                clock.alarm = clock.alarm.filter(|&alarm| alarm > clock.now);
                clock.now
            });
            let is_due = |due: Option<u64>| due.is_some_and(|due| due <= latest.as_micros());
            let sleeps = core.timers.with(cs, |timers| timers.next_due());
            let clean_ups = self.slots().lanes().with(cs, |lanes| lanes.next_due(&self.slots()));
            (latest, is_due(sleeps), is_due(clean_ups))
        });
        if latest > now {
            add(&core.tally.clock_regressions, 1);
        }
        self.executor.platform.pass_begins(latest);
        if sleeps {
            // SAFETY: the executor is static and whole, and this is its runner, in no poll.
            unsafe { Core::expire(self.executor.core(), latest) };
        }
        if clean_ups {
            // SAFETY: as above.
            unsafe { self.slots().force_due(latest) };
        }
        latest
    }

    fn set_alarm(&self) {
        let core = self.core();
        // SAFETY: numbers are compared and stored, nothing is called (Guarded Invariant).
        let changed = with_lock(|cs| unsafe {
            let next = self.next_due(cs).map(Instant::from_micros);
            core.clock.with(cs, |clock| (clock.alarm != next).then(|| clock.alarm = next).map(|()| next))
        });
        if let Some(next) = changed {
            self.executor.platform.set_alarm(next);
        }
    }

    /// Whether the platform's alarm is the one that is needed and still to come: it may have gone off since it was set, and
    /// won't end a sleep that begins now.
    fn alarm_will_end_sleep(&self) -> bool {
        let core = self.core();
        // SAFETY: numbers are compared, nothing is called (Guarded Invariant).
        let (next, alarm) = with_lock(|cs| unsafe {
            let next = self.next_due(cs).map(Instant::from_micros);
            (next, core.clock.with(cs, |clock| clock.alarm))
        });
        next == alarm && next.is_none_or(|next| next > self.executor.platform.now())
    }

    fn slots(&self) -> Slots<BANKS, PER_BANK> {
        self.executor.slots()
    }

    fn core(&self) -> &'static Core {
        self.slots().shared()
    }
}

/// Woken bits that were taken before a pass; given back if what comes before their tasks unwinds.
struct Held<const BANKS: usize, const PER_BANK: usize> {
    slots: Slots<BANKS, PER_BANK>,
    woken: Woken,
}

impl<const BANKS: usize, const PER_BANK: usize> Drop for Held<BANKS, PER_BANK> {
    fn drop(&mut self) {
        self.slots.give_back(self.woken);
    }
}

/// A pass under way; ends it, also if a poll unwinds.
struct Under {
    core: &'static Core,
    /// The bound of the polls under way, and how many came before them.
    bound: u32,
    before: u32,
}

impl Under {
    const fn begin(core: &'static Core, bound: u32) -> Self {
        Self { core, bound, before: 0 }
    }

    /// Begins to count from another bound.
    fn go_on(mut self, bound: u32) -> Self {
        self.before = self.polls();
        self.bound = bound;
        self.core.running.store(NOT_RUNNING, Ordering::Relaxed);
        self
    }

    /// What was polled: the place of the last poll tells.
    fn polls(&self) -> u32 {
        let running = self.core.running.load(Ordering::Relaxed);
        self.before + if running == NOT_RUNNING { 0 } else { self.bound - (running >> 16) }
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        add(&self.core.tally.polls, self.polls());
        self.core.running.store(NOT_RUNNING, Ordering::Relaxed);
    }
}
