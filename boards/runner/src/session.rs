//! One call of the tool: the workspace it works on and what the user allows.

use std::time::Duration;

use crate::{
    Result,
    install::{Installer, Needs, Ready},
    machine::Machine,
    workspace::{Board, Workspace},
};

/// What every command has at hand.
pub struct Session {
    /// The boards and examples.
    pub workspace: Workspace,
    /// The computer.
    pub machine: Box<dyn Machine>,
    /// Whether missing tools may be installed.
    pub install: bool,
    /// How long a program may run.
    pub limit: Duration,
}

impl Session {
    /// Like [`ensure`](Self::ensure), and says which way was taken if something had to be installed.
    pub fn prepare(&self, boards: &[&Board], run: bool) -> Result<Ready> {
        let ready = self.ensure(boards, run)?;
        if ready.installed {
            ready.lines().iter().for_each(|line| eprintln!("cargo board: {line}"));
        }
        Ok(ready)
    }

    /// Makes sure that there is all it takes to build for `boards` and, with `run`, to run there.
    pub fn ensure(&self, boards: &[&Board], run: bool) -> Result<Ready> {
        let needs = Needs::of(boards.iter().copied(), run);
        if needs == Needs::default() {
            return Ok(Ready::default());
        }
        let installer = Installer {
            machine: self.machine.as_ref(),
            minimum: self.workspace.rust_version(),
            allowed: self.install,
            memory: self.workspace.root.join("target/board"),
        };
        installer.ensure(&needs)
    }
}
