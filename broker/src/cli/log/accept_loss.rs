//! `ottla log accept-loss`.

use super::AcceptLoss;
use crate::log_store::METADATA_TOPIC;
use anyhow::{Context, bail};
use ottla_storage::{
    TopicPartition,
    inspect::{Loss, OfflineDir, find_loss},
};
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

/// Says what is lost; cuts the log if that is accepted.
pub(super) fn accept_loss(arguments: &AcceptLoss) -> anyhow::Result<ExitCode> {
    let name = &arguments.partition;
    let partition =
        TopicPartition::parse_dir_name(name).with_context(|| format!("{name} is no partition: write TOPIC-NUMBER"))?;
    if &*partition.topic == METADATA_TOPIC {
        bail!("the metadata log is not cut here: the message of the broker that does not start has the ways out");
    }
    let path = arguments.dir.join(name);
    if !path.is_dir() {
        bail!("there is no log of {name} in {}", arguments.dir.display());
    }
    let mut dir = OfflineDir::new(&arguments.dir);
    dir.lock()?;
    let promise = dir.promises()?.get(&partition).copied().unwrap_or_default();
    let Some(loss) = find_loss(&path, &promise)? else {
        bail!("the log of {name} is whole up to what was promised of it: there is nothing to accept");
    };
    describe(name, &loss);
    if !arguments.yes && !is_confirmed(name)? {
        eprintln!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    loss.accept(&dir, &partition, !arguments.no_copy)?;
    println!("{name} ends at offset {} now", loss.log_end_offset);
    Ok(ExitCode::SUCCESS)
}

fn describe(name: &str, loss: &Loss) {
    println!(
        "{}: damaged at byte {}: {}",
        loss.path.display(),
        loss.position,
        loss.cause
    );
    println!(
        "{name} would end at offset {}; lost: offsets {} to {}, {} bytes, {} whole segments behind it",
        loss.log_end_offset,
        loss.log_end_offset,
        loss.lost_end - 1,
        loss.lost_bytes,
        loss.removed_segments.len()
    );
}

/// Whether the partition's name is typed.
fn is_confirmed(name: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("say --yes to accept the loss");
    }
    print!("Type the name of the partition to accept the loss: ");
    std::io::stdout().flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == name)
}
