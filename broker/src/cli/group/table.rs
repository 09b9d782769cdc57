//! Columns of text, as wide as what is in them.

use std::fmt;

/// Rows under a head.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(head: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned)],
        }
    }

    pub(super) fn add(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row.map(|text| printable(&text)));
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..COLUMNS).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Names of groups and clients are what anybody has sent: nothing of them acts on the terminal.
pub(super) fn printable(text: &str) -> String {
    match text.chars().any(char::is_control) {
        true => text.escape_default().to_string(),
        false => text.to_owned(),
    }
}

/// "-" for what is not known.
pub(super) fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time as people say it.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds <= 0.0 => "0 s".to_owned(),
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds if seconds < 3_600.0 => format!("{:.1} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_names_do_not_act_on_the_terminal() {
        let mut table = Table::new(["A", "LONGER"]);
        table.add(["größe".into(), "1".into()]);
        table.add(["x\x1b[2J".into(), "22".into()]);
        let expected = "A           LONGER\ngröße       1\nx\\u{1b}[2J  22\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn times_are_said_in_the_unit_that_suits_them() {
        let said = [0.0, 0.25, 59.9, 90.0, 7_200.0, 345_600.0].map(duration);
        assert_eq!(said, ["0 s", "0.2 s", "59.9 s", "1.5 min", "2.0 h", "4.0 d"]);
    }
}
