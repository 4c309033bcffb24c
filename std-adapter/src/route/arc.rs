//! Values that are larger than the stack.

use std::io;
use std::sync::Arc;
use std::thread;

/// How often a value may lie on the stack at a time while it is made: in `make`, as the parts of its parts,
/// and on its way into the `Arc`. Without optimization, a balancer takes less than 6 (`tests/route_arc.rs`).
const COPIES: usize = 8;
/// For everything else.
const REST: usize = 256 * 1024;

/// An `Arc` of what `make` returns, however large that is: it is made on a thread whose stack is large
/// enough.
///
/// `Arc::new(Balancer::new(..))` may overflow the stack, since the balancer lies there first, in a build
/// without optimization several times. A balancer of 1,024 endpoints with 16 selectors takes 1.2 MB; the
/// usual stack of a thread is 2 MB. Here the stack belongs to a thread that ends before this returns, so its
/// memory is given back. It costs about as much as a thread; use it once a balancer.
///
/// # Errors
///
/// What the operating system says when it has no memory for the thread.
///
/// # Panics
///
/// When `make` panics, with the same payload.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use trilane::route::{Balancer, Options, RoundRobin};
///
/// type Fleet = Balancer<RoundRobin, 32, 32, 16>;
/// let fleet: Arc<Fleet> = trilane_std::route::arc(|| Balancer::new(RoundRobin, Options::new()))?;
/// assert_eq!(fleet.totals().members, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn arc<T: Send + Sync>(make: impl FnOnce() -> T + Send) -> io::Result<Arc<T>> {
    let stack = size_of::<T>().saturating_mul(COPIES).saturating_add(REST);
    thread::scope(|scope| {
        let maker = thread::Builder::new().name("trilane-make".into()).stack_size(stack);
        let maker = maker.spawn_scoped(scope, || Arc::new(make()))?;
        maker.join().map_or_else(|payload| std::panic::resume_unwind(payload), Ok)
    })
}
