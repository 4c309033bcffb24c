//! The command line: the commands, their help, and what each calls.

use std::{
    env,
    io::{self, Write},
    time::Duration,
};

use clap::{Parser, Subcommand};

use crate::{
    Error, Result, bench, build, checks,
    emulate::Run,
    flash,
    gate::Gate,
    install::Needs,
    lint, list,
    machine::ThisMachine,
    manifest::HOST,
    peers::How,
    session::Session,
    size, suite, targets,
    workspace::{Board, DEFAULT_BOARD, Workspace},
};

/// Builds, runs, tests and measures the examples on every board.
///
/// A board is a folder in `boards/`, an example a file in `examples/`; `cargo board list` shows both. Most
/// boards are emulated, so no hardware is needed. What is missing (compiler target, emulator) is installed on
/// first use where that is possible; otherwise the message says what to install.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo board",
    version,
    max_term_width = 100,
    after_help = "Start with:\n  cargo board list\n  cargo board run quakes\n  cargo board run quakes --on host\n  cargo board test"
)]
pub struct Cli {
    /// Install nothing: if something is missing, say exactly what and fail
    #[arg(long, global = true)]
    no_install: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what is missing for all boards, or for one
    ///
    /// Tries `rustup target add` first, then Debian's packages. For all boards, it also sees to the nightly
    /// tool-chain that `miri` and `sanitize` take. The other commands do this by themselves.
    #[command(
        after_help = "Examples:\n  cargo board setup\n  cargo board setup --on mps2-an385\n  cargo board setup --no-install"
    )]
    Setup {
        /// Only this board
        #[arg(long, value_name = "BOARD")]
        on: Option<String>,
    },
    /// Show the boards and the examples
    List,
    /// Build an example and print where its image is
    #[command(after_help = "Examples:\n  cargo board build quakes\n  cargo board build quakes --on host")]
    Build {
        /// A file in examples/, without `.rs`
        example: String,
        /// The board to build for
        #[arg(long, value_name = "BOARD", default_value = DEFAULT_BOARD)]
        on: String,
    },
    /// Build an example, run it, and exit with its status
    #[command(
        after_help = "Examples:\n  cargo board run quakes\n  cargo board run quakes --on host\n  cargo board run quakes -- -d int    \
                            (QEMU logs every interrupt)"
    )]
    Run {
        /// A file in examples/, without `.rs`
        example: String,
        /// The board to run on
        #[arg(long, value_name = "BOARD", default_value = DEFAULT_BOARD)]
        on: String,
        #[command(flatten)]
        limit: Limit,
        /// Arguments for the program (on the host) or for QEMU
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build an example, write it to the board's chip and run it there
    ///
    /// probe-rs does that, through a debug probe, and shows what the program prints.
    #[command(
        after_help = "Examples:\n  cargo board flash quakes --on microbit\n  cargo board flash quakes --on microbit --detach"
    )]
    Flash {
        /// A file in examples/, without `.rs`
        example: String,
        /// The board to write to
        #[arg(long, value_name = "BOARD")]
        on: String,
        /// Leave the program alone once it runs. It must not print through the debugger
        #[arg(long)]
        detach: bool,
    },
    /// Run all examples on all boards and compare their output
    ///
    /// What an example prints must equal tests/golden/EXAMPLE.txt, on the host as on every emulated board.
    /// Lines that begin with `~` are not compared: an example prints there what differs from board to board.
    #[command(
        after_help = "Examples:\n  cargo board test\n  cargo board test quakes --on mps2-an385\n  cargo board test quakes --bless"
    )]
    Test {
        /// Only this example
        example: Option<String>,
        /// Only this board
        #[arg(long, value_name = "BOARD")]
        on: Option<String>,
        /// Make the output on the first board (the host) the expected one; the other boards are compared with
        /// it
        #[arg(long)]
        bless: bool,
        #[command(flatten)]
        limit: Limit,
    },
    /// Count instructions per operation, beside a peer's
    ///
    /// Beside them the longest stretch with interrupts masked, for which the images are built and run a
    /// second time.
    ///
    /// On the host, which is measured only when it is named, these are the router's benches, beside other
    /// load balancers: time, allocations and instructions, in some minutes; what two executors on two
    /// threads cost each other; and the runtime beside others.
    #[command(
        after_help = "Examples:\n  cargo board bench\n  cargo board bench --json\n  cargo board bench --check    (fails if a cost \
                            rose by more than 2 %)\n  cargo board bench --on host"
    )]
    Bench {
        /// Only this board
        #[arg(long, value_name = "BOARD")]
        on: Option<String>,
        /// One JSON object a row instead of tables
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        gate: Gate,
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show the flash and the RAM that examples take, by part
    ///
    /// Boards with programs that a peer has too, printing the same, show both at two opt-levels, and what
    /// room for a task costs; then the goals. With --check and --bless the programs are run to see that they
    /// print the same.
    #[command(
        after_help = "Examples:\n  cargo board size\n  cargo board size quakes --on mps2-an385\n  cargo board size --check"
    )]
    Size {
        /// Only this example
        example: Option<String>,
        /// Only this board
        #[arg(long, value_name = "BOARD")]
        on: Option<String>,
        /// One JSON object an example instead of tables
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        gate: Gate,
    },
    /// Check firmware with clippy and rustfmt
    ///
    /// Firmware boards are workspaces of their own, so `cargo clippy` in the root does not see them. The
    /// libraries in boards/ that they share are checked as well. Warnings fail.
    #[command(after_help = "Examples:\n  cargo board lint\n  cargo board lint --on mps2-an385")]
    Lint {
        /// Only this board, with the libraries it uses
        #[arg(long, value_name = "BOARD")]
        on: Option<String>,
    },
    /// Run tests under Miri, which finds undefined behaviour
    ///
    /// Takes a nightly tool-chain of rustup's with Miri.
    #[command(
        after_help = "Examples:\n  cargo board miri            (the tests that are done in some minutes)\n  cargo board miri --all      \
                            (some hours)\n  cargo board miri sleeping   (a file in tests/tests)"
    )]
    Miri {
        /// Tests in tests/tests, without `.rs` [default: those that are done in some minutes]
        tests: Vec<String>,
        /// The slow ones too
        #[arg(long, conflicts_with = "tests")]
        all: bool,
        #[command(flatten)]
        limit: Limit,
    },
    /// Run the tests that have threads under ThreadSanitizer, which finds data races
    ///
    /// Takes a nightly tool-chain of rustup's with the standard library's source.
    Sanitize {
        /// As many rounds of each test as without ThreadSanitizer: ten million selects
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        limit: Limit,
    },
    /// Build the core for every target it promises to support
    ///
    /// The targets are listed in core/Cargo.toml, at `[package.metadata.targets]`.
    Targets,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Limit {
    /// Stop a program that runs longer than this and fail (status 124) [default: 60; 600 for
    /// `bench --on host`, 900 for `miri` and `sanitize`, 4 hours for `miri` with --all or tests]
    #[arg(long = "timeout", value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
}

impl Limit {
    fn or(self, default: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default))
    }
}

impl Command {
    fn limit(&self) -> Duration {
        match self {
            Self::Bench { limit, on: Some(on), .. } if on == HOST => limit.or(600),
            Self::Miri { limit, tests, all } if *all || !tests.is_empty() => limit.or(4 * 60 * 60),
            Self::Miri { limit, .. } | Self::Sanitize { limit, .. } => limit.or(900),
            Self::Run { limit, .. } | Self::Test { limit, .. } | Self::Bench { limit, .. } => limit.or(60),
            Self::Setup { .. }
            | Self::List
            | Self::Build { .. }
            | Self::Flash { .. }
            | Self::Lint { .. }
            | Self::Targets => Duration::ZERO,
            Self::Size { .. } => Duration::from_secs(60),
        }
    }
}

/// Does what the command line says and returns the exit status.
pub fn run(cli: Cli) -> Result<u8> {
    let here = env::current_dir().map_err(Error::io("find the current folder"))?;
    let workspace = Workspace::find(&here)?;
    let limit = cli.command.limit();
    let session = Session { workspace, machine: Box::new(ThisMachine), install: !cli.no_install, limit };
    match &cli.command {
        Command::Setup { on } => setup(&session, on.as_deref()),
        Command::List => {
            print!("{}", list::list(&session.workspace));
            Ok(0)
        }
        Command::Build { example, on } => build_one(&session, example, on),
        Command::Run { example, on, args, .. } => run_one(&session, example, on, args),
        Command::Flash { example, on, detach } => {
            flash::flash(&session, known(&session, example, on)?, example, *detach)?;
            Ok(0)
        }
        Command::Test { example, on, bless, .. } => {
            let tally = suite::test(&session, on.as_deref(), example.as_deref(), *bless)?;
            tally.status("nothing was tested: no example is listed by any of these boards")
        }
        Command::Bench { on, json, gate, how, .. } => {
            bench::bench(&session, on.as_deref(), *json, gate, *how)
        }
        Command::Size { example, on, json, gate } => {
            size::size(&session, on.as_deref(), example.as_deref(), *json, gate)
        }
        Command::Lint { on } => {
            lint::lint(&session, on.as_deref())?.status("nothing was checked: there is no firmware board")
        }
        Command::Miri { tests, all, .. } => checks::miri(&session, tests, *all),
        Command::Sanitize { all, .. } => checks::sanitize(&session, *all),
        Command::Targets => targets::targets(&session)?.status("nothing was built: no target is listed"),
    }
}

fn setup(session: &Session, on: Option<&str>) -> Result<u8> {
    let boards = session.workspace.chosen(on, |_| true)?;
    let ready = session.ensure(&Needs::of(boards.iter().copied(), true))?;
    for line in ready.lines() {
        println!("{line}");
    }
    if on.is_none() {
        checks::prepare(session)?;
        println!("Miri, and the source of the standard library: rustup's {}", checks::NIGHTLY);
    }
    println!("ready: {}", boards.iter().map(|board| board.name.as_str()).collect::<Vec<_>>().join(", "));
    Ok(0)
}

fn known<'a>(session: &'a Session, example: &str, on: &str) -> Result<&'a Board> {
    let board = session.workspace.board(on)?;
    session.workspace.check_example_on(board, example)?;
    Ok(board)
}

fn build_one(session: &Session, example: &str, on: &str) -> Result<u8> {
    let board = known(session, example, on)?;
    let ready = session.prepare(&Needs::of([board], false))?;
    let images = build::build(board, &ready, &[example])?;
    println!("{}", images.get(example)?.display());
    Ok(0)
}

fn run_one(session: &Session, example: &str, on: &str, args: &[String]) -> Result<u8> {
    let board = known(session, example, on)?;
    board.check_runnable()?;
    let ready = session.prepare(&Needs::of([board], true))?;
    let images = build::build(board, &ready, &[example])?;
    let run = Run { board, bin: example, image: images.get(example)?, args, limit: session.limit };
    let outcome = run.run(&ready, &mut io::stdout().lock())?;
    // A last line without an end must not have the shell's prompt or an error on it.
    if !outcome.output.is_empty() && !outcome.output.ends_with('\n') {
        let _ = writeln!(io::stdout());
    }
    run.status(&outcome)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_is_the_programs() {
        let cli = parse("x run quakes --timeout 5 -- -d int").expect("is right");
        assert_eq!(cli.command.limit(), Duration::from_secs(5));
        assert!(
            matches!(cli.command, Command::Run { args, on, .. } if args == ["-d", "int"] && on == DEFAULT_BOARD)
        );
    }

    #[test]
    fn a_program_has_a_minute_and_the_benches_on_the_host_have_ten() {
        let seconds = |line: &str| parse(line).expect("is right").command.limit().as_secs();
        assert_eq!(seconds("x bench --on mps2-an385"), 60);
        assert_eq!(seconds("x bench --on host --no-callgrind"), 600);
        assert_eq!(seconds("x bench --on host --quick --timeout 5"), 5);
        assert_eq!(["x miri", "x sanitize", "x miri --all"].map(seconds), [900, 900, 14_400]);
    }

    #[test]
    fn no_install_is_accepted_before_and_after_the_command() {
        assert!(parse("x --no-install setup").expect("is right").no_install);
        assert!(parse("x test --no-install").expect("is right").no_install);
    }

    #[test]
    fn the_budget_file_is_optional_and_never_an_example() {
        assert!(parse("x bench --check").is_ok());
        assert!(parse("x bench --check costs.toml").is_ok());
        assert!(parse("x size quakes --bless").is_ok());
        assert!(parse("x size --check quakes").is_err());
        assert!(parse("x bench --check --bless").is_err());
    }
}
