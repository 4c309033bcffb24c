//! The tool as its user meets it, on a small workspace with a host board and an emulated board whose emulator
//! does not exist.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().expect("has a folder")).expect("can create");
    fs::write(path, text).expect("can write");
}

fn manifest(name: &str, metadata: &str, examples: &[&str]) -> String {
    let bins: String = examples
        .iter()
        .map(|name| format!("[[bin]]\nname = \"{name}\"\npath = \"../../examples/{name}.rs\"\n"))
        .collect();
    format!(
        "[package]\nname = \"board-{name}\"\nedition = \"2024\"\n[package.metadata.board]\nsummary = \"A {name}\"\n{metadata}\n{bins}"
    )
}

fn workspace() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path();
    write(
        root,
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"boards/host\"]\nexclude = [\"boards/chip\"]\n",
    );
    write(
        root,
        "boards/host/Cargo.toml",
        &manifest("host", "target = \"host\"", &["hello", "seven", "broken"]),
    );
    let chip = "target = \"thumbv7m-none-eabi\"\nqemu = { program = \"no-such-emulator\", debian-package = \"its-package\", args = [] }";
    write(root, "boards/chip/Cargo.toml", &manifest("chip", chip, &["hello"]));
    write(
        root,
        "examples/hello.rs",
        "//! Greets.\nfn main() {\n    println!(\"~ here\\nhello\");\n    std::env::args().skip(1).for_each(|arg| println!(\"{arg}\"));\n}\n",
    );
    write(root, "examples/seven.rs", "//! Ends with 7.\nfn main() {\n    std::process::exit(7)\n}\n");
    write(root, "examples/broken.rs", "//! Does not compile.\nfn main() {\n    nothing\n}\n");
    dir
}

fn board(workspace: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-board"));
    command.current_dir(workspace.path()).arg("--no-install").args(args);
    command.env_remove("CARGO_TARGET_DIR").output().expect("can be started")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn list_shows_boards_and_examples() {
    let output = board(&workspace(), &["list"]);
    assert_eq!(
        stdout(&output),
        "Boards\n  host  host                this computer                 A host\n  chip  thumbv7m-none-eabi  emulated by no-such-emulator  A \
         chip\n\nExamples\n  broken  host        Does not compile.\n  hello   all boards  Greets.\n  seven   host        Ends with 7.\n"
    );
}

#[test]
fn run_passes_arguments_output_and_status_through() {
    let workspace = workspace();
    let hello = board(&workspace, &["run", "hello", "--on", "host", "--", "--loud"]);
    assert_eq!((hello.status.code(), stdout(&hello).as_str()), (Some(0), "~ here\nhello\n--loud\n"));
    assert_eq!(board(&workspace, &["run", "seven", "--on", "host"]).status.code(), Some(7));
}

#[test]
fn an_example_that_does_not_compile_is_named() {
    let output = board(&workspace(), &["run", "broken", "--on", "host"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("error: `broken` does not build for host"), "{}", stderr(&output));
}

#[test]
fn unknown_names_end_with_status_two_and_a_suggestion() {
    let workspace = workspace();
    let example = board(&workspace, &["run", "helo", "--on", "host"]);
    assert_eq!(example.status.code(), Some(2));
    assert!(
        stderr(&example).contains("there is no example `helo`\n  did you mean `hello`?\n"),
        "{}",
        stderr(&example)
    );
    let unknown = board(&workspace, &["test", "--on", "hots"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("did you mean `host`?\n  known boards: host, chip"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn a_missing_tool_is_named_and_nothing_is_skipped() {
    let workspace = workspace();
    let setup = board(&workspace, &["setup"]);
    assert_eq!(setup.status.code(), Some(1));
    let text = stderr(&setup);
    assert!(text.contains("no-such-emulator"), "{text}");
    assert!(text.contains("apt-get install --no-install-recommends its-package"), "{text}");
    assert!(text.contains("nothing was installed because of --no-install"), "{text}");

    let test = board(&workspace, &["test", "hello", "--on", "chip"]);
    assert_eq!(test.status.code(), Some(1));
    let text = stdout(&test);
    assert!(text.starts_with("FAILED  hello on chip\n        missing: "), "{text}");
    assert!(text.contains("no-such-emulator") && text.ends_with("\n0 passed, 1 failed\n"), "{text}");
}

#[test]
fn a_golden_output_is_blessed_then_held() {
    let workspace = workspace();
    let missing = board(&workspace, &["test", "hello", "--on", "host"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stdout(&missing).contains("cargo board test hello --bless"), "{}", stdout(&missing));

    let blessed = board(&workspace, &["test", "hello", "--on", "host", "--bless"]);
    assert_eq!(stdout(&blessed), "ok      hello on host (blessed)\n1 passed, 0 failed\n");
    let golden = workspace.path().join("tests/golden/hello.txt");
    assert_eq!(fs::read_to_string(&golden).expect("is there"), "hello\n");
    assert_eq!(board(&workspace, &["test", "hello", "--on", "host"]).status.code(), Some(0));

    fs::write(&golden, "hallo\n").expect("can write");
    let other = board(&workspace, &["test", "hello", "--on", "host"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stdout(&other).contains("    1 - hallo\n              + hello\n"), "{}", stdout(&other));
    assert!(stdout(&other).ends_with("\n0 passed, 1 failed\n"), "{}", stdout(&other));
}

#[test]
fn testing_nothing_is_no_success() {
    let workspace = workspace();
    write(workspace.path(), "boards/host/Cargo.toml", &manifest("host", "target = \"host\"", &[]));
    let output = board(&workspace, &["test", "--on", "host"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), "0 passed, 0 failed\n"));
}

#[test]
fn what_no_run_would_look_at_is_a_failure() {
    let workspace = workspace();
    write(workspace.path(), "boards/host/Cargo.toml", &manifest("host", "target = \"host\"", &["hello"]));
    write(
        workspace.path(),
        "boards/chip/Cargo.toml",
        &manifest("chip", "target = \"thumbv7m-none-eabi\"", &["seven"]),
    );
    write(workspace.path(), "tests/golden/hello.txt", "hello\n");
    write(workspace.path(), "tests/golden/helo.txt", "hello\n");
    let output = board(&workspace, &["test"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "ok      hello on host\n\
         FAILED  broken on no board\n        no board has examples/broken.rs\n          \
         to add it to a board, list it as a [[bin]] in boards/BOARD/Cargo.toml\n\
         FAILED  helo on no board\n        there is no example for tests/golden/helo.txt\n\
         FAILED  seven on no board\n        it is only on boards that can't be run here: list it on one that can, such as \
         the host\n\
         1 passed, 3 failed\n"
    );
    assert_eq!(board(&workspace, &["test", "hello"]).status.code(), Some(0));
    let seven = board(&workspace, &["test", "seven"]);
    assert_eq!(seven.status.code(), Some(1));
    assert!(stdout(&seven).starts_with("FAILED  seven on no board\n"), "{}", stdout(&seven));
}

#[test]
fn measuring_nothing_is_no_success() {
    let workspace = workspace();
    for args in [&["bench", "--check"][..], &["size", "seven", "--check"]] {
        let output = board(&workspace, args);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).starts_with("error: nothing was measured: "), "{}", stderr(&output));
    }
}

#[test]
fn a_failing_example_is_a_failure_whatever_it_printed() {
    let workspace = workspace();
    write(workspace.path(), "tests/golden/seven.txt", "");
    let output = board(&workspace, &["test", "seven", "--on", "host"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("FAILED  seven on host\n        ended with status 7"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_wrong_board_description_is_named_with_file_and_field() {
    let workspace = workspace();
    write(workspace.path(), "boards/chip/Cargo.toml", &manifest("chip", "targett = \"x\"", &[]));
    let output = board(&workspace, &["list"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("boards/chip/Cargo.toml") && text.contains("unknown field `targett`"), "{text}");
}

/// A stand-in for the benches beside peers: it prints its arguments as a remark, then rows.
fn with_peers(status: i32) -> TempDir {
    let workspace = workspace();
    let root = workspace.path();
    let manifest = "[workspace]\n[package]\nname = \"trilane-peers\"\nedition = \"2024\"\n";
    write(root, "tests/peers/Cargo.toml", manifest);
    let row = |who: &str, ns: f64| {
        format!(r#"{{"op":"rr","n":16,"who":"{who}","ns":{ns:?},"allocations":0.0,"notes":[]}}"#)
    };
    let goal = r#"{"goal":"fast","ns":20,"ops":["rr"]}"#;
    let rows = [row("trilane", 10.0), row("other", 40.0), goal.to_owned()].join("\n");
    let main = format!(
        "fn main() {{\n    println!(\"{{:?}}\", std::env::args().skip(1).collect::<Vec<_>>());\n    print!(\"{{}}\", {rows:?});\n    \
         std::process::exit({status});\n}}\n"
    );
    write(root, "tests/peers/src/main.rs", &main);
    workspace
}

#[test]
fn the_hosts_benches_stand_beside_peers() {
    let workspace = with_peers(0);
    let output = board(&workspace, &["bench", "--on", "host", "--no-callgrind"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.starts_with("host: beside others, each operation\n  []\n"), "{text}");
    assert!(text.contains("other    40.0         0.00                0.250\n"), "{text}");
    assert!(text.ends_with("  fast  rr 16  20  10.0  40.0  other  1 of 1\n"), "{text}");

    let json = board(&workspace, &["bench", "--on", "host", "--no-callgrind", "--json"]);
    let lines: Vec<String> = stdout(&json).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(r#"{"board":"host","op":"rr","n":16,"ns":10.0"#), "{lines:?}");
    assert!(lines[1].starts_with(r#"{"board":"host","goal":"fast""#), "{lines:?}");
}

#[test]
fn a_quick_run_of_the_hosts_benches_fails_when_they_do() {
    let passes = board(&with_peers(0), &["bench", "--on", "host", "--quick"]);
    assert_eq!(
        (passes.status.code(), stdout(&passes).as_str()),
        (Some(0), "host: 2 rows of 1 operations run; trilane allocates in none\n")
    );
    let fails = board(&with_peers(1), &["bench", "--on", "host", "--quick"]);
    assert_eq!(fails.status.code(), Some(1));
    assert!(stderr(&fails).contains("trilane-peers on host: ended with status 1"), "{}", stderr(&fails));
    assert!(stderr(&fails).contains("[\"--quick\"]"), "{}", stderr(&fails));
}

#[test]
fn what_only_some_benches_have_is_refused_elsewhere() {
    let workspace = workspace();
    let none = board(&workspace, &["bench", "--on", "host", "--no-callgrind"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("there is no package in tests/peers"), "{}", stderr(&none));
    let budget = board(&workspace, &["bench", "--on", "host", "--check"]);
    assert_eq!(budget.status.code(), Some(2));
    assert!(stderr(&budget).contains("board `host` has no budget"), "{}", stderr(&budget));
    let quick = board(&workspace, &["bench", "--on", "chip", "--quick"]);
    assert_eq!(quick.status.code(), Some(2));
    assert!(stderr(&quick).contains("`cargo board bench --on host`"), "{}", stderr(&quick));
}

#[test]
fn linting_the_host_names_the_commands_that_do_it() {
    let output = board(&workspace(), &["lint", "--on", "host"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`cargo clippy --workspace`"), "{}", stderr(&output));
}

#[test]
fn a_core_without_a_list_of_targets_is_named() {
    let workspace = workspace();
    write(workspace.path(), "core/Cargo.toml", "[package]\nname = \"core\"\n");
    let output = board(&workspace, &["targets"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("core/Cargo.toml") && text.contains("missing field `metadata`"), "{text}");
}

#[test]
fn outside_the_workspace_the_error_says_where_to_go() {
    let output = board(&tempfile::tempdir().expect("a folder"), &["list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is not inside a trilane workspace"), "{}", stderr(&output));
}
