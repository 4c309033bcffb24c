//! Installing on computers that aren't there.

use super::*;
use crate::machine::fake::Fake;
use crate::toolchain::{Gap, Route};

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
    let apt = "apt-get install -y --no-install-recommends cargo-web qemu-system-arm rust-web-src rustc-web";
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

    let with_debian =
        attempt_for(&lint, &Fake::default().with_rustup(&[]).with_debian().with_apt_as("0"), true, &memory());
    assert!(with_debian.result.is_ok());
    let apt = "apt-get install -y --no-install-recommends qemu-system-arm rust-web-clippy";
    assert_eq!(with_debian.performed[1..], ["apt-get update", apt]);

    let nothing = attempt_for(&lint, &Fake::default(), false, &memory()).result.expect_err("is missing");
    let text = nothing.to_string();
    assert!(text.contains("missing: a compiler and clippy for thumbv7m-none-eabi"), "{text}");
    assert!(text.contains("rustup target add thumbv7m-none-eabi && rustup component add clippy"), "{text}");
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
