//! What is missing, and what would get it.

use std::{collections::BTreeMap, fmt};

use super::Needs;
use crate::toolchain::{Gap, Purpose};

/// What is missing and was not installed.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    /// Targets nothing can compile for.
    pub gaps: Vec<Gap>,
    /// What they would be compiled for.
    pub purpose: Purpose,
    /// Emulators, each with its Debian package.
    pub emulators: BTreeMap<String, String>,
    /// What was tried, or why nothing was.
    pub notes: Vec<String>,
}

impl Missing {
    /// What of it `needs` name.
    pub fn among(&self, needs: &Needs) -> Self {
        let mut missing = self.clone();
        missing.gaps.retain(|gap| needs.targets.contains(&gap.target));
        missing.emulators.retain(|program, _| needs.emulators.contains_key(program));
        missing
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.emulators.is_empty()
    }

    /// The Debian packages that would complete everything.
    pub fn packages(&self) -> Vec<&str> {
        let mut packages = compiler_packages(&self.gaps);
        packages.extend(self.emulators.values().map(String::as_str));
        packages.sort_unstable();
        packages.dedup();
        packages
    }

    /// What would complete rustup's tool-chain. It changes nothing that is there already.
    pub fn rustup_calls(&self) -> Vec<Vec<&str>> {
        let mut add = vec!["target", "add"];
        add.extend(self.gaps.iter().map(|gap| gap.target.as_str()));
        match self.purpose {
            Purpose::Build => vec![add],
            Purpose::Lint => vec![add, vec!["component", "add", "clippy"]],
        }
    }
}

fn compiler_packages(gaps: &[Gap]) -> Vec<&str> {
    let mut packages: Vec<&str> = gaps.iter().flat_map(|gap| gap.packages.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const APT: &str = "apt-get install --no-install-recommends";
        let targets: Vec<&str> = self.gaps.iter().map(|gap| gap.target.as_str()).collect();
        let kind = match self.purpose {
            Purpose::Build => "a compiler",
            Purpose::Lint => "a compiler and clippy",
        };
        let compiler = (!targets.is_empty()).then(|| format!("{kind} for {}", targets.join(", ")));
        let names: Vec<&str> =
            compiler.iter().map(String::as_str).chain(self.emulators.keys().map(String::as_str)).collect();
        write!(f, "missing: {}", names.join("; "))?;
        if !targets.is_empty() {
            write!(f, "\n  for the compiler, one of these:")?;
            let calls = self.rustup_calls();
            let calls: Vec<String> = calls.iter().map(|args| format!("rustup {}", args.join(" "))).collect();
            write!(f, "\n    with rustup:  {}", calls.join(" && "))?;
            write!(f, "\n    on Debian:    {APT} {}", compiler_packages(&self.gaps).join(" "))?;
        }
        for (program, package) in &self.emulators {
            write!(f, "\n  for {program}:")?;
            write!(f, "\n    on Debian:    {APT} {package}")?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        Ok(())
    }
}
