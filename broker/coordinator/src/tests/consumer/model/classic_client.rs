//! A consumer of the classic protocol, eager (it gives up everything before it joins) or cooperative (it gives up what it
//! was not given again, and then joins once more).

use super::client::Having;
use crate::{
    Reply, Ticket,
    tests::{
        cluster::TestCluster,
        driver::{self, GROUP},
    },
};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Message, Str,
    messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest,
        JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse,
        consumer_protocol_assignment::TopicPartition,
        consumer_protocol_subscription::TopicPartition as OwnedPartitions,
        join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
        sync_group_request::SyncGroupRequestAssignment,
    },
    primitives::{Reader, Writer},
};
use std::collections::BTreeMap;

/// What it sends next.
#[derive(Clone, Debug)]
enum Next {
    Join,
    Sync(Vec<SyncGroupRequestAssignment>),
    Beat,
}

pub(super) enum Request {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
}

/// One consumer process, of the topics "t" and "u".
#[derive(Clone, Debug)]
pub(super) struct ClassicClient {
    /// Empty until it is given one.
    pub(super) id: Str,
    pub(super) generation: i32,
    /// What it reads from.
    pub(super) having: Having,
    pub(super) is_in: bool,
    pub(super) awaits: Option<Ticket>,
    is_cooperative: bool,
    next: Next,
}

impl ClassicClient {
    pub(super) fn new(is_cooperative: bool) -> Self {
        Self {
            id: Str::EMPTY,
            generation: -1,
            having: Having::new(),
            is_in: false,
            awaits: None,
            is_cooperative,
            next: Next::Join,
        }
    }

    /// Whether it has what it was given and knows of no rebalance.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.next, Next::Beat)
    }

    /// The process ends and takes nothing with it.
    pub(super) fn stop(&mut self) {
        *self = Self::new(self.is_cooperative);
    }

    /// The answer does not come: the client asks again.
    pub(super) fn give_up_waiting(&mut self) {
        self.awaits = None;
        if !matches!(self.next, Next::Beat) {
            self.next = Next::Join;
        }
    }

    pub(super) fn request(&mut self, cluster: &TestCluster) -> Request {
        match &self.next {
            Next::Join => Request::Join(self.join(cluster)),
            Next::Sync(assignments) => Request::Sync(SyncGroupRequest {
                assignments: assignments.clone(),
                ..driver::sync(&self.id, self.generation, &[])
            }),
            Next::Beat => Request::Heartbeat(driver::heartbeat(&self.id, self.generation, None)),
        }
    }

    fn join(&mut self, cluster: &TestCluster) -> JoinGroupRequest {
        if !self.is_cooperative {
            self.having.clear();
        }
        let mut owned: BTreeMap<Str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &self.having {
            let known = cluster.topics().find(|(_, known)| known.id == *topic);
            known
                .into_iter()
                .for_each(|(name, _)| owned.entry(name.clone()).or_default().push(*partition));
        }
        let owned = owned.into_iter();
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["t".into(), "u".into()],
            owned_partitions: owned
                .map(|(topic, partitions)| OwnedPartitions { topic, partitions })
                .collect(),
            ..Default::default()
        };
        JoinGroupRequest {
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 5_000,
            protocols: vec![JoinGroupRequestProtocol {
                name: "own".into(),
                metadata: written(&subscription),
            }],
            ..driver::join(&self.id, &[])
        }
    }

    pub(super) fn leave(&self) -> LeaveGroupRequest {
        LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![MemberIdentity {
                member_id: self.id.clone(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// # Errors
    /// The answer is none that a member can get.
    pub(super) fn hear(&mut self, reply: &Reply, cluster: &TestCluster) -> Result<(), String> {
        self.awaits = None;
        let error = match reply {
            Reply::JoinGroup(response) => response.error_code,
            Reply::SyncGroup(response) => response.error_code,
            Reply::Heartbeat(response) => response.error_code,
            other => return Err(format!("{} hears {other:?}", self.id)),
        };
        match (driver::code(error), reply) {
            (ErrorCode::None, Reply::JoinGroup(response)) => self.has_joined(response, cluster),
            (ErrorCode::None, Reply::SyncGroup(response)) => self.obey(response, cluster),
            (ErrorCode::None, _) => {}
            (ErrorCode::MemberIdRequired, Reply::JoinGroup(response)) => self.id = response.member_id.clone(),
            (ErrorCode::RebalanceInProgress, _) => self.next = Next::Join,
            (ErrorCode::IllegalGeneration, _) => self.lose_everything(),
            (ErrorCode::UnknownMemberId, _) => {
                self.lose_everything();
                self.id = Str::EMPTY;
            }
            (error, _) => return Err(format!("{} hears {error:?}", self.id)),
        }
        Ok(())
    }

    fn lose_everything(&mut self) {
        self.having.clear();
        self.generation = -1;
        self.next = Next::Join;
    }

    fn has_joined(&mut self, response: &JoinGroupResponse, cluster: &TestCluster) {
        self.id = response.member_id.clone();
        self.generation = response.generation_id;
        let is_leader = response.leader == self.id && !self.id.is_empty();
        self.next = Next::Sync(match is_leader {
            true => assign(response, cluster),
            false => Vec::new(),
        });
    }

    fn obey(&mut self, response: &SyncGroupResponse, cluster: &TestCluster) {
        let assignment: ConsumerProtocolAssignment = match response.assignment.is_empty() {
            true => ConsumerProtocolAssignment::default(),
            false => read(&response.assignment),
        };
        let mut told = Having::new();
        for of_topic in assignment.assigned_partitions {
            if let Some((_, topic)) = cluster.topics().find(|(name, _)| **name == of_topic.topic) {
                told.extend(of_topic.partitions.iter().map(|partition| (topic.id, *partition)));
            }
        }
        let gives_up = !self.having.is_subset(&told);
        self.having = told;
        self.next = if gives_up { Next::Join } else { Next::Beat };
    }
}

/// What the leader of a classic group gives to each: partitions in turn, but none that another member still has.
fn assign(response: &JoinGroupResponse, cluster: &TestCluster) -> Vec<SyncGroupRequestAssignment> {
    let mut owners: BTreeMap<(Str, i32), &Str> = BTreeMap::new();
    let said: BTreeMap<&Str, ConsumerProtocolSubscription> = response
        .members
        .iter()
        .map(|member| (&member.member_id, read(&member.metadata)))
        .collect();
    for (id, said) in &said {
        for owned in &said.owned_partitions {
            let of_topic = owned.partitions.iter();
            owners.extend(of_topic.map(|partition| ((owned.topic.clone(), *partition), *id)));
        }
    }
    let partitions = cluster
        .topics()
        .flat_map(|(name, topic)| (0..topic.partition_count).map(move |partition| (name.clone(), partition)));
    let mut given: BTreeMap<&Str, Vec<TopicPartition>> = said.keys().map(|id| (*id, Vec::new())).collect();
    let ids: Vec<&Str> = said.keys().copied().collect();
    for (turn, (topic, partition)) in partitions.enumerate() {
        let id = ids[turn % ids.len()];
        let owner = owners.get(&(topic.clone(), partition));
        if owner.is_none_or(|owner| *owner == id) {
            let partitions = vec![partition];
            given.entry(id).or_default().push(TopicPartition { topic, partitions });
        }
    }
    let assignment = |(id, assigned_partitions): (&Str, _)| SyncGroupRequestAssignment {
        member_id: id.clone(),
        assignment: written(&ConsumerProtocolAssignment {
            assigned_partitions,
            user_data: None,
        }),
    };
    given.into_iter().map(assignment).collect()
}

fn written(message: &impl Message) -> Bytes {
    let mut writer = Writer::with_capacity(64);
    writer.i16(1);
    message.encode(&mut writer, 1);
    writer.finish().expect("it is short").into_bytes()
}

fn read<M: Message>(bytes: &Bytes) -> M {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.i16().expect("a version");
    M::decode_at(&mut reader, version).expect("it can be read")
}
