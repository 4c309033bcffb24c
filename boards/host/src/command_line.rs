//! The program's command line, which belongs to the board: an example has no arguments of its own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

/// Status of a program that was started with arguments it does not know.
const USAGE: i32 = 2;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) real_time: bool,
}

/// What to do instead of running.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Help,
    Unknown(OsString),
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
        }
    })
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, Stop> {
    let mut options = Options::default();
    for argument in arguments {
        match argument.to_str() {
            Some("--real-time") => options.real_time = true,
            Some("--help" | "-h") => return Err(Stop::Help),
            _ => return Err(Stop::Unknown(argument)),
        }
    }
    Ok(options)
}

fn help(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program).display();
    format!(
        "usage: {name} [--real-time]\n\n\
         \x20 --real-time  wait as long as the timers say, instead of jumping from one to the next\n\
         \x20 --help       print this\n"
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
        assert_eq!(parsed(&[]), Ok(Options { real_time: false }));
        assert_eq!(parsed(&["--real-time"]), Ok(Options { real_time: true }));
        assert_eq!(parsed(&["--real-time", "--real-time"]), Ok(Options { real_time: true }));
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
        assert!(help.starts_with("usage: hello [--real-time]\n"), "{help}");
    }
}
