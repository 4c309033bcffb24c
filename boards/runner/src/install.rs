//! Gets what is missing for a command, or says exactly what it is.

mod missing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

pub use missing::Missing;

use crate::{
    Error, Result,
    machine::Machine,
    toolchain::{self, Purpose, Toolchain},
    workspace::Board,
};

/// How long `rustup target add` may take for each target. Where its server can't be reached it may wait much
/// longer than that.
const RUSTUP_LIMIT: Duration = Duration::from_secs(30);

/// How long a failure of rustup is remembered.
const RUSTUP_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What a command needs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// Targets to compile for.
    pub targets: BTreeSet<String>,
    /// What they are compiled for.
    pub purpose: Purpose,
    /// Emulators, each with the Debian package that holds it.
    pub emulators: BTreeMap<String, String>,
}

/// What was found or installed.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// The compiler for each target.
    pub toolchains: BTreeMap<String, Toolchain>,
    /// Where each emulator is.
    pub emulators: BTreeMap<String, PathBuf>,
    /// Whether some of it was missing and is installed now.
    pub installed: bool,
}

/// Finds, and where allowed installs, what a command needs.
pub struct Installer<'a> {
    /// The computer.
    pub machine: &'a dyn Machine,
    /// The oldest compiler that builds the workspace.
    pub minimum: (u32, u32),
    /// Whether anything may be installed.
    pub allowed: bool,
    /// Where failures are remembered.
    pub memory: PathBuf,
}

impl Needs {
    /// What it takes to build for `boards` and, with `run`, to run there.
    pub fn of<'a>(boards: impl IntoIterator<Item = &'a Board>, run: bool) -> Self {
        let mut needs = Self::default();
        for board in boards {
            if !board.is_host() {
                needs.targets.insert(board.metadata.target.clone());
            }
            if let Some(qemu) = board.metadata.qemu.as_ref().filter(|_| run) {
                needs.emulators.insert(qemu.program.clone(), qemu.debian_package.clone());
            }
        }
        needs
    }
}

impl Installer<'_> {
    /// Fulfils `needs`, or says what is missing still. See [`get`](Self::get).
    pub fn ensure(&self, needs: &Needs) -> Result<Ready> {
        let (ready, missing) = self.get(needs);
        if missing.is_empty() { Ok(ready) } else { Err(Error::Missing(missing)) }
    }

    /// Finds or installs as much of `needs` as is possible. Nothing is printed or installed when nothing is
    /// missing. The order is: rustup, because it leaves the system alone, then apt for the rest; each is
    /// called once for everything.
    pub fn get(&self, needs: &Needs) -> (Ready, Missing) {
        let (ready, mut missing) = self.look(needs);
        if missing.is_empty() {
            return (ready, missing);
        }
        if !self.allowed {
            missing.notes.push("nothing was installed because of --no-install".into());
            return (ready, missing);
        }
        let mut notes = Vec::new();
        if !missing.gaps.is_empty() {
            notes.extend(self.ask_rustup(&missing));
            (_, missing) = self.look(needs);
        }
        if !missing.is_empty() {
            notes.extend(self.apt_install(&missing.packages()));
        }
        let (mut ready, mut missing) = self.look(needs);
        ready.installed = missing.is_empty();
        missing.notes = notes;
        (ready, missing)
    }

    fn look(&self, needs: &Needs) -> (Ready, Missing) {
        let mut ready = Ready::default();
        let mut missing = Missing { purpose: needs.purpose, ..Missing::default() };
        for target in &needs.targets {
            match toolchain::probe(self.machine, target, self.minimum, needs.purpose) {
                Ok(toolchain) => drop(ready.toolchains.insert(target.clone(), toolchain)),
                Err(gap) => missing.gaps.push(gap),
            }
        }
        for (program, package) in &needs.emulators {
            match self.machine.find(program) {
                Some(path) => drop(ready.emulators.insert(program.clone(), path)),
                None => drop(missing.emulators.insert(program.clone(), package.clone())),
            }
        }
        (ready, missing)
    }

    /// Tries rustup. Returns why that did not work, if it did not.
    fn ask_rustup(&self, missing: &Missing) -> Option<String> {
        if self.machine.find("rustup").is_none() {
            return Some("rustup is not installed".into());
        }
        let mark = self.memory.join("rustup-failed");
        let age = mark
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < RUSTUP_PAUSE) {
            let why = fs::read_to_string(&mark).unwrap_or_default();
            return Some(format!(
                "rustup was not asked again: {why} less than an hour ago (delete {} to retry)",
                mark.display()
            ));
        }
        let limit = RUSTUP_LIMIT * u32::try_from(missing.gaps.len()).unwrap_or(1);
        let mut calls = missing.rustup_calls().into_iter();
        let why = calls.find_map(|args| {
            eprintln!("cargo board: rustup {}", args.join(" "));
            self.machine.perform("rustup", &args, Some(limit)).err()
        })?;
        // If this can't be remembered, the next call merely tries again.
        let _ = fs::create_dir_all(&self.memory).and_then(|()| fs::write(&mark, &why));
        Some(why)
    }

    /// Tries apt. Returns why that did not work, if it did not.
    fn apt_install(&self, packages: &[&str]) -> Option<String> {
        if self.machine.find("apt-get").is_none() || !self.machine.exists("/etc/debian_version".as_ref()) {
            return Some("this is not a Debian system, so apt-get was not tried".into());
        }
        if self.machine.ask("id", &["-u"]).as_deref() != Some("0") {
            return Some("apt-get needs root: run the command above with sudo".into());
        }
        let mut args = vec!["install", "-y", "--no-install-recommends"];
        args.extend(packages);
        eprintln!("cargo board: apt-get {}", args.join(" "));
        // A failed update may still leave lists that are good enough; if not, the installation says so.
        let update = self.machine.perform("apt-get", &["update"], None).err();
        let install = self.machine.perform("apt-get", &args, None).err()?;
        Some(update.map_or_else(
            || install.clone(),
            |update| format!("{install}; before that, apt-get update failed: {update}"),
        ))
    }
}

impl Ready {
    /// The compiler for `board`; none for the host, whose programs cargo's own builds.
    pub fn toolchain(&self, board: &Board) -> Option<&Toolchain> {
        self.toolchains.get(&board.metadata.target)
    }

    /// Says which way was taken if something had to be installed.
    pub fn announce(&self) {
        if self.installed {
            self.lines().iter().for_each(|line| eprintln!("cargo board: {line}"));
        }
    }

    /// One line for each thing, saying which way was taken.
    pub fn lines(&self) -> Vec<String> {
        let toolchains = self.toolchains.values().map(Toolchain::describe);
        let emulators = self.emulators.iter().map(|(program, path)| format!("{program}: {}", path.display()));
        toolchains.chain(emulators).collect()
    }
}
