//! The end of a consumer group.

use super::group::ConsumerGroup;
use crate::{CoordinatorRecord, record::consumer as records};

impl ConsumerGroup {
    /// Takes away all of a group, in the order that Kafka wants.
    pub(crate) fn tombstones(&self) -> Vec<CoordinatorRecord> {
        let (id, members) = (&self.id, self.members.keys());
        let mut tombstones: Vec<_> = members
            .clone()
            .map(|member| records::current_assignment(id, member, None))
            .collect();
        tombstones.extend(
            self.target
                .keys()
                .map(|member| records::target_member(id, member, None)),
        );
        tombstones.push(records::target(id, None));
        tombstones.extend(members.map(|member| records::member(id, member, None)));
        tombstones.extend(
            self.regexes
                .keys()
                .map(|regex| records::regular_expression(id, regex, None)),
        );
        if self.has_partition_metadata {
            tombstones.push(records::partition_metadata_tombstone(id));
        }
        tombstones.push(records::group(id, None));
        tombstones
    }
}
