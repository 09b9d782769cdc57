//! The controller's thread: the only writer of the metadata log.
//!
//! It takes the requests that wait, lets `replication::controller` decide each on top of what the ones before it
//! decided, appends all their records as one batch, syncs, applies them to the image, opens and deletes the logs that
//! follow from them, publishes the image, and only then lets the answers go. A thread and not a task, since it waits for
//! the disk. A metadata log that cannot be written ends the process: nothing after that could be believed. On a disk that
//! is full nothing was written: what was asked is not done, which its answer says, and may be asked again.

use super::metadata_log::{MetadataLog, MetadataLogError};
use crate::{broker::Broker, clock::now_ms, log_store::Occasion};
use ottla_protocol::{
    ErrorCode, Message,
    ids::{Offset, TimestampMs},
    messages::MetadataRecord,
};
use ottla_replication::{
    controller::{Controller, Outcome, Random},
    image::Changes,
};
use ottla_storage::{AppendError, Fault};
use std::{
    process,
    sync::{Arc, Weak},
    thread,
};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the controller; beyond that those who ask wait to ask.
const QUEUE: usize = 1024;
/// Requests decided before their records are written.
const REQUESTS_PER_WRITE: usize = 256;

/// Decides one request and keeps its answer until it may go.
type Decide = Box<dyn FnOnce(&Controller, &mut Turn) -> (Vec<MetadataRecord>, Release) + Send>;
type Release = Box<dyn FnOnce(Result<(), DiskFull>) + Send>;

/// What a decision may use besides the image.
pub(crate) struct Turn {
    /// The time.
    pub(crate) now_ms: TimestampMs,
    /// The offset that the first record decided will get.
    pub(crate) next_offset: Offset,
    /// Random choices: topic ids, placement.
    pub(crate) random: Random,
}

/// Where requests to the controller go in.
pub(crate) struct ControllerQueue(mpsc::Sender<Decide>);

/// Where they come out, once the thread runs.
pub(crate) struct Requests(mpsc::Receiver<Decide>);

/// The two ends of the controller's queue.
pub(crate) fn queue() -> (ControllerQueue, Requests) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (ControllerQueue(sender), Requests(receiver))
}

/// The controller takes no more requests: the broker stops.
#[derive(Debug, thiserror::Error)]
#[error("the controller has stopped")]
pub(crate) struct Stopped;

impl ControllerQueue {
    /// Has the controller decide, and waits until what it decided is on disk and in the image.
    ///
    /// # Errors
    /// The broker stops, or can write no metadata now.
    pub(crate) async fn write<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&Controller, &mut Turn) -> Outcome<R> + Send + 'static,
    ) -> Result<R, Stopped> {
        let (response, written) = self.decide(decide).await?;
        written.map(|()| response).map_err(|DiskFull| Stopped)
    }

    /// As [`ControllerQueue::write`] for what a client gets: if the disk is full, every success in it becomes
    /// KAFKA_STORAGE_ERROR.
    ///
    /// # Errors
    /// The broker stops.
    pub(crate) async fn answer<R: Message + Send + 'static>(
        &self,
        decide: impl FnOnce(&Controller, &mut Turn) -> Outcome<R> + Send + 'static,
    ) -> Result<R, Stopped> {
        let (mut response, written) = self.decide(decide).await?;
        if let Err(DiskFull) = written {
            response.fail(ErrorCode::KafkaStorageError.code());
        }
        Ok(response)
    }

    /// What was decided, and whether it is true now.
    async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&Controller, &mut Turn) -> Outcome<R> + Send + 'static,
    ) -> Result<(R, Result<(), DiskFull>), Stopped> {
        let (answer, answered) = oneshot::channel();
        let decide: Decide = Box::new(move |controller, turn| {
            let Outcome { records, response } = decide(controller, turn);
            let release: Release = Box::new(move |written| {
                // Who asked may have gone.
                let _ = answer.send((response, written));
            });
            (records, release)
        });
        self.0.send(decide).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Lets the thread look whether the broker stops.
    pub(crate) fn wake(&self) {
        // A full queue wakes it as well.
        let _ = self.0.try_send(Box::new(|_, _| (Vec::new(), Box::new(|_| {}))));
    }
}

/// Starts the thread. It ends when the broker is dropped or stops; joining it returns the metadata log.
pub(crate) fn start(
    broker: &Arc<Broker>,
    controller: Controller,
    log: Arc<MetadataLog>,
    requests: Requests,
) -> std::io::Result<thread::JoinHandle<()>> {
    let broker = Arc::downgrade(broker);
    let run = move || {
        Loop {
            broker,
            controller,
            log,
            requests: requests.0,
            complaints: Occasion::default(),
        }
        .run()
    };
    thread::Builder::new()
        .name("ottla-controller".into())
        .stack_size(1 << 20)
        .spawn(run)
}

/// There is no space for more metadata.
#[derive(Clone, Copy, Debug)]
struct DiskFull;

struct Loop {
    broker: Weak<Broker>,
    controller: Controller,
    log: Arc<MetadataLog>,
    requests: mpsc::Receiver<Decide>,
    complaints: Occasion,
}

impl Loop {
    fn run(mut self) {
        let mut waiting = Vec::new();
        while self.requests.blocking_recv_many(&mut waiting, REQUESTS_PER_WRITE) > 0 {
            let Some(broker) = self.broker.upgrade() else { return };
            if broker.stop.is_requested() {
                return;
            }
            self.decide_all(&broker, waiting.drain(..));
        }
    }

    fn decide_all(&mut self, broker: &Broker, requests: impl Iterator<Item = Decide>) {
        let mut turn = Turn {
            now_ms: now_ms(),
            next_offset: self.log.log().log_end_offset(),
            random: Random::new(random_seed()),
        };
        let mut changes = Changes::default();
        let mut records = Vec::new();
        let mut releases = Vec::new();
        let before = self.controller.image().clone();
        for decide in requests {
            let (decided, release) = decide(&self.controller, &mut turn);
            for record in &decided {
                changes.note(self.controller.image(), record);
                self.controller.apply(record);
            }
            turn.next_offset += decided.len() as Offset;
            records.extend(decided);
            releases.push(release);
        }
        if !records.is_empty() {
            if let Err(full) = self.write(&records, turn.now_ms) {
                *self.controller.image_mut() = before;
                releases.into_iter().for_each(|release| release(Err(full)));
                return;
            }
            broker.follow(self.controller.image().clone(), &changes);
        }
        if let Err(error) = self.log.snapshot_if_due(self.controller.image(), turn.now_ms) {
            // The log has everything; only the next start takes longer.
            tracing::warn!(%error, "no snapshot of the metadata was written");
        }
        releases.into_iter().for_each(|release| release(Ok(())));
    }

    /// Appends the records and makes them durable, or ends the process.
    ///
    /// # Errors
    /// The disk is full, and nothing was appended.
    fn write(&mut self, records: &[MetadataRecord], now_ms: TimestampMs) -> Result<(), DiskFull> {
        let written = self.log.append(self.controller.image(), records, now_ms);
        match written.and_then(|position| self.log.sync().map(|()| position)) {
            Ok(position) => {
                self.controller.image_mut().position = position;
                Ok(())
            }
            Err(MetadataLogError::Append(AppendError::Io(error))) if Fault::of(&error) == Fault::Full => {
                if self.complaints.is_due() {
                    tracing::error!(%error, "the disk with the metadata is full: nothing can be created or altered");
                }
                Err(DiskFull)
            }
            Err(error) => {
                tracing::error!(%error, "the metadata log cannot be written; the broker ends");
                process::exit(1);
            }
        }
    }
}

/// From the system's source.
fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for half in seed.chunks_exact_mut(16) {
        half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    seed
}
