//! When a snapshot is written, and what may go once there is one.

use super::{MetadataLogError, files};
use ottla_protocol::ids::TimestampMs;
use ottla_replication::{
    image::MetadataImage,
    quorum::{SnapshotId, SnapshotPolicy, VoterSet, snapshot_bytes},
};
use ottla_storage::Log;
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// How many snapshots are kept: the newest, and the one to fall back to.
const KEPT: usize = 2;

/// How much of the metadata log is kept behind the older snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetadataRetention {
    /// `metadata.max.retention.bytes`; negative: no limit.
    pub(crate) bytes_max: i64,
    /// `metadata.max.retention.ms`; negative: no limit.
    pub(crate) ms_max: i64,
}

impl MetadataRetention {
    /// Whether what an older snapshot, written `age` ago, stands for need not be kept in the log of `log_bytes` too.
    fn lets_go(self, log_bytes: u64, age: Duration) -> bool {
        let is_over = |limit: i64, value: u128| u128::try_from(limit).is_ok_and(|limit| value > limit);
        is_over(self.bytes_max, log_bytes.into()) || is_over(self.ms_max, age.as_millis())
    }
}

/// The snapshots of one metadata log.
pub(super) struct Snapshots {
    dir: PathBuf,
    policy: SnapshotPolicy,
    retention: MetadataRetention,
    since: Mutex<Since>,
}

/// What has happened since the last snapshot.
struct Since {
    bytes: usize,
    at: Instant,
}

impl Snapshots {
    /// `bytes`: what the log has behind the newest snapshot.
    pub(super) fn new(dir: &Path, policy: SnapshotPolicy, retention: MetadataRetention, bytes: usize) -> Self {
        Self {
            dir: dir.into(),
            policy,
            retention,
            since: Mutex::new(Since {
                bytes,
                at: Instant::now(),
            }),
        }
    }

    /// So many bytes were appended.
    pub(super) fn note(&self, bytes: usize) {
        self.since.lock().bytes += bytes;
    }

    /// Whether a snapshot is due.
    pub(super) fn is_due(&self) -> bool {
        let since = self.since.lock();
        let age_ms = i64::try_from(since.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.policy
            .is_due(i64::try_from(since.bytes).unwrap_or(i64::MAX), age_ms)
    }

    /// Writes the snapshot of `image`. If that fails, the next attempt comes when another would have been due.
    pub(super) fn write(
        &self,
        image: &MetadataImage,
        voters: &VoterSet,
        now_ms: TimestampMs,
    ) -> Result<(), MetadataLogError> {
        *self.since.lock() = Since {
            bytes: 0,
            at: Instant::now(),
        };
        let contents = snapshot_bytes(image, voters, now_ms)?;
        Ok(files::write_snapshot(
            &self.dir,
            SnapshotId::of(image.position),
            &contents,
        )?)
    }

    /// Removes all but the newest snapshots, and from the log what lies before the oldest of them, as far as retention
    /// lets it go. The log goes by whole segments.
    pub(super) fn retain(&self, log: &Log, now_ms: TimestampMs) -> Result<(), MetadataLogError> {
        let found = files::list_snapshots(&self.dir)?;
        let (old, kept) = found.split_at(found.len().saturating_sub(KEPT));
        for id in old {
            files::remove_snapshot(&self.dir, *id)?;
        }
        let Some(oldest) = kept.first().filter(|_| kept.len() == KEPT) else {
            return Ok(());
        };
        let written = self.dir.join(oldest.file_name()).metadata()?.modified()?;
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        if self.retention.lets_go(log.size_bytes(), age) && log.delete_records_before(oldest.end_offset).is_ok() {
            log.apply_retention(now_ms)?;
            log.remove_doomed_files(now_ms)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::{
        ids::LeaderEpoch,
        records::{BatchBuilder, NewRecord},
    };
    use ottla_storage::{Append, AppendOrigin, LogConfig, LogOptions, TransactionCheck, disk::RealDisk};
    use std::{fs, sync::Arc};

    /// A log of 100 batches in many segments.
    fn log(dir: &Path) -> Log {
        let config = LogConfig {
            segment_bytes: 1000,
            is_deleted: false,
            file_delete_delay_ms: 0,
            ..LogConfig::default()
        };
        let options = LogOptions {
            config,
            ..LogOptions::default()
        };
        let log = Log::open(Arc::new(RealDisk::new()), dir, &options).expect("a new log");
        for _ in 0..100 {
            let mut batch = BatchBuilder::new();
            batch.append(&NewRecord::of(1, b"key", &[0; 100]));
            let append = Append {
                batches: &batch.build(),
                leader_epoch: LeaderEpoch(1),
                origin: AppendOrigin::Coordinator,
                now_ms: 1,
                log_append_time: None,
                transaction: TransactionCheck::Skipped,
            };
            log.append(append).expect("room");
        }
        log.set_high_watermark(100);
        log
    }

    #[test]
    fn two_snapshots_stay_and_the_log_from_the_older_one_on() {
        let dir = std::env::temp_dir().join(format!("ottla-snapshots-{}", uuid::Uuid::new_v4()));
        let log = log(&dir);
        let ids = [10, 40, 70].map(|end_offset| SnapshotId {
            end_offset,
            epoch: LeaderEpoch(1),
        });
        for id in ids {
            files::write_snapshot(&dir, id, b"any").expect("room");
        }
        let policy = SnapshotPolicy {
            record_bytes_max: 1,
            interval_ms_max: 0,
        };
        let retained = |bytes_max| {
            let retention = MetadataRetention { bytes_max, ms_max: -1 };
            let snapshots = Snapshots::new(&dir, policy, retention, 0);
            snapshots.retain(&log, 2).expect("the disk works");
            (files::list_snapshots(&dir).expect("listable"), log.log_start_offset())
        };
        assert_eq!(retained(-1), (ids[1..].to_vec(), 0));
        let segments = log.segment_count();
        assert_eq!(retained(0), (ids[1..].to_vec(), 40));
        let first = log.first_segment_offset();
        assert!(
            (30..=40).contains(&first) && log.segment_count() < segments,
            "it begins at {first}"
        );
        fs::remove_dir_all(&dir).expect("the folder is there");
    }

    #[test]
    fn the_log_goes_by_size_or_by_age_and_without_limits_never() {
        let hour = Duration::from_secs(3600);
        let limits = |bytes_max, ms_max| MetadataRetention { bytes_max, ms_max };
        assert!(limits(100, -1).lets_go(101, Duration::ZERO));
        assert!(!limits(100, -1).lets_go(100, hour));
        assert!(limits(-1, 3_599_999).lets_go(0, hour));
        assert!(!limits(-1, 3_600_000).lets_go(u64::MAX, hour));
        assert!(!limits(-1, -1).lets_go(u64::MAX, hour));
    }
}
