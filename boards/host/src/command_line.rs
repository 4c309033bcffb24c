//! The program's command line, which belongs to the board: an example has no arguments of its own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::exit;
use std::str::FromStr;
use std::sync::OnceLock;

use trilane_std::standstill::LIVELOCK_AFTER;

use crate::virtual_time::MOST;

/// Status of a program that was started with arguments it does not know.
const USAGE: i32 = 2;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) real_time: bool,
    /// The passes without a move of the virtual clock that make a livelock.
    pub(crate) livelock_after: u32,
    /// The threads that poll the tasks; none: the one that starts the executor, as on a chip.
    pub(crate) workers: Option<usize>,
}

impl Options {
    const NONE: Self = Self { real_time: false, livelock_after: LIVELOCK_AFTER, workers: None };
}

/// What to do instead of running.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Help,
    Unknown(OsString),
    /// The option wants a number, and there is none or something else.
    NoNumber(&'static str),
    /// The number of workers is out of range.
    Workers(usize),
}

/// The options, read once. Ends the program when the command line asks for help or is wrong.
pub(crate) fn options() -> Options {
    static OPTIONS: OnceLock<Options> = OnceLock::new();
    *OPTIONS.get_or_init(|| {
        let mut arguments = env::args_os();
        let program = arguments.next().unwrap_or_default();
        match parse(arguments) {
            Ok(options) => options,
            Err(Stop::Help) => {
                std::print!("{}", help(&program));
                exit(0)
            }
            Err(Stop::Unknown(argument)) => {
                std::eprint!("error: unknown argument {argument:?}\n\n{}", help(&program));
                exit(USAGE)
            }
            Err(Stop::NoNumber(option)) => {
                std::eprint!("error: {option} wants a number after it\n\n{}", help(&program));
                exit(USAGE)
            }
            Err(Stop::Workers(number)) => {
                std::eprint!("error: --workers takes 1 to {MOST}, not {number}\n\n{}", help(&program));
                exit(USAGE)
            }
        }
    })
}

/// Ends the program if it got `--workers`, which it can't take.
pub(crate) fn refuse_workers(why: &str) {
    if options().workers.is_some() {
        std::eprintln!("error: run this program without --workers: {why}");
        exit(USAGE)
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Options, Stop> {
    let mut options = Options::NONE;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--real-time") => options.real_time = true,
            Some("--livelock-after") => {
                options.livelock_after = number("--livelock-after", arguments.next())?;
            }
            Some("--workers") => match number("--workers", arguments.next())? {
                workers @ 1..=MOST => options.workers = Some(workers),
                wrong => return Err(Stop::Workers(wrong)),
            },
            Some("--help" | "-h") => return Err(Stop::Help),
            _ => return Err(Stop::Unknown(argument)),
        }
    }
    Ok(options)
}

fn number<N: FromStr>(option: &'static str, argument: Option<OsString>) -> Result<N, Stop> {
    argument.and_then(|number| number.to_str()?.parse().ok()).ok_or(Stop::NoNumber(option))
}

fn help(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program).display();
    format!(
        "usage: {name} [--real-time] [--workers NUMBER] [--livelock-after PASSES]\n\n\
         \x20 --real-time              wait as long as the timers say, instead of jumping\n\
         \x20                          from one to the next\n\
         \x20 --workers NUMBER         so many threads poll the tasks, 1 to {MOST}; not for programs\n\
         \x20                          that drive their executor pass by pass, have one that\n\
         \x20                          pre-empts it, or a second core\n\
         \x20 --livelock-after PASSES  give up when virtual time stands still for so many\n\
         \x20                          passes of the executors ({LIVELOCK_AFTER})\n\
         \x20 --help                   print this\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, Stop> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn time_is_virtual_unless_asked_otherwise() {
        let real = Options { real_time: true, ..Options::NONE };
        assert_eq!(parsed(&[]), Ok(Options::NONE));
        assert_eq!(parsed(&["--real-time"]), Ok(real));
        assert_eq!(parsed(&["--real-time", "--real-time"]), Ok(real));
    }

    #[test]
    fn the_limit_of_passes_is_a_number() {
        let limited = Options { livelock_after: 70, ..Options::NONE };
        assert_eq!(parsed(&["--livelock-after", "70"]), Ok(limited));
        assert_eq!(parsed(&["--livelock-after", "9", "--livelock-after", "70"]), Ok(limited));
        let both = Options { real_time: true, ..limited };
        assert_eq!(parsed(&["--livelock-after", "70", "--real-time"]), Ok(both));
        for wrong in
            [&["--livelock-after"][..], &["--livelock-after", "--real-time"], &["--livelock-after", "-1"]]
        {
            assert_eq!(parsed(wrong), Err(Stop::NoNumber("--livelock-after")));
        }
    }

    #[test]
    fn the_workers_are_a_number_in_range() {
        for workers in [1, 2, MOST] {
            let several = Options { workers: Some(workers), ..Options::NONE };
            assert_eq!(parsed(&["--workers", &workers.to_string()]), Ok(several));
        }
        let both = Options { real_time: true, workers: Some(3), ..Options::NONE };
        assert_eq!(parsed(&["--workers", "3", "--real-time"]), Ok(both));
        for wrong in [0, MOST + 1, usize::MAX] {
            assert_eq!(parsed(&["--workers", &wrong.to_string()]), Err(Stop::Workers(wrong)));
        }
        for wrong in
            [&["--workers"][..], &["--workers", "--real-time"], &["--workers", "-1"], &["--workers", "x"]]
        {
            assert_eq!(parsed(wrong), Err(Stop::NoNumber("--workers")));
        }
    }

    #[test]
    fn an_unknown_argument_is_refused() {
        for unknown in ["", "real-time", "--realtime", "--real-time=1", "--", "-r"] {
            assert_eq!(parsed(&["--real-time", unknown]), Err(Stop::Unknown(unknown.into())));
        }
    }

    #[test]
    fn help_names_the_program_and_its_option() {
        assert_eq!(parsed(&["--help"]), Err(Stop::Help));
        assert_eq!(parsed(&["-h"]), Err(Stop::Help));
        let help = help(OsStr::new("bin/hello"));
        assert!(
            help.starts_with("usage: hello [--real-time] [--workers NUMBER] [--livelock-after PASSES]\n"),
            "{help}"
        );
    }
}
