//! The block of producer ids that is handed out next (KIP-730).

use ottla_protocol::messages::{MetadataRecord, ProducerIdsRecord};

/// What is known of the last block that was handed out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducerIdsImage {
    last: Option<ProducerIdsRecord>,
}

impl ProducerIdsImage {
    /// The first producer id that no broker has.
    pub fn next_producer_id(&self) -> i64 {
        self.last.as_ref().map_or(0, |record| record.next_producer_id)
    }

    pub(super) fn apply(&mut self, record: &ProducerIdsRecord) {
        self.last = Some(record.clone());
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.last.clone().map(MetadataRecord::from));
    }
}
