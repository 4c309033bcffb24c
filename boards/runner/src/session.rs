//! One call of the tool: the workspace it works on and what the user allows.

use std::time::Duration;

use crate::{
    Error, Result,
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
    pub fn prepare(&self, needs: &Needs) -> Result<Ready> {
        let ready = self.ensure(needs)?;
        ready.announce();
        Ok(ready)
    }

    /// Makes sure that `needs` are fulfilled.
    pub fn ensure(&self, needs: &Needs) -> Result<Ready> {
        self.installer().ensure(needs)
    }

    /// Like [`prepare`](Self::prepare) for each board by itself, but all that is missing is installed in one
    /// go.
    pub fn prepare_each(&self, boards: &[&Board], run: bool) -> Vec<Result<Ready>> {
        let (ready, missing) = self.installer().get(&Needs::of(boards.iter().copied(), run));
        ready.announce();
        let of = |board| {
            let missing = missing.among(&Needs::of([board], run));
            if missing.is_empty() { Ok(ready.clone()) } else { Err(Error::Missing(missing)) }
        };
        boards.iter().copied().map(of).collect()
    }

    fn installer(&self) -> Installer<'_> {
        Installer {
            machine: self.machine.as_ref(),
            minimum: self.workspace.rust_version(),
            allowed: self.install,
            memory: self.workspace.root.join("target/board"),
        }
    }
}
