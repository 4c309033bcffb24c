//! `test`: every example on every board, against its golden output.

use std::collections::BTreeSet;

use crate::{
    Error, Result,
    build::{self, Images},
    emulate::Run,
    golden,
    install::Ready,
    session::Session,
    tally::Tally,
    workspace::{Board, Workspace},
};

/// Runs `example`, else all, on the board `on`, else on the host and all emulated boards, printing one line
/// for each run. Without a board named, it is a failure too if an example is on none of them, or a golden
/// output is of no example: nothing would ever look at it. With `bless`, the first board that runs an example
/// gives its golden output; the others are compared with that.
pub fn test(session: &Session, on: Option<&str>, example: Option<&str>, bless: bool) -> Result<Tally> {
    let workspace = &session.workspace;
    let boards = workspace.chosen(on, Board::is_runnable)?;
    if let Some(name) = on {
        workspace.board(name)?.check_runnable()?;
    }
    match (on, example) {
        (Some(on), Some(example)) => workspace.check_example_on(workspace.board(on)?, example)?,
        (None, Some(example)) => workspace.check_example(example)?,
        (_, None) => {}
    }
    let mut tally = Tally::default();
    let mut to_bless: BTreeSet<&str> = if bless { workspace.examples() } else { BTreeSet::new() };
    let prepared = session.prepare_each(&boards, true);
    for (board, prepared) in boards.into_iter().zip(prepared) {
        let examples: Vec<&str> = board
            .examples
            .iter()
            .map(String::as_str)
            .filter(|name| example.is_none_or(|wanted| wanted == *name))
            .collect();
        if examples.is_empty() {
            continue;
        }
        // A tool that is missing fails every example of the board, so that no run is left out in silence.
        let prepared = prepared.and_then(|ready| {
            let images = build::build(board, &ready, &examples)?;
            Ok((ready, images))
        });
        let prepared = prepared.as_ref().map_err(ToString::to_string);
        for name in examples {
            let verdict = match &prepared {
                Ok((ready, images)) => check(session, board, name, ready, images, to_bless.remove(name)),
                Err(why) => Err(why.clone()),
            };
            tally.record(&format!("{name} on {}", board.name), verdict);
        }
    }
    if on.is_none() {
        for (name, why) in
            left_out(workspace)?.iter().filter(|(name, _)| example.is_none_or(|only| only == name))
        {
            tally.record(&format!("{name} on no board"), Err(why));
        }
    }
    Ok(tally.finish())
}

/// What no run looks at, each with the reason.
fn left_out(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let run: BTreeSet<&str> = workspace
        .boards
        .iter()
        .filter(|board| board.is_runnable())
        .flat_map(|board| &board.examples)
        .map(String::as_str)
        .collect();
    let mut names = workspace.stems("examples".as_ref(), "rs")?;
    names.extend(workspace.examples().into_iter().map(str::to_owned));
    names.extend(workspace.stems(golden::FOLDER.as_ref(), "txt")?);
    let left_out = names.into_iter().filter(|name| !run.contains(name.as_str()));
    Ok(left_out
        .map(|name| {
            let why = match workspace.check_example(&name) {
                Ok(()) => {
                    "it is only on boards that can't be run here: list it on one that can, such as the host"
                        .to_owned()
                }
                Err(Error::Unknown { .. }) => {
                    format!("there is no example for {}", golden::path(&name).display())
                }
                Err(error) => error.to_string(),
            };
            (name, why)
        })
        .collect())
}

/// A remark on the success, or why it failed.
fn check(
    session: &Session,
    board: &Board,
    name: &str,
    ready: &Ready,
    images: &Images,
    bless: bool,
) -> Result<&'static str, String> {
    let text = |error: crate::Error| error.to_string();
    let image = images.get(name).map_err(text)?;
    let run = Run { board, bin: name, image, args: &[], limit: session.limit };
    let (status, outcome) = run.collect(ready).map_err(text)?;
    if status != 0 {
        return Err(format!("ended with status {status}; its last output:\n{}", outcome.last()));
    }
    let shown = golden::path(name);
    let file = session.workspace.root.join(&shown);
    if bless {
        golden::bless(&file, &outcome.output).map_err(text)?;
        return Ok(" (blessed)");
    }
    let Some(expected) = golden::read(&file).map_err(text)? else {
        return Err(format!(
            "there is no {}; its output:\n{}\nif that is right, make it the golden output with `cargo board test {name} --bless`",
            shown.display(),
            outcome.last()
        ));
    };
    match golden::diff(&expected, &outcome.output) {
        None => Ok(""),
        Some(diff) => Err(format!(
            "prints something else than {} (-):\n{diff}if the new output is right, accept it with `cargo board test {name} --bless`",
            shown.display()
        )),
    }
}
