//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455), as far as a cluster of one node needs them.
//!
//! A reassignment that only reorders the replicas is done at once. One that brings in another broker would have to wait
//! for it to catch up, which comes with replication between brokers; on one node there is no other broker to name.

use super::{
    Controller, Outcome,
    partitions::{AssignmentError, check_replicas},
    text,
};
use crate::image::TopicImage;
use ottla_protocol::{
    ErrorCode, Str,
    ids::NodeId,
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse, MetadataRecord, PartitionChangeRecord,
        alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
        list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment},
    },
};

/// Why a reassignment is refused. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReassignmentError {
    #[error("Unable to find a topic named {0}.")]
    UnknownTopic(String),
    #[error("Unable to find partition {topic}:{index}.")]
    UnknownPartition { topic: String, index: i32 },
    #[error("No partition reassignment is in progress.")]
    NotInProgress,
    #[error(transparent)]
    InvalidAssignment(#[from] AssignmentError),
    #[error("The replication factor is changed from {from} to {to}")]
    ReplicaCount { from: usize, to: usize },
    #[error("Moving replicas between brokers is not implemented yet.")]
    NotImplemented,
}

impl ReassignmentError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic(_) | Self::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::NotInProgress => ErrorCode::NoReassignmentInProgress,
            Self::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
            Self::ReplicaCount { .. } => ErrorCode::InvalidReplicationFactor,
            Self::NotImplemented => ErrorCode::UnsupportedVersion,
        }
    }
}

impl Controller {
    /// AlterPartitionReassignments.
    pub fn handle_alter_partition_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Outcome<AlterPartitionReassignmentsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|partition| {
                let wanted = partition.replicas.as_deref();
                let may_change_count = request.allow_replication_factor_change;
                let verdict = self.reassign(&topic.name, partition.partition_index, wanted, may_change_count);
                let error = verdict.map(|record| records.extend(record)).err();
                ReassignablePartitionResponse {
                    partition_index: partition.partition_index,
                    error_code: error.as_ref().map_or(ErrorCode::None, ReassignmentError::code) as i16,
                    error_message: error.and_then(text),
                }
            });
            responses.push(ReassignableTopicResponse {
                name: topic.name.clone(),
                partitions: partitions.collect(),
            });
        }
        let response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_message: None,
            responses,
            ..Default::default()
        };
        Outcome { records, response }
    }

    fn reassign(
        &self,
        name: &Str,
        index: i32,
        wanted: Option<&[i32]>,
        may_change_count: bool,
    ) -> Result<Option<MetadataRecord>, ReassignmentError> {
        let topic = self.image.topics().by_name(name);
        let topic = topic.ok_or_else(|| ReassignmentError::UnknownTopic(name.to_string()))?;
        let unknown = || ReassignmentError::UnknownPartition {
            topic: name.to_string(),
            index,
        };
        let partition = topic.partition(index).ok_or_else(unknown)?;
        let Some(wanted) = wanted else {
            return Err(ReassignmentError::NotInProgress);
        };
        let wanted: Vec<_> = wanted.iter().copied().map(NodeId).collect();
        check_replicas(self.image.brokers(), &wanted)?;
        let (from, to) = (partition.replicas.len(), wanted.len());
        if from != to && !may_change_count {
            return Err(ReassignmentError::ReplicaCount { from, to });
        }
        if from != to || wanted.iter().any(|id| !partition.replicas.contains(id)) {
            return Err(ReassignmentError::NotImplemented);
        }
        if wanted == partition.replicas {
            return Ok(None);
        }
        let directory = |id: &NodeId| partition.directory_of(*id).unwrap_or_default();
        let record = PartitionChangeRecord {
            partition_id: index,
            topic_id: topic.id,
            directories: Some(wanted.iter().map(directory).collect()),
            replicas: Some(wanted.iter().map(|id| id.0).collect()),
            ..PartitionChangeRecord::default()
        };
        Ok(Some(record.into()))
    }

    /// ListPartitionReassignments: those of the request that are under way, or all.
    pub fn handle_list_partition_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        let topics = match &request.topics {
            Some(asked) => {
                let found = asked.iter().filter_map(|topic| {
                    let image = self.image.topics().by_name(&topic.name)?;
                    Some(ongoing(image, |index| topic.partition_indexes.contains(&index)))
                });
                found.filter(|topic| !topic.partitions.is_empty()).collect()
            }
            None => {
                let all = self.image.topics().iter().map(|topic| ongoing(topic, |_| true));
                all.filter(|topic| !topic.partitions.is_empty()).collect()
            }
        };
        ListPartitionReassignmentsResponse {
            error_message: None,
            topics,
            ..Default::default()
        }
    }
}

fn ongoing(topic: &TopicImage, is_asked: impl Fn(i32) -> bool) -> OngoingTopicReassignment {
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
    let moving = topic
        .partitions()
        .filter(|(index, partition)| partition.is_reassigning() && is_asked(*index));
    let partitions = moving.map(|(index, partition)| OngoingPartitionReassignment {
        partition_index: index,
        replicas: numbers(&partition.replicas),
        adding_replicas: numbers(&partition.adding_replicas),
        removing_replicas: numbers(&partition.removing_replicas),
    });
    OngoingTopicReassignment {
        name: topic.name.clone(),
        partitions: partitions.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::controller_with_topics;
    use ottla_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};

    fn ask(name: &str, index: i32, replicas: Option<&[i32]>) -> (i16, Option<String>) {
        let partition = ReassignablePartition {
            partition_index: index,
            replicas: replicas.map(<[i32]>::to_vec),
        };
        let topic = ReassignableTopic {
            name: name.into(),
            partitions: vec![partition],
        };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        let outcome = controller_with_topics(&["a"]).handle_alter_partition_reassignments(&request);
        assert_eq!(outcome.records, []);
        let result = &outcome.response.responses[0].partitions[0];
        (result.error_code, result.error_message.as_deref().map(str::to_owned))
    }

    #[test]
    fn on_one_node_nothing_can_move_and_the_answer_says_why() {
        assert_eq!(ask("a", 0, Some(&[1])), (0, None));
        let message = "The manual partition assignment includes broker 2, but no such broker is registered.";
        assert_eq!(ask("a", 0, Some(&[1, 2])), (39, Some(message.to_owned())));
        assert_eq!(
            ask("a", 0, None),
            (85, Some("No partition reassignment is in progress.".to_owned()))
        );
        assert_eq!(ask("a", 9, None), (3, Some("Unable to find partition a:9.".to_owned())));
        assert_eq!(
            ask("no", 0, None),
            (3, Some("Unable to find a topic named no.".to_owned()))
        );
    }

    #[test]
    fn nothing_is_under_way() {
        let controller = controller_with_topics(&["a"]);
        let response = controller.handle_list_partition_reassignments(&ListPartitionReassignmentsRequest::default());
        assert_eq!(response.topics, []);
    }
}
