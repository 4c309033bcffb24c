//! `flash`: an example on the hardware itself, by probe-rs.

use std::path::Path;

use crate::{Error, Result, build, install::Needs, machine::Machine, session::Session, workspace::Board};

/// Writes images to chips. It is not installed by this tool: it needs a debug probe and, mostly, the right to
/// use it.
const PROBE_RS: &str = "probe-rs";

/// Builds `example` for `board`, writes it to the chip, starts it there and shows what it prints until it
/// ends; with `detach` only starts it. A console that is a debugger's needs the debugger to stay: without
/// one, the first print is a fault.
pub fn flash(session: &Session, board: &Board, example: &str, detach: bool) -> Result<()> {
    // Before the build, which takes longer than to say what is missing.
    let chip = ready(session.machine.as_ref(), board)?;
    let ready = session.prepare(&Needs::of([board], false))?;
    let images = build::build(board, &ready, &[example])?;
    let what = format!("{example} on {}", board.name);
    write(session.machine.as_ref(), chip, images.get(example)?, detach)
        .map_err(|why| Error::Flash { what, why })
}

/// The chip's name, if the board has one and there is a tool to write to it.
fn ready<'a>(machine: &dyn Machine, board: &'a Board) -> Result<&'a str> {
    let chip = board.chip()?;
    machine.find(PROBE_RS).map(|_| chip).ok_or(Error::NoProbeRs)
}

fn write(machine: &dyn Machine, chip: &str, image: &Path, detach: bool) -> Result<(), String> {
    let Some(image) = image.to_str() else {
        return Err(format!("the path {} is not Unicode", image.display()));
    };
    if !detach {
        return machine.perform(PROBE_RS, &["run", "--chip", chip, image], None);
    }
    machine.perform(PROBE_RS, &["download", "--chip", chip, image], None)?;
    // Writing may leave the chip halted.
    machine.perform(PROBE_RS, &["reset", "--chip", chip], None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{machine::fake::Fake, manifest::Manifest};

    fn board(more: &str) -> Board {
        let text = format!(
            "[package]\nname = \"b\"\n[package.metadata.board]\nsummary = \"B\"\ntarget = \"t\"\n{more}"
        );
        let manifest = Manifest::parse("Cargo.toml".as_ref(), &text).expect("is right");
        Board {
            name: "microbit".into(),
            dir: "boards/microbit".into(),
            package: "board-microbit".into(),
            opt_level: "3".into(),
            metadata: manifest.package.and_then(|package| package.metadata.board).expect("is a board"),
            examples: Vec::new(),
        }
    }

    #[test]
    fn an_image_is_written_then_started() {
        let machine = Fake::default().with_program(PROBE_RS);
        let board = board("chip = \"nRF51822_xxAA\"");
        let chip = ready(&machine, &board).expect("is ready");
        write(&machine, chip, Path::new("/t/quakes"), false).expect("works");
        assert_eq!(machine.performed.take(), ["probe-rs run --chip nRF51822_xxAA /t/quakes"]);
        write(&machine, chip, Path::new("/t/quakes"), true).expect("works");
        assert_eq!(
            machine.performed.take(),
            ["probe-rs download --chip nRF51822_xxAA /t/quakes", "probe-rs reset --chip nRF51822_xxAA"]
        );
    }

    #[test]
    fn an_image_that_was_not_written_is_not_started() {
        let machine = Fake::default();
        let why = write(&machine, "c", Path::new("/t/quakes"), true).expect_err("fails");
        assert_eq!(why, "`probe-rs` ended with status 1");
        assert_eq!(machine.performed.take(), ["probe-rs download --chip c /t/quakes"]);
    }

    #[test]
    fn without_probe_rs_the_error_says_how_to_get_it() {
        let error = ready(&Fake::default(), &board("chip = \"c\"")).expect_err("is missing");
        assert_eq!(error.status(), 1);
        assert!(error.to_string().contains("`cargo install probe-rs-tools --locked`"), "{error}");
    }

    #[test]
    fn a_board_without_a_chip_is_named() {
        let machine = Fake::default().with_program(PROBE_RS);
        let error = ready(&machine, &board("")).expect_err("has none");
        assert_eq!(error.status(), 2);
        assert!(
            error.to_string().starts_with("board `microbit` has no chip to write to (no `chip`"),
            "{error}"
        );
    }
}
