//! `targets`: the core, built for every target it promises to support.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;

use crate::{Error, Result, child, install::Needs, session::Session, tally::Tally};

/// The core's folder, whose manifest lists the targets.
const CORE: &str = "core";

/// Builds the core for each target in release, as firmware links it, printing one line for each.
pub fn targets(session: &Session) -> Result<Tally> {
    let folder = session.workspace.root.join(CORE);
    let (package, targets) = read(&folder.join("Cargo.toml"))?;
    let ready = session.prepare(&Needs { targets, ..Needs::default() })?;
    let mut tally = Tally::default();
    for toolchain in ready.toolchains.values() {
        let mut command = toolchain.cargo_build(&folder, &session.workspace.root.join("target"));
        command.args(["--quiet", "--release", "--lib", "--package", &package]);
        let mut cargo = child::Guard::spawn(&mut command).map_err(Error::io("start cargo"))?;
        let status = cargo.wait(None).map_err(Error::io("wait for cargo"))?;
        let verdict = if status == Some(0) { Ok("") } else { Err("the compiler's message is above") };
        tally.record(&format!("{package} for {}", toolchain.target), verdict);
    }
    Ok(tally.finish())
}

/// The core's name and what `[package.metadata.targets]` lists.
fn read(manifest: &Path) -> Result<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(manifest).map_err(Error::io(format!("read {}", manifest.display())))?;
    parse(&text).map_err(|why| Error::Manifest { file: manifest.to_owned(), why })
}

fn parse(text: &str) -> Result<(String, BTreeSet<String>), String> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        targets: Targets,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Targets {
        checked: BTreeSet<String>,
    }
    let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
    let Package { name, metadata } = manifest.package;
    if metadata.targets.checked.is_empty() {
        return Err("[package.metadata.targets]: `checked` names no target".into());
    }
    Ok((name, metadata.targets.checked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_must_not_be_empty() {
        let manifest = |targets: &str| {
            format!(
                "[package]\nname = \"x\"\nversion.workspace = true\n[package.metadata.targets]\n{targets}"
            )
        };
        let (name, targets) = parse(&manifest("checked = [\"b\", \"a\"]")).expect("is right");
        assert_eq!(
            (name.as_str(), targets.into_iter().collect::<Vec<_>>()),
            ("x", vec!["a".into(), "b".into()])
        );
        assert!(parse(&manifest("checked = []")).expect_err("is empty").contains("names no target"));
        assert!(
            parse(&manifest("check = [\"a\"]")).expect_err("is misspelt").contains("unknown field `check`")
        );
        assert!(parse("[package]\nname = \"x\"").is_err());
    }
}
