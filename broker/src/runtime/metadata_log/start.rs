//! The start: what is on disk becomes the image, and this node begins an epoch of its own.

use super::{
    MetadataLog, MetadataLogError, check,
    check::{Damage, RESTORE_SNAPSHOT},
    files,
    replay::{BatchFault, Replay},
    snapshots::{MetadataRetention, Snapshots},
};
use crate::log_store::LogStore;
use ottla_protocol::{
    ids::{LeaderEpoch, NodeId, Offset, TimestampMs},
    messages::{AbortTransactionRecord, MetadataRecord},
    records::BatchHeader,
};
use ottla_replication::{
    config::Layers,
    controller::BootstrapOptions,
    image::{MetadataImage, Position},
    quorum::{
        Event, FoundVoters, Quorum, QuorumState, SnapshotId, SnapshotPolicy, Voter, VoterSet, bootstrap_snapshot_bytes,
    },
};
use ottla_storage::{Log, LogConfig};
use parking_lot::Mutex;
use std::path::Path;

/// Bytes read at once when the log is replayed.
const READ_BYTES: usize = 1 << 20;

/// What the node's keys say about its metadata log.
#[derive(Clone, Debug)]
pub(crate) struct MetadataLogSettings {
    policy: SnapshotPolicy,
    retention: MetadataRetention,
    log: LogConfig,
    bootstrap: BootstrapOptions,
}

impl MetadataLogSettings {
    pub(crate) fn of(layers: Layers<'_>) -> Self {
        let min_insync_replicas = layers.broker_number("min.insync.replicas");
        Self {
            policy: SnapshotPolicy::of(layers),
            retention: MetadataRetention {
                bytes_max: layers.broker_number("metadata.max.retention.bytes"),
                ms_max: layers.broker_number("metadata.max.retention.ms"),
            },
            // Neither retained by itself nor compacted: snapshots stand for what is old. Nobody reads what goes.
            log: LogConfig {
                segment_bytes: u64::try_from(layers.broker_number("metadata.log.segment.bytes")).unwrap_or(u64::MAX),
                segment_ms: layers.broker_number("metadata.log.segment.ms"),
                is_deleted: false,
                file_delete_delay_ms: 0,
                ..LogConfig::default()
            },
            bootstrap: BootstrapOptions {
                min_insync_replicas: min_insync_replicas.to_string(),
                ..BootstrapOptions::default()
            },
        }
    }
}

/// What was found at the start.
pub(crate) struct Opened {
    pub(crate) log: MetadataLog,
    pub(crate) image: MetadataImage,
    /// The cluster begins here, with these records.
    pub(crate) bootstrap: Option<BootstrapOptions>,
}

/// What the disk knows.
struct Found {
    replay: Replay,
    newest: SnapshotId,
    are_voters_in_log: bool,
    /// The image of the snapshot that a formatted directory starts with, if the log begins there.
    formatted: Option<MetadataImage>,
    replayed_bytes: usize,
}

impl MetadataLog {
    /// Reads what is there, elects this node, and begins its epoch. `me`: this node as a voter.
    ///
    /// # Errors
    /// The files are damaged or another node's, or the disk refused.
    pub(crate) fn open(
        logs: &LogStore,
        me: Voter,
        settings: &MetadataLogSettings,
        now_ms: TimestampMs,
    ) -> Result<Opened, MetadataLogError> {
        let dir = logs.metadata_log_dir();
        let stored = files::read_quorum_state(&dir)?;
        check_owner(&dir, stored, me.id)?;
        let snapshots = files::list_snapshots(&dir)?;
        let snapshot_end = snapshots.last().map_or(0, |newest| newest.end_offset);
        check::check_segments(&dir, logs.committed_metadata_end(), snapshot_end)?;
        let log = logs.open_metadata_log(settings.log)?;
        if snapshots.is_empty() && log.log_end_offset() == 0 {
            begin_directory(logs, &dir, &me, settings, now_ms)?;
        }
        check_extent(logs, &log, snapshots.last().copied(), now_ms)?;
        let found = read(&log, snapshots.last().copied())?;
        Self::lead(log, me, stored, found, settings, now_ms)
    }

    /// Becomes the leader of a new epoch on top of what was found.
    fn lead(
        log: Log,
        me: Voter,
        stored: Option<QuorumState>,
        found: Found,
        settings: &MetadataLogSettings,
        now_ms: TimestampMs,
    ) -> Result<Opened, MetadataLogError> {
        let Replay { mut image, voters, .. } = found.replay;
        let voters = FoundVoters {
            voters: voters.unwrap_or_else(|| VoterSet::of_one(me.clone())),
            is_in_log: found.are_voters_in_log,
        };
        let dir = log.dir().to_owned();
        let mut quorum = Quorum::new(me, voters, stored).map_err(|error| MetadataLogError::Quorum {
            dir: dir.clone(),
            error,
        })?;
        let last_epoch = log.latest_epoch().unwrap_or(LeaderEpoch(0)).max(found.newest.epoch);
        let actions = quorum.step(Event::Started {
            log_end_offset: log.log_end_offset(),
            last_epoch,
        });
        if let Some(state) = &actions.persist {
            files::write_quorum_state(&dir, state)?;
        }
        let log = Self {
            log,
            epoch: quorum.epoch().expect("a quorum that has started leads an epoch"),
            quorum: Mutex::new(quorum),
            snapshots: Snapshots::new(&dir, settings.policy, settings.retention, found.replayed_bytes),
        };
        image.position = log.begin_epoch(&actions, now_ms)?;
        if image.is_in_transaction() {
            image.position = log.abort_transaction(&mut image, now_ms)?;
        }
        let is_new = found.formatted.as_ref() == Some(&image);
        Ok(Opened {
            bootstrap: is_new.then(|| bootstrap_options(&image, &settings.bootstrap)),
            log,
            image,
        })
    }

    /// A controller before this one ended in the middle of a transaction of the log (KIP-866): none of it holds.
    fn abort_transaction(&self, image: &mut MetadataImage, now_ms: TimestampMs) -> Result<Position, MetadataLogError> {
        let abort = MetadataRecord::from(AbortTransactionRecord {
            reason: Some("The controller has changed".into()),
        });
        let position = self.append(image, std::slice::from_ref(&abort), now_ms)?;
        self.sync()?;
        image.apply(&abort);
        Ok(position)
    }
}

/// `quorum-state` must be that of this node.
fn check_owner(dir: &Path, stored: Option<QuorumState>, me: NodeId) -> Result<(), MetadataLogError> {
    let Some(state) = stored else { return Ok(()) };
    let foreign = [state.leader_id, state.voted_id]
        .into_iter()
        .find(|id| *id != NodeId::NONE && *id != me);
    match foreign {
        None => Ok(()),
        Some(found) => Err(MetadataLogError::ForeignQuorumState {
            path: files::quorum_state_path(dir),
            found,
            expected: me,
        }),
    }
}

/// Writes the snapshot that a formatted directory starts with.
fn begin_directory(
    logs: &LogStore,
    dir: &Path,
    me: &Voter,
    settings: &MetadataLogSettings,
    now_ms: TimestampMs,
) -> Result<(), MetadataLogError> {
    if logs.has_topic_logs() {
        return Err(MetadataLogError::Gone { dir: dir.into() });
    }
    let voters = VoterSet::of_one(me.clone());
    let contents = bootstrap_snapshot_bytes(&settings.bootstrap, &voters, now_ms)?;
    Ok(files::write_snapshot(dir, SnapshotId::BOOTSTRAP, &contents)?)
}

/// The log must follow the newest snapshot without a gap, and have everything that it ever had committed.
fn check_extent(
    logs: &LogStore,
    log: &Log,
    newest: Option<SnapshotId>,
    now_ms: TimestampMs,
) -> Result<(), MetadataLogError> {
    let snapshot_end = newest.map_or(0, |newest| newest.end_offset);
    let (log_start_offset, log_end_offset) = (log.log_start_offset(), log.log_end_offset());
    if log.size_bytes() == 0 && log_end_offset < snapshot_end {
        tracing::warn!(dir = %log.dir().display(), snapshot_end, "there is no metadata log; it goes on behind its snapshot");
        log.truncate_fully_and_start_at(snapshot_end, now_ms)?;
        log.sync()?;
        logs.write_metadata_checkpoint(log);
        return Ok(());
    }
    let expected = snapshot_end.max(log.recovery().lost_from.map_or(0, |_| logs.committed_metadata_end()));
    if log_end_offset < expected {
        return Err(MetadataLogError::Shortened {
            dir: log.dir().into(),
            log_end_offset,
            expected,
        });
    }
    if log_start_offset > snapshot_end {
        return Err(MetadataLogError::Gap {
            dir: log.dir().into(),
            log_start_offset,
            snapshot_end,
        });
    }
    Ok(())
}

/// Reads the newest snapshot and what the log has behind it.
fn read(log: &Log, newest: Option<SnapshotId>) -> Result<Found, MetadataLogError> {
    let newest = newest.unwrap_or(SnapshotId::BOOTSTRAP);
    let mut replay = Replay::default();
    read_snapshot(log.dir(), newest, &mut replay)?;
    replay.image.position = Position {
        offset: newest.end_offset - 1,
        epoch: newest.epoch,
        timestamp_ms: replay.image.position.timestamp_ms,
    };
    let is_formatted = newest == SnapshotId::BOOTSTRAP;
    let formatted = is_formatted.then(|| replay.image.clone());
    let named_by_snapshot = replay.voters.take();
    let replayed_bytes = replay_log(log, &mut replay)?;
    let are_voters_in_log = replay.voters.is_some() || (!is_formatted && named_by_snapshot.is_some());
    replay.voters = replay.voters.or(named_by_snapshot);
    Ok(Found {
        replay,
        newest,
        are_voters_in_log,
        formatted,
        replayed_bytes,
    })
}

/// A log from offset 0 may have lost the snapshot that it was formatted with: it says the same itself.
fn read_snapshot(dir: &Path, id: SnapshotId, replay: &mut Replay) -> Result<(), MetadataLogError> {
    let path = dir.join(id.file_name());
    if id == SnapshotId::BOOTSTRAP && !path.exists() {
        return Ok(());
    }
    let bytes = files::read_snapshot(dir, id)?;
    let damaged = |(position, fault)| Damage {
        path: path.clone(),
        position,
        fault,
        way_out: RESTORE_SNAPSHOT,
    };
    replay.apply_all(&bytes).map_err(damaged)?;
    match replay.is_complete {
        true => Ok(()),
        false => Err(damaged((bytes.len(), BatchFault::NoFooter)).into()),
    }
}

/// Applies what the log has behind the image's position. Returns how many bytes that is.
fn replay_log(log: &Log, replay: &mut Replay) -> Result<usize, MetadataLogError> {
    let mut bytes_read = 0;
    let mut next: Offset = (replay.image.position.offset + 1).max(log.log_start_offset());
    while next < log.log_end_offset() {
        let slice = log.read(next, log.log_end_offset(), READ_BYTES, true)?;
        let bytes = slice.records.into_bytes()?;
        replay.apply_all(&bytes).map_err(|(position, fault)| {
            let header = BatchHeader::parse(&bytes[position..]);
            check::damage_at(log.dir(), header.map_or(next, |header| header.base_offset), fault)
        })?;
        bytes_read += bytes.len();
        if slice.next_offset <= next {
            break;
        }
        next = slice.next_offset;
    }
    Ok(bytes_read)
}

/// With what a formatted directory begins: its own records, or ours where it names no features.
fn bootstrap_options(formatted: &MetadataImage, ours: &BootstrapOptions) -> BootstrapOptions {
    let levels = formatted.features().levels();
    if levels.is_empty() {
        return ours.clone();
    }
    let others = formatted.to_records().into_iter();
    BootstrapOptions {
        levels: levels.clone(),
        others: others
            .filter(|record| !matches!(record, MetadataRecord::FeatureLevel(_)))
            .collect(),
        ..ours.clone()
    }
}
