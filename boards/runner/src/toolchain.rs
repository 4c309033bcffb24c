//! What on this computer can compile for a firmware target.
//!
//! There are two routes. Rustup (or any rustc that has the target's core library installed) needs nothing
//! else. Debian's own compiler comes without core for these targets but with its source, so cargo builds it
//! (`-Zbuild-std`); the linker is then the `rust-lld` of a rustup tool-chain, or Debian's `lld`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{environment, machine::Machine};

/// Debian's compiler, by path: on PATH, rustup's comes first.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The cargo that goes with it.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// The clippy that goes with it. By path too: `cargo clippy` would find the one in cargo's home first.
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// What a compiler is wanted for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// Building.
    #[default]
    Build,
    /// Building and clippy.
    Lint,
}

/// A compiler for one target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Toolchain {
    /// The target, as rustc names it.
    pub target: String,
    /// How to compile for it.
    pub route: Route,
    /// The compiler's name and version, such as `rustc 1.96.0`.
    pub version: String,
}

/// How to compile for a target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route {
    /// The `rustc` on PATH has the target's core library.
    Installed,
    /// Debian's compiler builds core from source.
    Debian(Linker),
}

/// The linker that Debian's route uses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Linker {
    /// `rust-lld` in this folder, which must be put on PATH.
    RustLldIn(PathBuf),
    /// `rust-lld`, on PATH already.
    RustLld,
    /// Debian's `ld.lld`.
    Lld(PathBuf),
}

/// What Debian's route lacks for a target for which nothing is installed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The target.
    pub target: String,
    /// The Debian packages that would complete the route.
    pub packages: Vec<&'static str>,
}

/// The compiler for `target`, Debian's only from release `minimum` on. The installed route is taken first: it
/// builds faster.
pub fn probe(
    machine: &dyn Machine,
    target: &str,
    minimum: (u32, u32),
    purpose: Purpose,
) -> Result<Toolchain, Gap> {
    let toolchain = |route, version| Toolchain { target: target.to_owned(), route, version };
    let lint = purpose == Purpose::Lint;
    // Rustup puts a `cargo-clippy` on PATH whether or not the component behind it is installed.
    let has_clippy = || machine.ask("cargo", &["clippy", "--version"]).is_some();
    if has_core(machine, target) && (!lint || has_clippy()) {
        let version = machine.ask("rustc", &["--version"]).unwrap_or_default();
        return Ok(toolchain(Route::Installed, short(&version)));
    }
    let recent = |program: &str| {
        let version = machine.find(program).and_then(|_| machine.ask(program, &["--version"]))?;
        (release(&version)? >= minimum).then_some(version)
    };
    let rustc = recent(DEBIAN_RUSTC);
    let linker = linker(machine);
    let mut packages = Vec::new();
    if rustc.is_none() {
        packages.push("rustc-web");
    }
    if recent(DEBIAN_CARGO).is_none() {
        packages.push("cargo-web");
    }
    if rustc.is_none() || !has_core_source(machine) {
        packages.push("rust-web-src");
    }
    if lint && machine.find(DEBIAN_CLIPPY).is_none() {
        packages.push("rust-web-clippy");
    }
    if linker.is_none() {
        packages.push("lld");
    }
    match (rustc, linker) {
        (Some(version), Some(linker)) if packages.is_empty() => {
            Ok(toolchain(Route::Debian(linker), short(&version)))
        }
        _ => Err(Gap { target: target.to_owned(), packages }),
    }
}

/// Whether the `rustc` on PATH has core for `target`. Asking for the folder is not enough: rustc names it for
/// every target it knows.
fn has_core(machine: &dyn Machine, target: &str) -> bool {
    machine.find("rustc").is_some()
        && machine.ask("rustc", &["--print", "target-libdir", "--target", target]).is_some_and(|folder| {
            machine
                .names(Path::new(&folder))
                .iter()
                .any(|name| name.starts_with("libcore-") && name.ends_with(".rlib"))
        })
}

fn has_core_source(machine: &dyn Machine) -> bool {
    let sysroot = machine.ask(DEBIAN_RUSTC, &["--print", "sysroot"]).unwrap_or_else(|| "/usr".into());
    machine.exists(&Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs"))
}

fn linker(machine: &dyn Machine) -> Option<Linker> {
    if machine.find("rust-lld").is_some() {
        return Some(Linker::RustLld);
    }
    if let Some(folder) = rustup_bin(machine).filter(|folder| machine.exists(&folder.join("rust-lld"))) {
        return Some(Linker::RustLldIn(folder));
    }
    machine.find("ld.lld").map(Linker::Lld)
}

/// Where a rustup tool-chain keeps the programs that are not for calling by hand.
fn rustup_bin(machine: &dyn Machine) -> Option<PathBuf> {
    machine.find("rustc")?;
    let sysroot = machine.ask("rustc", &["--print", "sysroot"])?;
    let host = host(machine)?;
    Some(Path::new(&sysroot).join("lib/rustlib").join(host).join("bin"))
}

/// The target that this computer's programs are compiled for.
pub fn host(machine: &dyn Machine) -> Option<String> {
    let about = machine.ask("rustc", &["-vV"])?;
    about.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// `rustc 1.96.0` of `rustc 1.96.0 (ac68faa20 2026-05-25)`.
fn short(version: &str) -> String {
    version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Major and minor of the first version in `text`, such as `rustc 1.96.0 (ac68faa20 2026-05-25)`.
pub fn release(text: &str) -> Option<(u32, u32)> {
    let version =
        text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl Toolchain {
    /// `cargo build` for the package in `folder`, with the options that the route needs; its target folder is
    /// `target_dir`.
    pub fn cargo_build(&self, folder: &Path, target_dir: &Path) -> Command {
        let mut command = match self.route {
            Route::Installed => Command::new("cargo"),
            Route::Debian(_) => Command::new(DEBIAN_CARGO),
        };
        command.arg("build");
        self.finish(command, folder, target_dir)
    }

    /// `cargo clippy`, otherwise like [`cargo_build`](Self::cargo_build).
    pub fn cargo_clippy(&self, folder: &Path, target_dir: &Path) -> Command {
        let mut command = match self.route {
            Route::Installed => Command::new("cargo"),
            Route::Debian(_) => Command::new(DEBIAN_CLIPPY),
        };
        command.arg("clippy");
        let mut command = self.finish(command, folder, target_dir);
        if let Route::Debian(_) = self.route {
            command.env("CARGO", DEBIAN_CARGO);
        }
        command
    }

    fn finish(&self, mut command: Command, folder: &Path, target_dir: &Path) -> Command {
        environment::isolate(environment::clean(&mut command));
        command.stdin(Stdio::null()).current_dir(folder).args(["--target", &self.target, "--target-dir"]);
        let Route::Debian(linker) = &self.route else {
            command.arg(target_dir);
            return command;
        };
        // A folder of its own, inside the usual one so that `cargo clean` finds it: sharing would make each
        // route replace the other's images.
        command.arg(target_dir.join("debian"));
        // `-Zbuild-std` is not stable; this is how a stable compiler is told to accept it.
        command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
        match linker {
            Linker::RustLld => {}
            Linker::RustLldIn(folder) => {
                command.env("PATH", with_last(folder));
            }
            Linker::Lld(program) => {
                command.env(format!("CARGO_TARGET_{}_LINKER", variable_name(&self.target)), program);
            }
        }
        command
    }

    /// One line that says which way was taken.
    pub fn describe(&self) -> String {
        let Self { target, route, version } = self;
        match route {
            Route::Installed => format!("{target}: installed target of {version}"),
            Route::Debian(linker) => {
                let linker = match linker {
                    Linker::RustLldIn(folder) => format!("{}/rust-lld", folder.display()),
                    Linker::RustLld => "rust-lld".to_owned(),
                    Linker::Lld(program) => program.display().to_string(),
                };
                format!("{target}: Debian's {version} builds core from source, linked by {linker}")
            }
        }
    }
}

/// PATH with `folder` at its end, so that it adds programs and replaces none.
fn with_last(folder: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([folder.to_owned()]);
    env::join_paths(folders).unwrap_or(path)
}

fn variable_name(target: &str) -> String {
    target.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake::Fake;

    const TARGET: &str = "thumbv7m-none-eabi";

    #[test]
    fn an_installed_target_is_taken_first() {
        let machine = Fake::default().with_rustup(&[TARGET]).with_debian();
        assert_eq!(
            probe(&machine, TARGET, (1, 92), Purpose::Build).expect("is there").route,
            Route::Installed
        );
    }

    #[test]
    fn a_target_folder_without_core_is_not_an_installed_target() {
        let machine = Fake::default().with_rustup(&[]).with_debian();
        let toolchain = probe(&machine, TARGET, (1, 92), Purpose::Build).expect("is there");
        assert_eq!(
            toolchain.route,
            Route::Debian(Linker::RustLldIn("/rustup/lib/rustlib/x86_64-unknown-linux-gnu/bin".into()))
        );
        assert!(toolchain.describe().contains("Debian's rustc 1.96.0"), "{}", toolchain.describe());
    }

    #[test]
    fn with_nothing_installed_all_packages_are_named() {
        let gap = probe(&Fake::default(), TARGET, (1, 92), Purpose::Build).expect_err("nothing is there");
        assert_eq!(gap.packages, ["rustc-web", "cargo-web", "rust-web-src", "lld"]);
    }

    #[test]
    fn without_rustup_debians_lld_links() {
        let machine = Fake::default().with_debian().with_program("ld.lld");
        let toolchain = probe(&machine, TARGET, (1, 92), Purpose::Build).expect("is there");
        assert_eq!(toolchain.route, Route::Debian(Linker::Lld("/usr/bin/ld.lld".into())));
        let gap = probe(&Fake::default().with_debian(), TARGET, (1, 92), Purpose::Build)
            .expect_err("has no linker");
        assert_eq!(gap.packages, ["lld"]);
    }

    #[test]
    fn a_compiler_of_debian_that_is_too_old_counts_as_missing() {
        let machine = Fake::default().with_rustup(&[]).with_debian();
        let gap = probe(&machine, TARGET, (1, 97), Purpose::Build).expect_err("is too old");
        assert_eq!(gap.packages, ["rustc-web", "cargo-web", "rust-web-src"]);
    }

    #[test]
    fn for_linting_a_route_needs_its_clippy_too() {
        let lint = |machine: &Fake| probe(machine, TARGET, (1, 92), Purpose::Lint);
        let installed = Fake::default().with_rustup(&[TARGET]);
        assert_eq!(lint(&installed).expect_err("has none").packages.last(), Some(&"rust-web-clippy"));
        let installed = installed.with_debian().with_program("/usr/bin/cargo-clippy");
        assert!(matches!(lint(&installed).expect("is there").route, Route::Debian(_)));
        assert_eq!(lint(&installed.with_clippy()).expect("is there").route, Route::Installed);
    }

    #[test]
    fn debians_clippy_is_told_which_cargo_and_compiler_to_use() {
        let machine = Fake::default().with_rustup(&[]).with_debian().with_program("/usr/bin/cargo-clippy");
        let toolchain = probe(&machine, TARGET, (1, 92), Purpose::Lint).expect("is there");
        let command = toolchain.cargo_clippy(Path::new("/b"), Path::new("/b/target"));
        assert_eq!(command.get_program(), DEBIAN_CLIPPY);
        let args: Vec<_> = command.get_args().filter_map(|arg| arg.to_str()).collect();
        let expected = ["clippy", "--target", TARGET, "--target-dir", "/b/target/debian", "-Zbuild-std=core"];
        assert_eq!(args, expected);
        for (name, value) in [("CARGO", DEBIAN_CARGO), ("RUSTC", DEBIAN_RUSTC)] {
            assert!(command.get_envs().any(|env| env == (name.as_ref(), Some(value.as_ref()))), "{name}");
        }
    }

    #[test]
    fn releases_are_read_from_what_the_compilers_print() {
        assert_eq!(release("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(release("1.92"), Some((1, 92)));
        assert_eq!(release("rustc"), None);
    }
}
