//! A machine made of lists, for the tests of the set-up.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::*;
use crate::checks::NIGHTLY;

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Has nothing until it is given something. `performed` lists the commands that would have changed it.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    programs: RefCell<BTreeSet<String>>,
    targets: RefCell<BTreeSet<String>>,
    answers: RefCell<BTreeMap<String, String>>,
    paths: RefCell<BTreeSet<PathBuf>>,
    rustup_works: bool,
    pub(crate) performed: RefCell<Vec<String>>,
}

impl Fake {
    pub(crate) fn with_program(self, name: &str) -> Self {
        self.programs.borrow_mut().insert(name.into());
        self
    }

    pub(crate) fn with_rustup(self, targets: &[&str]) -> Self {
        self.answer("rustc --version", "rustc 1.95.0 (59807616e 2026-04-14)");
        self.answer("rustc --print sysroot", "/rustup");
        self.answer("rustc -vV", "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0");
        self.paths.borrow_mut().insert("/rustup/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld".into());
        self.targets.borrow_mut().extend(targets.iter().map(|&target| target.to_owned()));
        self.with_program("rustc").with_program("rustup")
    }

    pub(crate) fn with_nightly(self, components: &str) -> Self {
        self.install_nightly(components);
        self
    }

    pub(crate) fn with_clippy(self) -> Self {
        self.answer("cargo clippy --version", "clippy 0.1.95 (59807616e 2026-04-14)");
        self
    }

    pub(crate) fn with_working_rustup(mut self) -> Self {
        self.rustup_works = true;
        self.with_rustup(&[])
    }

    pub(crate) fn with_debian(self) -> Self {
        DEBIAN_PACKAGES.iter().for_each(|package| self.install(package));
        self
    }

    pub(crate) fn with_apt_as(self, user: &str) -> Self {
        self.answer("id -u", user);
        self.paths.borrow_mut().insert("/etc/debian_version".into());
        self.with_program("apt-get")
    }

    fn answer(&self, question: &str, answer: &str) {
        self.answers.borrow_mut().insert(question.into(), answer.into());
    }

    fn install_nightly(&self, components: &str) {
        self.answer(&format!("rustup component list --installed --toolchain {NIGHTLY}"), components);
    }

    fn install(&self, package: &str) {
        let mut programs = self.programs.borrow_mut();
        match package {
            "rustc-web" => {
                programs.insert("/usr/bin/rustc".into());
                self.answer("/usr/bin/rustc --version", "rustc 1.96.0 (ac68faa20 2026-05-25)");
                self.answer("/usr/bin/rustc --print sysroot", "/usr");
            }
            "cargo-web" => {
                programs.insert("/usr/bin/cargo".into());
                self.answer("/usr/bin/cargo --version", "cargo 1.96.0");
            }
            "rust-web-src" => {
                self.paths.borrow_mut().insert("/usr/lib/rustlib/src/rust/library/core/src/lib.rs".into());
            }
            "rust-web-clippy" => {
                programs.insert("/usr/bin/cargo-clippy".into());
            }
            "lld" => {
                programs.insert("ld.lld".into());
            }
            "qemu-system-misc" => {
                programs.insert("qemu-system-riscv32".into());
            }
            program => {
                programs.insert(program.into());
            }
        }
    }
}

impl Machine for Fake {
    fn find(&self, program: &str) -> Option<PathBuf> {
        self.programs.borrow().contains(program).then(|| Path::new("/usr/bin").join(program))
    }

    fn exists(&self, path: &Path) -> bool {
        self.paths.borrow().contains(path)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let target = folder.strip_prefix("/rustup/target").ok().and_then(Path::to_str);
        let installed = target.is_some_and(|target| self.targets.borrow().contains(target));
        if installed { vec!["libcore-0aff391ba9edd093.rlib".into()] } else { Vec::new() }
    }

    fn ask(&self, program: &str, args: &[&str]) -> Option<String> {
        if let ("rustc", ["--print", "target-libdir", "--target", target]) = (program, args) {
            return Some(format!("/rustup/target/{target}"));
        }
        self.answers.borrow().get(&format!("{program} {}", args.join(" "))).cloned()
    }

    fn perform(&self, program: &str, args: &[&str], _limit: Option<Duration>) -> Result<(), String> {
        self.performed.borrow_mut().push(format!("{program} {}", args.join(" ")));
        match (program, args) {
            ("rustup", ["target", "add", targets @ ..]) if self.rustup_works => {
                self.targets.borrow_mut().extend(targets.iter().map(|&target| target.to_owned()));
                Ok(())
            }
            ("rustup", ["component", "add", "clippy"]) if self.rustup_works => {
                self.answer("cargo clippy --version", "clippy 0.1.95 (59807616e 2026-04-14)");
                Ok(())
            }
            ("rustup", ["toolchain", "install", NIGHTLY, ..]) if self.rustup_works => {
                self.install_nightly("miri-x86_64-unknown-linux-gnu\nrust-src");
                Ok(())
            }
            ("probe-rs", _) if self.find("probe-rs").is_some() => Ok(()),
            ("rustup" | "probe-rs", _) => Err(format!("`{program}` ended with status 1")),
            ("apt-get", ["update"]) => Ok(()),
            ("apt-get", ["install", "-y", "--no-install-recommends", packages @ ..]) => {
                packages.iter().for_each(|package| self.install(package));
                Ok(())
            }
            _ => Err(format!("`{program}` is not known")),
        }
    }
}
