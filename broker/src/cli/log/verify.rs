//! `ottla log verify`.

use super::Verify;
use crate::config::BrokerConfig;
use anyhow::{Context, bail};
use ottla_storage::{
    TopicPartition,
    disk::RealDisk,
    inspect::{Finding, OfflineDir, Promise, Severity, Totals, verify_partition},
    meta_properties,
};
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What has been found so far.
#[derive(Default)]
struct Found {
    damages: u64,
    partitions: u64,
    totals: Totals,
}

/// Checks the logs that were asked for, and says what is wrong with them on standard output.
pub(super) fn verify(arguments: &Verify) -> anyhow::Result<ExitCode> {
    let mut found = Found::default();
    let mut missing = arguments.partitions.clone();
    for dir in log_dirs(arguments)? {
        verify_dir(&dir, arguments, &mut missing, &mut found)?;
    }
    if !missing.is_empty() {
        bail!("there is no log of {}", missing.join(", "));
    }
    let Found {
        damages,
        partitions,
        totals,
    } = found;
    let outcome = match damages {
        0 => "no damage".into(),
        damages => format!("{damages} damages"),
    };
    println!(
        "{partitions} logs, {} segments, {} batches, {} records, {} bytes: {outcome}",
        totals.segments, totals.batches, totals.records, totals.bytes
    );
    Ok(ExitCode::from(u8::from(damages > 0)))
}

fn log_dirs(arguments: &Verify) -> anyhow::Result<Vec<PathBuf>> {
    match arguments.log_dirs.is_empty() {
        true => Ok(BrokerConfig::load(None, &[])?.0.log_dirs),
        false => Ok(arguments.log_dirs.clone()),
    }
}

fn verify_dir(path: &Path, arguments: &Verify, missing: &mut Vec<String>, found: &mut Found) -> anyhow::Result<()> {
    let dir = OfflineDir::new(path);
    let partitions = dir.partitions()?;
    if let Err(error) = meta_properties::read(&RealDisk::default(), path) {
        println!("damage: {error}");
        found.damages += 1;
    }
    let promises = dir.promises().unwrap_or_else(|error| {
        println!("damage: {error}; without it nothing is known of what was promised");
        found.damages += 1;
        BTreeMap::new()
    });
    for partition in partitions {
        let name = partition.partition.dir_name();
        if !arguments.partitions.is_empty() && !arguments.partitions.contains(&name) {
            continue;
        }
        missing.retain(|wanted| *wanted != name);
        let promise = promises.get(&partition.partition).copied().unwrap_or_default();
        verify_log(
            &partition.path,
            &partition.partition,
            &promise,
            arguments.records,
            found,
        )?;
    }
    Ok(())
}

fn verify_log(
    path: &Path,
    partition: &TopicPartition,
    promise: &Promise,
    with_records: bool,
    found: &mut Found,
) -> anyhow::Result<()> {
    let before = found.totals.bytes;
    let damages = &mut found.damages;
    let mut report = |finding: Finding| {
        *damages += u64::from(finding.severity == Severity::Damage);
        println!("{}", describe(&finding));
    };
    let is_terminal = std::io::stderr().is_terminal();
    let mut progress = |bytes: u64| {
        if is_terminal {
            eprint!("\r\x1b[K{} MB, {partition}", (before + bytes) >> 20);
            // Nobody misses a line of progress.
            let _ = std::io::stderr().flush();
        }
    };
    let totals = verify_partition(path, promise, with_records, &mut report, &mut progress)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if is_terminal {
        eprint!("\r\x1b[K");
    }
    found.partitions += 1;
    found.totals.segments += totals.segments;
    found.totals.batches += totals.batches;
    found.totals.records += totals.records;
    found.totals.bytes += totals.bytes;
    Ok(())
}

fn describe(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Damage => "damage",
        Severity::Repaired => "repaired",
    };
    let position = finding.position.map(|position| format!(", byte {position}"));
    let offset = finding.offset.map(|offset| format!(", offset {offset}"));
    format!(
        "{severity}: {}{}{}: {}",
        finding.path.display(),
        position.unwrap_or_default(),
        offset.unwrap_or_default(),
        finding.wrong
    )
}
