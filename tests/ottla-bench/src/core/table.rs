//! A case as lines for a terminal.

use super::{
    figure::{Bar, Better},
    report::{CaseReport, FigureReport, number},
    statistics::Spread,
};

/// The case, with a line for each figure and a column for each broker.
pub fn lines(case: &CaseReport, brokers: &[&str]) -> String {
    let mut rows = vec![head(brokers)];
    rows.extend(
        case.figures
            .iter()
            .filter(|figure| figure.of_brokers.iter().any(Option::is_some))
            .map(row),
    );
    let mut text = format!("\n{}: {}\n", case.scenario, case.facts.name);
    if rows.len() > 1 {
        text += &aligned(&rows);
    }
    for trouble in &case.troubles {
        let word = if trouble.is_failure { "FAILED" } else { "not measured" };
        text += &format!("  {word}, {}: {}\n", trouble.broker, trouble.reason);
    }
    text
}

fn head(brokers: &[&str]) -> Vec<String> {
    let mut head = vec![String::new()];
    head.extend(brokers.iter().map(|name| (*name).to_owned()));
    head.extend(["ratio".to_owned(), "bar".to_owned()]);
    head
}

fn row(figure: &FigureReport) -> Vec<String> {
    let unit = match figure.figure.unit {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    let mut row = vec![format!("{}{unit}", figure.figure.title)];
    row.extend(
        figure
            .of_brokers
            .iter()
            .map(|of| of.map_or("-".to_owned(), |of| number(of.median))),
    );
    let ratio = figure.ratios.iter().flatten().next();
    row.push(ratio.map_or(String::new(), with_range));
    row.push(bar(figure));
    row
}

/// A median and, behind it, what it lies between.
pub fn with_range(spread: &Spread) -> String {
    format!(
        "{} ({} to {})",
        number(spread.median),
        number(spread.min),
        number(spread.max)
    )
}

/// The bar, and whether it is reached; empty where there is none.
pub fn bar(figure: &FigureReport) -> String {
    let sign = match figure.figure.better {
        Better::Less => "<=",
        Better::More => ">=",
        Better::Neither => return String::new(),
    };
    let wanted = match figure.figure.bar {
        Some(Bar::Ratio(ratio)) => format!("{sign} {} x", number(ratio)),
        Some(Bar::Value(value)) => format!("{sign} {}", number(value)),
        None => return String::new(),
    };
    match figure.is_reached {
        Some(true) => format!("{wanted} reached"),
        Some(false) => format!("{wanted} MISSED"),
        None => wanted,
    }
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("  {:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        figure::Figure,
        report::{CaseFacts, Measured, Run, Trouble},
    };

    #[test]
    fn a_line_has_both_values_the_ratio_with_its_range_and_the_bar() {
        let facts = CaseFacts {
            name: "1 KiB".into(),
            settings: vec![],
            figures: vec![
                Figure::less("cpu", "broker CPU", "s/GB").with_bar(Bar::Ratio(0.5)),
                Figure::less("rss", "memory", "MiB"),
            ],
            axis: None,
        };
        let run = |turn, broker, value: f64| Run {
            broker,
            turn,
            measured: Measured::default().with("cpu", value),
        };
        let runs = vec![run(0, 0, 3.0), run(1, 1, 4.0)];
        let trouble = Trouble {
            broker: "kafka".into(),
            reason: "it ended".into(),
            is_failure: true,
        };
        let case = CaseReport::new(("produce", "?"), facts, &["ottla", "kafka"], runs, vec![trouble]);
        let shown = lines(&case, &["ottla", "kafka"]);
        let expected = "
produce: 1 KiB
                    ottla  kafka                ratio              bar
  broker CPU, s/GB   3.00   4.00  0.75 (0.75 to 0.75)  <= 0.50 x MISSED
  FAILED, kafka: it ended
";
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&shown), squeezed(expected));
    }
}
