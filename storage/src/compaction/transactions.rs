//! Transactions, as a pass meets their data and their markers in the order of the log.
//!
//! Aborted data goes. A marker may go once nothing of its transaction is left, which a pass knows when it reaches the
//! marker without having met any: data that goes in this pass still counts, as it is there until the pass is done.

use std::collections::{HashMap, HashSet};

use ottla_protocol::ids::{Offset, ProducerId};
use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::record::records;
use ottla_protocol::records::{ControlType, batch::HEADER_BYTES};

use crate::index::txn::AbortedTransaction;

/// The transactions that are under way where a pass stands.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Those that have not begun, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// Those whose marker has not come, and whether there was data.
    aborted: HashMap<ProducerId, (AbortedTransaction, bool)>,
    committed: HashSet<ProducerId>,
    /// Those whose marker has come and that had data.
    still_there: Vec<AbortedTransaction>,
}

impl Transactions {
    /// Makes aborted transactions known before anything of them is met; those that are known already do not matter.
    pub(crate) fn expect(&mut self, aborted: Vec<AbortedTransaction>) {
        self.ahead.extend(aborted);
        self.ahead
            .sort_unstable_by_key(|aborted| (std::cmp::Reverse(aborted.first_offset), aborted.last_offset));
        self.ahead.dedup();
    }

    /// Takes note of a data batch. Returns whether it is of an aborted transaction.
    pub(crate) fn on_data(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, has_data)) => *has_data = true,
            None => drop(self.committed.insert(header.producer_id)),
        }
        self.aborted.contains_key(&header.producer_id)
    }

    /// Takes note of a control batch. Returns whether nothing is left of the transaction that it ends. Other control
    /// records than markers always have something left to say.
    pub(crate) fn on_control(&mut self, header: &BatchHeader, batch: &[u8]) -> bool {
        self.begin_up_to(header.last_offset());
        if header.records_count == 0 {
            // Emptied by an earlier pass.
            return true;
        }
        match control_type(header, batch) {
            Some(ControlType::Abort) => match self.aborted.remove(&header.producer_id) {
                Some((aborted, true)) => {
                    self.still_there.push(aborted);
                    false
                }
                // Data that no index calls aborted must not lose the marker as well.
                _ => !self.committed.remove(&header.producer_id),
            },
            Some(ControlType::Commit) => !self.committed.remove(&header.producer_id),
            _ => false,
        }
    }

    /// The aborted transactions that ended since the last call and of which a reader may still meet data.
    pub(crate) fn take_still_there(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.still_there)
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(next) = self.ahead.last().copied().filter(|next| next.first_offset <= offset) {
            self.ahead.pop();
            self.aborted.entry(next.producer_id).or_insert((next, false));
        }
    }
}

fn control_type(header: &BatchHeader, batch: &[u8]) -> Option<ControlType> {
    // Control batches are never compressed.
    let record = records(batch.get(HEADER_BYTES..)?, header.records_count).next()?.ok()?;
    ControlType::parse_key(record.key).ok()
}
