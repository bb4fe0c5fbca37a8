//! Text in columns, and numbers that can be read.

use std::fmt;

pub(super) use crate::observe::grouped;

/// Rows of text under a header, in columns as wide as their widest cell.
pub(super) struct Columns {
    rows: Vec<Vec<String>>,
    /// Which columns stand to the right.
    right: Vec<bool>,
}

impl Columns {
    /// Columns with these headers; those that begin with `>` stand to the right.
    pub(super) fn new(headers: &[&str]) -> Self {
        let names = headers
            .iter()
            .map(|name| name.trim_start_matches('>').to_owned());
        Columns {
            rows: vec![names.collect()],
            right: headers.iter().map(|name| name.starts_with('>')).collect(),
        }
    }

    /// So many columns without headers.
    pub(super) fn bare(columns: usize) -> Self {
        Columns {
            rows: Vec::new(),
            right: vec![false; columns],
        }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                line.push_str("  ");
                line.push_str(&match right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:width$}"),
                });
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::new(&["mode", ">s"]);
        columns.row(["batch".to_owned(), "10".to_owned()]);
        assert_eq!(columns.to_string(), "  mode    s\n  batch  10\n");
    }
}
