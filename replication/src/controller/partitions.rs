//! CreatePartitions: more partitions for a topic that exists.

use super::{
    Controller, MAX_RECORDS_PER_OPERATION, Outcome, PlacementError, Random, directories::Directories, placement::place,
    text, topics::names_that_repeat,
};
use crate::image::{BrokersImage, TopicImage};
use ottla_protocol::{
    ErrorCode, Str,
    ids::NodeId,
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, MetadataRecord,
        create_partitions_request::CreatePartitionsTopic, create_partitions_response::CreatePartitionsTopicResult,
    },
};

/// Why a list of replicas that the request gives is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum AssignmentError {
    #[error("The manual partition assignment includes an empty replica list.")]
    Empty,
    #[error("The manual partition assignment includes broker {0}, but no such broker is registered.")]
    UnknownBroker(NodeId),
    #[error("The manual partition assignment includes broker {0}, but all its log directories are cordoned.")]
    CordonedBroker(NodeId),
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    RepeatedBroker(NodeId),
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this is not consistent \
         with previous partitions, which have {expected} replica(s)."
    )]
    ReplicaCount { found: usize, expected: usize },
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced or in controlled \
         shutdown."
    )]
    NobodyActive(i32),
}

/// Checks the replicas that a request gives for partition `index`; `replica_count` is how many others have.
pub(super) fn check_assignment(
    brokers: &BrokersImage,
    index: i32,
    replicas: &[NodeId],
    replica_count: Option<usize>,
) -> Result<(), AssignmentError> {
    check_replicas(brokers, replicas)?;
    if let Some(expected) = replica_count.filter(|expected| *expected != replicas.len()) {
        return Err(AssignmentError::ReplicaCount {
            found: replicas.len(),
            expected,
        });
    }
    if !replicas.iter().any(|id| brokers.is_active(*id)) {
        return Err(AssignmentError::NobodyActive(index));
    }
    Ok(())
}

/// Checks that the replicas are different brokers that exist and take new partitions.
pub(super) fn check_replicas(brokers: &BrokersImage, replicas: &[NodeId]) -> Result<(), AssignmentError> {
    if replicas.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut sorted = replicas.to_vec();
    sorted.sort();
    for (position, id) in sorted.iter().enumerate() {
        let broker = brokers.broker(*id).ok_or(AssignmentError::UnknownBroker(*id))?;
        if !broker.has_uncordoned_directory() {
            return Err(AssignmentError::CordonedBroker(*id));
        }
        if position > 0 && sorted[position - 1] == *id {
            return Err(AssignmentError::RepeatedBroker(*id));
        }
    }
    Ok(())
}

/// Why a topic gets no more partitions. Reads as Kafka's refusal does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum CreatePartitionsError {
    #[error("Duplicate topic name.")]
    Duplicate,
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("Topic already has {0} partition(s).")]
    NotMore(usize),
    #[error("The topic {name} currently has {current} partition(s); {wanted} would not be an increase.")]
    Fewer { name: String, current: usize, wanted: i32 },
    #[error("Attempted to add {additional} additional partition(s), but only {given} assignment(s) were specified.")]
    AssignmentCount { additional: usize, given: usize },
    #[error(transparent)]
    InvalidAssignment(#[from] AssignmentError),
    #[error(transparent)]
    NoPlace(#[from] PlacementError),
    #[error(
        "Unable to replicate the partition {0} time(s): All brokers are currently fenced or in controlled shutdown."
    )]
    NoActiveBroker(usize),
    #[error("Excessively large number of additional partitions per request.")]
    TooMany,
}

impl CreatePartitionsError {
    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Duplicate => ErrorCode::InvalidRequest,
            Self::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            Self::NotMore(_) | Self::Fewer { .. } => ErrorCode::InvalidPartitions,
            Self::AssignmentCount { .. } | Self::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
            Self::NoPlace(_) | Self::NoActiveBroker(_) => ErrorCode::InvalidReplicationFactor,
            Self::TooMany => ErrorCode::PolicyViolation,
        }
    }
}

impl Controller {
    /// CreatePartitions: `count` of the request is how many there shall be in all. `random` is where placement starts.
    pub fn handle_create_partitions(
        &self,
        request: &CreatePartitionsRequest,
        random: &mut Random,
    ) -> Outcome<CreatePartitionsResponse> {
        let repeated = names_that_repeat(request.topics.iter().map(|topic| &topic.name));
        let mut records = Vec::new();
        let mut results: Vec<_> = repeated
            .iter()
            .map(|name| result(name, Err(CreatePartitionsError::Duplicate)))
            .collect();
        for topic in request.topics.iter().filter(|topic| !repeated.contains(&topic.name)) {
            let room = MAX_RECORDS_PER_OPERATION - records.len();
            let verdict = self.new_partitions(topic, room, random).map(|new| records.extend(new));
            results.push(result(&topic.name, verdict));
        }
        if request.validate_only {
            records.clear();
        }
        Outcome {
            records,
            response: CreatePartitionsResponse {
                results,
                ..Default::default()
            },
        }
    }

    fn new_partitions(
        &self,
        request: &CreatePartitionsTopic,
        room: usize,
        random: &mut Random,
    ) -> Result<Vec<MetadataRecord>, CreatePartitionsError> {
        let topic = self
            .image
            .topics()
            .by_name(&request.name)
            .ok_or(CreatePartitionsError::UnknownTopic)?;
        let current = topic.partition_count();
        let wanted = usize::try_from(request.count).unwrap_or(0);
        if wanted == current {
            return Err(CreatePartitionsError::NotMore(current));
        }
        if wanted < current {
            let name = topic.name.to_string();
            return Err(CreatePartitionsError::Fewer {
                name,
                current,
                wanted: request.count,
            });
        }
        let additional = wanted - current;
        let replicas = match &request.assignments {
            Some(given) if given.len() != additional => {
                return Err(CreatePartitionsError::AssignmentCount {
                    additional,
                    given: given.len(),
                });
            }
            _ if additional > room => return Err(CreatePartitionsError::TooMany),
            Some(given) => self.checked_assignments(topic, given.iter().map(|it| it.broker_ids.as_slice()))?,
            None => place(self.image.brokers(), additional, replica_count(topic), random)?,
        };
        let mut directories = Directories::new(self);
        let partition = |(index, replicas): (i32, &Vec<NodeId>)| {
            let partition = self.new_partition(replicas, &mut directories);
            let partition = partition.ok_or(CreatePartitionsError::NoActiveBroker(replicas.len()))?;
            Ok(MetadataRecord::from(partition.to_record(topic.id, index)))
        };
        (current as i32..).zip(&replicas).map(partition).collect()
    }

    fn checked_assignments<'a>(
        &self,
        topic: &TopicImage,
        given: impl Iterator<Item = &'a [i32]>,
    ) -> Result<Vec<Vec<NodeId>>, AssignmentError> {
        let first = topic.partition_count() as i32;
        let checked = |(index, ids): (i32, &[i32])| {
            let replicas: Vec<_> = ids.iter().copied().map(NodeId).collect();
            check_assignment(self.image.brokers(), index, &replicas, Some(replica_count(topic)))?;
            Ok(replicas)
        };
        (first..).zip(given).map(checked).collect()
    }
}

/// How many replicas new partitions of a topic get: as many as its first one has.
fn replica_count(topic: &TopicImage) -> usize {
    topic
        .partitions()
        .next()
        .map_or(1, |(_, partition)| partition.replicas.len())
}

fn result(name: &Str, verdict: Result<(), CreatePartitionsError>) -> CreatePartitionsTopicResult {
    let error = verdict.err();
    CreatePartitionsTopicResult {
        name: name.clone(),
        error_code: error.as_ref().map_or(ErrorCode::None, CreatePartitionsError::code) as i16,
        error_message: error.and_then(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{SEED, controller_with_topics, run};
    use ottla_protocol::messages::create_partitions_request::CreatePartitionsAssignment;

    fn ask(
        controller: &Controller,
        name: &str,
        count: i32,
        assignments: Option<&[&[i32]]>,
    ) -> Outcome<CreatePartitionsResponse> {
        let assignment = |ids: &&[i32]| CreatePartitionsAssignment {
            broker_ids: ids.to_vec(),
        };
        let topic = CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: assignments.map(|given| given.iter().map(assignment).collect()),
        };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        controller.handle_create_partitions(&request, &mut Random::new(SEED))
    }

    fn refusal(controller: &Controller, name: &str, count: i32, assignments: Option<&[&[i32]]>) -> (i16, String) {
        let outcome = ask(controller, name, count, assignments);
        assert_eq!(outcome.records, []);
        let result = &outcome.response.results[0];
        (
            result.error_code,
            result.error_message.as_deref().unwrap_or_default().to_owned(),
        )
    }

    #[test]
    fn new_partitions_follow_the_old_ones_without_a_gap() {
        let mut controller = controller_with_topics(&["a"]);
        let outcome = ask(&controller, "a", 5, None);
        assert_eq!((outcome.response.results[0].error_code, outcome.records.len()), (0, 4));
        run(&mut controller, outcome);
        let topic = controller.image().topics().by_name("a").expect("created");
        assert_eq!(
            topic.partitions().map(|(index, _)| index).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
    }

    #[test]
    fn refusals_read_as_those_of_kafka() {
        let controller = controller_with_topics(&["a"]);
        let expected = (37, "Topic already has 1 partition(s).".to_owned());
        assert_eq!(refusal(&controller, "a", 1, None), expected);
        let expected = (
            37,
            "The topic a currently has 1 partition(s); -1 would not be an increase.".to_owned(),
        );
        assert_eq!(refusal(&controller, "a", -1, None), expected);
        assert_eq!(refusal(&controller, "nope", 2, None).0, 3);
        let message = "Attempted to add 1 additional partition(s), but only 2 assignment(s) were specified.";
        assert_eq!(
            refusal(&controller, "a", 2, Some(&[&[1], &[1]])),
            (39, message.to_owned())
        );
        let message = "The manual partition assignment includes broker 7, but no such broker is registered.";
        assert_eq!(refusal(&controller, "a", 2, Some(&[&[7]])), (39, message.to_owned()));
        let message = "The manual partition assignment includes the broker 1 more than once.";
        assert_eq!(refusal(&controller, "a", 2, Some(&[&[1, 1]])), (39, message.to_owned()));
        let message = "Excessively large number of additional partitions per request.";
        assert_eq!(refusal(&controller, "a", 50_000, None), (44, message.to_owned()));
    }
}
