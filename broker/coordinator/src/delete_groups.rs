//! DeleteGroups.

use crate::{
    groups::Groups,
    outcome::{Actions, CoordinatorRecord, Reply, Ticket},
    record,
};
use ottla_protocol::{ErrorCode, Str, messages::delete_groups_response::DeletableGroupResult};
use std::collections::BTreeSet;

impl Groups {
    /// Decides a DeleteGroups: empty groups go, with all their offsets.
    pub fn handle_delete_groups(&mut self, ticket: Ticket, group_ids: &[Str]) -> Actions {
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(group_ids.len());
        let mut seen = BTreeSet::new();
        for group_id in group_ids {
            if !seen.insert(group_id) {
                continue;
            }
            results.push(match self.delete_group(group_id, &mut records) {
                Ok(()) => DeletableGroupResult {
                    group_id: group_id.clone(),
                    ..Default::default()
                },
                Err(error) => deletion_refused(group_id, error),
            });
        }
        self.decided(Actions {
            records,
            replies: vec![(ticket, Reply::DeleteGroups(results))],
        })
    }

    fn delete_group(&self, group_id: &Str, records: &mut Vec<CoordinatorRecord>) -> Result<(), ErrorCode> {
        let group = self.group(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let committed = self.offsets.of_group(group_id).into_iter().flatten();
        let committed = committed.flat_map(|(topic, partitions)| partitions.keys().map(move |index| (topic, *index)));
        // A marker that is still to come finds nothing then.
        let gone: BTreeSet<(&Str, i32)> = committed.chain(self.pending.of_group(group_id)).collect();
        for (topic, partition) in gone {
            records.push(record::offset_tombstone(group_id, topic, partition));
        }
        records.extend(group.tombstones());
        Ok(())
    }
}

/// The result for a group that is not deleted.
pub fn deletion_refused(group_id: &Str, error: ErrorCode) -> DeletableGroupResult {
    DeletableGroupResult {
        group_id: group_id.clone(),
        error_code: error as i16,
        ..Default::default()
    }
}
