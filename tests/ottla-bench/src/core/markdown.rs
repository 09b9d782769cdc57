//! A report as tables for documentation.

use super::{
    figure::Better,
    report::{CaseReport, FigureReport, Report, Setting, number},
    table,
};

/// The machine, the brokers, and a table over all cases: figures that say which is better, and what was not measured.
pub fn page(report: &Report) -> String {
    let mut text = format!(
        "ottla-bench {}, {}: `{}`\n\n",
        report.version,
        report.date,
        report.command.join(" ")
    );
    text += &format!(
        "- machine: {}\n- plan: {}\n",
        settings(&report.machine),
        settings(&report.plan)
    );
    for broker in &report.brokers {
        text += &format!(
            "- {}: {}; {}\n",
            broker.name,
            broker.version,
            settings(&broker.settings)
        );
    }
    let names: Vec<&str> = report.brokers.iter().map(|broker| broker.name.as_str()).collect();
    text += &format!(
        "\n| scenario | figure | {} | ratio (range) | bar |\n",
        names.join(" | ")
    );
    text += &format!("|{}\n", "---|".repeat(names.len() + 4));
    for case in &report.cases {
        text += &rows(case);
    }
    text
}

fn rows(case: &CaseReport) -> String {
    let mut name = format!("{}: {}", case.scenario, case.facts.name);
    let mut text = String::new();
    let is_shown = |figure: &&FigureReport| {
        figure.figure.better != Better::Neither && figure.of_brokers.iter().any(Option::is_some)
    };
    for figure in case.figures.iter().filter(is_shown) {
        let of = |of: &Option<super::statistics::Spread>| of.map_or("-".to_owned(), |of| number(of.median));
        let values: Vec<String> = figure.of_brokers.iter().map(of).collect();
        let ratio = figure.ratios.iter().flatten().next().map(table::with_range);
        text += &format!(
            "| {} | {}, {} | {} | {} | {} |\n",
            std::mem::take(&mut name),
            figure.figure.title,
            figure.figure.unit,
            values.join(" | "),
            ratio.unwrap_or_default(),
            table::bar(figure)
        );
    }
    for trouble in &case.troubles {
        // A bar would end the cell.
        let reason = trouble.reason.replace('|', "/");
        text += &format!(
            "| {} | not measured, {}: {reason} |{}\n",
            std::mem::take(&mut name),
            trouble.broker,
            " |".repeat(case.figures.first().map_or(1, |figure| figure.of_brokers.len()) + 2)
        );
    }
    text
}

fn settings(settings: &[Setting]) -> String {
    let pairs: Vec<String> = settings
        .iter()
        .map(|one| format!("{} {}", one.key, one.value))
        .collect();
    pairs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        figure::{Bar, Figure},
        report::{BrokerFacts, CaseFacts, Measured, Run, Trouble},
    };

    #[test]
    fn each_row_has_as_many_cells_as_the_head_and_a_case_is_named_once() {
        let facts = CaseFacts {
            name: "1 KiB".into(),
            settings: vec![],
            figures: vec![
                Figure::less("cpu", "broker CPU", "s/GB").with_bar(Bar::Ratio(0.5)),
                Figure::more("rate", "throughput", "MB/s"),
                Figure::told("file", "pages", "MiB"),
            ],
            axis: None,
        };
        let run = |turn, broker, value: f64| Run {
            broker,
            turn,
            measured: Measured::default()
                .with("cpu", value)
                .with("rate", 1.0)
                .with("file", 2.0),
        };
        let trouble = Trouble {
            broker: "kafka".into(),
            reason: "it ended | badly".into(),
            is_failure: true,
        };
        let runs = vec![run(0, 0, 1.0), run(1, 1, 4.0)];
        let case = CaseReport::new(("produce", "?"), facts, &["ottla", "kafka"], runs, vec![trouble]);
        let broker = |name: &str| BrokerFacts {
            name: name.into(),
            version: "1".into(),
            settings: vec![],
        };
        let report = Report {
            date: "today".into(),
            command: vec!["ottla-bench".into()],
            version: "0",
            machine: vec![Setting::new("cores", "2")],
            plan: vec![],
            brokers: vec![broker("ottla"), broker("kafka")],
            reference: Some(1),
            cases: vec![case],
        };
        let page = page(&report);
        let table: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(table.len(), 5, "{page}");
        for line in &table {
            assert_eq!(line.matches('|').count(), 7, "{line}");
        }
        assert_eq!(page.matches("produce: 1 KiB").count(), 1);
        assert!(
            page.contains("0.25 (0.25 to 0.25)") && !page.contains("pages"),
            "{page}"
        );
    }
}
