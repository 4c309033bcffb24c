//! The parts of `cargo board`, the tool that builds one example for many boards.
//!
//! Read in this order:
//!
//! - [`cli`]: the commands and what each calls.
//! - [`workspace`] and [`manifest`]: which boards and examples there are. Nothing is registered anywhere: a
//!   folder in `boards/` whose manifest has `[package.metadata.board]` is a board.
//! - [`toolchain`] and [`install`]: what can compile for a target, and how what is missing gets installed.
//!   [`machine`] is all they see of the computer, so that the tests can put another in its place.
//! - [`build`], [`child`] and [`emulate`]: from an example to its output and exit status; [`flash`]: to the
//!   hardware.
//! - [`suite`] with [`golden`], [`mod@bench`], [`size`] with [`image`] and [`parts`]: what is checked and
//!   measured; [`gate`] and [`budget`] hold the figures against the accepted ones. [`peers`]: the router
//!   beside others, on the host.
//! - [`lint`] and [`targets`]: what cargo can't check from the root. [`checks`]: Miri and ThreadSanitizer.

pub mod bench;
pub mod budget;
pub mod build;
pub mod checks;
pub mod child;
pub mod cli;
pub mod emulate;
pub mod environment;
pub mod error;
pub mod flash;
pub mod gate;
pub mod golden;
pub mod image;
pub mod install;
pub mod lint;
pub mod list;
pub mod machine;
pub mod manifest;
pub mod parts;
pub mod peers;
pub mod session;
pub mod size;
pub mod suggest;
pub mod suite;
pub mod table;
pub mod tally;
pub mod targets;
pub mod toolchain;
pub mod workspace;

pub use error::Error;

/// What every step of the tool returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
