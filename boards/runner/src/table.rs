//! Text in columns.

/// `rows` in columns, indented by two; the first `left` columns are set to the left, the others (numbers) to
/// the right.
pub fn render(rows: &[Vec<String>], left: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < left { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") }
        });
        let line: String = cells.collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The rows of one board: what a row is of, and its figures.
pub type Figures = Vec<(Vec<String>, Vec<String>)>;

/// The figures of several boards side by side, a row once for all, empty where a board lacks it. `keys` and
/// `names` head the columns: what a row is of, and each board's figures.
pub fn side_by_side(keys: &[&str], names: &[&str], boards: &[(&str, Figures)]) -> String {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut heads = [vec![String::new(); keys.len()], words(keys)];
    let mut rows: Vec<&Vec<String>> = Vec::new();
    for (board, figures) in boards {
        heads[0].push((*board).to_owned());
        heads[0].extend(vec![String::new(); names.len() - 1]);
        heads[1].extend(words(names));
        for (key, _) in figures {
            if !rows.contains(&key) {
                rows.push(key);
            }
        }
    }
    let mut lines = heads.to_vec();
    for row in rows {
        let mut line = row.clone();
        for (_, figures) in boards {
            let found = figures.iter().find(|(key, _)| key == row).map(|(_, figures)| figures.clone());
            line.extend(found.unwrap_or_else(|| vec![String::new(); names.len()]));
        }
        lines.push(line);
    }
    render(&lines, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_left_and_numbers_right() {
        let rows = [
            vec!["op".into(), "mean".into()],
            vec!["yield".into(), "57.0".into()],
            vec!["a".into(), String::new()],
        ];
        assert_eq!(render(&rows, 1), "  op     mean\n  yield  57.0\n  a\n");
    }

    #[test]
    fn each_board_has_its_columns_and_each_row_its_line() {
        let figures = |rows: &[(&str, [&str; 2])]| -> Figures {
            rows.iter()
                .map(|(op, figures)| (vec![(*op).to_owned()], figures.map(str::to_owned).to_vec()))
                .collect()
        };
        let boards = [
            ("one", figures(&[("edf", ["1.0", "2"]), ("wake", ["3.0", "4"])])),
            ("board-two", figures(&[("steal", ["5.0", "6"]), ("wake", ["7.0", "8"])])),
        ];
        assert_eq!(
            side_by_side(&["op"], &["mean", "worst"], &boards),
            "          one         board-two\n  op     mean  worst       mean  worst\n  edf     1.0      2\n  wake    3.0      4  \
             \x20     7.0      8\n  steal                     5.0      6\n"
        );
    }
}
