//! `ottla log accept-loss`.

use super::AcceptLoss;
use crate::log_store::METADATA_TOPIC;
use anyhow::{Context, bail};
use ottla_storage::{
    DirKind, TopicPartition,
    inspect::{Loss, OfflineDir, Promise, find_loss},
};
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    process::ExitCode,
};

/// Says what is lost; cuts the logs for which that is accepted.
pub(super) fn accept_loss(arguments: &AcceptLoss) -> anyhow::Result<ExitCode> {
    let mut dir = OfflineDir::new(&arguments.dir);
    let named = arguments
        .partitions
        .iter()
        .map(|name| named(&dir, name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    dir.lock()?;
    let promises = dir.promises()?;
    let damaged = match arguments.all {
        true => all_damaged(&dir, &promises)?,
        false => each_damaged(&dir, &promises, named)?,
    };
    if damaged.is_empty() {
        bail!("the logs are whole up to what was promised of them: there is nothing to accept");
    }
    damaged.iter().for_each(|(partition, loss)| describe(partition, loss));
    let mut is_all_done = true;
    for (partition, loss) in damaged {
        if !arguments.yes && !is_confirmed(&partition)? {
            eprintln!("nothing of {partition} was changed");
            is_all_done = false;
            continue;
        }
        loss.accept(&dir, &partition, !arguments.no_copy)?;
        println!("{partition} ends at offset {} now", loss.log_end_offset);
    }
    Ok(if is_all_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The partition of this name, which must have a log that may be cut here.
fn named(dir: &OfflineDir, name: &str) -> anyhow::Result<TopicPartition> {
    let partition =
        TopicPartition::parse_dir_name(name).with_context(|| format!("{name} is no partition: write TOPIC-NUMBER"))?;
    if &*partition.topic == METADATA_TOPIC {
        bail!("the metadata log is not cut here: the message of the broker that does not start has the ways out");
    }
    if !dir.path().join(name).is_dir() {
        bail!("there is no log of {name} in {}", dir.path().display());
    }
    Ok(partition)
}

type Promises = BTreeMap<TopicPartition, Promise>;

/// All of these, which must be damaged.
fn each_damaged(
    dir: &OfflineDir,
    promises: &Promises,
    partitions: Vec<TopicPartition>,
) -> anyhow::Result<Vec<(TopicPartition, Loss)>> {
    let damaged = partitions.into_iter().map(|partition| {
        let loss = loss_of(dir, promises, &partition)?
            .with_context(|| format!("the log of {partition} is whole up to what was promised of it"))?;
        Ok((partition, loss))
    });
    damaged.collect()
}

/// Those of the directory that are damaged.
fn all_damaged(dir: &OfflineDir, promises: &Promises) -> anyhow::Result<Vec<(TopicPartition, Loss)>> {
    let mut damaged = Vec::new();
    for each in dir.partitions()? {
        let is_in_use = each.kind == DirKind::Current && &*each.partition.topic != METADATA_TOPIC;
        if is_in_use && let Some(loss) = loss_of(dir, promises, &each.partition)? {
            damaged.push((each.partition, loss));
        }
    }
    Ok(damaged)
}

fn loss_of(dir: &OfflineDir, promises: &Promises, partition: &TopicPartition) -> anyhow::Result<Option<Loss>> {
    let promise = promises.get(partition).copied().unwrap_or_default();
    Ok(find_loss(&dir.path().join(partition.dir_name()), &promise)?)
}

fn describe(partition: &TopicPartition, loss: &Loss) {
    println!(
        "{}: damaged at byte {}: {}",
        loss.path.display(),
        loss.position,
        loss.cause
    );
    println!(
        "{partition} would end at offset {}; lost: offsets {} to {}, {} bytes, {} whole segments behind it",
        loss.log_end_offset,
        loss.log_end_offset,
        loss.lost_end - 1,
        loss.lost_bytes,
        loss.removed_segments.len()
    );
}

/// Whether the partition's name is typed.
fn is_confirmed(partition: &TopicPartition) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("say --yes to accept the loss");
    }
    print!("Type the name of the partition ({partition}) to accept its loss: ");
    std::io::stdout().flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == partition.dir_name())
}
