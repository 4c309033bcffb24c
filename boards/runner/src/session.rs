//! One call of the tool: the workspace it works on and what the user allows.

use std::time::Duration;

use crate::{
    Result,
    install::{Installer, Needs, Ready},
    machine::Machine,
    workspace::Workspace,
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
        if ready.installed {
            ready.lines().iter().for_each(|line| eprintln!("cargo board: {line}"));
        }
        Ok(ready)
    }

    /// Makes sure that `needs` are fulfilled.
    pub fn ensure(&self, needs: &Needs) -> Result<Ready> {
        let installer = Installer {
            machine: self.machine.as_ref(),
            minimum: self.workspace.rust_version(),
            allowed: self.install,
            memory: self.workspace.root.join("target/board"),
        };
        installer.ensure(needs)
    }
}
