//! The runtime under [shuttle](https://docs.rs/shuttle): see `README.md`.

#[cfg(not(trilane_shuttle))]
compile_error!("build this with RUSTFLAGS=\"--cfg trilane_shuttle\": see README.md");

#[cfg(trilane_shuttle)]
mod check;

#[cfg(trilane_shuttle)]
pub use check::check;
