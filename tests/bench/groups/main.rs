//! Groups of many members at little cost of their own: what a benchmark measures is the broker.
//!
//!     groups ADDRESS join|grow|commit|floor|hold|fill|ready [key=value]...
//!
//! | what | |
//! |---|---|
//! | join | `members` join a group on a topic with as many partitions, until each has one |
//! | grow | `members` have a topic with `partitions`; then it gets `more`, until they are shared out |
//! | commit | `members` of a group with a partition each commit it, one commit after another, for `seconds` |
//! | floor | as many connections as `members`, to a server of its own that does nothing, for `seconds`: what the kernel takes |
//! | hold | members over four connections, `members` and then ten times as many, in groups of ten: what one costs |
//! | fill | `commits` offsets, 100 in each of as many groups as that takes |
//! | ready | until the coordinator of every group that `fill` made gives the offsets out |
//!
//! | key | default | what |
//! |---|---|---|
//! | name | bench | of the topic and the groups; a new one each time |
//! | pid | 0 | of the broker, whose processor time and memory are read |
//!
//! A member is a connection and a KIP-848 member on it, but for `hold`. Prints one line of JSON. Fails when a partition has
//! two owners, or when nothing comes about in two minutes.

mod connection;
mod floor;
mod member;
mod offsets;
mod scenes;

use anyhow::Context;
use std::{fs, net::SocketAddr};

#[derive(Clone, Debug)]
pub(crate) struct Options {
    address: SocketAddr,
    name: String,
    pid: u32,
    members: usize,
    partitions: usize,
    more: usize,
    commits: usize,
    seconds: f64,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "groups ADDRESS join|grow|commit|floor|hold|fill|ready [key=value]...";
    let address = arguments.next().context(usage)?;
    let what = arguments.next().context(usage)?;
    let options = Options::parse(address.parse()?, arguments)?;
    // One thread: the cores are the broker's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match what.as_str() {
            "join" => scenes::join(&options).await,
            "grow" => scenes::grow(&options).await,
            "commit" => scenes::commit(&options).await,
            "floor" => floor::floor(&options).await,
            "hold" => scenes::hold(&options).await,
            "fill" => offsets::fill(&options).await,
            "ready" => offsets::ready(&options).await,
            _ => anyhow::bail!(usage),
        }
    })?;
    println!("{result}");
    Ok(())
}

impl Options {
    fn parse(address: SocketAddr, arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self {
            address,
            name: "bench".to_owned(),
            pid: 0,
            members: 1000,
            partitions: 100,
            more: 900,
            commits: 1_000_000,
            seconds: 10.0,
        };
        for argument in arguments {
            let (key, value) = argument.split_once('=').context("key=value")?;
            match key {
                "name" => value.clone_into(&mut options.name),
                "pid" => options.pid = value.parse()?,
                "members" => options.members = value.parse()?,
                "partitions" => options.partitions = value.parse()?,
                "more" => options.more = value.parse()?,
                "commits" => options.commits = value.parse()?,
                "seconds" => options.seconds = value.parse()?,
                _ => anyhow::bail!("there is no {key}"),
            }
        }
        Ok(options)
    }

    /// Clock ticks that the broker has used.
    fn cpu_ticks(&self) -> anyhow::Result<u64> {
        let (user, system) = ticks_of(&format!("/proc/{}/stat", self.pid)).context("pid=")?;
        Ok(user + system)
    }

    /// Kilobytes of memory that are the broker's own and of no file.
    fn anonymous_kb(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("pid=")?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("RssAnon")?.parse()?)
    }
}

/// Clock ticks in user mode and in the kernel, of a process or a thread.
fn ticks_of(stat: &str) -> anyhow::Result<(u64, u64)> {
    let stat = fs::read_to_string(stat)?;
    let (_, fields) = stat.rsplit_once(')').context("a stat line")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || anyhow::Ok(fields.next().context("a field")?.parse::<u64>()?);
    Ok((next()?, next()?))
}
