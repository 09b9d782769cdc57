//! `ottla group`: the groups of a cluster, over the Kafka protocol, with the broker's own figure of their lag.

mod cluster;
mod http;
mod table;
mod view;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use cluster::Cluster;
use http::{HttpAddress, Lags};
use std::process::ExitCode;
use table::Table;
use view::{GroupView, ListedView};

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// List the groups: their type, state, members, and how far they are behind.
    List(List),
    /// Say of groups where they are in each partition, and who their members are.
    ///
    /// LAG is the number of offsets that the group has still to read, up to the high watermark; BEHIND the time since
    /// the first of them was appended. The latter only the broker knows: it is asked over HTTP (http.listener). Where
    /// that does not answer, "-" stands for it.
    Describe(Describe),
}

/// Where the cluster is.
#[derive(Debug, Args)]
struct Target {
    /// A broker of the cluster.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// Where the broker serves HTTP; without it port 9464 of the same host is tried.
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// `ottla group list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    target: Target,
}

/// `ottla group describe`.
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// A group; may be given several times.
    #[arg(long = "group", value_name = "GROUP", required_unless_present = "all")]
    groups: Vec<String>,
    /// Every group.
    #[arg(long, conflicts_with = "groups")]
    all: bool,
    /// Show the members and what they are assigned.
    #[arg(long)]
    members: bool,
    /// Show the offsets; this is what is shown if nothing else is asked for.
    #[arg(long)]
    offsets: bool,
    /// Show the state: type, coordinator, assignor.
    #[arg(long)]
    state: bool,
    #[command(flatten)]
    target: Target,
}

/// Does so.
///
/// # Errors
/// What a person should read.
pub(super) fn run(command: &GroupCommand) -> anyhow::Result<ExitCode> {
    match command {
        GroupCommand::List(arguments) => list(&arguments.target)?,
        GroupCommand::Describe(arguments) => describe(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(target: &Target) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&target.bootstrap)?;
    let lags = lags(target, &cluster)?;
    let mut listed = Vec::new();
    let all = lags.as_ref().map(|lags| lags.of_all()).transpose()?;
    for group in cluster.groups()? {
        let told = all.as_ref().and_then(|all| all.get(&*group.listed.group_id));
        listed.push(ListedView::new(&group, told));
    }
    if target.json {
        return print_json(&listed);
    }
    let mut table = Table::new(["GROUP", "TYPE", "STATE", "MEMBERS", "LAG", "BEHIND"]);
    listed.iter().for_each(|group| table.add(group.row()));
    print!("{table}");
    Ok(())
}

fn describe(arguments: &Describe) -> anyhow::Result<()> {
    let target = &arguments.target;
    let mut cluster = Cluster::connect(&target.bootstrap)?;
    let lags = lags(target, &cluster)?;
    let mut groups = cluster.groups()?;
    if !arguments.all {
        let unknown = |id: &&String| !groups.iter().any(|group| *group.listed.group_id == **id);
        if let Some(id) = arguments.groups.iter().find(unknown) {
            bail!("there is no group {id}");
        }
        groups.retain(|group| arguments.groups.iter().any(|id| **id == *group.listed.group_id));
    }
    let mut views = Vec::with_capacity(groups.len());
    for group in &groups {
        let told = match &lags {
            Some(lags) => lags.of_group(&group.listed.group_id)?,
            None => None,
        };
        views.push(GroupView::gather(&mut cluster, group, told.as_ref())?);
    }
    if target.json {
        return print_json(&views);
    }
    for (at, view) in views.iter().enumerate() {
        if at > 0 {
            println!();
        }
        show(view, arguments);
    }
    Ok(())
}

fn show(view: &GroupView, arguments: &Describe) {
    println!("{}", view.headline());
    if arguments.state {
        print!("\n{}", view.state_table());
    }
    if arguments.members {
        print!("\n{}", view.member_table());
    }
    if arguments.offsets || !(arguments.members || arguments.state) {
        print!("\n{}", view.offset_table());
    }
}

/// Who knows the lag in seconds. `None` where nobody was named and nobody answers for this cluster.
fn lags(target: &Target, cluster: &Cluster) -> anyhow::Result<Option<Lags>> {
    let (address, is_named) = match &target.http {
        Some(url) => (HttpAddress::parse(url)?, true),
        None => (HttpAddress::beside(&target.bootstrap), false),
    };
    let said = Lags::connect(address, cluster.id());
    match said {
        Ok(lags) => Ok(Some(lags)),
        Err(error) if is_named => Err(error),
        Err(error) => {
            eprintln!("no lag in seconds: {error:#}; --http names another address");
            Ok(None)
        }
    }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    println!("{text}");
    Ok(())
}
