//! OffsetCommit, key 8, versions 2-10.
//!
//! v5: no retention time. v6: leader epoch (KIP-320). v7: group_instance_id (KIP-345). v8: flexible. v9: member epoch,
//! GROUP_ID_NOT_FOUND (KIP-848). v10: topic ids.
//! Topics and partitions that do not exist are refused here, each alone; the rest is committed.

use super::table::Call;
use crate::broker::Broker;
use ottla_coordinator::{Caller, Reply, commit_refused};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        OffsetCommitRequest, OffsetCommitResponse,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
};
use ottla_replication::image::{MetadataImage, TopicImage};
use std::sync::Arc;

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;

pub(super) async fn handle(broker: &Arc<Broker>, call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = broker.image.load_full();
    let uses_ids = call.version >= TOPIC_IDS_FROM;
    let topics = sorted(&image, request, uses_ids, |known| commit(broker, call.version, known));
    OffsetCommitResponse {
        topics: topics.await,
        ..Default::default()
    }
}

/// The answer for each topic of the request: `commit` gives that for those partitions that exist.
pub(super) async fn sorted<Committed: Future<Output = Vec<OffsetCommitResponseTopic>>>(
    image: &MetadataImage,
    mut request: OffsetCommitRequest,
    uses_ids: bool,
    commit: impl FnOnce(Arc<OffsetCommitRequest>) -> Committed,
) -> Vec<OffsetCommitResponseTopic> {
    if request.topics.iter_mut().all(|topic| identify(image, topic, uses_ids)) {
        return match request.topics.is_empty() {
            true => Vec::new(),
            false => commit(Arc::new(request)).await,
        };
    }
    let sorted: Vec<Sorted> = request
        .topics
        .iter()
        .map(|topic| sort(image, topic, uses_ids))
        .collect();
    let topics: Vec<OffsetCommitRequestTopic> = sorted.iter().filter_map(|topic| topic.known.clone()).collect();
    let answered = match topics.is_empty() {
        true => Vec::new(),
        false => commit(Arc::new(OffsetCommitRequest { topics, ..request })).await,
    };
    let partitions = answered.iter().flat_map(|topic| &topic.partitions);
    let mut errors = partitions.map(|partition| partition.error_code);
    sorted.into_iter().map(|topic| topic.answer(&mut errors)).collect()
}

/// Gives a topic both its name and its id. Says whether it exists, with all partitions that are named; what it has been
/// given does no harm if not.
fn identify(image: &MetadataImage, topic: &mut OffsetCommitRequestTopic, uses_ids: bool) -> bool {
    let Some(found) = find(image, topic, uses_ids) else {
        return false;
    };
    match uses_ids {
        true => topic.name = found.name.clone(),
        false => topic.topic_id = found.id,
    }
    let mut partitions = topic.partitions.iter();
    partitions.all(|partition| found.partition(partition.partition_index).is_some())
}

fn find<'a>(image: &'a MetadataImage, topic: &OffsetCommitRequestTopic, uses_ids: bool) -> Option<&'a Arc<TopicImage>> {
    match uses_ids {
        true => image.topics().by_id(topic.topic_id),
        false => image.topics().by_name(&topic.name),
    }
}

/// A topic of the request, with what can be committed apart from what cannot.
struct Sorted {
    name: Str,
    id: Uuid,
    /// Partitions in the order of the request; those without an error are the ones of `known`.
    partitions: Vec<(i32, Option<ErrorCode>)>,
    known: Option<OffsetCommitRequestTopic>,
}

fn sort(image: &MetadataImage, topic: &OffsetCommitRequestTopic, uses_ids: bool) -> Sorted {
    let Some(found) = find(image, topic, uses_ids) else {
        let error = match uses_ids {
            true => ErrorCode::UnknownTopicId,
            false => ErrorCode::UnknownTopicOrPartition,
        };
        let unknown = |partition: &OffsetCommitRequestPartition| (partition.partition_index, Some(error));
        return Sorted {
            name: topic.name.clone(),
            id: topic.topic_id,
            partitions: topic.partitions.iter().map(unknown).collect(),
            known: None,
        };
    };
    let exists = |partition: &OffsetCommitRequestPartition| found.partition(partition.partition_index).is_some();
    let verdict = |partition: &OffsetCommitRequestPartition| {
        let error = (!exists(partition)).then_some(ErrorCode::UnknownTopicOrPartition);
        (partition.partition_index, error)
    };
    let known: Vec<_> = topic
        .partitions
        .iter()
        .filter(|partition| exists(partition))
        .cloned()
        .collect();
    Sorted {
        name: found.name.clone(),
        id: found.id,
        partitions: topic.partitions.iter().map(verdict).collect(),
        known: (!known.is_empty()).then(|| OffsetCommitRequestTopic {
            name: found.name.clone(),
            topic_id: found.id,
            partitions: known,
        }),
    }
}

impl Sorted {
    /// The answer; `errors` has the coordinator's for each partition that it was asked about.
    fn answer(self, errors: &mut impl Iterator<Item = i16>) -> OffsetCommitResponseTopic {
        let mut answered = |(partition_index, error): (i32, Option<ErrorCode>)| OffsetCommitResponsePartition {
            partition_index,
            error_code: match error {
                Some(error) => error.code(),
                None => errors.next().unwrap_or(ErrorCode::UnknownServerError.code()),
            },
        };
        OffsetCommitResponseTopic {
            name: self.name,
            topic_id: self.id,
            partitions: self.partitions.into_iter().map(&mut answered).collect(),
        }
    }
}

/// The coordinator's answer for each topic; all of them exist.
async fn commit(broker: &Broker, version: i16, request: Arc<OffsetCommitRequest>) -> Vec<OffsetCommitResponseTopic> {
    let asked = request.clone();
    let decided = broker
        .coordinators
        .decide(broker, &request.group_id, move |groups, ticket, now| {
            let caller = Caller {
                version,
                client_id: "",
                client_host: "",
                fresh_member_id: Uuid::ZERO,
            };
            groups.handle_offset_commit(ticket, &asked, &caller, now)
        });
    match decided.await {
        Ok(Reply::OffsetCommit(response)) => response.topics,
        Ok(_) => commit_refused(&request, ErrorCode::UnknownServerError).topics,
        Err(error) => commit_refused(&request, error).topics,
    }
}
