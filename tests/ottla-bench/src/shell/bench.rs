//! Runs cases: prepares each on every target, measures in the order A B B A, cleans up, and goes on when one fails.

use super::{
    launch::{self, Program},
    machine,
    progress::Progress,
    target::{Places, Target},
};
use crate::{
    core::{
        figure::Figure,
        plan::{self, Plan},
        report::{CaseFacts, CaseReport, Measured, Run, Trouble},
    },
    scenario::{Case, Needs, Scenario},
};
use anyhow::bail;
use std::{
    cell::{Cell, OnceCell},
    path::PathBuf,
    time::{Duration, Instant},
};

/// Of every run.
const STOLEN: Figure = Figure::told(
    "stolen_ms_per_s",
    "processor time that the host did not give",
    "ms per s",
);

/// What all cases share.
#[derive(Debug)]
pub struct Bench {
    /// How long, how often.
    pub plan: Plan,
    /// A folder for brokers that a case starts by itself.
    pub scratch: PathBuf,
    places: Places,
    java: OnceCell<String>,
    serial: Cell<u32>,
}

impl Bench {
    /// With files below `scratch`.
    pub fn new(plan: Plan, scratch: PathBuf, places: Places) -> Self {
        Self {
            plan,
            scratch,
            places,
            java: OnceCell::new(),
            serial: Cell::new(0),
        }
    }

    /// A name that no other run has: brokers elsewhere keep what was there before.
    pub fn unique(&self, what: &str) -> String {
        self.serial.set(self.serial.get() + 1);
        format!("ottla-bench-{}-{}-{what}", std::process::id(), self.serial.get())
    }

    /// The class path of Apache Kafka's jars, brought on first use.
    ///
    /// # Errors
    /// They are not to be had.
    pub fn java(&self) -> anyhow::Result<&str> {
        if let Some(known) = self.java.get() {
            return Ok(known);
        }
        match launch::kafka(&self.places.lib, self.places.class_path.clone())? {
            Program::Kafka { class_path, .. } => Ok(self.java.get_or_init(|| class_path)),
            Program::Ottla(_) => bail!("Apache Kafka is not Ottla"),
        }
    }

    /// Lets time go by while a load is measured.
    pub fn pass(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// How many measurements a case takes.
    pub fn turns(&self, targets: usize) -> usize {
        plan::order(targets, self.plan.rounds).len()
    }

    /// Measures one case of a scenario on all targets that it can be asked of.
    pub fn run(
        &self,
        scenario: &Scenario,
        mut case: Box<dyn Case>,
        targets: &mut [Target],
        progress: &Progress,
    ) -> CaseReport {
        let mut facts = case.facts();
        facts.figures.push(STOLEN);
        let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let mut work = Work {
            bench: self,
            scenario,
            facts: &facts,
            troubles: Vec::new(),
            runs: Vec::new(),
        };
        work.prepare(case.as_mut(), targets, progress);
        work.measure(case.as_mut(), targets, progress);
        work.clean(case.as_mut(), targets);
        let (runs, troubles) = (work.runs, work.troubles);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        CaseReport::new((scenario.name, scenario.asks), facts, &names, runs, troubles)
    }
}

struct Work<'a> {
    bench: &'a Bench,
    scenario: &'a Scenario,
    facts: &'a CaseFacts,
    troubles: Vec<Trouble>,
    runs: Vec<Run>,
}

impl Work<'_> {
    fn prepare(&mut self, case: &mut dyn Case, targets: &mut [Target], progress: &Progress) {
        for target in targets {
            if let Some(reason) = self.scenario.needs.lack(target) {
                self.trouble(target, reason.to_owned(), false);
                continue;
            }
            progress.begin(&format!(
                "{}: {}, {}: preparing",
                self.scenario.name, self.facts.name, target.name
            ));
            if let Err(error) = case.prepare(self.bench, target) {
                self.fail(target, &error);
            }
        }
    }

    fn measure(&mut self, case: &mut dyn Case, targets: &mut [Target], progress: &Progress) {
        for (turn, broker) in plan::order(targets.len(), self.bench.plan.rounds)
            .into_iter()
            .enumerate()
        {
            let target = &mut targets[broker];
            if self.has_trouble(target) {
                progress.done(1);
                continue;
            }
            progress.begin(&format!("{}: {}, {}", self.scenario.name, self.facts.name, target.name));
            // What earlier runs left to be written back is not this run's business.
            rustix::fs::sync();
            let (begun, before) = (Instant::now(), machine::stolen());
            match case.measure(self.bench, target) {
                Ok(measured) => {
                    let stolen = machine::stolen()
                        .zip(before)
                        .map(|(after, before)| after.saturating_sub(before));
                    let ms_per_s = stolen.map(|stolen| stolen.as_secs_f64() * 1e3 / begun.elapsed().as_secs_f64());
                    let measured = measured.with(STOLEN.key, ms_per_s);
                    self.runs.push(Run { broker, turn, measured });
                }
                Err(error) => self.fail(target, &error),
            }
            progress.done(1);
        }
    }

    fn clean(&mut self, case: &mut dyn Case, targets: &mut [Target]) {
        for target in targets {
            if self.scenario.needs.lack(target).is_none()
                && let Err(error) = case.clean(self.bench, target)
            {
                self.fail(target, &error);
            }
        }
    }

    fn has_trouble(&self, target: &Target) -> bool {
        self.troubles.iter().any(|trouble| trouble.broker == target.name)
    }

    /// What went wrong; that the broker has ended is the better reason where it has.
    fn fail(&mut self, target: &mut Target, error: &anyhow::Error) {
        let reason = match target.ensure_running() {
            Ok(()) => format!("{error:#}"),
            Err(ended) => format!("{error:#}; {ended:#}"),
        };
        self.trouble(target, reason, true);
    }

    fn trouble(&mut self, target: &Target, reason: String, is_failure: bool) {
        self.troubles.push(Trouble {
            broker: target.name.clone(),
            reason,
            is_failure,
        });
    }
}

impl Needs {
    /// Why this target cannot be asked, if it cannot.
    fn lack(self, target: &Target) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Plaintext => {
                (!target.is_plaintext()).then_some("its thousands of connections know no TLS and no SASL")
            }
            Self::Process => target
                .process()
                .is_none()
                .then_some("its process and files are not here"),
        }
    }
}

/// A measurement with what every run has: no value where the process is elsewhere.
pub fn with_memory(measured: Measured, peak: Option<super::process::Memory>) -> Measured {
    measured
        .with("anonymous_mib", peak.map(|peak| peak.anonymous_mib))
        .with("file_mib", peak.map(|peak| peak.file_mib))
}
