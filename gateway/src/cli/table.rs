//! Columns that line up.

/// Which edge a column leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading; widths follow the content.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with one cell per column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push(cells);
    }

    /// The table as text, or a sentence instead if it has no rows.
    pub(crate) fn render(&self, if_empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{if_empty}\n");
        }
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            let heading = self.columns[column].0.chars().count();
            cells.chain([heading]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        let heading = self.columns.iter().map(|(name, _)| (*name).to_owned());
        self.line(&mut text, &widths, &heading.collect::<Vec<_>>());
        for row in &self.rows {
            self.line(&mut text, &widths, row);
        }
        text
    }

    fn line(&self, text: &mut String, widths: &[usize], cells: &[String]) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                Align::Right => line.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("name", Align::Left), ("lots", Align::Right)]);
        table.row(vec!["a".into(), "10".into()]);
        table.row(vec!["longer".into(), "5".into()]);
        assert_eq!(
            table.render(""),
            "name    lots\na         10\nlonger     5\n"
        );
        let empty = Table::new(&[("name", Align::Left)]);
        assert_eq!(empty.render("nothing"), "nothing\n");
    }
}
