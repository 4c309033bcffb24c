//! The nearest known name to one that was misspelt.

use crate::Error;

/// The known name nearest to `name`, or none when all are far: further than a third of the name's length (at
/// least two edits), where a suggestion would be a guess. A name that begins with what was typed counts as
/// near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| {
            let started = name.len() >= 3 && candidate.starts_with(name);
            let edits = if started { 1 } else { strsim::damerau_levenshtein(name, candidate) };
            (edits, candidate)
        })
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The error for a `name` that is none of the `known` ones; `kind` is what it should have named.
pub fn unknown(kind: &'static str, name: &str, known: Vec<String>) -> Error {
    let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    Error::Unknown { kind, name: name.to_owned(), nearest, known }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARDS: [&str; 4] = ["host", "microbit", "mps2-an385", "mps2-an505"];

    #[test]
    fn a_misspelt_name_finds_the_nearest() {
        assert_eq!(nearest("mps2-an386", BOARDS), Some("mps2-an385"));
        assert_eq!(nearest("hots", BOARDS), Some("host"));
        assert_eq!(nearest("micro", BOARDS), Some("microbit"));
    }

    #[test]
    fn a_name_far_from_all_gets_no_suggestion() {
        assert_eq!(nearest("esp32", BOARDS), None);
        assert_eq!(nearest("", BOARDS), None);
    }

    #[test]
    fn the_error_names_the_nearest_and_lists_all() {
        let error = unknown("board", "mps2-an855", BOARDS.map(String::from).to_vec());
        assert_eq!(error.status(), 2);
        assert_eq!(
            error.to_string(),
            "there is no board `mps2-an855`\n  did you mean `mps2-an385`?\n  known boards: host, microbit, mps2-an385, mps2-an505"
        );
    }
}
