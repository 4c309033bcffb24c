//! A program that is run with a time limit, its output shown as it comes and kept.

use std::{
    io::{self, Read, Write},
    process::{Child, Command, ExitStatus},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How many lines of output a report of a failure repeats.
const LAST_LINES: usize = 12;

/// How much output is kept: far more than any example prints, and little enough for a program that prints
/// without end.
const KEPT: usize = 16 << 20;

/// How long output that is already on its way is awaited once the program is gone.
const REST: Duration = Duration::from_millis(200);

/// How a program ended and what it printed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its exit status, 128 + signal if a signal ended it, none if it was stopped at the time limit.
    pub status: Option<u8>,
    /// All it printed; of more than 16 MiB the last half at least.
    pub output: String,
}

impl Outcome {
    /// The last lines of the output.
    pub fn last(&self) -> String {
        let lines: Vec<&str> = self.output.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// What is done with the two outputs of a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Streams {
    /// Both are its output, in the order in which it wrote. QEMU writes what the firmware prints to its own
    /// stderr.
    Together,
    /// Only stdout is its output; stderr goes where this program's goes.
    StdoutOnly,
}

/// Runs `command` for at most `limit`, passing its output to `show` as it comes.
pub fn run(
    mut command: Command,
    streams: Streams,
    limit: Duration,
    show: &mut dyn Write,
) -> io::Result<Outcome> {
    let deadline = Instant::now() + limit;
    let (reader, writer) = io::pipe()?;
    if streams == Streams::Together {
        command.stderr(writer.try_clone()?);
    }
    command.stdout(writer);
    let mut guard = Guard::spawn(&mut command)?;
    // The command holds the pipe's writing end: while it lives, the reader sees no end.
    drop(command);
    let chunks = read_in_background(reader);

    let mut output = Vec::new();
    let mut keep = |chunk: &[u8]| {
        output.extend_from_slice(chunk);
        if output.len() > KEPT {
            output.drain(..KEPT / 2);
        }
        // A closed stdout (`| head`) ends the showing, not the program.
        let _ = show.write_all(chunk).and_then(|()| show.flush());
    };
    let status = loop {
        match chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(chunk) => keep(&chunk),
            Err(RecvTimeoutError::Timeout) => break guard.stop()?,
            Err(RecvTimeoutError::Disconnected) => {
                break guard.wait(Some(deadline.saturating_duration_since(Instant::now())))?;
            }
        }
        // A program that prints without end never lets `recv_timeout` run out.
        if Instant::now() >= deadline {
            break guard.stop()?;
        }
    };
    while let Ok(chunk) = chunks.recv_timeout(REST) {
        keep(&chunk);
        if Instant::now() >= deadline + REST {
            break;
        }
    }
    Ok(Outcome { status, output: String::from_utf8_lossy(&output).into_owned() })
}

fn read_in_background(mut reader: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    // Bounded, so that a program that prints without end waits instead of filling the memory.
    let (sender, receiver) = mpsc::sync_channel(16);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A running program that is stopped when this is dropped.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Starts the program.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Waits for the end, at most `limit`; then stops the program and returns none.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<Option<u8>> {
        let Some(limit) = limit else { return self.0.wait().map(|status| Some(code(status))) };
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(code(status)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.stop();
            }
            thread::sleep(left.min(Duration::from_millis(5)));
        }
    }

    /// Stops the program. Its status, if it had ended by itself just before.
    fn stop(&mut self) -> io::Result<Option<u8>> {
        if let Some(status) = self.0.try_wait()? {
            return Ok(Some(code(status)));
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(None)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code & 0xff).unwrap_or(1)
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> u8 {
    // Where statuses have 32 bits, one that does not fit must still be a failure.
    status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, streams: Streams, limit: Duration) -> (Outcome, String) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut shown = Vec::new();
        let outcome = run(command, streams, limit, &mut shown).expect("sh can be started");
        (outcome, String::from_utf8(shown).expect("is text"))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_exit_status_is_passed_through() {
        for status in [0, 1, 42, 101, 255] {
            let (outcome, _) = shell(&format!("exit {status}"), Streams::Together, LONG);
            assert_eq!(outcome.status, Some(status));
        }
        assert_eq!(shell("kill -9 $$", Streams::Together, LONG).0.status, Some(137));
    }

    #[test]
    fn output_is_shown_and_kept_in_the_order_written() {
        let (outcome, shown) = shell("echo a; echo b >&2; printf c", Streams::Together, LONG);
        assert_eq!(outcome.output, "a\nb\nc");
        assert_eq!(shown, outcome.output);
    }

    #[test]
    fn stderr_is_left_out_when_asked() {
        let (outcome, _) = shell("echo a; echo b >&2", Streams::StdoutOnly, LONG);
        assert_eq!(outcome.output, "a\n");
    }

    #[test]
    fn a_program_that_hangs_is_stopped_and_its_last_lines_are_kept() {
        let started = Instant::now();
        let script = "i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i+1)); done; exec sleep 100";
        let (outcome, _) = shell(script, Streams::Together, Duration::from_millis(500));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(outcome.status, None);
        assert_eq!(outcome.last().lines().count(), LAST_LINES);
        assert!(outcome.last().ends_with("line 19"), "{}", outcome.last());
    }

    #[test]
    fn a_program_that_prints_without_end_is_stopped_too() {
        let (outcome, _) = shell("while :; do echo y; done", Streams::Together, Duration::from_millis(300));
        assert_eq!(outcome.status, None);
    }

    #[test]
    fn a_program_that_closes_its_output_and_hangs_is_stopped_too() {
        let (outcome, _) =
            shell("echo a; exec sleep 100 >&- 2>&-", Streams::Together, Duration::from_millis(500));
        assert_eq!((outcome.status, outcome.output.as_str()), (None, "a\n"));
    }
}
