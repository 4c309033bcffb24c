//! Checks that are reported one line each, with their count at the end.

use std::fmt::Display;

use crate::{Error, Result};

/// How many checks passed and failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Checks that are fine.
    pub passed: usize,
    /// All others.
    pub failed: usize,
}

impl Tally {
    /// Prints the line for the check `what` and counts it. The verdict is a remark on the success, mostly
    /// empty, or why it failed.
    pub fn record(&mut self, what: &str, verdict: Result<&str, impl Display>) {
        match verdict {
            Ok(remark) => {
                println!("ok      {what}{remark}");
                self.passed += 1;
            }
            Err(why) => {
                println!("FAILED  {what}");
                why.to_string().lines().for_each(|line| println!("        {line}"));
                self.failed += 1;
            }
        }
    }

    /// Prints the counts.
    pub fn finish(self) -> Self {
        println!("{} passed, {} failed", self.passed, self.failed);
        self
    }

    /// The exit status. To have checked nothing is no success, but the error `nothing`.
    pub fn status(self, nothing: &str) -> Result<u8> {
        if self == Self::default() {
            return Err(Error::Usage(nothing.to_owned()));
        }
        Ok(u8::from(self.failed > 0))
    }
}
