//! How far the goals are reached.

use crate::table;

/// What something is to take of the flash at most, and what it takes, in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Goal {
    /// What takes it.
    pub what: String,
    /// The goal.
    pub bytes: u64,
    /// What it takes.
    pub own: u64,
    /// What a peer's takes.
    pub peer: Option<u64>,
}

/// The goals for a reader.
pub fn to_text(goals: &[Goal]) -> String {
    if goals.is_empty() {
        return String::new();
    }
    let mut lines = vec![["", "goal", "ours", "peer's", "met"].map(String::from).to_vec()];
    lines.extend(goals.iter().map(|Goal { what, bytes, own, peer }| {
        let met = if own <= bytes { "yes" } else { "no" };
        let peer = peer.map(|bytes| bytes.to_string()).unwrap_or_default();
        vec![what.clone(), bytes.to_string(), own.to_string(), peer, met.into()]
    }));
    format!("goals: at most so many bytes of flash\n{}", table::render(&lines, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_by_what_takes_as_much_and_no_more() {
        let goal = |own| Goal { what: "hello at 3, all".into(), bytes: 4_000, own, peer: Some(1_794) };
        let text = to_text(&[goal(4_000), goal(4_001)]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "                   goal  ours  peer's  met",
                "  hello at 3, all  4000  4000    1794  yes",
                "  hello at 3, all  4000  4001    1794   no",
            ]
        );
        assert_eq!(to_text(&[]), "");
    }
}
