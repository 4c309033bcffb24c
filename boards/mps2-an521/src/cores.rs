//! Which core this is, and how the second one starts.

use core::cell::{Cell, UnsafeCell};

use critical_section::Mutex;
use trilane_cortex_m::Register;

use crate::{doorbell, time};

// SAFETY: CPUID in the block CPU_IDENTITY of the SSE-200, which shows each core its own number.
const NUMBER: Register = unsafe { Register::at(0x5001_F000) };
// SAFETY: INITSVTOR1 in the secure system control block of the SSE-200: where core 1 finds its vector table
// on reset. The block itself writes no memory.
const SECOND_VECTORS: Register = unsafe { Register::at(0x5002_1114) };
// SAFETY: CPUWAIT of the same: a bit for each core that waits after reset.
const WAITING: Register = unsafe { Register::at(0x5002_1118) };

/// The number of the core that calls it, 0 or 1.
#[inline(always)]
pub fn this() -> usize {
    // Masked, so that it is seen to be an index into an array of two.
    (NUMBER.read() & 1) as usize
}

/// Makes an overflow of core 0's stack, which has what the variables leave of the RAM, a fault.
pub(crate) fn guard_stack() {
    unsafe extern "C" {
        static _stack_end: u32;
    }
    // SAFETY: the stack is above that address, and nothing else is.
    unsafe { cortex_m::register::msplim::write((&raw const _stack_end).addr().next_multiple_of(8) as u32) };
}

const STACK_BYTES: usize = 16 * 1024;

/// Core 1's stack.
#[repr(align(8))]
#[expect(dead_code, reason = "core 1 reaches it by its stack pointer")]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: it is never borrowed.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));

/// As much of a vector table as core 1 needs on reset, which is before it turns to core 0's. Aligned as the
/// registers have it, whose low seven bits are 0.
#[repr(C, align(128))]
struct ResetVectors {
    stack_end: *const Stack,
    start: extern "C" fn() -> !,
}

// SAFETY: read by core 1 on reset and by nobody else; never written.
unsafe impl Sync for ResetVectors {}

static RESET_VECTORS: ResetVectors =
    ResetVectors { stack_end: (&raw const STACK).wrapping_add(1), start: start_of_second };

type Main = fn() -> !;

/// What core 1 runs, once it has been started.
static MAIN: Mutex<Cell<Option<Main>>> = Mutex::new(Cell::new(None));

/// Starts core 1 with `main`, on a stack of 16 KiB.
///
/// # Panics
///
/// When it has been started before.
pub fn start_second_core(main: Main) {
    let before = critical_section::with(|cs| MAIN.borrow(cs).replace(Some(main)));
    assert!(before.is_none(), "the second core has been started before: start it once");
    // Addresses have 32 bits.
    SECOND_VECTORS.write((&raw const RESET_VECTORS).addr() as u32);
    // What `main` relies on must be in memory when the other core begins.
    cortex_m::asm::dsb();
    WAITING.write(0);
}

unsafe extern "C" {
    static __vector_table: u32;
}

/// Where core 1 begins.
extern "C" fn start_of_second() -> ! {
    // SAFETY: the table is whole and suits this core: its handlers ask which core they are on where that
    // matters. An overflow of the stack becomes a fault.
    unsafe {
        (*cortex_m::peripheral::SCB::PTR).vtor.write((&raw const __vector_table).addr() as u32);
        cortex_m::register::msplim::write((&raw const STACK).addr() as u32);
    }
    time::start_second();
    doorbell::start();
    let main = critical_section::with(|cs| MAIN.borrow(cs).get());
    main.expect("whoever starts this core says what it runs first")()
}
