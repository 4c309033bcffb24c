//! Gets what is missing for a command, or says exactly what it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
    time::Duration,
};

use crate::{
    Error, Result,
    machine::Machine,
    toolchain::{self, Gap, Purpose, Toolchain},
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

/// What is missing and was not installed.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    /// Targets nothing can compile for.
    pub gaps: Vec<Gap>,
    /// What they would be compiled for.
    pub purpose: Purpose,
    /// Emulators, each with its Debian package.
    pub emulators: BTreeMap<String, String>,
    /// What was tried, or why nothing was.
    pub notes: Vec<String>,
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

impl Missing {
    /// What of it `needs` name.
    pub fn among(&self, needs: &Needs) -> Self {
        let mut missing = self.clone();
        missing.gaps.retain(|gap| needs.targets.contains(&gap.target));
        missing.emulators.retain(|program, _| needs.emulators.contains_key(program));
        missing
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.emulators.is_empty()
    }

    /// The Debian packages that would complete everything.
    pub fn packages(&self) -> Vec<&str> {
        let mut packages = compiler_packages(&self.gaps);
        packages.extend(self.emulators.values().map(String::as_str));
        packages.sort_unstable();
        packages.dedup();
        packages
    }

    /// What would complete rustup's tool-chain. It changes nothing that is there already.
    fn rustup_calls(&self) -> Vec<Vec<&str>> {
        let mut add = vec!["target", "add"];
        add.extend(self.gaps.iter().map(|gap| gap.target.as_str()));
        match self.purpose {
            Purpose::Build => vec![add],
            Purpose::Lint => vec![add, vec!["component", "add", "clippy"]],
        }
    }
}

fn compiler_packages(gaps: &[Gap]) -> Vec<&str> {
    let mut packages: Vec<&str> = gaps.iter().flat_map(|gap| gap.packages.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const APT: &str = "apt-get install --no-install-recommends";
        let targets: Vec<&str> = self.gaps.iter().map(|gap| gap.target.as_str()).collect();
        let kind = match self.purpose {
            Purpose::Build => "a compiler",
            Purpose::Lint => "a compiler and clippy",
        };
        let compiler = (!targets.is_empty()).then(|| format!("{kind} for {}", targets.join(", ")));
        let names: Vec<&str> =
            compiler.iter().map(String::as_str).chain(self.emulators.keys().map(String::as_str)).collect();
        write!(f, "missing: {}", names.join("; "))?;
        if !targets.is_empty() {
            write!(f, "\n  for the compiler, one of these:")?;
            let calls = self.rustup_calls();
            let calls: Vec<String> = calls.iter().map(|args| format!("rustup {}", args.join(" "))).collect();
            write!(f, "\n    with rustup:  {}", calls.join(" && "))?;
            write!(f, "\n    on Debian:    {APT} {}", compiler_packages(&self.gaps).join(" "))?;
        }
        for (program, package) in &self.emulators {
            write!(f, "\n  for {program}:")?;
            write!(f, "\n    on Debian:    {APT} {package}")?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{machine::fake::Fake, toolchain::Route};

    const TARGET: &str = "thumbv7m-none-eabi";

    fn needs() -> Needs {
        Needs {
            targets: [TARGET.to_owned()].into(),
            purpose: Purpose::Build,
            emulators: [("qemu-system-arm".to_owned(), "qemu-system-arm".to_owned())].into(),
        }
    }

    struct Attempt {
        result: Result<Ready>,
        performed: Vec<String>,
    }

    fn attempt(machine: &Fake, allowed: bool, memory: &tempfile::TempDir) -> Attempt {
        attempt_for(&needs(), machine, allowed, memory)
    }

    fn attempt_for(needs: &Needs, machine: &Fake, allowed: bool, memory: &tempfile::TempDir) -> Attempt {
        machine.performed.borrow_mut().clear();
        let installer = Installer { machine, minimum: (1, 92), allowed, memory: memory.path().join("board") };
        let result = installer.ensure(needs);
        Attempt { result, performed: machine.performed.borrow().clone() }
    }

    fn memory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn no_install_names_everything_that_is_missing_and_changes_nothing() {
        let attempt = attempt(&Fake::default().with_working_rustup().with_apt_as("0"), false, &memory());
        let error = attempt.result.expect_err("is missing");
        assert_eq!(error.status(), 1);
        assert_eq!(
            error.to_string(),
            "missing: a compiler for thumbv7m-none-eabi; qemu-system-arm\n  for the compiler, one of these:\n    with rustup:  rustup \
             target add thumbv7m-none-eabi\n    on Debian:    apt-get install --no-install-recommends cargo-web rust-web-src rustc-web\n  \
             for qemu-system-arm:\n    on Debian:    apt-get install --no-install-recommends qemu-system-arm\n  note: nothing was \
             installed because of --no-install"
        );
        assert!(attempt.performed.is_empty());
    }

    #[test]
    fn when_nothing_is_missing_nothing_is_done() {
        let machine =
            Fake::default().with_rustup(&[]).with_debian().with_program("qemu-system-arm").with_apt_as("0");
        let attempt = attempt(&machine, true, &memory());
        assert!(attempt.result.is_ok());
        assert!(attempt.performed.is_empty());
    }

    #[test]
    fn rustup_is_asked_first_and_apt_only_for_the_rest() {
        let attempt = attempt(&Fake::default().with_working_rustup().with_apt_as("0"), true, &memory());
        assert!(attempt.result.is_ok());
        assert_eq!(
            attempt.performed,
            [
                "rustup target add thumbv7m-none-eabi",
                "apt-get update",
                "apt-get install -y --no-install-recommends qemu-system-arm"
            ]
        );
    }

    #[test]
    fn where_rustup_fails_debian_takes_over_and_the_failure_is_remembered() {
        let memory = memory();
        let apt =
            "apt-get install -y --no-install-recommends cargo-web qemu-system-arm rust-web-src rustc-web";
        let first = attempt(&Fake::default().with_rustup(&[]).with_apt_as("0"), true, &memory);
        assert!(first.result.is_ok());
        assert_eq!(first.performed, ["rustup target add thumbv7m-none-eabi", "apt-get update", apt]);
        let second = attempt(&Fake::default().with_rustup(&[]).with_apt_as("0"), true, &memory);
        assert_eq!(second.performed, ["apt-get update", apt]);
    }

    #[test]
    fn what_several_boards_lack_is_installed_by_one_call_of_each_installer() {
        let needs = Needs {
            targets: [TARGET, "riscv32imac-unknown-none-elf"].map(str::to_owned).into(),
            purpose: Purpose::Build,
            emulators: [("qemu-system-arm", "qemu-system-arm"), ("qemu-system-riscv32", "qemu-system-misc")]
                .map(|(program, package)| (program.to_owned(), package.to_owned()))
                .into(),
        };
        let targets = "rustup target add riscv32imac-unknown-none-elf thumbv7m-none-eabi";
        let apt = "apt-get install -y --no-install-recommends";

        let machine = Fake::default().with_working_rustup().with_apt_as("0");
        let with_rustup = attempt_for(&needs, &machine, true, &memory());
        assert_eq!(with_rustup.result.expect("is complete").toolchains.len(), 2);
        let emulators = format!("{apt} qemu-system-arm qemu-system-misc");
        assert_eq!(with_rustup.performed, [targets, "apt-get update", &emulators]);

        let machine = Fake::default().with_rustup(&[TARGET]).with_apt_as("0");
        let with_debian = attempt_for(&needs, &machine, true, &memory());
        let ready = with_debian.result.expect("is complete");
        assert!(ready.toolchains.values().any(|toolchain| toolchain.route == Route::Installed));
        let all = format!("{apt} cargo-web qemu-system-arm qemu-system-misc rust-web-src rustc-web");
        assert_eq!(with_debian.performed[1..], ["apt-get update", &all]);
    }

    #[test]
    fn what_one_board_lacks_is_not_missing_for_the_others() {
        let missing = Missing {
            gaps: vec![Gap { target: TARGET.into(), packages: vec!["rustc-web"] }],
            emulators: [("qemu-system-arm".to_owned(), "qemu-system-arm".to_owned())].into(),
            ..Missing::default()
        };
        let other = Needs { targets: ["riscv32imac-unknown-none-elf".to_owned()].into(), ..Needs::default() };
        assert!(missing.among(&other).is_empty());
        assert!(missing.among(&Needs::default()).is_empty());
        let part = missing.among(&Needs { emulators: needs().emulators, ..other });
        assert_eq!((part.gaps.len(), part.emulators.len()), (0, 1));
    }

    #[test]
    fn clippy_is_installed_for_linting_only() {
        let lint = Needs { purpose: Purpose::Lint, ..needs() };
        let with_rustup =
            attempt_for(&lint, &Fake::default().with_working_rustup().with_apt_as("0"), true, &memory());
        assert!(with_rustup.result.is_ok());
        assert_eq!(
            with_rustup.performed[..2],
            ["rustup target add thumbv7m-none-eabi", "rustup component add clippy"]
        );

        let with_debian = attempt_for(
            &lint,
            &Fake::default().with_rustup(&[]).with_debian().with_apt_as("0"),
            true,
            &memory(),
        );
        assert!(with_debian.result.is_ok());
        let apt = "apt-get install -y --no-install-recommends qemu-system-arm rust-web-clippy";
        assert_eq!(with_debian.performed[1..], ["apt-get update", apt]);

        let nothing = attempt_for(&lint, &Fake::default(), false, &memory()).result.expect_err("is missing");
        let text = nothing.to_string();
        assert!(text.contains("missing: a compiler and clippy for thumbv7m-none-eabi"), "{text}");
        assert!(
            text.contains("rustup target add thumbv7m-none-eabi && rustup component add clippy"),
            "{text}"
        );
    }

    #[test]
    fn a_user_who_is_not_root_is_told_what_to_run() {
        let attempt = attempt(&Fake::default().with_rustup(&[]).with_apt_as("1000"), true, &memory());
        let text = attempt.result.expect_err("is missing").to_string();
        assert!(text.contains("note: `rustup` ended with status 1"), "{text}");
        assert!(text.contains("note: apt-get needs root"), "{text}");
        assert_eq!(attempt.performed, ["rustup target add thumbv7m-none-eabi"]);
    }

    #[test]
    fn elsewhere_than_on_debian_apt_is_not_tried() {
        let attempt = attempt(&Fake::default(), true, &memory());
        let text = attempt.result.expect_err("is missing").to_string();
        assert!(text.contains("rustup is not installed"), "{text}");
        assert!(text.contains("not a Debian system"), "{text}");
        assert!(attempt.performed.is_empty());
    }
}
