//! What is shown of a group: put together from the protocol's answers and the broker's own figures.

use super::{
    cluster::{Cluster, CoordinatedGroup, PartitionName},
    table::{Table, duration, or_dash, printable},
};
use crate::lag::{GroupReport, GroupSummary, OffsetLag, OffsetState};
use ottla_protocol::{
    Message, Str,
    messages::{
        ConsumerProtocolAssignment, consumer_group_describe_response, describe_groups_response::DescribedGroupMember,
    },
    primitives::Reader,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A line of `ottla group list`.
#[derive(Debug, Serialize)]
pub(super) struct ListedView {
    group: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    coordinator: i32,
    members: Option<usize>,
    lag_records: Option<i64>,
    lag_seconds: Option<f64>,
}

impl ListedView {
    pub(super) fn new(group: &CoordinatedGroup, told: Option<&&GroupSummary>) -> Self {
        Self {
            group: group.listed.group_id.to_string(),
            kind: group.listed.group_type.to_string(),
            state: group.listed.group_state.to_string(),
            coordinator: group.coordinator,
            members: told.map(|told| told.members),
            lag_records: told.map(|told| told.lag_records),
            lag_seconds: told.map(|told| told.lag_seconds),
        }
    }

    pub(super) fn row(&self) -> [String; 6] {
        [
            self.group.clone(),
            self.kind.clone(),
            self.state.clone(),
            or_dash(self.members),
            or_dash(self.lag_records),
            or_dash(self.lag_seconds.map(duration)),
        ]
    }
}

/// A member.
#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    /// Of members of the consumer protocol.
    epoch: Option<i32>,
    /// Partitions by topic.
    assignment: BTreeMap<String, Vec<i32>>,
}

/// A partition that a group has committed for, or one of its members is assigned.
#[derive(Debug, Serialize)]
pub(super) struct OffsetView {
    topic: String,
    partition: i32,
    committed_offset: Option<i64>,
    end_offset: Option<i64>,
    lag_records: Option<i64>,
    lag_seconds: Option<f64>,
    lag_seconds_by: Option<String>,
    /// What the broker says of the committed offset.
    state: Option<OffsetState>,
    member_id: Option<String>,
    client_id: Option<String>,
}

/// A group.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    group: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    protocol_type: String,
    coordinator: i32,
    coordinator_address: String,
    assignor: Option<String>,
    group_epoch: Option<i32>,
    members: Vec<MemberView>,
    offsets: Vec<OffsetView>,
}

impl GroupView {
    /// Asks the cluster; `told` are the broker's own figures.
    ///
    /// # Errors
    /// A broker does not answer.
    pub(super) fn gather(
        cluster: &mut Cluster,
        group: &CoordinatedGroup,
        told: Option<&GroupReport>,
    ) -> anyhow::Result<Self> {
        let mut view = Self {
            group: group.listed.group_id.to_string(),
            kind: group.listed.group_type.to_string(),
            state: group.listed.group_state.to_string(),
            protocol_type: group.listed.protocol_type.to_string(),
            coordinator: group.coordinator,
            coordinator_address: cluster.address(group.coordinator).to_owned(),
            assignor: None,
            group_epoch: None,
            members: Vec::new(),
            offsets: Vec::new(),
        };
        match &*group.listed.group_type {
            "classic" => {
                let described = cluster.classic(group)?;
                view.state = described.group_state.to_string();
                view.assignor = Some(described.protocol_data.to_string()).filter(|name| !name.is_empty());
                view.members = described.members.iter().map(classic_member).collect();
            }
            "consumer" => {
                let described = cluster.consumer(group)?;
                view.state = described.group_state.to_string();
                view.assignor = Some(described.assignor_name.to_string());
                view.group_epoch = Some(described.group_epoch);
                view.members = described.members.iter().map(consumer_member).collect();
            }
            // Of groups of other types the members are not asked for.
            _ => {}
        }
        view.gather_offsets(cluster, group, told)?;
        Ok(view)
    }

    fn gather_offsets(
        &mut self,
        cluster: &mut Cluster,
        group: &CoordinatedGroup,
        told: Option<&GroupReport>,
    ) -> anyhow::Result<()> {
        let committed = cluster.committed(group)?;
        let mut owners: BTreeMap<PartitionName, &MemberView> = BTreeMap::new();
        for member in &self.members {
            for (topic, partitions) in &member.assignment {
                owners.extend(
                    partitions
                        .iter()
                        .map(|index| ((Str::from(topic.as_str()), *index), member)),
                );
            }
        }
        let partitions: BTreeSet<PartitionName> = committed.keys().chain(owners.keys()).cloned().collect();
        let ends = cluster.ends(&partitions)?;
        let told: BTreeMap<(&str, i32), &OffsetLag> = told
            .into_iter()
            .flat_map(|told| &told.offsets)
            .map(|lag| ((lag.topic.as_str(), lag.partition), lag))
            .collect();
        let view = |name: &PartitionName| {
            let (committed, end) = (committed.get(name).copied(), ends.get(name).copied());
            let (told, owner) = (told.get(&(&*name.0, name.1)), owners.get(name));
            let computed = committed.zip(end).map(|(committed, end)| (end - committed).max(0));
            OffsetView {
                topic: name.0.to_string(),
                partition: name.1,
                committed_offset: committed,
                end_offset: end,
                lag_records: told.map_or(computed, |told| told.lag_records),
                lag_seconds: told.and_then(|told| told.lag_seconds),
                lag_seconds_by: told.and_then(|told| told.lag_seconds_by.clone()),
                state: told.map(|told| told.state),
                member_id: owner.map(|owner| owner.member_id.clone()),
                client_id: owner.map(|owner| owner.client_id.clone()),
            }
        };
        self.offsets = partitions.iter().map(view).collect();
        Ok(())
    }

    /// The group in one line.
    pub(super) fn headline(&self) -> String {
        let lag: i64 = self.offsets.iter().filter_map(|offset| offset.lag_records).sum();
        let seconds = self.offsets.iter().filter_map(|offset| offset.lag_seconds);
        let behind = seconds.reduce(f64::max).map(duration);
        let behind = behind.map_or_else(String::new, |behind| format!(", {behind} behind"));
        format!(
            "{}: {}, {}, {} members, lag {lag}{behind}",
            printable(&self.group),
            self.kind,
            self.state,
            self.members.len()
        )
    }

    /// Who coordinates it, and how partitions are assigned.
    pub(super) fn state_table(&self) -> Table<5> {
        let mut table = Table::new(["COORDINATOR", "PROTOCOL", "ASSIGNOR", "EPOCH", "STATE"]);
        table.add([
            format!("{} ({})", self.coordinator_address, self.coordinator),
            self.protocol_type.clone(),
            or_dash(self.assignor.as_ref()),
            or_dash(self.group_epoch),
            self.state.clone(),
        ]);
        table
    }

    /// The members.
    pub(super) fn member_table(&self) -> Table<6> {
        let mut table = Table::new(["MEMBER", "INSTANCE", "CLIENT", "HOST", "EPOCH", "ASSIGNMENT"]);
        for member in &self.members {
            let topic = |(topic, partitions): (&String, &Vec<i32>)| {
                let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
                format!("{topic}({})", partitions.join(","))
            };
            let assignment: Vec<String> = member.assignment.iter().map(topic).collect();
            table.add([
                member.member_id.clone(),
                or_dash(member.instance_id.as_ref()),
                member.client_id.clone(),
                member.host.clone(),
                or_dash(member.epoch),
                or_dash(Some(assignment.join(" ")).filter(|text| !text.is_empty())),
            ]);
        }
        table
    }

    /// Where the group is.
    pub(super) fn offset_table(&self) -> Table<8> {
        let mut table = Table::new([
            "TOPIC",
            "PARTITION",
            "COMMITTED",
            "END",
            "LAG",
            "BEHIND",
            "CLIENT",
            "REMARK",
        ]);
        for offset in &self.offsets {
            let remark = offset.state.filter(|state| *state != OffsetState::Known);
            table.add([
                offset.topic.clone(),
                offset.partition.to_string(),
                or_dash(offset.committed_offset),
                or_dash(offset.end_offset),
                or_dash(offset.lag_records),
                or_dash(offset.lag_seconds.map(duration)),
                or_dash(offset.client_id.as_ref()),
                remark.map_or_else(String::new, |state| state.name().replace('_', " ")),
            ]);
        }
        table
    }
}

fn classic_member(member: &DescribedGroupMember) -> MemberView {
    MemberView {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(Str::to_string),
        client_id: member.client_id.to_string(),
        host: member.client_host.trim_start_matches('/').to_owned(),
        epoch: None,
        assignment: classic_assignment(member).unwrap_or_default(),
    }
}

/// What a consumer of the classic protocol is assigned; `None` where the bytes are of something else.
fn classic_assignment(member: &DescribedGroupMember) -> Option<BTreeMap<String, Vec<i32>>> {
    let mut reader = Reader::new(member.member_assignment.clone());
    let version = reader.i16().ok()?;
    let latest = ConsumerProtocolAssignment::VERSIONS.last;
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version.clamp(0, latest)).ok()?;
    let topics = assignment.assigned_partitions.into_iter();
    Some(
        topics
            .map(|topic| (topic.topic.to_string(), topic.partitions))
            .collect(),
    )
}

fn consumer_member(member: &consumer_group_describe_response::Member) -> MemberView {
    let topics = member.assignment.topic_partitions.iter();
    MemberView {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.as_ref().map(Str::to_string),
        client_id: member.client_id.to_string(),
        host: member.client_host.trim_start_matches('/').to_owned(),
        epoch: Some(member.member_epoch),
        assignment: topics
            .map(|topic| (topic.topic_name.to_string(), topic.partitions.clone()))
            .collect(),
    }
}
