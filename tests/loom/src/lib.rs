//! What the models share: the lock, a platform whose sleep the checker knows, a strategy, and how a model is
//! run.
//!
//! The executor under test is the real one: `--cfg trilane_loom` exchanges the types behind `trilane::sync`,
//! nothing else.

#[cfg(not(trilane_loom))]
compile_error!("the models need the checker's types: RUSTFLAGS=\"--cfg trilane_loom\" cargo test --release");

#[cfg(trilane_loom)]
mod lock;
#[cfg(trilane_loom)]
mod lowest;
#[cfg(trilane_loom)]
mod plain;
#[cfg(trilane_loom)]
mod platform;
#[cfg(trilane_loom)]
mod stage;

#[cfg(trilane_loom)]
pub use lowest::Lowest;
#[cfg(trilane_loom)]
pub use plain::{Plain, Told};
#[cfg(trilane_loom)]
pub use platform::Sleeper;
#[cfg(trilane_loom)]
pub use stage::{Stage, check, check_with, showing};
