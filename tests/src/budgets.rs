//! What things may cost (tests/budgets.toml), held against what was measured.
//!
//! A figure that is more than 5 % over its budget fails, so that nothing gets dearer unnoticed; one that is more than
//! 10 % under it fails too, so that what was won is not lost unnoticed later: its budget is to be lowered. Units and figures
//! that differ from run to run have a percentage of noise in the file, which is added to both.

use anyhow::{Context, bail};
use toml::{Table, Value};

const OVER_PERCENT: f64 = 5.0;
const UNDER_PERCENT: f64 = 10.0;

/// What a figure comes to beside its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Within,
    Over,
    Under,
}

fn verdict(budget: f64, measured: f64, noise_percent: f64) -> Verdict {
    let share = |percent: f64| budget * (percent + noise_percent) / 100.0;
    if measured > budget + share(OVER_PERCENT) {
        Verdict::Over
    } else if measured < budget - share(UNDER_PERCENT) {
        Verdict::Under
    } else {
        Verdict::Within
    }
}

/// Figures as they are measured, and what is wrong with them.
#[derive(Debug)]
pub struct Budgets {
    file: Table,
    /// Unit and name of what was measured.
    seen: Vec<(String, String)>,
    wrong: Vec<String>,
}

impl Budgets {
    /// Those of the file.
    ///
    /// # Errors
    /// It is no TOML.
    pub fn load() -> crate::Result<Self> {
        Self::parse(include_str!("../budgets.toml"))
    }

    fn parse(text: &str) -> crate::Result<Self> {
        Ok(Self {
            file: text.parse().context("tests/budgets.toml")?,
            seen: Vec::new(),
            wrong: Vec::new(),
        })
    }

    fn number(&self, table: &str, name: &str) -> Option<f64> {
        match self.file.get(table)?.get(name)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Holds a figure against its budget, and prints both. What is wrong is told by [`Budgets::check`].
    pub fn hold(&mut self, unit: &str, name: &str, measured: f64) {
        self.seen.push((unit.to_owned(), name.to_owned()));
        let rounded = if measured < 100.0 { 2 } else { 0 };
        let Some(budget) = self.number(unit, name) else {
            let line = format!("{name}: {measured:.rounded$} {unit} have no budget");
            self.wrong.push(line);
            return;
        };
        let line = format!("{name}: {measured:.rounded$} {unit}, budget {budget}");
        println!("{line}");
        let noise = |of: &str| self.number("noise-percent", of);
        let noise_percent = noise(name).or_else(|| noise(unit)).unwrap_or(0.0);
        match verdict(budget, measured, noise_percent) {
            Verdict::Within => {}
            Verdict::Over => self.wrong.push(format!("{line}: too much")),
            Verdict::Under => self.wrong.push(format!("{line}: lower the budget")),
        }
    }

    /// Fails unless each figure was within its budget, and each budget of `units` was for one of them.
    ///
    /// # Errors
    /// The figures that were not, all together.
    pub fn check(mut self, units: &[&str]) -> crate::Result<()> {
        for unit in units {
            let names = self.file.get(*unit).and_then(Value::as_table);
            for name in names.into_iter().flat_map(Table::keys) {
                if !self.seen.contains(&((*unit).to_owned(), name.clone())) {
                    self.wrong.push(format!("{name}: no {unit} were measured"));
                }
            }
        }
        if !self.wrong.is_empty() {
            bail!("tests/budgets.toml does not hold:\n  {}", self.wrong.join("\n  "));
        }
        Ok(())
    }
}

/// One figure alone.
///
/// # Errors
/// It is not within its budget.
pub fn hold(unit: &str, name: &str, measured: f64) -> crate::Result<()> {
    let mut budgets = Budgets::load()?;
    budgets.hold(unit, name, measured);
    budgets.check(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "noise-percent.apples = 10\npears.small = 200\npears.large = 2.5\napples.red = 100\n";

    fn complaint(figures: &[(&str, &str, f64)], units: &[&str]) -> Option<String> {
        let mut budgets = Budgets::parse(FILE).expect("it is TOML");
        for (unit, name, measured) in figures {
            budgets.hold(unit, name, *measured);
        }
        budgets.check(units).err().map(|error| error.to_string())
    }

    #[test]
    fn five_percent_more_and_ten_percent_less_are_within() {
        assert_eq!(complaint(&[("pears", "small", 210.0)], &[]), None);
        assert_eq!(complaint(&[("pears", "small", 180.0)], &[]), None);
        assert_eq!(complaint(&[("apples", "red", 115.0)], &[]), None);
        assert_eq!(complaint(&[("apples", "red", 80.0)], &[]), None);
    }

    #[test]
    fn what_is_beyond_fails_with_figure_budget_and_measure() {
        let over = complaint(&[("pears", "large", 2.63)], &[]).expect("it is too much");
        assert!(over.ends_with("large: 2.63 pears, budget 2.5: too much"), "{over}");
        let under = complaint(&[("pears", "small", 179.0)], &[]).expect("it is little");
        assert!(
            under.ends_with("small: 179 pears, budget 200: lower the budget"),
            "{under}"
        );
        let noisy = complaint(&[("apples", "red", 116.0)], &[]).expect("it is too much");
        assert!(noisy.contains("red: 116 apples, budget 100"), "{noisy}");
    }

    #[test]
    fn no_figure_and_no_budget_is_alone() {
        let unmeasured = complaint(&[("pears", "large", 2.5)], &["pears"]).expect("small is missing");
        assert!(unmeasured.contains("small: no pears were measured"), "{unmeasured}");
        let unknown = complaint(&[("pears", "huge", 1.0)], &[]).expect("it has no budget");
        assert!(unknown.contains("huge: 1.00 pears have no budget"), "{unknown}");
    }
}
