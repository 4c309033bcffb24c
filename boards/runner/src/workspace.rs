//! The workspace: its root, its boards, its examples.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    manifest::{HOST, Manifest, Metadata},
    suggest::unknown,
};

/// The board that `build` and `run` use when none is named.
pub const DEFAULT_BOARD: &str = "mps2-an385";

/// The workspace's root and every board in it.
#[derive(Debug)]
pub struct Workspace {
    /// The folder that holds `boards/` and `examples/`.
    pub root: PathBuf,
    /// The host first, then by name.
    pub boards: Vec<Board>,
    /// The crates that live in `boards/`: their symbols count as the board's part of an image.
    pub board_crates: BTreeSet<String>,
}

/// One folder of `boards/`.
#[derive(Clone, Debug)]
pub struct Board {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
    /// The package's name.
    pub package: String,
    /// The opt-level of its images.
    pub opt_level: String,
    /// What its manifest says of it.
    pub metadata: Metadata,
    /// The binaries that are examples, by name.
    pub examples: Vec<String>,
}

impl Workspace {
    /// Finds the root at or above `from` and reads every board.
    pub fn find(from: &Path) -> Result<Self> {
        let root = from
            .ancestors()
            .find(|dir| dir.join("boards").is_dir() && is_workspace(&dir.join("Cargo.toml")))
            .ok_or_else(|| Error::NoWorkspace { from: from.to_owned() })?;
        Self::read(root)
    }

    /// Reads every board of the workspace at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let folder = root.join("boards");
        let entries = fs::read_dir(&folder).map_err(Error::io(format!("list {}", folder.display())))?;
        let mut boards = Vec::new();
        let mut board_crates = BTreeSet::new();
        for entry in entries.flatten() {
            let dir = entry.path();
            let file = dir.join("Cargo.toml");
            if !file.is_file() {
                continue;
            }
            let text = fs::read_to_string(&file).map_err(Error::io(format!("read {}", file.display())))?;
            let manifest = Manifest::parse(&file, &text)?;
            let opt_level = manifest.opt_level();
            let Some(package) = manifest.package else { continue };
            let lib = manifest.lib.and_then(|lib| lib.name).unwrap_or_else(|| package.name.clone());
            board_crates.insert(lib.replace('-', "_"));
            if let Some(metadata) = package.metadata.board {
                let mut examples: Vec<String> =
                    manifest.bins.iter().filter(|bin| bin.is_example()).map(|bin| bin.name.clone()).collect();
                examples.retain(|name| !metadata.benches.iter().any(|bench| bench.bin() == name));
                examples.sort();
                let name = entry.file_name().to_string_lossy().into_owned();
                boards.push(Board { name, dir, package: package.name, opt_level, metadata, examples });
            }
        }
        boards.sort_by_key(|board| (!board.is_host(), board.name.clone()));
        Ok(Self { root: root.to_owned(), boards, board_crates })
    }

    /// The board called `name`.
    pub fn board(&self, name: &str) -> Result<&Board> {
        self.boards.iter().find(|board| board.name == name).ok_or_else(|| {
            unknown("board", name, self.boards.iter().map(|board| board.name.clone()).collect())
        })
    }

    /// The boards a command works on: the one named, else all that `all` accepts.
    pub fn chosen(&self, on: Option<&str>, all: impl Fn(&Board) -> bool) -> Result<Vec<&Board>> {
        match on {
            Some(name) => Ok(vec![self.board(name)?]),
            None => Ok(self.boards.iter().filter(|board| all(board)).collect()),
        }
    }

    /// Every example that some board has, by name.
    pub fn examples(&self) -> BTreeSet<&str> {
        self.boards.iter().flat_map(|board| &board.examples).map(String::as_str).collect()
    }

    /// Fails unless some board has the example `name`.
    pub fn check_example(&self, name: &str) -> Result<()> {
        let known = self.examples();
        if known.contains(name) {
            return Ok(());
        }
        if self.example_file(name).is_file() {
            return Err(Error::Unlisted { example: name.to_owned() });
        }
        Err(unknown("example", name, known.into_iter().map(str::to_owned).collect()))
    }

    /// Fails unless `board` has the example `name`.
    pub fn check_example_on(&self, board: &Board, name: &str) -> Result<()> {
        self.check_example(name)?;
        if board.has(name) {
            return Ok(());
        }
        let on = self.boards.iter().filter(|board| board.has(name)).map(|board| board.name.clone()).collect();
        Err(Error::NotOnBoard { example: name.to_owned(), board: board.name.clone(), on })
    }

    fn example_file(&self, name: &str) -> PathBuf {
        self.root.join("examples").join(format!("{name}.rs"))
    }

    /// The files in `folder` that end with `.extension`, without that.
    pub fn stems(&self, folder: &Path, extension: &str) -> Result<BTreeSet<String>> {
        let folder = self.root.join(folder);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(Error::io(format!("list {}", folder.display())))?,
        };
        let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        let files = files.filter(|path| path.extension().is_some_and(|its| its == extension));
        Ok(files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
    }

    /// The first line of the example's documentation, empty if it has none.
    pub fn example_summary(&self, name: &str) -> String {
        let text = fs::read_to_string(self.example_file(name)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("//!"));
        line.unwrap_or_default().trim().to_owned()
    }

    /// The oldest compiler that builds the workspace, from `rust-version`.
    pub fn rust_version(&self) -> (u32, u32) {
        let text = fs::read_to_string(self.root.join("Cargo.toml")).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let version = table
            .get("workspace")
            .and_then(|workspace| workspace.get("package")?.get("rust-version")?.as_str());
        version.and_then(crate::toolchain::release).unwrap_or_default()
    }
}

impl Board {
    /// Whether the board is this computer.
    pub fn is_host(&self) -> bool {
        self.metadata.target == HOST
    }

    /// Whether its programs can be run here: on the host itself or in an emulator.
    pub fn is_runnable(&self) -> bool {
        self.is_host() || self.metadata.qemu.is_some()
    }

    /// Whether the board lists the example `name`.
    pub fn has(&self, name: &str) -> bool {
        self.examples.iter().any(|example| example == name)
    }

    /// Its chip, if images can be written to it.
    pub fn chip(&self) -> Result<&str> {
        let why = || {
            let name = &self.name;
            format!("has no chip to write to (no `chip` in boards/{name}/Cargo.toml)")
        };
        let chip = self.metadata.chip.as_deref();
        chip.ok_or_else(|| Error::NotPossible { board: self.name.clone(), why: why() })
    }

    /// Fails if its programs can't be run here.
    pub fn check_runnable(&self) -> Result<()> {
        if self.is_runnable() {
            return Ok(());
        }
        let why = format!(
            "has no emulator (no `qemu` in boards/{0}/Cargo.toml)\n  `cargo board build EXAMPLE --on {0}` gives the image for the \
             hardware",
            self.name
        );
        Err(Error::NotPossible { board: self.name.clone(), why })
    }
}

fn is_workspace(manifest: &Path) -> bool {
    let table = fs::read_to_string(manifest).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.contains_key("workspace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("has a folder")).expect("can create");
        fs::write(path, text).expect("can write");
    }

    fn board(target: &str, examples: &[&str]) -> String {
        let mut text = format!(
            "[package]\nname = \"board-x\"\n[package.metadata.board]\nsummary = \"S\"\ntarget = \"{target}\"\n[lib]\nname = \"board\"\n"
        );
        for example in examples {
            text += &format!("[[bin]]\nname = \"{example}\"\npath = \"../../examples/{example}.rs\"\n");
        }
        text
    }

    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        write(root, "Cargo.toml", "[workspace]\n[workspace.package]\nrust-version = \"1.92\"\n");
        write(root, "boards/arm/Cargo.toml", &board("thumbv7m-none-eabi", &["blink"]));
        write(root, "boards/host/Cargo.toml", &board("host", &["quakes", "blink"]));
        write(root, "boards/shared/Cargo.toml", "[package]\nname = \"shared-chip\"\n");
        write(root, "boards/notes/README.md", "");
        write(root, "examples/blink.rs", "#![no_std]\n//! Blinks.\n//!\n//! More.\n");
        dir
    }

    #[test]
    fn boards_are_the_folders_that_describe_themselves_host_first() {
        let dir = sample();
        let workspace = Workspace::find(&dir.path().join("boards/arm")).expect("is found");
        let names: Vec<&str> = workspace.boards.iter().map(|board| board.name.as_str()).collect();
        assert_eq!(names, ["host", "arm"]);
        assert_eq!(workspace.examples().into_iter().collect::<Vec<_>>(), ["blink", "quakes"]);
        assert_eq!(workspace.board_crates.iter().collect::<Vec<_>>(), ["board", "shared_chip"]);
        assert_eq!(workspace.example_summary("blink"), "Blinks.");
        assert_eq!(workspace.rust_version(), (1, 92));
    }

    #[test]
    fn an_example_the_board_lacks_is_told_from_one_that_does_not_exist() {
        let dir = sample();
        let workspace = Workspace::read(dir.path()).expect("is read");
        let arm = workspace.board("arm").expect("is there");
        let lacking = workspace.check_example_on(arm, "quakes").expect_err("is not there");
        assert!(lacking.to_string().contains("it is on: host"), "{lacking}");
        let unknown = workspace.check_example_on(arm, "blinc").expect_err("is unknown");
        assert!(unknown.to_string().contains("did you mean `blink`?"), "{unknown}");
        write(dir.path(), "examples/blinker.rs", "");
        let unlisted = workspace.check_example("blinker").expect_err("is listed by none");
        assert!(unlisted.to_string().starts_with("no board has examples/blinker.rs\n"), "{unlisted}");
        assert_eq!((lacking.status(), unknown.status(), unlisted.status()), (2, 2, 2));
    }

    #[test]
    fn a_board_without_an_emulator_says_what_to_do() {
        let dir = sample();
        let workspace = Workspace::read(dir.path()).expect("is read");
        let error = workspace.board("arm").expect("is there").check_runnable().expect_err("can't run");
        assert!(error.to_string().contains("cargo board build EXAMPLE --on arm"), "{error}");
    }

    #[test]
    fn outside_a_workspace_the_error_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(matches!(Workspace::find(dir.path()), Err(Error::NoWorkspace { .. })));
    }
}
