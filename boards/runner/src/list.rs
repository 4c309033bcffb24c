//! `list`: what there is to run, and on what.

use crate::{
    table,
    workspace::{Board, Workspace},
};

/// The boards, then the examples, as text.
pub fn list(workspace: &Workspace) -> String {
    let boards: Vec<Vec<String>> = workspace
        .boards
        .iter()
        .map(|board| {
            vec![
                board.name.clone(),
                board.metadata.target.clone(),
                kind(board),
                board.metadata.summary.clone(),
            ]
        })
        .collect();
    let examples: Vec<Vec<String>> = workspace
        .examples()
        .into_iter()
        .map(|name| vec![name.to_owned(), boards_with(workspace, name), workspace.example_summary(name)])
        .collect();
    format!(
        "Boards\n{}\nExamples\n{}",
        table::render(&boards, usize::MAX),
        table::render(&examples, usize::MAX)
    )
}

fn kind(board: &Board) -> String {
    match &board.metadata.qemu {
        Some(qemu) => format!("emulated by {}", qemu.program),
        None if board.is_host() => "this computer".into(),
        None => "hardware only".into(),
    }
}

fn boards_with(workspace: &Workspace, example: &str) -> String {
    let with: Vec<&str> =
        workspace.boards.iter().filter(|board| board.has(example)).map(|board| board.name.as_str()).collect();
    if with.len() == workspace.boards.len() { "all boards".into() } else { with.join(", ") }
}
