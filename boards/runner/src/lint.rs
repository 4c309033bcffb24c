//! `lint`: clippy and rustfmt for what cargo does not reach from the root, because it is compiled for another
//! target in a workspace of its own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{
    Error, Result, child, environment,
    install::Needs,
    session::Session,
    tally::Tally,
    toolchain::{Purpose, Toolchain},
};

/// A package as `cargo metadata` describes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Dependency {
    path: Option<PathBuf>,
}

/// Checks all packages of the board `on`, else of all firmware boards, and the libraries in `boards/` that
/// they share, printing one line for each check.
pub fn lint(session: &Session, on: Option<&str>) -> Result<Tally> {
    let boards = session.workspace.chosen(on, |board| !board.is_host())?;
    if let Some(host) = boards.iter().find(|board| board.is_host()) {
        let why = "is part of the root workspace: `cargo clippy --workspace` and `cargo fmt` check it".into();
        return Err(Error::NotPossible { board: host.name.clone(), why });
    }
    let needs = Needs { purpose: Purpose::Lint, ..Needs::of(boards.iter().copied(), false) };
    let ready = session.prepare(&needs)?;
    let mut tally = Tally::default();
    let boards_folder = session.workspace.root.join("boards");
    let mut on_host = BTreeSet::new();
    for board in boards {
        // There, because it is among the needs.
        let toolchain = &ready.toolchains[&board.metadata.target];
        let packages = packages(&board.dir)?;
        check_for_target(&mut tally, &board.dir, &packages, toolchain);
        format(&mut tally, &board.dir, &packages);
        let mut libraries = BTreeSet::new();
        let mut found = dependencies(&boards_folder, &packages);
        while let Some(library) = found.pop_first() {
            if library == board.dir || !libraries.insert(library.clone()) {
                continue;
            }
            let packages = self::packages(&library)?;
            found.extend(dependencies(&boards_folder, &packages));
            check_for_target(&mut tally, &library, &packages, toolchain);
            if on_host.insert(library.clone()) {
                check_on_host(&mut tally, &library, &packages);
                format(&mut tally, &library, &packages);
            }
        }
    }
    Ok(tally.finish())
}

/// The packages in `folder`, whose workspace may be larger.
fn packages(folder: &Path) -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let wrong = |why: String| Error::Manifest { file: folder.join("Cargo.toml"), why };
    let mut command = cargo(folder);
    command.args(["metadata", "--no-deps", "--format-version=1"]).stderr(Stdio::inherit());
    let output = command.output().map_err(Error::io("start cargo"))?;
    if !output.status.success() {
        return Err(wrong("cargo can't read it; its message is above".into()));
    }
    let mut metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| wrong(error.to_string()))?;
    metadata.packages.retain(|package| package.manifest_path.starts_with(folder));
    Ok(metadata.packages)
}

/// The folders directly in `boards` that the packages depend on.
fn dependencies(boards: &Path, packages: &[Package]) -> BTreeSet<PathBuf> {
    let paths =
        packages.iter().flat_map(|package| &package.dependencies).filter_map(|other| other.path.clone());
    paths.filter(|path| path.parent() == Some(boards)).collect()
}

/// Clippy for each package by a call of its own: within a call, cargo unifies the features of what the
/// packages share.
fn check_for_target(tally: &mut Tally, folder: &Path, packages: &[Package], toolchain: &Toolchain) {
    for Package { name, .. } in packages {
        let mut command = toolchain.cargo_clippy(folder, &folder.join("target"));
        command.args(["--quiet", "--release", "--package", name, "--", "-D", "warnings"]);
        tally.record(&format!("clippy {name} for {}", toolchain.target), run(&mut command));
    }
}

/// Clippy with the tests, which are compiled for the host only.
fn check_on_host(tally: &mut Tally, folder: &Path, packages: &[Package]) {
    for Package { name, .. } in packages {
        let mut command = cargo(folder);
        command.args(["clippy", "--quiet", "--all-targets", "--package", name, "--", "-D", "warnings"]);
        tally.record(&format!("clippy {name} for the host, with tests"), run(&mut command));
    }
}

fn format(tally: &mut Tally, folder: &Path, packages: &[Package]) {
    for Package { name, .. } in packages {
        let mut command = cargo(folder);
        command.args(["fmt", "--check", "--package", name]);
        tally.record(&format!("fmt {name}"), run(&mut command));
    }
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    environment::isolate(environment::clean(&mut command)).current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs the tool with what it prints on stderr, where its complaints are expected.
fn run(command: &mut Command) -> Result<&'static str, String> {
    command.stdout(std::io::stderr());
    let status = child::Guard::spawn(command).and_then(|mut tool| tool.wait(None));
    match status {
        Ok(Some(0)) => Ok(""),
        Ok(_) => Err("its messages are on stderr, above".into()),
        Err(error) => Err(format!("{:?} can't be started: {error}", command.get_program())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_libraries_are_found_by_their_path() {
        let packages: Vec<Package> = serde_json::from_str(
            r#"[{"name":"board-arm","manifest_path":"/w/boards/arm/Cargo.toml","dependencies":[
                    {"path":"/w/core"}, {"path":"/w/boards/cortex-m"}, {"name":"cortex-m"}]},
                {"name":"bench","manifest_path":"/w/boards/arm/bench/Cargo.toml","dependencies":[
                    {"path":"/w/boards/arm"}, {"path":"/w/boards/cortex-m"}]}]"#,
        )
        .expect("is right");
        let found: Vec<PathBuf> = dependencies(Path::new("/w/boards"), &packages).into_iter().collect();
        assert_eq!(found, [PathBuf::from("/w/boards/arm"), PathBuf::from("/w/boards/cortex-m")]);
    }
}
