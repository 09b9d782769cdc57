//! What a request costs, without clocks: instructions and allocations by callgrind, system calls by strace, each against
//! its budget (tests/budgets.toml).
//!
//! Callgrind counts in `costs` (broker/examples/costs), which runs the release build's code in one thread: the same
//! figures on every machine with the same compiler. System calls are those of the binary under test; how many connections
//! a worker finds ready at once is up to the machine, so these figures have some noise.

use anyhow::{Context, ensure};
use ottla_protocol::{
    Message, Request,
    messages::{
        OffsetCommitRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
};
use ottla_tests::{
    Result,
    budgets::Budgets,
    callgrind::{self, Counted},
    client::{Client, batch, fetch_request, produce_request},
    process::{Broker, binary},
    scratch::Scratch,
    simple_group,
};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

/// Growth laws: the first figure is so much, in percent, of the second one.
const RATIOS: &[(&str, &str, &str)] = &[
    (
        "produce among 1,000 partitions, of one alone",
        "produce of 1 KiB among 1,000 partitions",
        "produce of 1 KiB",
    ),
    (
        "produce among 101 producers, of one alone",
        "produce of 1 KiB by one of 101 producers",
        "produce of 1 KiB by the only producer",
    ),
    (
        "fetch in a session of 1,000 partitions, of one of 1",
        "fetch in a session of 1,000 partitions, 1 with news",
        "fetch in a session of 1 partition",
    ),
];

#[test]
fn instructions_and_allocations_are_within_their_budgets() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        println!("not counted: the budgets are those of x86-64");
        return Ok(());
    }
    let figures = count()?;
    let mut budgets = Budgets::load()?;
    for (name, figure) in &figures {
        budgets.hold("instructions", name, figure.instructions);
        budgets.hold("allocations", name, figure.allocations);
    }
    let instructions = |name: &str| {
        let figure = figures.get(name).with_context(|| format!("{name} was not counted"));
        figure.map(|figure| figure.instructions)
    };
    for (law, many, one) in RATIOS {
        budgets.hold("percent", law, 100.0 * instructions(many)? / instructions(one)?);
    }
    budgets.check(&["instructions", "allocations", "percent"])
}

/// For each request, or whatever else is counted.
struct Figure {
    instructions: f64,
    allocations: f64,
}

/// `costs`: `OTTLA_COSTS`, or beside the binary under test.
fn program() -> PathBuf {
    let beside = || binary().with_file_name("examples").join("costs");
    env::var_os("OTTLA_COSTS").map_or_else(beside, PathBuf::from)
}

/// Has callgrind count.
fn count() -> Result<BTreeMap<String, Figure>> {
    let (program, scratch) = (program(), Scratch::new("costs"));
    ensure!(
        program.is_file(),
        "there is no {}: cargo build --release -p ottla --example costs",
        program.display()
    );
    let dumps = scratch.path().join("dump");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*run_counted*"])
        .args(["--dump-after=*end_figure*", "--dump-instr=yes", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", dumps.display()))
        .arg(&program)
        .arg(scratch.path().join("data"))
        .output()
        .context("valgrind does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout)?;
    let figures = printed
        .lines()
        .enumerate()
        .map(|(number, line)| -> Result<(String, Figure)> {
            let (count, name) = line.split_once('\t').context("a count and a name")?;
            let count: f64 = count.parse()?;
            let dump = PathBuf::from(format!("{}.{}", dumps.display(), number + 1));
            let text = fs::read_to_string(&dump).with_context(|| dump.display().to_string())?;
            let Counted {
                instructions,
                allocations,
            } = callgrind::parse(&text)?;
            let figure = Figure {
                instructions: instructions as f64 / count,
                allocations: allocations as f64 / count,
            };
            Ok((name.to_owned(), figure))
        });
    figures.collect()
}

const CONNECTIONS: usize = 50;
const ROUNDS: usize = 40;

#[test]
fn system_calls_are_within_their_budgets() -> Result<()> {
    let scratch = Scratch::new("system-calls");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut first = broker.connect()?;
    first.create_topic("t", 1, &[])?;
    simple_group::commit(&mut first, "g", "t", &[(0, 0)])?;
    let record: &[u8] = &[b'v'; 1024];
    let sixteen_kib = batch(&[record; 16]);
    let (_, offset) = first.produce("t", 0, sixteen_kib.clone(), -1)?;
    let clients = (0..CONNECTIONS).map(|_| broker.connect()).collect::<Result<_>>()?;
    let mut load = Load {
        broker: &broker,
        clients,
        table: scratch.path().join("strace"),
    };
    let fetched = load.calls_for_each(&fetch_request("t", 0, offset, 0), 12)?;
    let produced = load.calls_for_each(&produce_request("t", 0, sixteen_kib, -1), 9)?;
    let committed = load.calls_for_each(&commit_request(), 8)?;
    let mut budgets = Budgets::load()?;
    budgets.hold("system-calls", "fetch of 16 KiB", fetched);
    budgets.hold("system-calls", "produce of 16 KiB", produced);
    budgets.hold("system-calls", "offset commit", committed);
    budgets.check(&["system-calls"])
}

fn commit_request() -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Clients that have one request each under way, and the broker that they ask.
struct Load<'a> {
    broker: &'a Broker,
    clients: Vec<Client>,
    /// Where strace writes.
    table: PathBuf,
}

impl Load<'_> {
    /// System calls of the broker, in all its threads, for each of many such requests.
    fn calls_for_each<R: Request>(&mut self, request: &R, version: i16) -> Result<f64> {
        self.round(request, version)?;
        let strace = Strace::attach(self.broker, &self.table)?;
        let done = (0..ROUNDS).try_for_each(|_| self.round(request, version));
        let calls = strace.end(&self.table)?;
        done?;
        Ok(calls as f64 / (ROUNDS * CONNECTIONS) as f64)
    }

    /// Each client asks once.
    fn round<R: Request>(&mut self, request: &R, version: i16) -> Result<()> {
        let sent = self.clients.iter_mut().map(|client| client.send(request, version));
        let sent = sent.collect::<Result<Vec<_>>>()?;
        for (client, correlation_id) in self.clients.iter_mut().zip(sent) {
            let response = client.receive::<R>(version, correlation_id)?;
            let mut errors = Vec::new();
            response.visit_errors(&mut |code| errors.push(code));
            ensure!(errors.is_empty(), "{}: {errors:?}", R::NAME);
        }
        Ok(())
    }
}

/// strace, while it counts the system calls of a broker.
struct Strace {
    process: Child,
    /// What it says: it would end if nobody could hear it.
    said: BufReader<ChildStderr>,
}

impl Strace {
    fn attach(broker: &Broker, table: &Path) -> Result<Self> {
        let mut process = Command::new("strace")
            .args(["-f", "-c", "-U", "calls,name", "-o"])
            .arg(table)
            .args(["-p", &broker.pid().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .context("strace does not start")?;
        let said = BufReader::new(process.stderr.take().context("it was piped")?);
        let mut strace = Self { process, said };
        let mut line = String::new();
        strace.said.read_line(&mut line)?;
        ensure!(line.contains("attached"), "strace is not attached: {line}");
        Ok(strace)
    }

    /// Lets the broker go, and says how many there were.
    fn end(mut self, table: &Path) -> Result<u64> {
        let stopped = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status()?;
        ensure!(stopped.success(), "strace has gone");
        self.process.wait()?;
        println!("{}", fs::read_to_string(table)?);
        sum_of_calls(&fs::read_to_string(table)?)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The sum of a table whose lines are a number and a name; the last line is strace's own sum.
fn sum_of_calls(table: &str) -> Result<u64> {
    let rows = table.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(char::is_whitespace)?;
        let calls: u64 = calls.parse().ok()?;
        (name.trim() != "total").then_some(calls)
    });
    let sum: u64 = rows.sum();
    ensure!(sum > 0, "strace has counted nothing: {table}");
    Ok(sum)
}
