//! Runs an image: firmware in QEMU, the host's as the program it is.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    Error, Result,
    child::{self, Outcome, Streams},
    environment,
    install::Ready,
    workspace::Board,
};

/// How to run one image.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where it runs.
    pub board: &'a Board,
    /// The binary's name.
    pub bin: &'a str,
    /// The image.
    pub image: &'a Path,
    /// More arguments: the program's own on the host, QEMU's elsewhere.
    pub args: &'a [String],
    /// How long it may run.
    pub limit: Duration,
}

impl Run<'_> {
    /// Runs the image, passing its output to `show` as it comes, and returns how it ended. Lines that QEMU
    /// wrote about itself are shown, but are not in the returned output.
    pub fn run(&self, ready: &Ready, show: &mut dyn Write) -> Result<Outcome> {
        let start = |source| Error::Io { doing: format!("run {}", self.name()), source };
        let Some(qemu) = &self.board.metadata.qemu else {
            let mut command = Command::new(self.image);
            environment::clean(command.args(self.args));
            return child::run(command, Streams::StdoutOnly, self.limit, show).map_err(start);
        };
        let program = ready.emulators.get(&qemu.program).map_or(Path::new(&qemu.program), |path| path);
        let mut command = Command::new(program);
        command.args(&qemu.args).arg(self.image);
        command.args(qemu.args_for.get(self.bin).into_iter().flatten()).args(self.args);
        // Without a stdin: QEMU would otherwise switch the terminal to raw mode and, when stopped, leave it
        // so.
        command.stdin(Stdio::null());
        let outcome = child::run(command, Streams::Together, self.limit, show).map_err(start)?;
        Ok(Outcome { output: without_lines_of(&qemu.program, &outcome.output), ..outcome })
    }

    /// Like [`run`](Self::run) with nothing shown, and a program that hangs is an error.
    pub fn collect(&self, ready: &Ready) -> Result<(u8, Outcome)> {
        let outcome = self.run(ready, &mut io::sink())?;
        Ok((self.status(&outcome)?, outcome))
    }

    /// The exit status; an error if the program was stopped at the time limit.
    pub fn status(&self, outcome: &Outcome) -> Result<u8> {
        outcome.status.ok_or_else(|| Error::Hung {
            what: self.name(),
            limit: self.limit,
            last: outcome.last(),
        })
    }

    fn name(&self) -> String {
        format!("{} on {}", self.bin, self.board.name)
    }
}

/// QEMU begins each of its own messages with its name. They share a stream with what the firmware prints.
fn without_lines_of(program: &str, output: &str) -> String {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let own = format!("{name}: ");
    output.split_inclusive('\n').filter(|line| !line.starts_with(&own)).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::manifest::{Metadata, Qemu};

    /// A board whose emulator is a shell: the image is then a script.
    fn board() -> Board {
        let qemu = Qemu {
            program: "sh".into(),
            debian_package: "dash".into(),
            args: vec!["-e".into()],
            args_for: [("pair".to_owned(), vec!["two".to_owned()])].into(),
        };
        let metadata = Metadata {
            summary: "S".into(),
            target: "t".into(),
            qemu: Some(qemu),
            chip: None,
            flash_kib: None,
            ram_kib: None,
            benches: Vec::new(),
            compared: Vec::new(),
            capacity: None,
        };
        Board {
            name: "sham".into(),
            dir: ".".into(),
            package: "board-sham".into(),
            opt_level: "3".into(),
            metadata,
            examples: Vec::new(),
        }
    }

    fn run(script: &str, limit: Duration) -> Result<(u8, Outcome)> {
        run_as("blink", script, limit)
    }

    fn run_as(bin: &str, script: &str, limit: Duration) -> Result<(u8, Outcome)> {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("image");
        std::fs::write(&image, script).expect("can write");
        let board = board();
        let args = ["an argument".to_owned()];
        Run { board: &board, bin, image: &image, args: &args, limit }.collect(&Ready::default())
    }

    #[test]
    fn the_firmwares_status_and_both_outputs_are_passed_on() {
        let (status, outcome) = run("echo out; echo $1 >&2; exit 7", Duration::from_secs(20)).expect("runs");
        assert_eq!((status, outcome.output.as_str()), (7, "out\nan argument\n"));
    }

    #[test]
    fn an_examples_own_arguments_come_between_the_image_and_the_users() {
        let (_, outcome) = run_as("pair", "echo $*", Duration::from_secs(20)).expect("runs");
        assert_eq!(outcome.output, "two an argument\n");
    }

    #[test]
    fn an_image_that_hangs_is_stopped_and_reported_with_its_last_output() {
        let started = Instant::now();
        let error = run("echo alive; exec sleep 100", Duration::from_millis(500)).expect_err("hangs");
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(error.status(), 124);
        let text = error.to_string();
        assert!(text.starts_with("blink on sham was still running after 0.5 s and was stopped"), "{text}");
        assert!(text.contains("\n    alive\n"), "{text}");
    }

    #[test]
    fn what_qemu_says_of_itself_is_not_the_firmwares_output() {
        let text = "qemu-system-arm: warning: nic has no peer\nhello\n qemu-system-arm: quoted\n";
        assert_eq!(without_lines_of("/usr/bin/qemu-system-arm", text), "hello\n qemu-system-arm: quoted\n");
    }
}
