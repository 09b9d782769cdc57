//! The `ottla-bench` program; `ottla bench` runs it.

use anyhow::{Context, ensure};
use clap::Parser;
use ottla_bench::{
    core::{
        plan::{self, Plan, Set},
        report::{CaseReport, Report, Setting},
        table,
    },
    scenario::{self, ALL, Case, Scenario},
    shell::{
        bench::Bench,
        machine, output,
        progress::Progress,
        target::{Places, Target, Wanted},
    },
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Compares brokers of the Kafka protocol on this machine.
///
/// Brokers run side by side on the same disk and are measured in turn, A B B A; what is told are ratios and costs per
/// unit. Exit code 0: all that was asked was measured; 1: not all; 2: the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "ottla bench", bin_name = "ottla bench", version)]
struct Arguments {
    /// ottla and kafka are started here; HOST:PORT is a broker that runs somewhere. May be given several times
    /// [default: ottla and kafka].
    #[arg(long = "target", value_name = "ottla|kafka|HOST:PORT")]
    targets: Vec<Wanted>,
    /// How much is asked.
    #[arg(long, value_enum, default_value = "quick")]
    set: Set,
    /// Only this question; may be given several times.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Only cases with this in their names; may be given several times.
    #[arg(long = "case", value_name = "TEXT")]
    cases: Vec<String>,
    /// librdkafka properties, KEY=VALUE a line, for the brokers that run somewhere: security.protocol and so on.
    #[arg(long, value_name = "FILE")]
    client_config: Option<PathBuf>,
    /// How often the order A B B A is gone through [default: 1 of quick, 5 of full].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// How long a measurement takes [default: 3 of quick, 20 of full].
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// Where report.json, report.md and report.html go.
    #[arg(long, value_name = "DIR", default_value = "ottla-bench-report")]
    out: PathBuf,
    /// Tell the questions and what is measured, and do nothing.
    #[arg(long)]
    list: bool,
    /// The ottla binary [default: beside this program, else target/release].
    #[arg(long, value_name = "FILE", env = "OTTLA_BIN")]
    ottla_bin: Option<PathBuf>,
    /// The folder tests/lib of Ottla's source, which has what starts Apache Kafka.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../lib"))]
    lib: PathBuf,
    /// Apache Kafka's class path, with a compiled ApacheBroker, in the place of what Maven brings.
    #[arg(long, value_name = "PATH")]
    kafka_classpath: Option<String>,
    /// Where brokers keep their files meanwhile [default: the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

fn seconds(word: &str) -> Result<f64, String> {
    let seconds: f64 = word.parse().map_err(|error| format!("{error}"))?;
    match (0.5..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("from 0.5 to 3600".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan::of(arguments.set, arguments.rounds.map(usize::from), arguments.seconds);
    let scenarios = match chosen(&arguments.scenarios) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("ottla bench: {error:#}");
            return ExitCode::from(2);
        }
    };
    if arguments.list {
        // So that it may be piped into `head`.
        sigpipe::reset();
        list(&plan, &scenarios, &arguments.cases);
        return ExitCode::SUCCESS;
    }
    match run(&arguments, plan, &scenarios) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ottla bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The scenarios of these names, in their own order; all, where none is named.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    static SCENARIOS: &[Scenario] = &ALL;
    let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    for name in names {
        ensure!(
            known.contains(&name.as_str()),
            "there is no scenario {name}: {}",
            known.join(", ")
        );
    }
    let is_chosen = |scenario: &&Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(is_chosen).collect())
}

/// The cases of a scenario that are asked for: all, where no text is given.
fn cases(scenario: &Scenario, plan: &Plan, texts: &[String]) -> Vec<Box<dyn Case>> {
    let mut cases = (scenario.cases)(plan);
    cases.retain(|case| texts.is_empty() || texts.iter().any(|text| case.facts().name.contains(text)));
    cases
}

fn list(plan: &Plan, scenarios: &[&Scenario], texts: &[String]) {
    for scenario in scenarios {
        println!("{}: {}", scenario.name, scenario.asks);
        for case in cases(scenario, plan, texts) {
            let facts = case.facts();
            println!("  {}", facts.name);
            for figure in &facts.figures {
                let better = format!("{:?}", figure.better).to_lowercase();
                println!("      {}, {} ({better} is better)", figure.title, figure.unit);
            }
        }
    }
}

/// Whether all was measured.
fn run(arguments: &Arguments, plan: Plan, scenarios: &[&Scenario]) -> anyhow::Result<bool> {
    machine::raise_file_limit();
    let parent = arguments.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch::below(&parent)?;
    let places = Places {
        ottla: arguments.ottla_bin.clone(),
        lib: arguments.lib.clone(),
        class_path: arguments.kafka_classpath.clone(),
    };
    let mut targets = open(arguments, &places, &scratch.0)?;
    let bench = Bench::new(plan, scratch.0.clone(), places);
    let mut report = head(arguments, &plan, &targets, &scratch.0);
    let asked: Vec<(&Scenario, Box<dyn Case>)> = scenarios
        .iter()
        .flat_map(|scenario| {
            cases(scenario, &plan, &arguments.cases)
                .into_iter()
                .map(|case| (*scenario, case))
        })
        .collect();
    ensure!(!asked.is_empty(), "no case has such a name: --list tells them");
    let turns = bench.turns(targets.len());
    let progress = Progress::of(asked.len() * turns);
    warm_up(&bench, &targets, &progress)?;
    for (scenario, case) in asked {
        let case = bench.run(scenario, case, &mut targets, &progress);
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        progress.print(table::lines(&case, &names).trim_end());
        report.cases.push(case);
        // A run that is interrupted leaves what it has.
        output::write(&report, &arguments.out)?;
    }
    progress.end();
    println!("\n{}", conclusion(&report.cases));
    println!("report: {}", arguments.out.join("report.html").display());
    Ok(report.is_whole())
}

fn open(arguments: &Arguments, places: &Places, scratch: &Path) -> anyhow::Result<Vec<Target>> {
    let properties = match &arguments.client_config {
        Some(path) => parse_properties(
            &std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        )?,
        None => vec![],
    };
    let mut wanted = arguments.targets.clone();
    if wanted.is_empty() {
        wanted = vec![Wanted::Ottla, Wanted::Kafka];
    }
    for (at, each) in wanted.iter().enumerate() {
        ensure!(!wanted[..at].contains(each), "each target once");
    }
    wanted
        .iter()
        .map(|wanted| Target::open(wanted, places, &properties, scratch))
        .collect()
}

/// KEY=VALUE a line; lines that are empty or begin with # say nothing.
fn parse_properties(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').with_context(|| format!("no KEY=VALUE: {line}"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    lines.map(pair).collect()
}

fn head(arguments: &Arguments, plan: &Plan, targets: &[Target], scratch: &Path) -> Report {
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    Report {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        command: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION"),
        machine: machine::facts(scratch),
        plan: vec![
            Setting::new("set", format!("{:?}", arguments.set).to_lowercase()),
            Setting::new("rounds A B B A", plan.rounds.to_string()),
            Setting::new("seconds", plan.seconds.to_string()),
            Setting::new("warm-up, seconds", plan.warm_up_seconds.to_string()),
        ],
        reference: plan::reference(&names),
        brokers: targets.iter().map(Target::facts).collect(),
        cases: vec![],
    }
}

/// All alike: what is compared has the same past.
fn warm_up(bench: &Bench, targets: &[Target], progress: &Progress) -> anyhow::Result<()> {
    for target in targets {
        progress.begin(&format!("warming up {}", target.name));
        let duration = Duration::from_secs_f64(bench.plan.warm_up_seconds);
        scenario::warm_up(bench, target, duration).with_context(|| format!("{} cannot be loaded", target.name))?;
    }
    Ok(())
}

fn conclusion(cases: &[CaseReport]) -> String {
    let bars = || {
        cases
            .iter()
            .flat_map(|case| &case.figures)
            .filter_map(|figure| figure.is_reached)
    };
    let failed = cases
        .iter()
        .flat_map(|case| &case.troubles)
        .filter(|trouble| trouble.is_failure)
        .count();
    let reached = bars().filter(|is_reached| *is_reached).count();
    format!(
        "{reached} of {} bars reached, {failed} measurements failed",
        bars().count()
    )
}

/// A folder that goes when this does. Brokers are dropped first.
struct Scratch(PathBuf);

impl Scratch {
    fn below(parent: &Path) -> anyhow::Result<Self> {
        let folder = parent.join(format!("ottla-bench.{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be taken away is left to whoever cleans that folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_scenario_is_refused_with_the_known_ones() {
        let error = chosen(&["prodcue".to_owned()])
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains("prodcue") && error.contains("produce"), "{error}");
    }

    #[test]
    fn properties_are_lines_of_key_and_value() {
        let properties = parse_properties("# secret\n\nsasl.password = a=b \n").expect("sound");
        assert_eq!(properties, vec![("sasl.password".to_owned(), "a=b".to_owned())]);
        assert!(parse_properties("nothing").is_err());
    }
}
