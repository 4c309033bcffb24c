//! What a task of capacity costs: the same firmware with room for few tasks and for many.

use serde::Serialize;

use super::goals::Goal;
use crate::{
    Result,
    build::{self, Variant},
    image::Image,
    install::Ready,
    manifest::{Capacity, Room},
    workspace::Board,
};

/// Its name in the budget.
pub const BUDGET_NAME: &str = "task-of-capacity";

/// The two images, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The tasks that the one has room for.
    pub few: u32,
    /// Its flash.
    pub few_flash: u64,
    /// The tasks that the other has room for.
    pub many: u32,
    /// Its flash.
    pub many_flash: u64,
    /// The difference a task, rounded: code that differs in some bytes, since another number is in it, is not
    /// a task's.
    pub flash_a_task: u64,
}

/// Measures the images, if the board has some.
pub fn measure(board: &Board, ready: &Ready) -> Result<Option<Row>> {
    let Some(Capacity { package, few, many, .. }) = &board.metadata.capacity else { return Ok(None) };
    let bins = [few, many].map(|room| (package.as_str(), room.bin.as_str()));
    let images = build::build_packages(board, ready, &bins, Variant::Plain)?;
    let flash = |room: &Room| Ok(Image::read(images.get(&room.bin)?)?.flash());
    Ok(Some(row(&board.name, (few.tasks, flash(few)?), (many.tasks, flash(many)?))))
}

fn row(board: &str, (few, few_flash): (u32, u64), (many, many_flash): (u32, u64)) -> Row {
    let tasks = u64::from(many.saturating_sub(few)).max(1);
    let flash_a_task = (many_flash.saturating_sub(few_flash) + tasks / 2) / tasks;
    Row { board: board.into(), few, few_flash, many, many_flash, flash_a_task }
}

/// One line for a reader.
pub fn to_text(row: &Row) -> String {
    let Row { board, few, few_flash, many, many_flash, flash_a_task } = row;
    format!(
        "{board}: flash of one firmware with room for {few} tasks {few_flash}, for {many} tasks {many_flash}: {flash_a_task} a task\n"
    )
}

/// The goal and how far it is reached.
pub fn goal(board: &Board, row: &Row) -> Option<Goal> {
    let goal = board.metadata.capacity.as_ref()?.goal;
    Some(Goal { what: "a task of capacity".into(), bytes: goal, own: row.flash_a_task, peer: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_bytes_of_code_are_no_tasks() {
        let a_task = |flash| row("b", (8, 10_000), (256, flash)).flash_a_task;
        assert_eq!(a_task(10_000 + 248 * 48 + 60), 48);
        assert_eq!(a_task(10_060), 0);
        assert_eq!(a_task(9_990), 0);
    }
}
