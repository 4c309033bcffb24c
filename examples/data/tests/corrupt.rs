//! A corrupt catalogue must stop the build, not shorten the table.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Builds this crate from `catalogue`, in a target folder of its own.
fn build(catalogue: &Path) -> Output {
    Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--package", "quake-table", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("corrupt"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("QUAKES_CSV", catalogue)
        .output()
        .expect("cargo starts")
}

#[test]
fn a_corrupt_row_fails_the_build_and_its_line_is_named() {
    let good = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/quakes.csv"))
        .expect("the catalogue is there");
    let corrupt = good.replacen("632150,us,5.30,", "632150,us,5.3o,", 1);
    assert_ne!(good, corrupt);
    let catalogue = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quakes.csv");
    fs::write(&catalogue, corrupt).expect("the temporary folder takes files");

    let output = build(&catalogue);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the build went through");
    assert!(errors.contains(r#"quakes.csv:4: mag: "5.3o" is not a decimal number"#), "{errors}");

    let absent = catalogue.with_file_name("absent.csv");
    let output = build(&absent);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the build went through");
    assert!(errors.contains("absent.csv: No such file"), "{errors}");
}
