//! What must not build doesn't, and says why.
//!
//! Each file of `build-fail/` is a program whose first line tells what the compiler must say:
//! `//~ ERROR text`, or `//~ BUILDS` for the control, which shows that the harness builds what is right. The
//! sizes of futures are known only when code is generated, so the programs are built, not checked: as the
//! binaries of one throw-away package, beside the other build output, each by a `cargo build` of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program, by its name and its path.
struct Case {
    name: String,
    path: PathBuf,
    /// The text of the error; none for a program that must build.
    error: Option<String>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/build-fail");
    let mut cases: Vec<Case> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let source = fs::read_to_string(&path).unwrap();
            let first = source.lines().next().unwrap_or_default();
            let error = first.strip_prefix("//~ ERROR ").map(str::to_owned);
            assert!(error.is_some() || first == "//~ BUILDS", "{name} must begin with what it expects");
            Case { name, path, error }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Writes the package and returns its manifest's path.
fn package(cases: &[Case]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-fail");
    fs::create_dir_all(&folder).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // The versions that the workspace has are there already, so nothing has to be fetched.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let core = root.join("core").canonicalize().unwrap();
    let mut manifest = format!(
        "[workspace]\n[package]\nname = \"build-fail\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [profile.dev]\ndebug = false\nincremental = false\n\
         [dependencies]\ntrilane.path = {core:?}\ncritical-section = {{ version = \"1\", features = [\"std\"] }}\n"
    );
    for Case { name, path, .. } in cases {
        writeln!(manifest, "[[bin]]\nname = {name:?}\npath = {path:?}").unwrap();
    }
    let path = folder.join("Cargo.toml");
    fs::write(&path, manifest).unwrap();
    path
}

/// What the compiler says, and whether it built.
fn build(manifest: &Path, case: &Case) -> (String, bool) {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--color=never", "--bin", &case.name, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(manifest.with_file_name("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.success())
}

#[test]
fn what_must_not_build_says_why() {
    let cases = cases();
    assert!(cases.iter().any(|case| case.error.is_none()), "there is no control");
    let manifest = package(&cases);
    let mut wrong = String::new();
    for case in &cases {
        let (said, built) = build(&manifest, case);
        let right = match &case.error {
            None => built,
            Some(error) => !built && said.contains(error.as_str()),
        };
        if !right {
            writeln!(wrong, "=== {} (expected: {:?}; built: {built})\n{said}", case.name, case.error)
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
