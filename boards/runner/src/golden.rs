//! Golden outputs: what an example must print, the same on every board.
//!
//! `tests/golden/EXAMPLE.txt` holds the expected text. A line that begins with `~` is for the reader only: it
//! is shown, but neither stored nor compared, so an example may print there what differs from board to board
//! (its name, a measured time).

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// Lines of a diff that are shown; the rest is counted.
const SHOWN: usize = 40;

/// Equal lines shown around a difference.
const CONTEXT: usize = 2;

/// Above this many cells, the table that aligns the lines is not worth its memory and the whole middle counts
/// as changed.
const CELLS: usize = 4_000_000;

/// Where the golden files are, relative to the workspace's root.
pub const FOLDER: &str = "tests/golden";

/// The golden file of `example`, relative to the workspace's root.
pub fn path(example: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{example}.txt"))
}

/// The expected text, if there is one.
pub fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("read {}", path.display()))(error)),
    }
}

/// Makes `output` the expected text.
pub fn bless(path: &Path, output: &str) -> Result<()> {
    let mut text = compared(output).join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(Error::io(format!("write {}", path.display())))
}

/// The lines that count.
fn compared(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('~')).collect()
}

/// None if `got` is what was `expected`; else the difference, line by line: `-` expected and not printed, `+`
/// printed and not expected.
pub fn diff(expected: &str, got: &str) -> Option<String> {
    let (expected, got) = (compared(expected), compared(got));
    if expected == got {
        return None;
    }
    let edits = align(&expected, &got);
    let mut text = String::new();
    let (mut shown, mut left, mut number, mut skipped) = (0, 0, 0, false);
    for (index, edit) in edits.iter().enumerate() {
        number += usize::from(!matches!(edit, Edit::Unexpected(_)));
        let around = &edits[index.saturating_sub(CONTEXT)..(index + CONTEXT + 1).min(edits.len())];
        if around.iter().all(|edit| matches!(edit, Edit::Same(_))) {
            skipped = true;
            continue;
        }
        if shown >= SHOWN {
            left += 1;
            continue;
        }
        if skipped {
            let _ = writeln!(text, "       ...");
            skipped = false;
        }
        shown += 1;
        let _ = match edit {
            Edit::Same(line) => writeln!(text, "{number:5}   {line}"),
            Edit::Missing(line) => writeln!(text, "{number:5} - {line}"),
            Edit::Unexpected(line) => writeln!(text, "      + {line}"),
        };
    }
    if left > 0 {
        let _ = writeln!(text, "       ({left} more lines)");
    }
    Some(text)
}

#[derive(Debug, Eq, PartialEq)]
enum Edit<'a> {
    Same(&'a str),
    Missing(&'a str),
    Unexpected(&'a str),
}

/// The shortest way from `old` to `new`, by a longest common subsequence of what lies between the equal ends.
fn align<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);

    let mut edits: Vec<Edit<'a>> = old[..head].iter().map(|line| Edit::Same(line)).collect();
    if a.len().saturating_mul(b.len()) > CELLS {
        edits.extend(a.iter().map(|line| Edit::Missing(line)));
        edits.extend(b.iter().map(|line| Edit::Unexpected(line)));
    } else {
        edits.extend(align_middle(a, b));
    }
    edits.extend(old[old.len() - tail..].iter().map(|line| Edit::Same(line)));
    edits
}

fn align_middle<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Edit<'a>> {
    let width = b.len() + 1;
    // Each cell: how many lines `a[i..]` and `b[j..]` have in common.
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            edits.push(Edit::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            edits.push(Edit::Missing(a[i]));
            i += 1;
        } else {
            edits.push(Edit::Unexpected(b[j]));
            j += 1;
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_has_no_difference_whatever_its_line_ends() {
        assert_eq!(diff("a\nb\n", "a\r\nb"), None);
        assert_eq!(diff("", ""), None);
    }

    #[test]
    fn lines_with_a_tilde_are_not_compared() {
        assert_eq!(diff("a\nb\n", "~ on host\na\n~ took 3 us\nb\n"), None);
        assert_eq!(diff("~ old\na\n", "a\n~ new\n"), None);
        assert!(diff("a\n", "a\n ~ not at the start\n").is_some());
    }

    #[test]
    fn the_difference_names_the_lines() {
        let text = diff("one\ntwo\nthree\n", "one\n2\nthree\nfour\n").expect("differs");
        assert_eq!(text, "    1   one\n    2 - two\n      + 2\n    3   three\n      + four\n");
    }

    #[test]
    fn equal_lines_far_from_a_difference_are_left_out() {
        let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let text = diff(&old, &old.replace("line 10\n", "LINE\n")).expect("differs");
        assert_eq!(
            text,
            "       ...\n    8   line 8\n    9   line 9\n   10 - line 10\n      + LINE\n   11   line 11\n   12   line 12\n"
        );
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long: String = (0..10_000).map(|n| format!("{n}\n")).collect();
        let text = diff("x\n", &long).expect("differs");
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("more lines)\n"), "{text}");
    }

    #[test]
    fn a_blessed_output_is_the_expected_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(path("blink"));
        assert_eq!(read(&file).expect("can look"), None);
        bless(&file, "~ host\non\r\noff").expect("can write");
        assert_eq!(read(&file).expect("can read").as_deref(), Some("on\noff\n"));
    }
}
