//! The platform of the host's executor: virtual or real time, as the command line says.

use trilane::exec::Platform;
use trilane::time::Instant;
use trilane_std::simulation::Virtual;
use trilane_std::thread::Thread;

use crate::command_line;

/// The platform of the thread-mode executor.
///
/// In virtual time ([`Virtual`]) unless the program got `--real-time` ([`Thread`]); the first use decides for the whole
/// run. A program in virtual time in which nothing can happen any more panics, instead of hanging as a chip would.
///
/// Each `Board` has a clock of its own, so a program has one.
///
/// # Examples
///
/// ```
/// use board::Board;
/// use trilane::exec::Platform;
/// use trilane::time::Instant;
///
/// static BOARD: Board = Board::new();
///
/// BOARD.set_alarm(Some(Instant::from_secs(3600)));
/// BOARD.idle(&|| true);
/// assert_eq!(BOARD.now(), Instant::from_secs(3600));
/// ```
#[derive(Debug, Default)]
pub struct Board {
    simulation: Virtual,
    thread: Thread,
}

impl Board {
    /// The platform of the thread that will first idle on it.
    pub const fn new() -> Self {
        Self { simulation: Virtual::new(), thread: Thread::new() }
    }
}

/// Calls a method of the platform that the command line chose.
macro_rules! chosen {
    ($board:ident . $method:ident ( $($argument:expr)? )) => {
        if command_line::options().real_time {
            $board.thread.$method($($argument)?)
        } else {
            $board.simulation.$method($($argument)?)
        }
    };
}

impl Platform for Board {
    const PENDS: bool = Virtual::PENDS || Thread::PENDS;

    fn now(&self) -> Instant {
        chosen!(self.now())
    }

    fn set_alarm(&self, at: Option<Instant>) {
        chosen!(self.set_alarm(at))
    }

    fn pend(&self) {
        chosen!(self.pend())
    }

    fn idle(&self, quiet: &dyn Fn() -> bool) {
        chosen!(self.idle(quiet))
    }
}
