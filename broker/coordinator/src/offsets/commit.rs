//! OffsetCommit.

use crate::{
    classic::{ClassicGroup, GroupState},
    config::MAX_NAME_BYTES,
    consumer::CommitRule,
    groups::Groups,
    outcome::{Actions, Caller, CoordinatorRecord, Now, Reply, Ticket},
    record,
};
use ottla_protocol::{
    ErrorCode,
    messages::{
        OffsetCommitKey, OffsetCommitRequest, OffsetCommitResponse, OffsetCommitValue,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
};

/// From this version on a member of an unknown group is told so (KIP-848).
const GROUP_NOT_FOUND_FROM: i16 = 9;

impl Groups {
    /// Decides an OffsetCommit. Every topic of the request exists and carries both its name and its id; partitions
    /// that do not exist have been answered by the caller.
    ///
    /// A commit counts as a sign of life of its member. Metadata that is too long fails its partition only.
    pub fn handle_offset_commit(
        &mut self,
        ticket: Ticket,
        request: &OffsetCommitRequest,
        caller: &Caller<'_>,
        now: Now,
    ) -> Actions {
        let rule = match self.check_commit(request, caller.version) {
            Ok(rule) => rule,
            Err(error) => return Actions::reply(ticket, Reply::OffsetCommit(commit_refused(request, error))),
        };
        let partitions = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        let mut records = Vec::with_capacity(partitions);
        let topics = request.topics.iter();
        let topics = topics
            .map(|topic| self.commit_topic(request, topic, &rule, now, &mut records))
            .collect();
        let heard = self.decide_in_group(&request.group_id, now, |group, step| {
            if matches!(group.state, GroupState::Stable | GroupState::PreparingRebalance) {
                group.member_was_heard(&request.member_id, step);
            }
        });
        let heard = heard.unwrap_or_default();
        let response = OffsetCommitResponse {
            topics,
            ..Default::default()
        };
        records.extend(heard.records);
        let mut replies = heard.replies;
        replies.reserve_exact(1);
        replies.push((ticket, Reply::OffsetCommit(response)));
        self.decided(Actions { records, replies })
    }

    fn check_commit(&self, request: &OffsetCommitRequest, version: i16) -> Result<CommitRule<'_>, ErrorCode> {
        if request.group_id.len() > MAX_NAME_BYTES {
            return Err(ErrorCode::InvalidGroupId);
        }
        if let Some(group) = self.consumer.get(&request.group_id) {
            return group.commit_rule(&request.member_id, request.generation_id_or_member_epoch, version);
        }
        match self.classic.get(&request.group_id) {
            Some(group) => check_committer(group, request).map(|()| CommitRule::Any),
            // Whoever does not take part in a group may keep offsets under any name.
            None if request.generation_id_or_member_epoch < 0 => Ok(CommitRule::Any),
            None if version >= GROUP_NOT_FOUND_FROM => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    pub(super) fn commit_topic(
        &self,
        request: &OffsetCommitRequest,
        topic: &OffsetCommitRequestTopic,
        rule: &CommitRule<'_>,
        now: Now,
        records: &mut Vec<CoordinatorRecord>,
    ) -> OffsetCommitResponseTopic {
        let mut answered = OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: Vec::with_capacity(topic.partitions.len()),
        };
        for partition in &topic.partitions {
            let error = match rule.check(topic.topic_id, partition.partition_index) {
                Err(error) => error,
                Ok(()) if self.is_metadata_too_long(partition) => ErrorCode::OffsetMetadataTooLarge,
                Ok(()) => {
                    records.push(commit_record(request, topic, partition, now));
                    ErrorCode::None
                }
            };
            answered.partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error as i16,
            });
        }
        answered
    }

    /// Whether whoever commits in a transaction may: the same, but a rebalance need not have ended, and a producer that
    /// does not say whom it commits for, as old ones cannot, is believed.
    pub(super) fn check_transactional_commit(
        &self,
        request: &OffsetCommitRequest,
    ) -> Result<CommitRule<'_>, ErrorCode> {
        if request.group_id.len() > MAX_NAME_BYTES {
            return Err(ErrorCode::InvalidGroupId);
        }
        let generation = request.generation_id_or_member_epoch;
        let is_anonymous = generation < 0 && request.member_id.is_empty() && request.group_instance_id.is_none();
        if let Some(group) = self.consumer.get(&request.group_id) {
            return match is_anonymous {
                true => Ok(CommitRule::Any),
                false => group.commit_rule(&request.member_id, generation, i16::MAX),
            };
        }
        let Some(group) = self.classic.get(&request.group_id) else {
            return match generation < 0 {
                true => Ok(CommitRule::Any),
                false => Err(ErrorCode::GroupIdNotFound),
            };
        };
        if is_anonymous || (generation < 0 && group.is_empty()) {
            return Ok(CommitRule::Any);
        }
        group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        match generation == group.generation {
            true => Ok(CommitRule::Any),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn is_metadata_too_long(&self, partition: &OffsetCommitRequestPartition) -> bool {
        let max = self.config.offset_metadata_max;
        let metadata = partition.committed_metadata.as_ref();
        // A text never has more UTF-16 units than bytes.
        metadata.is_some_and(|text| text.len() > max && text.encode_utf16().count() > max)
    }
}

/// Whether whoever commits may: a member in its generation, or anybody while the group is empty.
fn check_committer(group: &ClassicGroup, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    let generation = request.generation_id_or_member_epoch;
    if generation < 0 && group.is_empty() {
        return Ok(());
    }
    if generation < 0 && request.member_id.is_empty() && request.group_instance_id.is_none() {
        return Err(ErrorCode::UnknownMemberId);
    }
    group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
    if generation != group.generation {
        Err(ErrorCode::IllegalGeneration)
    } else if group.state == GroupState::CompletingRebalance {
        Err(ErrorCode::RebalanceInProgress)
    } else {
        Ok(())
    }
}

fn commit_record(
    request: &OffsetCommitRequest,
    topic: &OffsetCommitRequestTopic,
    partition: &OffsetCommitRequestPartition,
    now: Now,
) -> CoordinatorRecord {
    let key = OffsetCommitKey {
        group: request.group_id.clone(),
        topic: topic.name.clone(),
        partition: partition.partition_index,
    };
    // Version 1 of the request brings its own timestamp.
    let commit_timestamp = match partition.commit_timestamp {
        -1 => now.wall_ms,
        timestamp => timestamp,
    };
    let expire_timestamp = match request.retention_time_ms {
        -1 => -1,
        retention_ms => now.wall_ms.saturating_add(retention_ms),
    };
    let value = OffsetCommitValue {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone().unwrap_or_default(),
        commit_timestamp,
        expire_timestamp,
        topic_id: topic.topic_id,
    };
    record::offset_commit(&key, &value)
}

/// The answer to an OffsetCommit that gives `error` for every partition.
pub fn commit_refused(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let partition = |partition: &OffsetCommitRequestPartition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: error as i16,
    };
    let topic = |topic: &OffsetCommitRequestTopic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(partition).collect(),
    };
    OffsetCommitResponse {
        topics: request.topics.iter().map(topic).collect(),
        ..Default::default()
    }
}
