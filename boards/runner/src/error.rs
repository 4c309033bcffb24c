//! Everything that can go wrong, each with what to do about it.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{checks, install::Missing};

/// Why a command stopped. `Display` says what happened and, on the lines that follow, what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No folder above the current one looks like the workspace.
    NoWorkspace {
        /// Where the search began.
        from: PathBuf,
    },
    /// A board's manifest can't be read as one.
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// The field and what is wrong with it.
        why: String,
    },
    /// A name on the command line that names nothing.
    Unknown {
        /// "board" or "example".
        kind: &'static str,
        /// The name as given.
        name: String,
        /// The known name that is nearest, if one is near.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// The example exists, but no board lists it.
    Unlisted {
        /// The example.
        example: String,
    },
    /// The example exists, but this board does not list it.
    NotOnBoard {
        /// The example.
        example: String,
        /// The board asked for.
        board: String,
        /// The boards that have it.
        on: Vec<String>,
    },
    /// The command can't be done on this board.
    NotPossible {
        /// The board.
        board: String,
        /// What it lacks, and what to use instead.
        why: String,
    },
    /// Arguments that don't go together.
    Usage(String),
    /// Tools are missing and were not installed.
    Missing(Missing),
    /// The operating system refused something.
    Io {
        /// What was being done, as in "can't READ this".
        doing: String,
        /// The refusal.
        source: io::Error,
    },
    /// Cargo did not build the binary; its own message is above this one.
    Build {
        /// The binary.
        bin: String,
        /// The board.
        board: String,
    },
    /// A program was stopped because it did not end in time.
    Hung {
        /// The program and its board.
        what: String,
        /// The limit it was given.
        limit: Duration,
        /// Its last lines of output.
        last: String,
    },
    /// The tool that counts the host's instructions is not installed.
    NoValgrind,
    /// The nightly tool-chain lacks what the tests are checked with, for this reason.
    NoNightly(String),
    /// The tool that writes to chips is not installed.
    NoProbeRs,
    /// The example did not get onto the hardware, or failed there.
    Flash {
        /// The example and its board.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A bench image did not give rows that can be used.
    Bench {
        /// The image and its board.
        what: String,
        /// What is wrong.
        why: String,
        /// Its last lines of output.
        last: String,
    },
    /// An image can't be read as an ELF file.
    Image {
        /// The image.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The budget file can't be read.
    Budget {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Images have functions of parts that they don't use, or lack those of parts that they use.
    Parts {
        /// The board.
        board: String,
        /// One line for each.
        wrong: Vec<String>,
    },
    /// Costs are outside the budget.
    OverBudget {
        /// The file.
        file: PathBuf,
        /// One line for each row that is out.
        rows: Vec<String>,
        /// The command that accepts the new figures.
        bless: String,
    },
}

impl Error {
    /// An [`Error::Io`] for use with `map_err`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// The exit status: 2 for a command line that can't be carried out as written, 124 for a program stopped
    /// by the time limit (as `timeout` has it), 1 for the rest.
    pub fn status(&self) -> u8 {
        match self {
            Self::Unknown { .. }
            | Self::Unlisted { .. }
            | Self::NotOnBoard { .. }
            | Self::NotPossible { .. }
            | Self::Usage(_) => 2,
            Self::Hung { .. } => 124,
            _ => 1,
        }
    }
}

/// Errors that don't keep a command from doing the rest.
#[derive(Debug, Default)]
pub struct Failures {
    status: u8,
}

impl Failures {
    /// The result's value; an error is printed instead.
    pub fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result
            .inspect_err(|error| {
                eprintln!("error: {error}");
                self.status = error.status();
            })
            .ok()
    }

    /// The exit status: the last error's, or success.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkspace { from } => write!(
                f,
                "{} is not inside a trilane workspace\n  go to a folder below the one that holds `boards/`",
                from.display()
            ),
            Self::Manifest { file, why } => write!(f, "{}: {why}", file.display()),
            Self::Unknown { kind, name, nearest, known } => {
                write!(f, "there is no {kind} `{name}`")?;
                if let Some(nearest) = nearest {
                    write!(f, "\n  did you mean `{nearest}`?")?;
                }
                match known.as_slice() {
                    [] => write!(f, "\n  there are no {kind}s yet"),
                    known => write!(f, "\n  known {kind}s: {}", known.join(", ")),
                }
            }
            Self::Unlisted { example } => write!(
                f,
                "no board has examples/{example}.rs\n  to add it to a board, list it as a [[bin]] in boards/BOARD/Cargo.toml"
            ),
            Self::NotOnBoard { example, board, on } => write!(
                f,
                "board `{board}` does not have the example `{example}`\n  it is on: {} (choose with --on BOARD)\n  to add it, list it \
                 as a [[bin]] in boards/{board}/Cargo.toml",
                on.join(", ")
            ),
            Self::NotPossible { board, why } => write!(f, "board `{board}` {why}"),
            Self::Usage(why) => f.write_str(why),
            Self::Missing(missing) => missing.fmt(f),
            Self::Io { doing, source } => write!(f, "can't {doing}: {source}"),
            Self::Build { bin, board } => {
                write!(f, "`{bin}` does not build for {board}\n  the compiler's or linker's message is above")
            }
            Self::Hung { what, limit, last } => {
                write!(f, "{what} was still running after {} s and was stopped", limit.as_secs_f32())?;
                write_last(f, last)?;
                write!(f, "\n  if it needs longer, give it more time with --timeout SECS")
            }
            Self::NoValgrind => f.write_str(
                "valgrind is missing, which counts instructions\n  install it with `apt-get install valgrind`, or count none with \
                 --no-callgrind",
            ),
            Self::NoNightly(why) => write!(
                f,
                "Miri and the source of the standard library are missing, with which the tests are checked\n  install them with \
                 `rustup {}`\n  note: {why}",
                checks::INSTALL.join(" ")
            ),
            Self::NoProbeRs => f.write_str(
                "probe-rs is missing, which writes images to chips\n  install it with `cargo install probe-rs-tools --locked`",
            ),
            Self::Flash { what, why } => {
                write!(f, "{what}: {why}\n  its message is above; `probe-rs list` shows the probes that are connected")
            }
            Self::Bench { what, why, last } => {
                write!(f, "{what}: {why}")?;
                if last.is_empty() { Ok(()) } else { write_last(f, last) }
            }
            Self::Image { file, why } => {
                write!(f, "{} is not an image that can be measured: {why}", file.display())
            }
            Self::Budget { file, why } => write!(f, "{}: {why}", file.display()),
            Self::Parts { board, wrong } => {
                write!(f, "what images for {board} have and what they use are not the same")?;
                wrong.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
            Self::OverBudget { file, rows, bless } => {
                write!(f, "outside the budget {}", file.display())?;
                for row in rows {
                    write!(f, "\n  {row}")?;
                }
                write!(f, "\n  if this is the new cost, accept it with `{bless}`")
            }
        }
    }
}

fn write_last(f: &mut fmt::Formatter<'_>, last: &str) -> fmt::Result {
    if last.is_empty() {
        return write!(f, "\n  it printed nothing");
    }
    write!(f, "\n  its last output:")?;
    for line in last.lines() {
        write!(f, "\n    {line}")?;
    }
    Ok(())
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
