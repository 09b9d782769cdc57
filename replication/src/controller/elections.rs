//! Who leads a partition, and what becomes of its ISR, when brokers come and go or somebody asks.
//!
//! With eligible leader replicas (KIP-966) the ISR may shrink to nothing: replicas that leave it below
//! `min.insync.replicas` become eligible, since everything committed is still on them, unless their broker stopped
//! without writing everything down. A partition without any of them may be led again by its last known leader.

use super::{Controller, Outcome, record_version::LEVEL_3_6_IV0, text};
use crate::image::{LeaderRecoveryState, Partition, TopicImage};
use ottla_protocol::{
    ErrorCode, Str,
    ids::NodeId,
    messages::{
        ElectLeadersRequest, ElectLeadersResponse, MetadataRecord, PartitionChangeRecord,
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
};

/// Which leaders an election may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// The present leader if it can, else any replica that has everything committed.
    Online,
    /// The first replica if it can, else as [`Election::Online`].
    Preferred,
    /// As [`Election::Online`], and as a last resort any replica, at the price of records.
    Unclean,
}

/// What happened to one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerEvent {
    /// It no longer leads or keeps up: fenced, stopping, or back after a clean stop.
    Leaves(NodeId),
    /// It is back after a stop in which it may have lost what was not flushed.
    LostItsTail(NodeId),
    /// It may lead from now on, though the image still shows it fenced.
    Joins(NodeId),
}

/// The rules of one partition's election.
struct Rules<'a> {
    election: Election,
    min_isr: usize,
    keeps_eligible_replicas: bool,
    /// Before metadata.version 3.6-IV0 a smaller ISR had to raise the leader epoch (KAFKA-15021).
    shrinking_raises_epoch: bool,
    lost_its_tail: Option<NodeId>,
    may_lead: &'a dyn Fn(NodeId) -> bool,
}

/// A partition's next state while it is being worked out.
struct Draft {
    isr: Vec<NodeId>,
    eligible: Vec<NodeId>,
    leader: NodeId,
    is_unclean: bool,
}

impl Rules<'_> {
    /// The change that brings `partition` to the ISR `target_isr`, with a leader if there can be one.
    fn change(&self, partition: &Partition, target_isr: Vec<NodeId>) -> Option<PartitionChangeRecord> {
        let eligible = self.eligible_replicas(partition, &target_isr);
        let mut draft = Draft {
            isr: target_isr,
            eligible,
            leader: partition.leader,
            is_unclean: false,
        };
        self.elect(partition, &mut draft);
        self.record(partition, draft)
    }

    fn eligible_replicas(&self, partition: &Partition, target_isr: &[NodeId]) -> Vec<NodeId> {
        if !self.keeps_eligible_replicas || target_isr.len() >= self.min_isr {
            return Vec::new();
        }
        let mut eligible = partition.eligible_leader_replicas.clone();
        eligible.extend(
            partition
                .isr
                .iter()
                .filter(|id| !partition.eligible_leader_replicas.contains(id)),
        );
        eligible.retain(|id| !target_isr.contains(id) && Some(*id) != self.lost_its_tail);
        eligible
    }

    fn elect(&self, partition: &Partition, draft: &mut Draft) {
        let has_everything =
            |id: NodeId| draft.isr.contains(&id) || draft.isr.is_empty() && draft.eligible.contains(&id);
        let can_lead = |id: NodeId| has_everything(id) && (self.may_lead)(id);
        let preferred = partition
            .replicas
            .first()
            .copied()
            .filter(|_| self.election == Election::Preferred);
        let first_choices = preferred.into_iter().chain([partition.leader]);
        let clean = first_choices
            .chain(partition.replicas.iter().copied())
            .find(|id| can_lead(*id));
        draft.leader = match clean {
            Some(leader) => leader,
            None => self.last_resort(partition, draft).unwrap_or(NodeId::NONE),
        };
        let is_new = draft.leader.is_some() && draft.leader != partition.leader;
        draft.is_unclean = is_new && clean.is_none();
        if draft.is_unclean {
            draft.isr = vec![draft.leader];
            draft.eligible.clear();
        } else if is_new && draft.eligible.contains(&draft.leader) {
            draft.isr = vec![draft.leader];
            draft.eligible.retain(|id| *id != draft.leader);
        }
    }

    fn last_resort(&self, partition: &Partition, draft: &Draft) -> Option<NodeId> {
        let is_forgotten = self.keeps_eligible_replicas && draft.isr.is_empty() && draft.eligible.is_empty();
        let last_known = match partition.last_known_elr.as_slice() {
            [only] if is_forgotten => Some(*only),
            _ => None,
        };
        let anybody = partition
            .replicas
            .iter()
            .copied()
            .filter(|_| self.election == Election::Unclean);
        last_known.into_iter().chain(anybody).find(|id| (self.may_lead)(*id))
    }

    fn record(&self, partition: &Partition, draft: Draft) -> Option<PartitionChangeRecord> {
        let unchanged = PartitionChangeRecord::default();
        let mut record = PartitionChangeRecord::default();
        let numbers = |ids: &[NodeId]| Some(ids.iter().map(|id| id.0).collect::<Vec<_>>());
        if draft.leader != partition.leader {
            record.leader = draft.leader.0;
        }
        if draft.is_unclean && partition.leader_recovery_state != LeaderRecoveryState::Recovering {
            record.leader_recovery_state = LeaderRecoveryState::Recovering.code();
        }
        // Without eligible replicas the last member stays in the ISR: it is the only trace of who has the records.
        let may_be_set = !draft.isr.is_empty() || self.keeps_eligible_replicas;
        if may_be_set && (draft.isr != partition.isr || draft.is_unclean) {
            record.isr = numbers(&draft.isr);
        }
        if draft.eligible != partition.eligible_leader_replicas {
            record.eligible_leader_replicas = numbers(&draft.eligible);
        }
        let shrinks = record.isr.is_some() && partition.isr.iter().any(|id| !draft.isr.contains(id));
        if self.shrinking_raises_epoch && shrinks && record.leader == unchanged.leader {
            record.leader = partition.leader.0;
        }
        record.last_known_elr = self
            .last_known_leader(partition, &draft, &record)
            .as_deref()
            .and_then(numbers);
        (record != unchanged).then_some(record)
    }

    /// The last leader is remembered when the ISR becomes empty, and forgotten once there is a leader.
    fn last_known_leader(
        &self,
        partition: &Partition,
        draft: &Draft,
        record: &PartitionChangeRecord,
    ) -> Option<Vec<NodeId>> {
        if !self.keeps_eligible_replicas {
            return None;
        }
        let becomes_empty = record.isr.as_ref().is_some_and(Vec::is_empty);
        if becomes_empty && partition.last_known_elr != [partition.leader] {
            return Some(vec![partition.leader]);
        }
        (draft.leader.is_some() && !partition.last_known_elr.is_empty()).then(Vec::new)
    }
}

impl Controller {
    /// The changes of partitions that follow from what happened to a broker.
    pub(super) fn changes_after(&self, event: BrokerEvent) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image.topics().iter() {
            for (index, partition) in topic.partitions() {
                let is_affected = match event {
                    BrokerEvent::Leaves(id) => partition.isr.contains(&id),
                    BrokerEvent::LostItsTail(id) => {
                        partition.isr.contains(&id) || partition.eligible_leader_replicas.contains(&id)
                    }
                    BrokerEvent::Joins(_) => !partition.has_leader(),
                };
                if is_affected {
                    let change = self.change_after(topic, index, partition, event);
                    records.extend(change.map(MetadataRecord::from));
                }
            }
        }
        records
    }

    /// The change of one partition, `partition` as it is or is about to be, that follows from what happened to a broker.
    pub(super) fn change_after(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &Partition,
        event: BrokerEvent,
    ) -> Option<PartitionChangeRecord> {
        let (gone, joined) = match event {
            BrokerEvent::Leaves(id) | BrokerEvent::LostItsTail(id) => (Some(id), None),
            BrokerEvent::Joins(id) => (None, Some(id)),
        };
        let may_lead = |id: NodeId| {
            let is_there = Some(id) == joined || self.image.brokers().is_active(id);
            Some(id) != gone && is_there && self.has_its_directory(partition, id)
        };
        let election = if self.is_unclean_election_enabled(&topic.name) {
            Election::Unclean
        } else {
            Election::Online
        };
        let mut rules = self.rules(topic, partition, election, &may_lead);
        if let BrokerEvent::LostItsTail(id) = event {
            rules.lost_its_tail = Some(id);
        }
        let target_isr = partition.isr.iter().copied().filter(|id| Some(*id) != gone).collect();
        let record = rules.change(partition, target_isr)?;
        Some(PartitionChangeRecord {
            topic_id: topic.id,
            partition_id: index,
            ..record
        })
    }

    fn rules<'a>(
        &self,
        topic: &TopicImage,
        partition: &Partition,
        election: Election,
        may_lead: &'a dyn Fn(NodeId) -> bool,
    ) -> Rules<'a> {
        let features = self.image.features();
        Rules {
            election,
            min_isr: self.effective_min_isr(&topic.name, partition.replicas.len()),
            keeps_eligible_replicas: features.is_elr_enabled(),
            shrinking_raises_epoch: features.metadata_version() < LEVEL_3_6_IV0,
            lost_its_tail: None,
            may_lead,
        }
    }

    /// ElectLeaders, for the partitions of the request or for all.
    ///
    /// For all, only those are answered that were elected or failed to be. The records are one batch.
    pub fn handle_elect_leaders(&self, request: &ElectLeadersRequest) -> Outcome<ElectLeadersResponse> {
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            _ => {
                let error_code = ErrorCode::InvalidRequest as i16;
                return Outcome::unchanged(ElectLeadersResponse {
                    error_code,
                    ..Default::default()
                });
            }
        };
        let mut records = Vec::new();
        let mut elect = |topic: &Str, index: i32| self.elect(topic, index, election).map(|new| records.push(new));
        let replica_election_results = match &request.topic_partitions {
            Some(asked) => {
                let answers = asked.iter().map(|topic| {
                    let verdicts = topic
                        .partitions
                        .iter()
                        .map(|index| (*index, elect(&topic.topic, *index)));
                    election_result(&topic.topic, verdicts)
                });
                answers.collect()
            }
            None => {
                let answers = self.image.topics().iter().map(|topic| {
                    let verdicts = topic.partitions().map(|(index, _)| (index, elect(&topic.name, index)));
                    election_result(
                        &topic.name,
                        verdicts.filter(|(_, it)| *it != Err(ElectionError::NotNeeded)),
                    )
                });
                answers.filter(|result| !result.partition_result.is_empty()).collect()
            }
        };
        Outcome {
            records,
            response: ElectLeadersResponse {
                replica_election_results,
                ..Default::default()
            },
        }
    }

    fn elect(&self, name: &Str, index: i32, election: Election) -> Result<MetadataRecord, ElectionError> {
        let topic = self.image.topics().by_name(name);
        let topic = topic.ok_or_else(|| ElectionError::UnknownTopic(name.to_string()))?;
        let unknown = || ElectionError::UnknownPartition {
            topic: name.to_string(),
            index,
        };
        let partition = topic.partition(index).ok_or_else(unknown)?;
        let is_fine = match election {
            Election::Preferred => partition.replicas.first() == Some(&partition.leader),
            Election::Online | Election::Unclean => partition.has_leader(),
        };
        if is_fine {
            return Err(ElectionError::NotNeeded);
        }
        let may_lead = |id| self.image.brokers().is_active(id) && self.has_its_directory(partition, id);
        let rules = self.rules(topic, partition, election, &may_lead);
        let record = rules.change(partition, partition.isr.clone()).ok_or(match election {
            Election::Preferred => ElectionError::PreferredNotAvailable,
            Election::Online | Election::Unclean => ElectionError::NobodyEligible,
        })?;
        Ok(PartitionChangeRecord {
            topic_id: topic.id,
            partition_id: index,
            ..record
        }
        .into())
    }
}

/// Why no leader is elected. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum ElectionError {
    #[error("No such topic as {0}")]
    UnknownTopic(String),
    #[error("No such partition as {topic}-{index}")]
    UnknownPartition { topic: String, index: i32 },
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    #[error("The preferred leader was not available.")]
    PreferredNotAvailable,
    #[error("Eligible topic partition leaders are not available.")]
    NobodyEligible,
}

impl ElectionError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic(_) | Self::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::NotNeeded => ErrorCode::ElectionNotNeeded,
            Self::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
            Self::NobodyEligible => ErrorCode::EligibleLeadersNotAvailable,
        }
    }
}

fn election_result(
    topic: &Str,
    verdicts: impl Iterator<Item = (i32, Result<(), ElectionError>)>,
) -> ReplicaElectionResult {
    let partition_result = verdicts.map(|(index, verdict)| {
        let error = verdict.err();
        PartitionResult {
            partition_id: index,
            error_code: error.as_ref().map_or(ErrorCode::None, ElectionError::code) as i16,
            error_message: error.and_then(text),
        }
    });
    ReplicaElectionResult {
        topic: topic.clone(),
        partition_result: partition_result.collect(),
    }
}

#[cfg(test)]
mod tests;
