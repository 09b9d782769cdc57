//! Compacts logs, one after another, the dirtiest first (`log.cleaner.*`).
//!
//! One thread for all partitions; it waits for the disk, and for its own limit, so it is none of the runtime's. A log that
//! is damaged is left alone from then on; the others go on.

use crate::{broker::Broker, clock::now_ms, partitions::Partition};
use ottla_protocol::ids::Uuid;
use ottla_storage::{CompactionError, CompactionRequest, CompactionStats, Throttle};
use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

/// The thread that runs.
pub(crate) struct LogCleaner {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl LogCleaner {
    /// Starts the thread, unless `log.cleaner.enable` is false.
    pub(crate) fn start(broker: &Arc<Broker>) -> std::io::Result<Option<Self>> {
        if !broker.config.layers().broker_flag("log.cleaner.enable") {
            tracing::warn!("log.cleaner.enable is false: logs are not compacted and grow");
            return Ok(None);
        }
        let (stop, stopped) = mpsc::channel();
        let broker = Arc::downgrade(broker);
        let name = thread::Builder::new()
            .name("ottla-cleaner".into())
            .stack_size(512 * 1024);
        let thread = name.spawn(move || run(&broker, &stopped))?;
        Ok(Some(Self { stop, thread }))
    }

    /// Ends the thread, in the middle of a log if need be: the next pass begins that one anew.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        // A panic there has been reported by its own hook.
        let _ = self.thread.join();
    }
}

/// A partition, by topic id and index.
type Name = (Uuid, i32);

fn run(broker: &Weak<Broker>, stopped: &mpsc::Receiver<()>) {
    let mut uncleanable: HashSet<Name> = HashSet::new();
    loop {
        let pause = {
            let Some(broker) = broker.upgrade() else { return };
            let backoff = broker
                .layers(&broker.image.load())
                .broker_number("log.cleaner.backoff.ms");
            match clean_dirtiest(&broker, stopped, &mut uncleanable) {
                true => Duration::ZERO,
                false => Duration::from_millis(u64::try_from(backoff).unwrap_or(0)),
            }
        };
        let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) else {
            return;
        };
    }
}

/// Compacts the log that needs it most. False if none does, or if it could not be done.
fn clean_dirtiest(broker: &Broker, stopped: &mpsc::Receiver<()>, uncleanable: &mut HashSet<Name>) -> bool {
    let mut partitions = broker.partitions.all();
    // What is copied meanwhile would have to be copied again.
    partitions.retain(|partition| !partition.is_offline() && !partition.is_moving());
    uncleanable.retain(|(id, index)| broker.partitions.by_id(*id, *index).is_some());
    let cleanable = partitions
        .iter()
        .filter(|partition| !uncleanable.contains(&(partition.topic_id, partition.index)))
        .filter_map(|partition| Some((dirty_ratio(partition)?, partition)));
    let Some((_, partition)) = cleanable.max_by(|(one, _), (other, _)| one.total_cmp(other)) else {
        return false;
    };
    let (topic, index) = (&partition.topic, partition.index);
    match compact(broker, partition, stopped) {
        Ok(stats) => {
            tracing::info!(%topic, partition = index, ?stats, "compacted");
            broker.logs.write_cleaner_checkpoint(partition);
            true
        }
        Err(CompactionError::Stopped | CompactionError::Overtaken | CompactionError::Offline) => false,
        Err(_) if partition.is_gone() => false,
        Err(error) if error.is_lasting() => {
            tracing::error!(%topic, partition = index, %error, "the log is not compacted any more");
            uncleanable.insert((partition.topic_id, index));
            false
        }
        Err(error) => {
            // It is tried again, unless the directory is offline now.
            partition.storage_fault(&error);
            false
        }
    }
}

/// How dirty a log is that should be compacted. What earlier passes have replaced goes when its time has come.
fn dirty_ratio(partition: &Partition) -> Option<f64> {
    let now_ms = now_ms();
    if let Err(error) = partition.on_log(|log| log.remove_doomed_files(now_ms)) {
        partition.storage_fault(&error);
    }
    let state = match partition.on_log(|log| log.compaction_state(now_ms)) {
        Ok(state) => state?,
        Err(error) if partition.is_gone() => {
            tracing::debug!(topic = %partition.topic, %error, "a log that is being deleted");
            return None;
        }
        Err(error) => {
            partition.storage_fault(&error);
            return None;
        }
    };
    state
        .is_due(partition.min_cleanable_dirty_ratio())
        .then(|| state.dirty_ratio())
}

fn compact(
    broker: &Broker,
    partition: &Partition,
    stopped: &mpsc::Receiver<()>,
) -> Result<CompactionStats, CompactionError> {
    let image = broker.image.load();
    let layers = broker.layers(&image);
    let map_bytes = usize::try_from(layers.broker_number("log.cleaner.dedupe.buffer.size")).unwrap_or(0);
    let map_load_factor = layers.broker_double("log.cleaner.io.buffer.load.factor");
    let mut throttle = Throttle::new(layers.broker_double("log.cleaner.io.max.bytes.per.second"));
    drop(image);
    let mut on_io = |bytes| {
        let delay = throttle.delay(bytes, Instant::now());
        match stopped.recv_timeout(delay) {
            Err(mpsc::RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    };
    partition.log().compact(CompactionRequest {
        now_ms: now_ms(),
        map_bytes,
        map_load_factor,
        on_io: &mut on_io,
    })
}
