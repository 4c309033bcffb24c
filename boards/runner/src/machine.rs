//! What setting up needs to know and to do on this computer.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{child, environment};

/// The computer as the set-up sees it. The tests put one in its place that lacks things.
pub trait Machine {
    /// Where `program` is: on PATH, or the path itself if it has one.
    fn find(&self, program: &str) -> Option<PathBuf>;

    /// Whether a file or folder is there.
    fn exists(&self, path: &Path) -> bool;

    /// The names in a folder; empty if it is not there.
    fn names(&self, folder: &Path) -> Vec<String>;

    /// What the program prints, trimmed, if it succeeds.
    fn ask(&self, program: &str, args: &[&str]) -> Option<String>;

    /// Runs a program that changes the machine, with its output shown. The error says why it failed; a
    /// program that is not done after `limit` is stopped and has failed.
    fn perform(&self, program: &str, args: &[&str], limit: Option<Duration>) -> Result<(), String>;
}

/// The computer this runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return is_program(Path::new(program)).then(|| program.into());
        }
        env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| is_program(path))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn ask(&self, program: &str, args: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        let output = environment::clean(command.args(args)).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn perform(&self, program: &str, args: &[&str], limit: Option<Duration>) -> Result<(), String> {
        let mut command = Command::new(program);
        // On stderr, so that stdout holds nothing but what the command was asked for.
        environment::clean(command.args(args)).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command.stdout(std::io::stderr()).stderr(Stdio::inherit());
        let mut running = child::Guard::spawn(&mut command)
            .map_err(|error| format!("`{program}` can't be started: {error}"))?;
        match running.wait(limit).map_err(|error| error.to_string())? {
            Some(0) => Ok(()),
            Some(status) => Err(format!("`{program}` ended with status {status}")),
            None => Err(format!("`{program}` was not done after {} s", limit.unwrap_or_default().as_secs())),
        }
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

#[cfg(test)]
pub(crate) mod fake;
