//! DescribeQuorum: who votes, who leads, how far everybody is.

use super::{election::Quorum, voters::Voter};
use ottla_protocol::{
    ErrorCode,
    ids::{TimestampMs, Uuid},
    messages::{
        DescribeQuorumRequest, DescribeQuorumResponse,
        describe_quorum_request::TopicData as AskedTopic,
        describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData},
    },
};

const METADATA_TOPIC: &str = "__cluster_metadata";

impl Quorum {
    /// DescribeQuorum. v1 has fetch times (KIP-836), v2 directory ids and listeners (KIP-853).
    pub fn describe(
        &self,
        request: &DescribeQuorumRequest,
        version: i16,
        now_ms: TimestampMs,
    ) -> DescribeQuorumResponse {
        let node = |voter: &Voter| Node {
            node_id: voter.id.0,
            listeners: voter
                .endpoints
                .iter()
                .map(|endpoint| Listener {
                    name: endpoint.listener.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                })
                .collect(),
        };
        DescribeQuorumResponse {
            error_code: ErrorCode::None as i16,
            error_message: None,
            topics: request
                .topics
                .iter()
                .map(|topic| self.describe_topic(topic, version, now_ms))
                .collect(),
            nodes: if version >= 2 {
                self.voters().iter().map(node).collect()
            } else {
                Vec::new()
            },
        }
    }

    fn describe_topic(&self, topic: &AskedTopic, version: i16, now_ms: TimestampMs) -> TopicData {
        let partitions = topic.partitions.iter().map(|asked| {
            if topic.topic_name == METADATA_TOPIC && asked.partition_index == 0 {
                return self.describe_metadata(version, now_ms);
            }
            PartitionData {
                partition_index: asked.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition as i16,
                error_message: None,
                ..PartitionData::default()
            }
        });
        TopicData {
            topic_name: topic.topic_name.clone(),
            partitions: partitions.collect(),
        }
    }

    fn describe_metadata(&self, version: i16, now_ms: TimestampMs) -> PartitionData {
        let Some(epoch) = self.epoch() else {
            return PartitionData {
                error_code: ErrorCode::NotLeaderOrFollower as i16,
                error_message: None,
                ..PartitionData::default()
            };
        };
        // The leader is always caught up with itself.
        let state = |voter: &Voter| ReplicaState {
            replica_id: voter.id.0,
            replica_directory_id: if version >= 2 { voter.directory_id } else { Uuid::ZERO },
            log_end_offset: self.log_end_offset(),
            last_fetch_timestamp: now_ms,
            last_caught_up_timestamp: now_ms,
        };
        PartitionData {
            partition_index: 0,
            error_code: ErrorCode::None as i16,
            error_message: None,
            leader_id: self.me().id.0,
            leader_epoch: epoch.0,
            high_watermark: self.high_watermark(),
            current_voters: self.voters().iter().map(state).collect(),
            observers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{
        election::{Event, FoundVoters},
        voters::{VoterSet, test_voter},
    };
    use ottla_protocol::{ids::LeaderEpoch, messages::describe_quorum_request::PartitionData as Asked};

    fn ask(topic: &str, version: i16) -> DescribeQuorumResponse {
        let found = FoundVoters {
            voters: VoterSet::of_one(test_voter()),
            is_in_log: true,
        };
        let mut quorum = Quorum::new(test_voter(), found, None).expect("the only voter");
        quorum.step(Event::Started {
            log_end_offset: 9,
            last_epoch: LeaderEpoch(3),
        });
        quorum.step(Event::Synced { end_offset: 10 });
        let topic = AskedTopic {
            topic_name: topic.into(),
            partitions: vec![Asked { partition_index: 0 }],
        };
        quorum.describe(&DescribeQuorumRequest { topics: vec![topic] }, version, 77)
    }

    #[test]
    fn a_quorum_of_one_leads_and_is_caught_up() {
        let response = ask(METADATA_TOPIC, 2);
        let partition = &response.topics[0].partitions[0];
        assert_eq!(
            (partition.leader_id, partition.leader_epoch, partition.high_watermark),
            (1, 4, 10)
        );
        let voter = &partition.current_voters[0];
        assert_eq!(
            (voter.replica_directory_id, voter.log_end_offset),
            (test_voter().directory_id, 10)
        );
        assert_eq!(
            (voter.last_fetch_timestamp, response.nodes[0].listeners[0].port),
            (77, 9093)
        );
    }

    #[test]
    fn older_versions_have_no_directories_and_other_topics_no_quorum() {
        let response = ask(METADATA_TOPIC, 1);
        assert_eq!(
            response.topics[0].partitions[0].current_voters[0].replica_directory_id,
            Uuid::ZERO
        );
        assert_eq!(response.nodes, []);
        assert_eq!(
            ask("orders", 2).topics[0].partitions[0].error_code,
            ErrorCode::UnknownTopicOrPartition as i16
        );
    }
}
