//! What the models share: the lock, a platform whose sleep the checker knows, and how a model is run.
//!
//! The executor under test is the real one: `--cfg trilane_loom` exchanges the types behind `trilane::sync`, nothing else.

#[cfg(not(trilane_loom))]
compile_error!("the models need the checker's types: RUSTFLAGS=\"--cfg trilane_loom\" cargo test --release");

#[cfg(trilane_loom)]
mod lock;
#[cfg(trilane_loom)]
mod platform;

#[cfg(trilane_loom)]
pub use platform::Sleeper;

/// How often the checker takes the processor away from a thread that could go on.
///
/// Without a bound, an executor's pass has too many steps to try all orders. The errors that the models look for lie between
/// two steps of one thread, at which the other comes in: one or two preemptions. Three is one more than that.
#[cfg(trilane_loom)]
pub const PREEMPTIONS: usize = 3;

/// Runs `model` in every order of its threads' steps within [`PREEMPTIONS`], and with every value that its loads may give.
#[cfg(trilane_loom)]
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound.get_or_insert(PREEMPTIONS);
    checker.max_branches = 10_000;
    checker.check(move || {
        // Made by the first thread, so that it orders nothing later.
        critical_section::with(|_| ());
        model();
    });
}

/// A value that lives for one run of a model as a static does for a program: it is reached by `'static` reference.
#[cfg(trilane_loom)]
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
