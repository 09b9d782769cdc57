//! Has the markers of one transaction written, until all are.
//!
//! A marker that was written is written again after a restart, since nobody has noted it: the log takes it for what it
//! is, the end of a transaction that has ended. It cannot meet the next one, which does not begin before all markers
//! are written and that is committed (docs/decisions/0013).

use crate::{
    broker::Broker,
    markers::{self, Marker},
};
use ottla_coordinator::Ending;
use ottla_protocol::{ErrorCode, ids::LeaderEpoch};
use std::{sync::Weak, time::Duration};

/// How long after the first refusal markers are sent again; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How it went.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Each partition that still exists has its marker.
    Written(Ending),
    /// A log has heard of a later coordinator: this one is none any more.
    Fenced,
    /// The broker stops.
    Stopped,
}

/// What becomes of a partition after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Again,
    GiveUp,
}

/// Writes the markers of `ending`, as the coordinator of this epoch.
pub(crate) async fn end(broker: Weak<Broker>, ending: Ending, coordinator_epoch: LeaderEpoch) -> Ended {
    let marker = Marker {
        producer_id: ending.producer.id,
        producer_epoch: ending.producer.epoch,
        coordinator_epoch: coordinator_epoch.0,
        is_commit: ending.is_commit,
        transaction_version: ending.client_version,
    };
    let mut left = ending.partitions.clone();
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(broker) = broker.upgrade() else {
            return Ended::Stopped;
        };
        let image = broker.image.load_full();
        // A topic that was deleted has taken its part of the transaction with it.
        left.retain(|(topic, index)| image.topics().partition(topic, *index).is_some());
        if left.is_empty() {
            return Ended::Written(ending);
        }
        let answers = markers::write(&broker, &marker, &left).await;
        // While this waits the broker may stop.
        drop(broker);
        let nexts: Vec<Next> = answers.into_iter().map(next).collect();
        if nexts.contains(&Next::GiveUp) {
            return Ended::Fenced;
        }
        let mut nexts = nexts.into_iter();
        left.retain(|_| nexts.next() != Some(Next::Nothing));
        if !left.is_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn next(answer: ErrorCode) -> Next {
    match answer {
        ErrorCode::None => Next::Nothing,
        // The log has this epoch's end, or a later epoch: nothing of the transaction can be open there.
        ErrorCode::InvalidProducerEpoch => Next::Nothing,
        ErrorCode::TransactionCoordinatorFenced => Next::GiveUp,
        // Whatever it is, the outcome is fixed: the partition waits for its marker.
        _ => Next::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_that_is_there_ends_the_trying() {
        assert_eq!(next(ErrorCode::None), Next::Nothing);
        assert_eq!(next(ErrorCode::InvalidProducerEpoch), Next::Nothing);
        assert_eq!(next(ErrorCode::TransactionCoordinatorFenced), Next::GiveUp);
        for code in [
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::KafkaStorageError,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownServerError,
        ] {
            assert_eq!(next(code), Next::Again);
        }
    }
}
