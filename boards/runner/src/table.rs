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
}
