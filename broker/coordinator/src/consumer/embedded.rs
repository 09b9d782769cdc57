//! What consumers say to each other inside the classic protocol: subscriptions in JoinGroup, assignments in SyncGroup.
//!
//! ```text
//! version: int16, then the body; a version beyond the last known reads as the last; bytes may follow
//! ```

use super::partitions::Partitions;
use crate::{
    cluster::ClusterView,
    config::{MAX_NAME_BYTES, MAX_SUBSCRIBED_TOPICS},
};
use bytes::Bytes;
use ottla_protocol::{
    Message, Str,
    ids::Uuid,
    messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment::TopicPartition,
        consumer_protocol_subscription::TopicPartition as OwnedPartitions,
    },
    primitives::{Reader, Writer},
};
use std::collections::{BTreeMap, BTreeSet};

const LAST_VERSION: i16 = 3;

/// Partitions by the name of their topic.
pub(super) type NamedPartitions = Vec<(Str, Vec<i32>)>;

/// What a consumer says of itself when it joins; all of it slices of the request.
#[derive(Debug)]
pub(super) struct Said {
    version: i16,
    pub(super) topics: Vec<Str>,
    /// What it still has. Before version 1 nothing: such consumers give up all before they join.
    pub(super) owned: NamedPartitions,
    pub(super) rack_id: Option<Str>,
}

/// `None`: it is no subscription, or beyond the bounds of what a member may say.
pub(super) fn read_subscription(metadata: &Bytes) -> Option<Said> {
    let (version, said): (i16, ConsumerProtocolSubscription) = read(metadata)?;
    let names = said.topics.iter().chain(&said.rack_id);
    if said.topics.len() > MAX_SUBSCRIBED_TOPICS || names.into_iter().any(|name| name.len() > MAX_NAME_BYTES) {
        return None;
    }
    let owned = |owned: OwnedPartitions| (owned.topic, owned.partitions);
    Some(Said {
        version,
        topics: said.topics,
        owned: said.owned_partitions.into_iter().map(owned).collect(),
        rack_id: said.rack_id,
    })
}

/// What the leader of a classic group gave to a member.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) partitions: NamedPartitions,
    /// Whether a custom assignor added something of its own.
    pub(super) has_user_data: bool,
}

/// `None`: it is no assignment. A member that was given nothing yet has no bytes.
pub(super) fn read_assignment(assignment: &Bytes) -> Option<Given> {
    if assignment.is_empty() {
        return Some(Given::default());
    }
    let (_, given): (i16, ConsumerProtocolAssignment) = read(assignment)?;
    let topic = |topic: TopicPartition| (topic.topic, topic.partitions);
    Some(Given {
        partitions: given.assigned_partitions.into_iter().map(topic).collect(),
        has_user_data: given.user_data.is_some_and(|data| !data.is_empty()),
    })
}

fn read<M: Message>(bytes: &Bytes) -> Option<(i16, M)> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.i16().ok().filter(|version| *version >= 0)?;
    let version = version.min(LAST_VERSION);
    Some((version, M::decode_at(&mut reader, version).ok()?))
}

/// An assignment in the version in which its member subscribed. Partitions of topics that are gone are left out.
pub(super) fn write_assignment(partitions: &Partitions, said: &Said, cluster: &dyn ClusterView) -> Bytes {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeSet<i32>)| {
        Some(TopicPartition {
            topic: cluster.topic_name(*topic_id)?,
            partitions: partitions.iter().copied().collect(),
        })
    };
    let given = ConsumerProtocolAssignment {
        assigned_partitions: partitions.iter().filter_map(topic).collect(),
        user_data: None,
    };
    let mut writer = Writer::with_capacity(128);
    writer.i16(said.version);
    given.encode(&mut writer, said.version);
    let written = writer.finish();
    written.expect("names of topics are short").into_bytes()
}

/// The partitions by the ids of their topics; topics that do not exist are left out.
pub(super) fn by_id(partitions: &NamedPartitions, cluster: &dyn ClusterView) -> Partitions {
    let mut by_id: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
    for (name, partitions) in partitions.iter().filter(|(_, partitions)| !partitions.is_empty()) {
        if let Some(topic) = cluster.topic(name) {
            by_id.entry(topic.id).or_default().extend(partitions);
        }
    }
    by_id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::EmptyCluster, tests::cluster::TestCluster};

    fn cluster() -> TestCluster {
        let mut cluster = TestCluster::default();
        cluster.set_topic("t", 7, 3);
        cluster
    }

    fn subscription(version: i16) -> Bytes {
        let said = ConsumerProtocolSubscription {
            topics: vec!["t".into()],
            owned_partitions: vec![OwnedPartitions {
                topic: "t".into(),
                partitions: vec![1, 2],
            }],
            rack_id: Some("r".into()),
            ..Default::default()
        };
        let mut writer = Writer::with_capacity(64);
        writer.i16(version);
        said.encode(&mut writer, version.min(LAST_VERSION));
        writer.finish().expect("it is short").into_bytes()
    }

    #[test]
    fn a_subscription_is_read_in_its_version_and_a_later_one_as_the_last() {
        let said = read_subscription(&subscription(0)).expect("a subscription");
        assert_eq!((said.topics.len(), said.owned.len()), (1, 0));
        let said = read_subscription(&subscription(1)).expect("a subscription");
        assert_eq!(said.owned, [("t".into(), vec![1, 2])]);
        assert_eq!(said.rack_id, None);
        let said = read_subscription(&subscription(9)).expect("a subscription");
        assert_eq!((said.version, said.rack_id), (LAST_VERSION, Some("r".into())));
    }

    #[test]
    fn what_is_cut_short_or_of_a_negative_version_is_nothing() {
        let whole = subscription(3);
        for length in 0..whole.len() {
            assert!(read_subscription(&whole.slice(..length)).is_none(), "{length}");
        }
        assert!(read_subscription(&Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0])).is_none());
        assert!(read_assignment(&Bytes::from_static(&[0])).is_none());
    }

    #[test]
    fn an_assignment_is_read_back_by_id_and_topics_that_are_gone_are_left_out() {
        let partitions: Partitions = [(Uuid([7; 16]), [0, 2].into()), (Uuid([8; 16]), [1].into())].into();
        let said = read_subscription(&subscription(1)).expect("a subscription");
        let written = write_assignment(&partitions, &said, &cluster());
        assert_eq!(&written[..2], [0, 1]);
        let given = read_assignment(&written).expect("an assignment");
        assert!(!given.has_user_data);
        assert_eq!(
            by_id(&given.partitions, &cluster()),
            [(Uuid([7; 16]), [0, 2].into())].into()
        );
        assert_eq!(by_id(&given.partitions, &EmptyCluster), Partitions::new());
        let nothing = read_assignment(&Bytes::new()).expect("nothing was given yet");
        assert!(nothing.partitions.is_empty());
    }
}
