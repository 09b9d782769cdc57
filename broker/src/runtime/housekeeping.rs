//! What has to be done from time to time: roll and retain, flush, write checkpoints, forget silent producers, remove files
//! of deleted topics.
//!
//! One thread for all partitions; it waits for the disk, so it is none of the runtime's.

use crate::{broker::Broker, clock::now_ms, partitions::Partition};
use ottla_storage::Log;
use std::{
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How often producers that have been silent for too long are forgotten; an internal setting of Kafka's.
const PRODUCER_CHECK_INTERVAL: Duration = Duration::from_secs(600);

/// Signals that may wait: one says as much as many.
const QUEUE: usize = 1;

enum Signal {
    /// Something may be due earlier than it was.
    Look,
    Stop,
}

/// Where the thread is told of news.
pub(crate) struct Housekeeper(mpsc::SyncSender<Signal>);

/// Where it hears of them.
pub(crate) struct Signals(mpsc::Receiver<Signal>);

/// The two ends, of which the broker has one before the thread starts.
pub(crate) fn channel() -> (Housekeeper, Signals) {
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    (Housekeeper(sender), Signals(receiver))
}

impl Housekeeper {
    /// A setting was changed by which something may be due earlier.
    pub(crate) fn look(&self) {
        // A full queue says the same already; without the thread the broker stops.
        let _ = self.0.try_send(Signal::Look);
    }
}

/// The thread that runs.
pub(crate) struct Housekeeping {
    thread: thread::JoinHandle<()>,
}

impl Housekeeping {
    /// Starts the thread.
    pub(crate) fn start(broker: &Arc<Broker>, signals: Signals) -> std::io::Result<Self> {
        let broker = Arc::downgrade(broker);
        let name = thread::Builder::new()
            .name("ottla-housekeeping".into())
            .stack_size(512 * 1024);
        let thread = name.spawn(move || run(&broker, &signals.0))?;
        Ok(Self { thread })
    }

    /// Waits until what is being done is done, and ends.
    pub(crate) fn stop(self, broker: &Broker) {
        // The thread has gone only if it has panicked.
        let _ = broker.housekeeper.0.send(Signal::Stop);
        // A panic there has been reported by its own hook.
        let _ = self.thread.join();
    }
}

/// When each kind of work is next due.
struct Schedule {
    retention: Instant,
    checkpoints: Instant,
    producers: Instant,
}

/// Does all that is ever due, at once and in the thread of the caller.
pub(crate) fn round(broker: &Broker) {
    let now = Instant::now();
    Schedule::all_due(now).work(broker, now);
}

fn run(broker: &Weak<Broker>, signals: &mpsc::Receiver<Signal>) {
    let mut due = Schedule::all_due(Instant::now());
    let mut tick = Duration::from_secs(1);
    while let Ok(Signal::Look) | Err(mpsc::RecvTimeoutError::Timeout) = signals.recv_timeout(tick) {
        let Some(broker) = broker.upgrade() else { return };
        tick = due.work(&broker, Instant::now());
    }
}

impl Schedule {
    fn all_due(now: Instant) -> Self {
        Self {
            retention: now,
            checkpoints: now,
            producers: now,
        }
    }

    /// Does what is due; returns how long nothing else is.
    fn work(&mut self, broker: &Broker, now: Instant) -> Duration {
        if broker.logs.remove_doomed() {
            // There may be space for what there was none.
            broker.lead_again();
        }
        let mut partitions = broker.partitions.all();
        partitions.retain(|partition| !partition.is_offline());
        if due(
            &mut self.retention,
            now,
            broker.config.millis("log.retention.check.interval.ms"),
        ) {
            partitions.iter().for_each(|partition| retain(partition));
        }
        if due(&mut self.producers, now, PRODUCER_CHECK_INTERVAL) {
            partitions
                .iter()
                .for_each(|partition| partition.log().expire_producers(now_ms()));
        }
        if due(
            &mut self.checkpoints,
            now,
            broker.config.millis("log.flush.offset.checkpoint.interval.ms"),
        ) {
            for partition in &partitions {
                bound_recovery(partition);
                if let Err(error) = partition.on_log(Log::release_idle) {
                    partition.storage_fault(&error);
                }
            }
            broker.lead_again();
            // It looks whether a snapshot is due by its age.
            broker.controller.wake();
            broker.logs.write_checkpoints(&partitions, broker.metadata_log.log());
        }
        let next = self.retention.min(self.checkpoints).min(self.producers);
        let next_flush = partitions
            .iter()
            .filter_map(|partition| partition.flush_if_due(now))
            .min();
        next.saturating_duration_since(now)
            .min(next_flush.unwrap_or(Duration::MAX))
            .clamp(Duration::from_millis(10), Duration::from_secs(60))
    }
}

/// Whether the work is due; if so it is due again after `interval`.
fn due(at: &mut Instant, now: Instant, interval: Duration) -> bool {
    let is_due = *at <= now;
    if is_due {
        *at = now + interval;
    }
    is_due
}

/// Brings the recovery point of a log that has rolled up to its end, so that after a crash only the last minute is
/// checked and not all of it. The system has written most of it back by then; small logs are not worth the fsync.
fn bound_recovery(partition: &Partition) {
    let log = partition.log();
    if log.segment_count() < 2 || log.recovery_point() >= log.log_end_offset() {
        return;
    }
    if let Err(error) = partition.on_log(Log::snapshot_producers) {
        partition.storage_fault(&error);
    }
    if let Err(error) = partition.on_log(Log::sync) {
        partition.storage_fault(&error);
    }
}

fn retain(partition: &Partition) {
    let now_ms = now_ms();
    if let Err(error) = partition.on_log(|log| log.apply_retention(now_ms)) {
        partition.storage_fault(&error);
    }
    if let Err(error) = partition.on_log(|log| log.remove_doomed_files(now_ms)) {
        partition.storage_fault(&error);
    }
}
