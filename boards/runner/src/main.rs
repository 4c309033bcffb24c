//! `cargo board`: the one command that sets up, builds, runs, tests and measures every board.

use std::process::ExitCode;

use clap::Parser;
use trilane_board::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.status())
        }
    }
}
