//! How records of a consumer group become true.

use super::{
    current::CurrentAssignment,
    group::{ConsumerGroup, INITIAL_EPOCH, ResolvedRegex},
    member::{Member, Subscription},
    partitions,
};
use crate::{groups::Groups, record::ConsumerRecord};
use ottla_protocol::{
    Str,
    messages::{
        ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue,
        ConsumerGroupRegularExpressionValue,
    },
};

impl Groups {
    /// Makes one record true, whether new or read again. A tombstone of what is not there says nothing.
    pub(crate) fn apply_consumer_record(&mut self, group_id: &Str, record: ConsumerRecord) {
        if let ConsumerRecord::Group(None) = record {
            self.consumer.remove(group_id);
            return;
        }
        if !self.consumer.contains_key(group_id) {
            if record.is_tombstone() {
                return;
            }
            // A group that only held offsets makes way; of others the log has a tombstone before this.
            self.classic.remove(group_id);
            let group = ConsumerGroup::new(group_id.detached());
            self.consumer.insert(group.id.clone(), group);
        }
        let counts = !self.is_loading();
        if let Some(group) = self.consumer.get_mut(group_id) {
            let epoch = group.group_epoch;
            group.apply(record);
            self.rebalances += u64::from(counts && group.group_epoch > epoch);
        }
    }
}

impl ConsumerRecord {
    fn is_tombstone(&self) -> bool {
        match self {
            Self::Group(value) => value.is_none(),
            Self::PartitionMetadata(is_present) => !is_present,
            Self::Member(_, value) => value.is_none(),
            Self::Target(value) => value.is_none(),
            Self::TargetMember(_, value) => value.is_none(),
            Self::CurrentAssignment(_, value) => value.is_none(),
            Self::RegularExpression(_, value) => value.is_none(),
        }
    }
}

impl ConsumerGroup {
    pub(super) fn apply(&mut self, record: ConsumerRecord) {
        match record {
            ConsumerRecord::Group(value) => {
                let value = value.unwrap_or_default();
                self.group_epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            ConsumerRecord::PartitionMetadata(is_present) => self.has_partition_metadata = is_present,
            ConsumerRecord::Member(id, value) => self.apply_member(&id, value.as_ref()),
            ConsumerRecord::Target(value) => {
                self.assignment_epoch = value.as_ref().map_or(INITIAL_EPOCH, |value| value.assignment_epoch);
                self.assignment_timestamp_ms = value.map_or(0, |value| value.assignment_timestamp);
            }
            ConsumerRecord::TargetMember(id, Some(value)) => {
                let target = partitions::from_target(&value.topic_partitions);
                match self.target.get_mut(&id) {
                    Some(former) => *former = target,
                    None => {
                        self.target.insert(id.detached(), target);
                    }
                }
            }
            ConsumerRecord::TargetMember(id, None) => {
                self.target.remove(&id);
            }
            ConsumerRecord::CurrentAssignment(id, value) => self.apply_current(&id, value.as_ref()),
            ConsumerRecord::RegularExpression(regex, value) => self.apply_regex(&regex, value.as_ref()),
        }
    }

    /// The member's own id if it is there, so that all maps share one copy.
    fn kept_id(&self, id: &Str) -> Str {
        let kept = self.members.get_key_value(id).map(|(kept, _)| kept.clone());
        kept.unwrap_or_else(|| id.detached())
    }

    fn apply_member(&mut self, id: &Str, value: Option<&ConsumerGroupMemberMetadataValue>) {
        let Some(value) = value else {
            return self.remove_member(id);
        };
        let current = self.members.get(id).map(|member| member.current.clone());
        let member = Member {
            subscription: Subscription::from_record(value),
            current: current.unwrap_or_default(),
        };
        self.put_member(self.kept_id(id), member);
    }

    fn apply_current(&mut self, id: &Str, value: Option<&ConsumerGroupCurrentMemberAssignmentValue>) {
        let former = self.members.get(id);
        let current = match (value, former) {
            (Some(value), _) => CurrentAssignment::from_record(value),
            // Its member's tombstone follows.
            (None, Some(_)) => CurrentAssignment::default(),
            (None, None) => return,
        };
        let subscription = former.map(|member| member.subscription.clone()).unwrap_or_default();
        self.put_member(self.kept_id(id), Member { subscription, current });
    }

    fn apply_regex(&mut self, regex: &Str, value: Option<&ConsumerGroupRegularExpressionValue>) {
        let Some(value) = value else {
            self.regexes.remove(regex);
            return;
        };
        let resolved = ResolvedRegex {
            topics: value.topics.iter().map(Str::detached).collect(),
            version: value.version,
            timestamp_ms: value.timestamp,
        };
        self.regexes.insert(regex.detached(), resolved);
    }
}
