//! A second hart, parked from the start until the first one has something for it to do.

use core::arch::global_asm;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};

use critical_section::Mutex;

use crate::{Clint, relax};

// What riscv-rt asks each hart before it touches memory: whether it is the one that sets it up. A hart other
// than 0 answers when its software interrupt is pended, and by then hart 0 has done it. Interrupts are
// masked, so WFI ends without a trap.
global_asm!(
    ".section .init.mp_hook, \"ax\"",
    ".balign 4",
    ".global _mp_hook",
    "_mp_hook:",
    "    beqz a0, 2f",
    "    li   t0, 8", // MSIE and MSIP
    "    csrw mie, t0",
    "1:  wfi",
    "    csrr t1, mip",
    "    and  t1, t1, t0",
    "    beqz t1, 1b",
    "    li   a0, 0",
    "    ret",
    "2:  li   a0, 1",
    "    ret",
);

/// What the hart runs, if anything yet.
type Main = Option<fn() -> !>;

/// A hart that [`start`](SecondHart::start) wakes. Its number is not 0.
pub struct SecondHart {
    id: usize,
    clint: Clint,
    main: Mutex<Cell<Main>>,
    runs: AtomicBool,
}

impl SecondHart {
    /// The hart `id`, parked.
    pub const fn new(id: usize, clint: Clint) -> Self {
        Self { id, clint, main: Mutex::new(Cell::new(None)), runs: AtomicBool::new(false) }
    }

    /// Lets the hart run `main`, and returns when it is about to.
    ///
    /// # Panics
    ///
    /// When it has been started before, and when there is no such hart.
    pub fn start(&self, main: fn() -> !) {
        let before = critical_section::with(|cs| {
            self.clint.pend(self.id);
            self.main.borrow(cs).replace(Some(main))
        });
        assert!(before.is_none(), "the second hart has been started before");
        loop {
            // A CLINT has no bit for a hart that doesn't exist. One that does runs before it takes the bit
            // down.
            let exists = self.clint.is_pended(self.id);
            if self.runs.load(Ordering::Acquire) {
                return;
            }
            assert!(exists, "there is no second hart");
            riscv::interrupt::free(relax);
        }
    }

    /// What the hart does when its software interrupt has been pended; called by it and once, with interrupts
    /// masked. `set_up` sets its interrupts up.
    pub fn run(&self, set_up: fn()) -> ! {
        let main = loop {
            // Looks and takes the bit down in one section, as `start` pends in one: no start falls between
            // the two.
            let main = critical_section::with(|cs| {
                let main = self.main.borrow(cs).get();
                self.runs.store(main.is_some(), Ordering::Release);
                self.clint.unpend(self.id);
                main
            });
            if let Some(main) = main {
                break main;
            }
            // It was a wake, of a task that was spawned before the start.
            riscv::asm::wfi();
        };
        set_up();
        main()
    }
}
