//! Builds a board's binaries, each board in its own workspace.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{Error, Result, child::Guard, environment, install::Ready, workspace::Board};

/// The images that cargo made.
#[derive(Debug)]
pub struct Images {
    board: String,
    paths: BTreeMap<String, PathBuf>,
}

impl Images {
    /// The image of `bin`; an error if that did not build.
    pub fn get(&self, bin: &str) -> Result<&Path> {
        let missing = || Error::Build { bin: bin.to_owned(), board: self.board.clone() };
        self.paths.get(bin).map(PathBuf::as_path).ok_or_else(missing)
    }
}

/// What a build changes of the board's settings. Its images are in a target folder of their own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Variant<'a> {
    /// Nothing.
    #[default]
    Plain,
    /// The opt-level of all crates.
    OptLevel(&'a str),
    /// Bench images that measure how long interrupts are masked.
    Masked,
}

/// What a board and its bench images are compiled with to be [`Variant::Masked`].
const MASKED: [&str; 2] = ["--cfg", "trilane_masked"];

impl Variant<'_> {
    fn target_folder(self, board: &Board) -> PathBuf {
        let folder = board.dir.join("target");
        match self {
            Self::Plain => folder,
            Self::OptLevel(level) => folder.join(format!("opt-{level}")),
            Self::Masked => folder.join("masked"),
        }
    }

    /// A setting for cargo, which adds to the board's own.
    fn setting(self, target: &str) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::OptLevel(level) => Some(format!("profile.release.opt-level={}", toml::Value::from(level))),
            Self::Masked => Some(flags(target, MASKED.map(toml::Value::from).into())),
        }
    }
}

/// Builds `bins` of the board's package; see [`build_packages`].
pub fn build(board: &Board, ready: &Ready, bins: &[&str]) -> Result<Images> {
    let bins: Vec<_> = bins.iter().map(|&bin| (board.package.as_str(), bin)).collect();
    build_packages(board, ready, &bins, Variant::Plain)
}

/// Builds binaries, each with its package, for `board` in release; cargo's progress and the compiler's
/// messages go to stderr. One that does not build does not keep the others from it: [`Images::get`] tells
/// which are there.
pub fn build_packages(
    board: &Board,
    ready: &Ready,
    bins: &[(&str, &str)],
    variant: Variant<'_>,
) -> Result<Images> {
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (package, bin) in bins {
        packages.entry(package).or_default().push(bin);
    }
    let mut images = Images { board: board.name.clone(), paths: BTreeMap::new() };
    for (package, bins) in packages {
        // One call for each package: within a call, cargo unifies the features of what the packages share.
        images.paths.extend(build_package(board, ready, package, &bins, variant)?);
    }
    Ok(images)
}

fn build_package(
    board: &Board,
    ready: &Ready,
    package: &str,
    bins: &[&str],
    variant: Variant<'_>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = match ready.toolchain(board) {
        Some(toolchain) => {
            let mut command = toolchain.cargo_build(&board.dir, &variant.target_folder(board));
            command.arg("--config").arg(without_folder_names(board));
            if let Some(setting) = variant.setting(&board.metadata.target) {
                command.arg("--config").arg(setting);
            }
            command
        }
        None => {
            let mut command = Command::new("cargo");
            environment::clean(&mut command).current_dir(&board.dir).arg("build").stdin(Stdio::null());
            command
        }
    };
    command.args(["--package", package, "--release", "--keep-going"]);
    command.arg("--message-format=json-render-diagnostics");
    for bin in bins {
        command.args(["--bin", bin]);
    }
    let (reader, writer) = io::pipe().map_err(Error::io("make a pipe"))?;
    command.stdout(writer);
    let mut cargo = Guard::spawn(&mut command).map_err(Error::io("start cargo"))?;
    // The command holds the pipe's writing end: while it lives, the reader sees no end.
    drop(command);
    let mut paths = BTreeMap::new();
    for line in BufReader::new(reader).lines() {
        let line = line.map_err(Error::io("read cargo's messages"))?;
        if let Some((bin, path)) = artifact(&line) {
            paths.insert(bin, path);
        }
    }
    // Which binaries failed shows in which are not there; cargo has said why.
    cargo.wait(None).map_err(Error::io("wait for cargo"))?;
    Ok(paths)
}

/// A setting for cargo by which an image doesn't depend on where the workspace and the sources of its
/// dependencies are: a panic's message holds its file's path, so a longer name would take more flash. Cargo
/// adds it to the flags in the board's own `.cargo/config.toml`.
fn without_folder_names(board: &Board) -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    // `boards/NAME` lies two folders below the root.
    let root = board.dir.ancestors().nth(2).map(|root| (root.to_owned(), "."));
    // A registry's folder is named after its host, which differs where a mirror is used. They are there
    // already: this tool has dependencies too.
    let registries = home.iter().flat_map(|home| fs::read_dir(home.join("registry/src"))).flatten().flatten();
    let mut names: Vec<(PathBuf, &str)> = registries.map(|registry| (registry.path(), "registry")).collect();
    names.sort();
    // rustc takes the last that fits: cargo's home may lie below the root.
    let names: Vec<(PathBuf, &str)> = root.into_iter().chain(names).collect();
    renaming(&board.metadata.target, &names)
}

fn renaming(target: &str, names: &[(PathBuf, &str)]) -> String {
    let renamed = names
        .iter()
        .map(|(folder, name)| toml::Value::from(format!("--remap-path-prefix={}={name}", folder.display())));
    flags(target, renamed.collect())
}

/// A setting for cargo that gives the compiler `flags`. A target with a dot in its name is not quoted: cargo
/// looks for it as for a table in a table.
fn flags(target: &str, flags: Vec<toml::Value>) -> String {
    format!("target.{target}.rustflags={}", toml::Value::Array(flags))
}

/// The binary and its file, if `message` is cargo's report that one is built.
fn artifact(message: &str) -> Option<(String, PathBuf)> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        executable: Option<PathBuf>,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    let built = message.reason == "compiler-artifact";
    message.executable.filter(|_| built).zip(message.target).map(|(path, target)| (target.name, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read_from_cargos_messages() {
        let built = r#"{"reason":"compiler-artifact","package_id":"x","target":{"kind":["bin"],"name":"quakes"},"executable":"/t/quakes"}"#;
        assert_eq!(artifact(built), Some(("quakes".into(), "/t/quakes".into())));
        let library =
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"board"},"executable":null}"#;
        assert_eq!(artifact(library), None);
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("warning: text"), None);
    }

    #[test]
    fn folders_are_renamed_by_a_setting_that_cargo_can_read() {
        let names = [("/a \"b\"".into(), "registry"), ("/c".into(), ".")];
        let setting = renaming("thumbv8m.main-none-eabihf", &names);
        let table: toml::Table = setting.parse().expect("is TOML");
        let flags = &table["target"]["thumbv8m"]["main-none-eabihf"]["rustflags"];
        let expected = vec!["--remap-path-prefix=/a \"b\"=registry", "--remap-path-prefix=/c=."];
        assert_eq!(flags, &toml::Value::from(expected));
    }

    #[test]
    fn an_image_that_was_not_built_is_an_error_naming_it() {
        let images = Images { board: "arm".into(), paths: BTreeMap::new() };
        let error = images.get("quakes").expect_err("is not there");
        assert!(error.to_string().starts_with("`quakes` does not build for arm"), "{error}");
    }
}
