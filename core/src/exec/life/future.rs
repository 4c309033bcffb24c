//! What is done with a future whose type is forgotten.

use core::marker::PhantomData;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

use super::on_drop::OnDrop;
use crate::exec::memory::cx::Cx;
use crate::exec::memory::waker::waker;
#[cfg(not(target_os = "none"))]
use crate::exec::task::pool::Cells;
use crate::exec::task::pool::TaskPool;
use crate::exec::task::vtable::Vtable;

/// The functions for a future of type `F` in a pool of slots of `BYTES`.
pub(in crate::exec) struct Task<F, const BYTES: usize, const SLOTS: usize>(PhantomData<F>);

impl<F: Future, const BYTES: usize, const SLOTS: usize> Task<F, BYTES, SLOTS> {
    pub const VTABLE: &'static Vtable = &Vtable {
        poll: Self::poll,
        drop_future: Self::drop_future,
        drop_output: if core::mem::needs_drop::<F::Output>() { Some(Self::drop_output) } else { None },
        cells: TaskPool::<BYTES, SLOTS>::CELLS,
        type_name: core::any::type_name::<F>,
    };

    /// As [`VTABLE`](Self::VTABLE), for memory that goes with the slot.
    #[cfg(not(target_os = "none"))]
    pub const IN_SLOT: &'static Vtable = &Vtable {
        poll: Self::poll,
        drop_future: Self::drop_future,
        drop_output: if core::mem::needs_drop::<F::Output>() { Some(Self::drop_output) } else { None },
        cells: Cells::outside(|_| {}),
        type_name: core::any::type_name::<F>,
    };

    /// Forces the check that future and output fit.
    pub const FITS: () = {
        assert!(
            size_of::<F>() <= BYTES,
            "the future is larger than the pool's slots: raise the pool's BYTES, or size it by \
             `{{ future_size(&the_function) }}`"
        );
        assert!(
            size_of::<F::Output>() <= BYTES,
            "the task's output is larger than the pool's slots: raise the pool's BYTES, or size it by \
             `{{ future_size(&the_function) }}`"
        );
        assert!(align_of::<F>() <= 8, "the future needs an alignment above 8, which no pool gives");
        assert!(
            align_of::<F::Output>() <= 8,
            "the task's output needs an alignment above 8, which no pool gives"
        );
    };

    /// The waker and the context are made here and not by the runner, so that the compiler sees through them
    /// once the future is inlined.
    ///
    /// # Safety
    ///
    /// `storage` holds an `F`, `word` is that of its task, and the caller is its executor's runner.
    unsafe fn poll(storage: *mut (), word: *const ()) -> bool {
        // SAFETY: the caller's promise (Storage Invariant). The future stays in place until it is dropped,
        // here or by `drop_future`; then the output takes its place, in which it fits (FITS).
        unsafe {
            let empty = OnDrop::new(|| ptr::drop_in_place(storage.cast::<F>()));
            let waker = waker(word);
            let future = Pin::new_unchecked(&mut *storage.cast::<F>());
            let polled = future.poll(&mut Context::from_waker(&waker));
            empty.defuse();
            match polled {
                Poll::Pending => false,
                Poll::Ready(output) => {
                    ptr::drop_in_place(storage.cast::<F>());
                    storage.cast::<F::Output>().write(output);
                    true
                }
            }
        }
    }

    unsafe fn drop_future(storage: *mut ()) {
        // SAFETY: Storage Invariant: the caller knows that it holds the future.
        unsafe { ptr::drop_in_place(storage.cast::<F>()) }
    }

    unsafe fn drop_output(storage: *mut ()) {
        // SAFETY: Storage Invariant: the caller knows that it holds the output.
        unsafe { ptr::drop_in_place(storage.cast::<F::Output>()) }
    }
}

/// A future that is ready at its second poll, having woken its task at the first: everybody else who is
/// runnable and goes before it gets a turn.
///
/// # Cancellation
///
/// It doesn't hear of a request to stop: a loop that only yields looks at
/// [`Cx::is_cancelled`](Cx::is_cancelled). Dropping it loses nothing; the wake it has made stays.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Cx {
    /// Lets others run; see [`YieldNow`].
    pub fn yield_now(&self) -> YieldNow {
        yield_now()
    }
}

/// Lets others run; see [`YieldNow`].
pub const fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// An async function whose first argument is the task's [`Cx`]; implemented for those with up to seven
/// arguments more.
pub trait AsyncTask<Args> {
    /// What the function returns when called.
    type Future: Future;
}

macro_rules! async_task {
    ($($arg:ident)*) => {
        impl<F, Fut, $($arg),*> AsyncTask<(Cx, $($arg,)*)> for F
        where
            F: FnOnce(Cx, $($arg),*) -> Fut,
            Fut: Future,
        {
            type Future = Fut;
        }
    };
}

async_task!();
async_task!(A);
async_task!(A B);
async_task!(A B C);
async_task!(A B C D);
async_task!(A B C D E);
async_task!(A B C D E G);
async_task!(A B C D E G H);

/// The bytes that a task of the async function `function` takes in a pool: its future or its output,
/// whichever is larger. For `const` contexts: `TaskPool<{ future_size(&sensor) }, 4>`.
///
/// A function that spawns into the very pool that it sizes makes a cycle, which rustc reports as E0391: give
/// that pool's bytes as a number. A number that is too small is an error when the program is built. What
/// spawns itself must name its `Send`, too:
///
/// ```
/// # use trilane::exec::{Cx, TaskPool};
/// static FORKS: TaskPool<64, 4> = TaskPool::new(); // not `future_size(&fork)`
///
/// fn fork(cx: Cx, depth: u32) -> impl Future<Output = ()> + Send {
///     async move {
///         if depth > 0 {
///             cx.spawn(&FORKS, move |cx| fork(cx, depth - 1)).unwrap();
///         }
///     }
/// }
/// # use trilane::exec::{Executor, Manual};
/// # static EXECUTOR: Executor<Manual, 1, 4> = Executor::new(Manual::new());
/// # let mut runner = EXECUTOR.start().unwrap();
/// # EXECUTOR.spawn(&FORKS, |cx| fork(cx, 3)).unwrap();
/// # runner.poll_pending(trilane::time::Instant::ZERO);
/// # assert_eq!(EXECUTOR.counters().completions, 4);
/// ```
pub const fn future_size<F, Args>(_function: &F) -> usize
where
    F: AsyncTask<Args>,
{
    let future = size_of::<F::Future>();
    let output = size_of::<<F::Future as Future>::Output>();
    let most = if future > output { future } else { output };
    // A pool's slot has at least two bytes.
    if most < 2 { 2 } else { most }
}
