//! A partition's log, as far as transactions see it.

use crate::transactions::{Ending, Producer};
use ottla_protocol::ids::ProducerId;
use std::collections::BTreeMap;

/// Names a transaction as its producer means it.
pub(super) type Serial = usize;

#[derive(Default)]
pub(super) struct Partition {
    /// By producer id: what is open.
    open: BTreeMap<ProducerId, Vec<Serial>>,
    /// How often a marker came, by producer id: what was verified before one is not appended behind it.
    markers: BTreeMap<ProducerId, usize>,
    /// The outcome of each transaction that wrote here.
    pub(super) outcomes: BTreeMap<Serial, Vec<bool>>,
    /// Batches that are there: the same again is a duplicate.
    written: BTreeMap<(ProducerId, i16), Serial>,
}

impl Partition {
    /// What an append that is verified now has to name.
    pub(super) fn guard(&self, producer: Producer) -> usize {
        self.markers.get(&producer.id).copied().unwrap_or(0)
    }

    pub(super) fn has(&self, producer: Producer, serial: Serial) -> bool {
        self.written.get(&(producer.id, producer.epoch.0)) == Some(&serial)
    }

    /// Appends unless a marker came since the guard was taken; a batch that is there is acknowledged again.
    pub(super) fn append(&mut self, producer: Producer, serial: Serial, guard: usize) -> bool {
        if self.has(producer, serial) {
            return true;
        }
        if guard != self.guard(producer) {
            return false;
        }
        self.written.insert((producer.id, producer.epoch.0), serial);
        self.open.entry(producer.id).or_default().push(serial);
        true
    }

    pub(super) fn take_marker(&mut self, ending: &Ending) {
        *self.markers.entry(ending.producer.id).or_default() += 1;
        for serial in self.open.remove(&ending.producer.id).unwrap_or_default() {
            self.outcomes.entry(serial).or_default().push(ending.is_commit);
        }
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }
}
