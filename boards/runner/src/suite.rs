//! `test`: every example on every board, against its golden output.

use std::collections::BTreeSet;

use crate::{
    Result,
    build::{self, Images},
    emulate::Run,
    golden,
    install::{Needs, Ready},
    session::Session,
    tally::Tally,
    workspace::Board,
};

/// Runs `example`, else all, on the board `on`, else on the host and all emulated boards, printing one line
/// for each run. With `bless`, the first board that runs an example gives its golden output; the others are
/// compared with that.
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
    for board in boards {
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
        let prepared = session.prepare(&Needs::of([board], true)).and_then(|ready| {
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
    Ok(tally.finish())
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
