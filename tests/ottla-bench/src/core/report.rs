//! The report: every raw run with what it ran on, and the figures that follow from them.

use super::{
    figure::Figure,
    latency::Curve,
    plan,
    statistics::{Spread, ratios},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// A setting as it stands beside a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Setting {
    /// From its name and value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// Everything about a run of the program.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it began.
    pub date: String,
    /// How it was called.
    pub command: Vec<String>,
    /// The version of this program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Vec<Setting>,
    /// How long, how often.
    pub plan: Vec<Setting>,
    /// The brokers, in the order in which the runs number them.
    pub brokers: Vec<BrokerFacts>,
    /// The number of the one that the others are compared with.
    pub reference: Option<usize>,
    /// What was measured, and what was not and why.
    pub cases: Vec<CaseReport>,
}

/// A broker that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerFacts {
    /// ottla, kafka, or the address.
    pub name: String,
    /// Its version, as far as it can be told.
    pub version: String,
    /// Its settings, with those of its process.
    pub settings: Vec<Setting>,
}

/// What a case is, before it is measured.
#[derive(Clone, Debug, Serialize)]
pub struct CaseFacts {
    /// Its name in the scenario.
    pub name: String,
    /// Of client and topic.
    pub settings: Vec<Setting>,
    /// What is measured.
    #[serde(skip)]
    pub figures: Vec<Figure>,
    /// Where it stands among the scenario's other cases, when they differ in one number.
    pub axis: Option<Axis>,
}

/// A number in which the cases of a scenario differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What it counts.
    pub title: &'static str,
    /// This case's.
    pub value: f64,
}

/// What one measurement gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// By the key of the figure; one that could not be measured is left out.
    pub values: BTreeMap<&'static str, f64>,
    /// Latencies.
    pub curves: Vec<Curve>,
}

impl Measured {
    /// With one value more, if there is one.
    pub fn with(mut self, key: &'static str, value: impl Into<Option<f64>>) -> Self {
        if let Some(value) = value.into() {
            self.values.insert(key, value);
        }
        self
    }
}

/// One measurement of one broker.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The broker's number.
    pub broker: usize,
    /// Which measurement of the case, over all brokers, in order.
    pub turn: usize,
    /// What it gave.
    #[serde(flatten)]
    pub measured: Measured,
}

/// A case that was measured, or was to be.
#[derive(Debug, Serialize)]
pub struct CaseReport {
    /// The scenario.
    pub scenario: &'static str,
    /// The question.
    pub asks: &'static str,
    /// The case itself.
    #[serde(flatten)]
    pub facts: CaseFacts,
    /// What follows from the runs.
    pub figures: Vec<FigureReport>,
    /// The runs.
    pub runs: Vec<Run>,
    /// Why it was not measured, or not to its end; by broker where it concerns one.
    pub troubles: Vec<Trouble>,
}

/// Why something was not measured.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    /// The broker.
    pub broker: String,
    /// What a person should read.
    pub reason: String,
    /// A failure, where it is not just something that cannot be asked of this broker.
    pub is_failure: bool,
}

/// A figure over all runs of a case.
#[derive(Clone, Debug, Serialize)]
pub struct FigureReport {
    /// Which.
    #[serde(flatten)]
    pub figure: Figure,
    /// Of each broker.
    pub of_brokers: Vec<Option<Spread>>,
    /// Of each broker, compared with the reference.
    pub ratios: Vec<Option<Spread>>,
    /// Whether Ottla reaches the bar.
    pub is_reached: Option<bool>,
}

impl CaseReport {
    /// Puts together what was measured.
    pub fn new(
        (scenario, asks): (&'static str, &'static str),
        facts: CaseFacts,
        brokers: &[&str],
        runs: Vec<Run>,
        troubles: Vec<Trouble>,
    ) -> Self {
        let figures = facts
            .figures
            .iter()
            .map(|figure| FigureReport::new(figure, brokers, &runs));
        Self {
            figures: figures.collect(),
            scenario,
            asks,
            facts,
            runs,
            troubles,
        }
    }
}

impl FigureReport {
    fn new(figure: &Figure, brokers: &[&str], runs: &[Run]) -> Self {
        let values = |broker: usize| -> Vec<f64> {
            let own = runs.iter().filter(|run| run.broker == broker);
            own.filter_map(|run| run.measured.values.get(figure.key).copied())
                .collect()
        };
        let of_brokers: Vec<_> = (0..brokers.len()).map(|broker| Spread::of(&values(broker))).collect();
        let reference = plan::reference(brokers);
        let ratio = |broker: usize| {
            let reference = reference.filter(|reference| *reference != broker)?;
            Spread::of(&ratios(&values(broker), &values(reference)))
        };
        let ratios: Vec<_> = (0..brokers.len()).map(ratio).collect();
        let ottla = brokers.iter().position(|name| *name == "ottla");
        // A bar is a ratio to Apache Kafka itself, not to whatever else was at hand.
        let beside_kafka = reference.is_some_and(|reference| brokers[reference] == "kafka");
        let is_reached = ottla.and_then(|ottla| {
            let ratio = ratios[ottla].filter(|_| beside_kafka);
            figure.is_reached(of_brokers[ottla].map(|of| of.median), ratio.map(|ratio| ratio.median))
        });
        Self {
            figure: figure.clone(),
            of_brokers,
            ratios,
            is_reached,
        }
    }
}

impl Report {
    /// Whether all that was asked was measured; what cannot be asked of a broker does not count.
    pub fn is_whole(&self) -> bool {
        let failed = |case: &CaseReport| case.troubles.iter().any(|trouble| trouble.is_failure);
        !self.cases.is_empty() && !self.cases.iter().any(failed)
    }

    /// The names of the brokers.
    pub fn names(&self) -> Vec<&str> {
        self.brokers.iter().map(|broker| broker.name.as_str()).collect()
    }

    /// The cases by scenario, in the order in which they were measured.
    pub fn scenarios(&self) -> impl Iterator<Item = &[CaseReport]> {
        self.cases.chunk_by(|a, b| a.scenario == b.scenario)
    }
}

/// A value with as many digits as say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 10_000.0 => grouped(value.round() as i64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::figure::Bar;

    const CPU: Figure = Figure::less("cpu", "CPU", "s/GB").with_bar(Bar::Ratio(0.5));

    fn runs(values: &[(usize, f64)]) -> Vec<Run> {
        let run = |(turn, (broker, value)): (usize, &(usize, f64))| Run {
            broker: *broker,
            turn,
            measured: Measured::default().with("cpu", *value),
        };
        values.iter().enumerate().map(run).collect()
    }

    fn case(brokers: &[&str], values: &[(usize, f64)]) -> CaseReport {
        let facts = CaseFacts {
            name: "a case".into(),
            settings: vec![],
            figures: vec![CPU],
            axis: None,
        };
        CaseReport::new(("produce", "What does it cost?"), facts, brokers, runs(values), vec![])
    }

    #[test]
    fn a_ratio_is_the_median_over_neighbours_and_is_held_against_the_bar() {
        let case = case(&["ottla", "kafka"], &[(0, 1.0), (1, 4.0), (1, 2.0), (0, 0.8)]);
        let figure = &case.figures[0];
        let ratio = figure.ratios[0].expect("a ratio");
        assert!(
            (ratio.median - 0.325).abs() < 1e-9 && ratio.min == 0.25 && ratio.max == 0.4,
            "{ratio:?}"
        );
        assert_eq!(figure.ratios[1], None, "the reference is not compared with itself");
        assert_eq!(figure.is_reached, Some(true));
    }

    #[test]
    fn a_bar_is_missed_by_a_median_above_it() {
        let case = case(&["ottla", "kafka"], &[(0, 3.0), (1, 4.0), (1, 4.0), (0, 3.0)]);
        assert_eq!(case.figures[0].is_reached, Some(false));
    }

    #[test]
    fn a_broker_elsewhere_is_no_judge_of_a_bar_that_is_a_ratio_to_kafka() {
        let case = case(&["ottla", "10.0.0.7:9092"], &[(0, 1.0), (1, 4.0)]);
        assert!(case.figures[0].ratios[0].is_some());
        assert_eq!(case.figures[0].is_reached, None);
    }

    #[test]
    fn one_failure_makes_a_report_that_is_not_whole_and_so_does_having_measured_nothing() {
        let mut report = Report {
            date: String::new(),
            command: vec![],
            version: "0",
            machine: vec![],
            plan: vec![],
            brokers: vec![],
            reference: None,
            cases: vec![],
        };
        assert!(!report.is_whole());
        report.cases.push(case(&["ottla"], &[(0, 1.0)]));
        assert!(report.is_whole());
        let trouble = |is_failure| Trouble {
            broker: "ottla".into(),
            reason: "it is elsewhere".into(),
            is_failure,
        };
        report.cases[0].troubles.push(trouble(false));
        assert!(report.is_whole());
        report.cases[0].troubles.push(trouble(true));
        assert!(!report.is_whole());
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let shown: Vec<_> = [1_234_567.0, 123.4, 12.34, 1.234, 0.01234, 0.0, -45_000.0]
            .map(number)
            .to_vec();
        assert_eq!(shown, ["1,234,567", "123", "12.3", "1.23", "0.0123", "0", "-45,000"]);
    }
}
