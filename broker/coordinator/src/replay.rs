//! Reading `__consumer_offsets`, in which offsets may be part of a transaction (KIP-98).
//!
//! What a transaction commits counts from its marker on, unless something newer was written for the same partition
//! meanwhile; what it aborts never did. Here the records of open transactions wait for their marker.

use crate::{
    Groups,
    outcome::CoordinatorRecord,
    record::{self, ApplyError, Record},
};
use ottla_protocol::ids::{Offset, ProducerId};
use std::collections::BTreeMap;

/// The records of transactions whose markers have not been read.
#[derive(Debug, Default)]
pub struct Replay {
    open: BTreeMap<ProducerId, Vec<(Offset, CoordinatorRecord)>>,
}

impl Replay {
    /// Takes the record at `offset`, which counts at once, or with the marker of the transaction that it is part of.
    /// Offsets rise from call to call.
    ///
    /// # Errors
    /// It cannot be understood, and changes nothing.
    pub fn record(
        &mut self,
        groups: &mut Groups,
        offset: Offset,
        record: CoordinatorRecord,
        transaction_of: Option<ProducerId>,
    ) -> Result<(), ApplyError> {
        let decoded = record::decode(&record)?;
        match (transaction_of, decoded) {
            (Some(producer), Record::Offset(..)) => {
                // The record is a slice of what was read at once, which may be large.
                let record = CoordinatorRecord {
                    key: record.key.to_vec().into(),
                    value: record.value.map(|value| value.to_vec().into()),
                };
                self.open.entry(producer).or_default().push((offset, record));
                Ok(())
            }
            (_, Record::Offset(_, Some(_))) if !self.open.is_empty() => self.count(groups, offset, &record),
            _ => groups.apply(&record),
        }
    }

    /// Takes a marker: all that `producer` wrote since the last one is true, or forgotten.
    ///
    /// # Errors
    /// A record cannot be understood. Nothing of the kind was taken in.
    pub fn end_transaction(
        &mut self,
        groups: &mut Groups,
        producer: ProducerId,
        is_commit: bool,
    ) -> Result<(), ApplyError> {
        let records = self.open.remove(&producer).unwrap_or_default();
        match is_commit {
            true => records
                .iter()
                .try_for_each(|(offset, record)| self.count(groups, *offset, record)),
            false => Ok(()),
        }
    }

    /// Makes a record true, so that what open transactions wrote for the same key before it never will be.
    fn count(&mut self, groups: &mut Groups, offset: Offset, record: &CoordinatorRecord) -> Result<(), ApplyError> {
        for waiting in self.open.values_mut() {
            waiting.retain(|(written_at, other)| *written_at > offset || other.key != record.key);
        }
        groups.apply(record)
    }
}
