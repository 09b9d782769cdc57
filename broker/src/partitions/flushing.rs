//! Appends that count only when they are on disk: `flush.messages`, and `flush.ms` for those that nobody waits for.
//!
//! A partition has one round of fsync under way at a time, on a thread that may wait for the disk. What is appended
//! meanwhile is served by the next round, all of it together. The high watermark follows the round, so that nobody reads
//! what a power loss could still take; who waits is told after that. A log that needs none of this pays one comparison.

use super::Partition;
use ottla_protocol::ids::Offset;
use parking_lot::Mutex;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The rounds of one partition.
pub(super) struct Flushing {
    rounds: Mutex<Rounds>,
    ended: Notify,
}

struct Rounds {
    is_running: bool,
    /// Something was appended since the round that is running began.
    is_wanted: bool,
    /// How many rounds have failed.
    failed: u64,
    last_began: Instant,
}

impl Flushing {
    pub(super) fn new() -> Self {
        Self {
            rounds: Mutex::new(Rounds {
                is_running: false,
                is_wanted: false,
                failed: 0,
                last_began: Instant::now(),
            }),
            ended: Notify::new(),
        }
    }

    fn begin_round(&self) {
        self.rounds.lock().last_began = Instant::now();
    }

    /// Notes how a round ended; says whether another has to follow.
    fn end_round(&self, has_succeeded: bool) -> bool {
        let goes_on = {
            let mut rounds = self.rounds.lock();
            rounds.failed += u64::from(!has_succeeded);
            rounds.is_running = rounds.is_wanted;
            std::mem::take(&mut rounds.is_wanted)
        };
        self.ended.notify_waiters();
        goes_on
    }

    /// Tells whoever waits for a round to look: the log has gone offline, and the round under way may take long to fail.
    pub(super) fn give_up(&self) {
        self.rounds.lock().failed += 1;
        self.ended.notify_waiters();
    }

    fn failed(&self) -> u64 {
        self.rounds.lock().failed
    }
}

/// An append that is not on disk yet.
#[must_use]
pub(crate) struct FlushWait {
    partition: Arc<Partition>,
    end_offset: Offset,
    failed_before: u64,
}

/// The disk refused: what was appended may be there after a restart, or not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log could not be flushed")]
pub(crate) struct FlushFailed;

impl FlushWait {
    /// Ends when everything up to the append is on disk.
    ///
    /// # Errors
    /// A round failed meanwhile.
    pub(crate) async fn done(self) -> Result<(), FlushFailed> {
        let flushing = &self.partition.flushing;
        loop {
            let mut ended = pin!(flushing.ended.notified());
            // From here on no end is missed.
            ended.as_mut().enable();
            if self.partition.log().recovery_point() >= self.end_offset {
                return Ok(());
            }
            if flushing.failed() > self.failed_before {
                return Err(FlushFailed);
            }
            ended.await;
        }
    }
}

impl Partition {
    /// Has everything up to `end_offset` flushed, by the next round.
    pub(super) fn begin_flush(self: &Arc<Self>, end_offset: Offset) -> FlushWait {
        let (starts, failed_before) = {
            let mut rounds = self.flushing.rounds.lock();
            let starts = !std::mem::replace(&mut rounds.is_running, true);
            rounds.is_wanted = !starts;
            (starts, rounds.failed)
        };
        if starts {
            let partition = self.clone();
            tokio::task::spawn_blocking(move || while partition.flushing.end_round(partition.flush()) {});
        }
        FlushWait {
            partition: self.clone(),
            end_offset,
            failed_before,
        }
    }

    /// Makes durable what was appended, and lets it be read. Waits for the disk. Says whether that succeeded.
    fn flush(&self) -> bool {
        self.flushing.begin_round();
        match self.on_log(|log| log.sync()) {
            Ok(end_offset) => {
                self.publish(end_offset);
                true
            }
            Err(error) => {
                self.storage_fault(&error);
                // Who waits for the high watermark must see that it does not come.
                self.interested.wake();
                false
            }
        }
    }

    /// Flushes if `flush.ms` has passed since the last round and there is something to flush. Returns when to look again;
    /// `None` where the key is not set.
    pub(crate) fn flush_if_due(&self, now: Instant) -> Option<Duration> {
        let interval = self.settings.load().flush_interval()?;
        let due_after = {
            let rounds = self.flushing.rounds.lock();
            interval.saturating_sub(now.saturating_duration_since(rounds.last_began))
        };
        if !due_after.is_zero() {
            return Some(due_after);
        }
        if self.log().recovery_point() < self.log().log_end_offset() && !self.log().is_offline() {
            self.flush();
        }
        Some(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partitions::testing::partition;
    use ottla_protocol::{
        ids::LeaderEpoch,
        records::{BatchBuilder, NewRecord},
    };
    use ottla_storage::{Append, AppendOrigin, TransactionCheck};

    fn append(partition: &Arc<Partition>) -> Option<FlushWait> {
        let mut batch = BatchBuilder::new();
        batch.append(&NewRecord::of(1, b"key", b"value"));
        let append = Append {
            batches: &batch.build(),
            leader_epoch: LeaderEpoch(0),
            origin: AppendOrigin::Client,
            now_ms: 1,
            log_append_time: None,
            transaction: TransactionCheck::Skipped,
        };
        partition.append(append).expect("room").flush
    }

    #[tokio::test]
    async fn without_the_key_nothing_waits_and_nothing_is_flushed() {
        let fixture = partition(&[]);
        assert!(append(&fixture.partition).is_none());
        assert_eq!(fixture.partition.log().high_watermark(), 1);
        assert_eq!(fixture.partition.log().recovery_point(), 0);
        assert_eq!(fixture.partition.flush_if_due(Instant::now()), None);
    }

    #[tokio::test]
    async fn each_append_waits_until_it_is_on_disk_and_only_then_is_it_readable() {
        let fixture = partition(&[("flush.messages", "1")]);
        let waits: Vec<_> = (0..50).filter_map(|_| append(&fixture.partition)).collect();
        for wait in waits {
            let end_offset = wait.end_offset;
            assert_eq!(wait.done().await, Ok(()));
            assert!(fixture.partition.log().recovery_point() >= end_offset);
            assert!(fixture.partition.log().high_watermark() >= end_offset);
        }
        assert_eq!(fixture.partition.log().recovery_point(), 50);
    }

    #[tokio::test]
    async fn every_so_many_records_one_append_waits() {
        let fixture = partition(&[("flush.messages", "3")]);
        for _ in 0..4 {
            assert!(append(&fixture.partition).is_none());
            assert!(append(&fixture.partition).is_none());
            let wait = append(&fixture.partition).expect("the third waits");
            assert_eq!(wait.done().await, Ok(()));
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_round_that_fails_is_told() {
        let fixture = partition(&[("flush.messages", "1")]);
        let rounds = &fixture.partition.flushing.rounds;
        // As if a round were under way, so that what follows waits for its end.
        rounds.lock().is_running = true;
        let wait = append(&fixture.partition).expect("it waits");
        fixture.partition.log().take_offline();
        while fixture.partition.flushing.end_round(fixture.partition.flush()) {}
        assert_eq!(wait.done().await, Err(FlushFailed));
        assert_eq!(fixture.partition.log().high_watermark(), 0);
        assert!(!rounds.lock().is_running);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_flushed_when_its_time_is_up() {
        let fixture = partition(&[("flush.ms", "1000")]);
        assert!(append(&fixture.partition).is_none());
        let now = Instant::now();
        let due_after = fixture.partition.flush_if_due(now).expect("the key is set");
        assert!(!due_after.is_zero() && fixture.partition.log().recovery_point() == 0);
        let again = fixture.partition.flush_if_due(now + due_after);
        assert_eq!(again, Some(Duration::from_secs(1)));
        assert_eq!(fixture.partition.log().recovery_point(), 1);
    }
}
