//! The questions, each in a file of its own.

mod catchup;
mod consume;
mod fanin;
mod fanout;
mod groups;
mod latency;
mod produce;
mod start;
mod tools;
mod topics;
mod transactions;
mod wide_fetch;

pub use produce::warm_up;

use crate::{
    core::{
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
    },
    shell::{bench::Bench, target::Target},
};

/// What a scenario needs of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// An address.
    Nothing,
    /// A listener without TLS and SASL.
    Plaintext,
    /// Its process and its files.
    Process,
}

/// A question.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// The question itself.
    pub asks: &'static str,
    /// What it needs of a broker.
    pub needs: Needs,
    /// Its cases.
    pub cases: fn(&Plan) -> Vec<Box<dyn Case>>,
}

/// One shape in which a question is asked. A failure of one is told in the report; the others go on.
pub trait Case {
    /// What it is and measures.
    fn facts(&self) -> CaseFacts;

    /// What is made once for each broker; not measured.
    ///
    /// # Errors
    /// It cannot be made.
    fn prepare(&mut self, _bench: &Bench, _target: &mut Target) -> anyhow::Result<()> {
        Ok(())
    }

    /// One measurement.
    ///
    /// # Errors
    /// There is nothing to tell: a report has no figure for work that was not done.
    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured>;

    /// Takes away what was prepared.
    ///
    /// # Errors
    /// It cannot be taken away.
    fn clean(&mut self, _bench: &Bench, _target: &mut Target) -> anyhow::Result<()> {
        Ok(())
    }
}

/// All of them, in the order in which they run: what leaves much behind comes last.
pub const ALL: [Scenario; 12] = [
    produce::SCENARIO,
    tools::SCENARIO,
    consume::SCENARIO,
    latency::SCENARIO,
    catchup::SCENARIO,
    fanout::SCENARIO,
    fanin::SCENARIO,
    transactions::SCENARIO,
    groups::SCENARIO,
    start::SCENARIO,
    wide_fetch::SCENARIO,
    topics::SCENARIO,
];

/// Properties as settings of a report.
fn settings(properties: &[(String, String)]) -> Vec<Setting> {
    properties
        .iter()
        .map(|(key, value)| Setting::new(key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::plan::Set;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_cases_with_figures_of_different_names_in_both_sets() {
        for set in [Set::Quick, Set::Full] {
            let plan = Plan::of(set, None, None);
            let mut seen = BTreeSet::new();
            for scenario in &ALL {
                let cases = (scenario.cases)(&plan);
                assert!(!cases.is_empty(), "{}", scenario.name);
                for case in cases {
                    let facts = case.facts();
                    assert!(
                        seen.insert((scenario.name, facts.name.clone())),
                        "{} {}",
                        scenario.name,
                        facts.name
                    );
                    let keys: BTreeSet<_> = facts.figures.iter().map(|figure| figure.key).collect();
                    assert!(!keys.is_empty() && keys.len() == facts.figures.len(), "{}", facts.name);
                    assert!(!facts.settings.is_empty(), "{} tells no settings", facts.name);
                }
            }
        }
    }

    #[test]
    fn the_full_set_has_every_case_of_the_quick_one() {
        let names = |set| -> BTreeSet<(&str, String)> {
            let plan = Plan::of(set, None, None);
            let of = |scenario: &Scenario| -> Vec<_> {
                (scenario.cases)(&plan)
                    .iter()
                    .map(|case| (scenario.name, case.facts().name))
                    .collect()
            };
            ALL.iter().flat_map(of).collect()
        };
        let (quick, full) = (names(Set::Quick), names(Set::Full));
        let scaled = ["topics", "start", "groups", "catchup"];
        let missing: Vec<_> = quick
            .difference(&full)
            .filter(|(scenario, _)| !scaled.contains(scenario))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
