//! A board's own description of itself: `[package.metadata.board]` in its Cargo.toml.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;

use crate::{Error, Result, suggest::unknown};

/// The target of the board that is this computer.
pub const HOST: &str = "host";

/// The part of a Cargo.toml that this tool reads.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// `[package]`, absent in a workspace root.
    pub package: Option<Package>,
    /// `[lib]`.
    pub lib: Option<Lib>,
    /// All `[[bin]]`.
    #[serde(default, rename = "bin")]
    pub bins: Vec<Bin>,
    /// `[profile]`.
    #[serde(default)]
    profile: Profiles,
}

/// `[profile]`.
#[derive(Debug, Default, Deserialize)]
struct Profiles {
    #[serde(default)]
    release: Profile,
}

/// `[profile.release]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Profile {
    opt_level: Option<toml::Value>,
}

/// `[package]`.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// `[package.metadata]`.
    #[serde(default)]
    pub metadata: PackageMetadata,
}

/// `[package.metadata]`.
#[derive(Debug, Default, Deserialize)]
pub struct PackageMetadata {
    /// What makes this package a board.
    pub board: Option<Metadata>,
}

/// `[lib]`.
#[derive(Debug, Deserialize)]
pub struct Lib {
    /// The name the crate is used by.
    pub name: Option<String>,
}

/// One `[[bin]]`.
#[derive(Clone, Debug, Deserialize)]
pub struct Bin {
    /// The binary's name.
    pub name: String,
    /// The file, relative to the manifest.
    pub path: Option<String>,
}

/// `[package.metadata.board]`. An unknown field is an error, so that a misspelt one is not ignored in
/// silence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metadata {
    /// One line for `cargo board list`.
    pub summary: String,
    /// The compiler's target, or [`HOST`].
    pub target: String,
    /// How to emulate it; absent for the host and for boards that only exist as hardware.
    pub qemu: Option<Qemu>,
    /// The chip as probe-rs names it; absent where there is no hardware to write to.
    pub chip: Option<String>,
    /// Size of the flash in KiB.
    pub flash_kib: Option<u32>,
    /// Size of the RAM in KiB.
    pub ram_kib: Option<u32>,
    /// The bench images: trilane's and those of peers. Where two peers have the same operation, the one
    /// listed first is compared.
    #[serde(default)]
    pub benches: Vec<Binary>,
    /// The programs whose size is shown, beside a peer's.
    #[serde(default)]
    pub compared: Vec<Compared>,
    /// The images that tell what a task of capacity costs.
    pub capacity: Option<Capacity>,
}

/// A program whose size is shown, at two opt-levels, beside that of a peer's program which prints the same,
/// if there is one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compared {
    /// The program: an example or another binary.
    pub image: Binary,
    /// The peer's; none if no peer has what the program uses.
    pub peer: Option<Peer>,
    /// What the program is to take at most.
    #[serde(default)]
    pub goals: Vec<Goal>,
}

/// `peer` in [`Compared`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Peer {
    /// Which project, with its version.
    pub name: String,
    /// The package of its program.
    pub package: String,
    /// The program.
    pub bin: String,
    /// What the names of its crates begin with, and of the program's modules that are its executor's part.
    pub crates: String,
}

/// One of `goals` in [`Compared`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Goal {
    /// What takes the flash.
    pub of: Whose,
    /// The opt-level that it is about.
    pub opt_level: String,
    /// Bytes of flash.
    pub bytes: u64,
}

/// What takes the flash that a [`Goal`] is about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// All of the image.
    Image,
    /// The executor in it.
    Executor,
}

/// Images of one firmware that differ in the number of tasks that there is room for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capacity {
    /// Their package.
    pub package: String,
    /// With room for few tasks.
    pub few: Room,
    /// With room for many.
    pub many: Room,
    /// What a task of capacity is to take at most, in bytes of flash.
    pub goal: u64,
}

/// One of the images in [`Capacity`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Room {
    /// The binary.
    pub bin: String,
    /// The tasks that it has room for.
    pub tasks: u32,
}

/// A bench image or one whose size is compared. One whose dependencies need other cargo features than the
/// board's is in a package of its own, because features unify within one build.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "an image must be a binary's name, or { package = \"NAME\", bin = \"NAME\" }")]
pub enum Binary {
    /// A binary of the board's package.
    Own(String),
    /// A binary of another package in the board's workspace.
    Other {
        /// The package.
        package: String,
        /// The binary.
        bin: String,
    },
}

impl Binary {
    /// The binary.
    pub fn bin(&self) -> &str {
        match self {
            Self::Own(bin) | Self::Other { bin, .. } => bin,
        }
    }

    /// The package it is in, on a board whose own package is `own`.
    pub fn package<'a>(&'a self, own: &'a str) -> &'a str {
        match self {
            Self::Own(_) => own,
            Self::Other { package, .. } => package,
        }
    }
}

/// `qemu` in [`Metadata`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Qemu {
    /// The emulator, looked up on PATH.
    pub program: String,
    /// The Debian package that holds it.
    pub debian_package: String,
    /// Its arguments; the image's path is added at the end.
    pub args: Vec<String>,
    /// By example or bench image, more arguments, which follow the image's path: QEMU lets the later of two
    /// win.
    #[serde(default)]
    pub args_for: BTreeMap<String, Vec<String>>,
}

impl Metadata {
    /// A binary that `benches` names more than once, which is wrong even if the packages differ: the images
    /// would have the same path.
    pub fn repeated_bench(&self) -> Option<&str> {
        let repeated = |(index, bench): &(usize, &Binary)| {
            self.benches[..*index].iter().any(|other| other.bin() == bench.bin())
        };
        self.benches.iter().enumerate().find(repeated).map(|(_, bench)| bench.bin())
    }
}

impl Manifest {
    /// Parses `text`; `file` is only named in errors.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        let wrong = |why: String| Error::Manifest { file: file.to_owned(), why };
        let manifest: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let board = manifest.package.as_ref().and_then(|package| package.metadata.board.as_ref());
        if board.is_some_and(|board| board.target == HOST && board.qemu.is_some()) {
            return Err(wrong(
                "[package.metadata.board]: `qemu` makes no sense with `target = \"host\"`".into(),
            ));
        }
        if let Some(board) = board
            && let Some(qemu) = &board.qemu
        {
            let bins = manifest.bins.iter().map(|bin| bin.name.as_str());
            let known: BTreeSet<&str> = bins.chain(board.benches.iter().map(Binary::bin)).collect();
            if let Some(name) = qemu.args_for.keys().find(|name| !known.contains(name.as_str())) {
                let unknown = unknown("image", name, known.into_iter().map(str::to_owned).collect());
                return Err(wrong(format!("[package.metadata.board]: `args-for` in `qemu`: {unknown}")));
            }
        }
        Ok(manifest)
    }

    /// The opt-level of an image in release, as the profile has it or as cargo does.
    pub fn opt_level(&self) -> String {
        match &self.profile.release.opt_level {
            Some(toml::Value::String(level)) => level.clone(),
            Some(level) => level.to_string(),
            None => "3".into(),
        }
    }
}

impl Bin {
    /// Whether this is one of the examples: its file lies in the workspace's `examples/`.
    pub fn is_example(&self) -> bool {
        self.path.as_deref().is_some_and(|path| path.starts_with("../../examples/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(board: &str) -> Result<Manifest> {
        let text = format!(
            "[package]\nname = \"board-a\"\n[package.metadata.board]\n{board}\n[[bin]]\nname = \"bench-a\"\npath = \"bench.rs\"\n"
        );
        Manifest::parse(Path::new("boards/a/Cargo.toml"), &text)
    }

    fn complaint(board: &str) -> String {
        parse(board).expect_err("is wrong").to_string()
    }

    #[test]
    fn a_complete_description_is_read() {
        let manifest = parse(
            "summary = \"A\"\ntarget = \"thumbv7m-none-eabi\"\nflash-kib = 256\nram-kib = 16\nbenches = [\"bench-a\"]\n\
             qemu = { program = \"q\", debian-package = \"p\", args = [\"-kernel\"] }",
        )
        .expect("is right");
        let board = manifest.package.and_then(|package| package.metadata.board).expect("is a board");
        assert_eq!((board.flash_kib, board.ram_kib), (Some(256), Some(16)));
        assert_eq!(board.qemu.map(|qemu| qemu.debian_package).as_deref(), Some("p"));
    }

    #[test]
    fn arguments_for_an_image_that_the_board_lacks_are_an_error() {
        let description = |name: &str| {
            format!(
                "summary = \"A\"\ntarget = \"t\"\nbenches = [\"other\"]\n\
                 qemu = {{ program = \"q\", debian-package = \"p\", args = [], args-for = {{ {name} = [\"-smp\", \"2\"] }} }}"
            )
        };
        for name in ["bench-a", "other"] {
            let manifest = parse(&description(name)).expect("is right");
            let board = manifest.package.and_then(|package| package.metadata.board).expect("is a board");
            assert_eq!(board.qemu.expect("has one").args_for[name], ["-smp", "2"]);
        }
        assert_eq!(
            complaint(&description("bench-b")),
            "boards/a/Cargo.toml: [package.metadata.board]: `args-for` in `qemu`: there is no image `bench-b`\n  did you mean \
             `bench-a`?\n  known images: bench-a, other"
        );
    }

    #[test]
    fn a_missing_field_is_named_with_its_file() {
        let text = complaint("summary = \"A\"");
        assert!(text.starts_with("boards/a/Cargo.toml: "), "{text}");
        assert!(text.contains("missing field `target`"), "{text}");
        let text = complaint("summary = \"A\"\ntarget = \"t\"\nqemu = { program = \"q\", args = [] }");
        assert!(text.contains("missing field `debian-package`"), "{text}");
    }

    #[test]
    fn a_misspelt_field_and_a_wrong_type_are_named() {
        let text = complaint("summary = \"A\"\ntarget = \"t\"\nflash-kb = 1");
        assert!(text.contains("unknown field `flash-kb`"), "{text}");
        let text = complaint("summary = \"A\"\ntarget = \"t\"\nflash-kib = \"many\"");
        assert!(text.contains("flash-kib = \"many\"") && text.contains("invalid type"), "{text}");
    }

    #[test]
    fn a_bench_is_a_binary_of_the_board_or_of_another_package() {
        let manifest =
            parse("summary = \"A\"\ntarget = \"t\"\nbenches = [\"a\", { package = \"p\", bin = \"b\" }]");
        let board = manifest
            .expect("is right")
            .package
            .and_then(|package| package.metadata.board)
            .expect("is a board");
        let benches: Vec<(&str, &str)> =
            board.benches.iter().map(|bench| (bench.package("own"), bench.bin())).collect();
        assert_eq!(benches, [("own", "a"), ("p", "b")]);
        let twice =
            parse("summary = \"A\"\ntarget = \"t\"\nbenches = [\"b\", { package = \"p\", bin = \"b\" }]");
        let board = twice.expect("is right").package.and_then(|package| package.metadata.board);
        assert_eq!(board.expect("is a board").repeated_bench(), Some("b"));
    }

    #[test]
    fn a_package_without_the_description_is_no_board() {
        let manifest =
            Manifest::parse(Path::new("Cargo.toml"), "[package]\nname = \"lib\"").expect("is right");
        assert!(manifest.package.expect("has one").metadata.board.is_none());
    }
}
