//! A broker in miniature: applies and logs what is decided, keeps the answers, can load its log again.

use super::cluster::TestCluster;
use crate::{Actions, Caller, CoordinatorRecord, Groups, GroupsConfig, Now, Reply, Ticket};
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Str,
    ids::{ProducerId, Uuid},
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, JoinGroupRequest,
        JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest, SyncGroupResponse,
        describe_groups_response::DescribedGroup,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
        sync_group_request::SyncGroupRequestAssignment,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// The group of most tests.
pub(super) const GROUP: &str = "billing";

/// What is in the log of a producer's transaction.
#[derive(Clone)]
enum Transactional {
    Commit(ProducerId, CoordinatorRecord),
    Marker(ProducerId, bool),
}

pub(super) struct Driver {
    pub(super) groups: Groups,
    pub(super) config: GroupsConfig,
    pub(super) cluster: Arc<TestCluster>,
    pub(super) log: Vec<CoordinatorRecord>,
    /// What the log has of transactions, each behind so many of the other records.
    transactional: Vec<(usize, Transactional)>,
    pub(super) now_ms: i64,
    /// The version of every request that has one.
    pub(super) version: i16,
    tickets: u64,
    pub(super) answers: BTreeMap<Ticket, Reply>,
}

impl Driver {
    /// Loaded from nothing; the first rebalance waits 10 ms.
    pub(super) fn new() -> Self {
        Self::with(GroupsConfig {
            initial_rebalance_delay_ms: 10,
            ..Default::default()
        })
    }

    pub(super) fn with(config: GroupsConfig) -> Self {
        let mut driver = Self {
            groups: Groups::new(config.clone()),
            config,
            cluster: Arc::default(),
            log: Vec::new(),
            transactional: Vec::new(),
            now_ms: 1_000,
            version: 9,
            tickets: 0,
            answers: BTreeMap::new(),
        };
        let actions = driver.groups.on_loaded(driver.now());
        driver.take(actions);
        driver
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            wall_ms: 1_700_000_000_000 + self.now_ms,
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Does what a decision asks for.
    pub(super) fn take(&mut self, actions: Actions) {
        for record in actions.records {
            self.groups.apply(&record).expect("what is written can be read");
            self.log.push(record);
        }
        for (ticket, reply) in actions.replies {
            let former = self.answers.insert(ticket, reply);
            assert!(former.is_none(), "{ticket:?} was answered twice");
        }
    }

    /// Lets time pass, with every deadline on the way.
    pub(super) fn pass_ms(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(at_ms) = self.groups.next_deadline_ms().filter(|at_ms| *at_ms <= end_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            let actions = self.groups.tick(self.now());
            self.take(actions);
        }
        self.now_ms = end_ms;
    }

    /// The broker restarts: whoever waited is never answered.
    pub(super) fn reload(&mut self) {
        self.groups = Groups::new(self.config.clone());
        self.groups.see(self.cluster.clone());
        let mut transactional = self.transactional.clone().into_iter().peekable();
        for count in 0..=self.log.len() {
            while let Some((_, entry)) = transactional.next_if(|(behind, _)| *behind == count) {
                self.take_transactional(entry);
            }
            if let Some(record) = self.log.get(count) {
                self.groups.apply(record).expect("what is written can be read");
            }
        }
        let actions = self.groups.on_loaded(self.now());
        self.take(actions);
    }

    /// The cluster changes.
    pub(super) fn change_cluster(&mut self, change: impl FnOnce(&mut TestCluster)) {
        let mut cluster = self.cluster.as_ref().clone();
        change(&mut cluster);
        self.cluster = Arc::new(cluster);
        self.groups.see(self.cluster.clone());
    }

    /// The answer to a ConsumerGroupHeartbeat in version 1.
    pub(super) fn beat(&mut self, request: &ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        self.beat_in_version(request, 1)
    }

    pub(super) fn beat_in_version(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        version: i16,
    ) -> ConsumerGroupHeartbeatResponse {
        let ticket = self.ticket();
        let caller = Caller {
            version,
            client_id: "client",
            client_host: "/127.0.0.1",
            fresh_member_id: Uuid(u128::from(ticket.0).to_be_bytes()),
        };
        let now = self.now();
        let actions = self
            .groups
            .handle_consumer_group_heartbeat(ticket, request, &caller, now);
        self.take(actions);
        match self.answers.remove(&ticket) {
            Some(Reply::ConsumerGroupHeartbeat(response)) => response,
            other => panic!("no ConsumerGroupHeartbeat answer but {other:?}"),
        }
    }

    pub(super) fn send_join(&mut self, request: &JoinGroupRequest) -> Ticket {
        let ticket = self.ticket();
        let caller = Caller {
            version: self.version,
            client_id: "client",
            client_host: "/127.0.0.1",
            fresh_member_id: Uuid(u128::from(ticket.0).to_be_bytes()),
        };
        let actions = self.groups.handle_join_group(ticket, request, &caller, self.now());
        self.take(actions);
        ticket
    }

    pub(super) fn send_sync(&mut self, request: &SyncGroupRequest) -> Ticket {
        let ticket = self.ticket();
        let actions = self.groups.handle_sync_group(ticket, request, self.now());
        self.take(actions);
        ticket
    }

    /// The answer to a JoinGroup, once.
    pub(super) fn joined(&mut self, ticket: Ticket) -> JoinGroupResponse {
        match self.answers.remove(&ticket) {
            Some(Reply::JoinGroup(response)) => response,
            other => panic!("no JoinGroup answer for {ticket:?} but {other:?}"),
        }
    }

    /// The answer to a SyncGroup, once.
    pub(super) fn synced(&mut self, ticket: Ticket) -> SyncGroupResponse {
        match self.answers.remove(&ticket) {
            Some(Reply::SyncGroup(response)) => response,
            other => panic!("no SyncGroup answer for {ticket:?} but {other:?}"),
        }
    }

    pub(super) fn is_waiting(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    pub(super) fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        self.heartbeat_of(&heartbeat(member_id, generation_id, None))
    }

    pub(super) fn heartbeat_of(&mut self, request: &HeartbeatRequest) -> ErrorCode {
        let ticket = self.ticket();
        let actions = self.groups.handle_heartbeat(ticket, request, self.now());
        self.take(actions);
        match self.answers.remove(&ticket) {
            Some(Reply::Heartbeat(response)) => code(response.error_code),
            other => panic!("no Heartbeat answer but {other:?}"),
        }
    }

    /// Top-level error and the error of each member.
    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> (ErrorCode, Vec<ErrorCode>) {
        let identity = |(member_id, instance_id): &(&str, Option<&str>)| MemberIdentity {
            member_id: (*member_id).into(),
            group_instance_id: instance_id.map(Str::from),
            ..Default::default()
        };
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            member_id: members.first().map(|(id, _)| Str::from(*id)).unwrap_or_default(),
            members: members.iter().map(identity).collect(),
        };
        let ticket = self.ticket();
        let caller = self.caller();
        let actions = self.groups.handle_leave_group(ticket, &request, &caller, self.now());
        self.take(actions);
        match self.answers.remove(&ticket) {
            Some(Reply::LeaveGroup(response)) => {
                let members = response.members.iter().map(|member| code(member.error_code));
                (code(response.error_code), members.collect())
            }
            other => panic!("no LeaveGroup answer but {other:?}"),
        }
    }

    pub(super) fn caller(&self) -> Caller<'static> {
        Caller {
            version: self.version,
            client_id: "client",
            client_host: "/127.0.0.1",
            fresh_member_id: Uuid::ZERO,
        }
    }

    /// The error of the first partition.
    pub(super) fn commit(&mut self, request: &OffsetCommitRequest) -> ErrorCode {
        let ticket = self.ticket();
        let caller = self.caller();
        let actions = self.groups.handle_offset_commit(ticket, request, &caller, self.now());
        self.take(actions);
        match self.answers.remove(&ticket) {
            Some(Reply::OffsetCommit(response)) => code(response.topics[0].partitions[0].error_code),
            other => panic!("no OffsetCommit answer but {other:?}"),
        }
    }

    /// The error of the first partition of a commit in a producer's transaction.
    pub(super) fn commit_in_transaction(&mut self, producer: ProducerId, request: &OffsetCommitRequest) -> ErrorCode {
        let version = 6;
        let decided = self.groups.commit_in_transaction(request, version, self.now());
        for record in decided.records {
            self.log_transactional(Transactional::Commit(producer, record));
        }
        code(decided.response.topics[0].partitions[0].error_code)
    }

    /// The marker of a producer's transaction.
    pub(super) fn end_transaction(&mut self, producer: ProducerId, is_commit: bool) {
        self.log_transactional(Transactional::Marker(producer, is_commit));
    }

    fn log_transactional(&mut self, entry: Transactional) {
        self.take_transactional(entry.clone());
        self.transactional.push((self.log.len(), entry));
    }

    fn take_transactional(&mut self, entry: Transactional) {
        match entry {
            Transactional::Commit(producer, record) => {
                let applied = self.groups.apply_in_transaction(&record, producer);
                applied.expect("what is written can be read");
            }
            Transactional::Marker(producer, is_commit) => self.groups.end_transaction(producer, is_commit),
        }
    }

    /// The committed offsets of partition 0 and up of topic "t", until one has none.
    pub(super) fn committed(&self, group: &str) -> Vec<i64> {
        let request = OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: None,
            ..Default::default()
        };
        let response = self.groups.fetch_offsets(&request, false);
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.committed_offset).collect()
    }

    pub(super) fn describe(&self) -> DescribedGroup {
        self.groups.describe_group(&GROUP.into(), 6)
    }

    pub(super) fn state(&self) -> String {
        self.describe().group_state.to_string()
    }

    /// Joins with a fresh id, as clients do: asks for the id, then joins with it. The ticket may wait.
    pub(super) fn join_new(&mut self, protocols: &[&str]) -> (Str, Ticket) {
        let ticket = self.send_join(&join("", protocols));
        let response = self.joined(ticket);
        assert_eq!(code(response.error_code), ErrorCode::MemberIdRequired);
        let ticket = self.send_join(&join(&response.member_id, protocols));
        (response.member_id, ticket)
    }

    /// A stable group of one member, with everything assigned to it. Returns its id; the generation is 1.
    pub(super) fn stable_alone(&mut self, protocols: &[&str]) -> Str {
        let (member, ticket) = self.join_new(protocols);
        self.pass_ms(self.config.initial_rebalance_delay_ms.into());
        let response = self.joined(ticket);
        assert_eq!(code(response.error_code), ErrorCode::None);
        let ticket = self.send_sync(&sync(&member, response.generation_id, &[(&member, "all")]));
        assert_eq!(code(self.synced(ticket).error_code), ErrorCode::None);
        assert_eq!(self.state(), "Stable");
        member
    }
}

pub(super) fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a code of the protocol")
}

/// A consumer's JoinGroup; its metadata subscribes to the topic "t".
pub(super) fn join(member_id: &str, protocols: &[&str]) -> JoinGroupRequest {
    let protocol = |name: &&str| JoinGroupRequestProtocol {
        name: (*name).into(),
        metadata: subscription("t"),
    };
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: protocols.iter().map(protocol).collect(),
        ..Default::default()
    }
}

pub(super) fn heartbeat(member_id: &str, generation_id: i32, instance_id: Option<&str>) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member_id.into(),
        group_instance_id: instance_id.map(Str::from),
    }
}

/// The metadata of a consumer, version 0.
pub(super) fn subscription(topic: &str) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, topic.len() as u8];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    bytes.into()
}

pub(super) fn sync(member_id: &str, generation_id: i32, assignments: &[(&str, &str)]) -> SyncGroupRequest {
    let assignment = |(member_id, assignment): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: (*member_id).into(),
        assignment: Bytes::copy_from_slice(assignment.as_bytes()),
    };
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member_id.into(),
        assignments: assignments.iter().map(assignment).collect(),
        ..Default::default()
    }
}

/// A commit for one partition of the topic "t".
pub(super) fn commit(
    group: &str,
    member_id: &str,
    generation: i32,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member_id.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            topic_id: Uuid([7; 16]),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}
