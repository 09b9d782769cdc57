//! AddPartitionsToTxn, AddOffsetsToTxn and what adds partitions implicitly (KIP-890): what a transaction writes to.

use super::{
    Decision, Producer, TransactionError, TransactionState, Transactions, check_id,
    config::MAX_PARTITIONS_BYTES,
    transaction::{Partitions, Transaction},
};
use crate::outcome::Now;
use ottla_protocol::Str;

impl Transactions {
    /// Makes partitions part of the producer's transaction, which begins with the first one. All of them or none.
    ///
    /// `client_version`: `transaction.version` as the client plays it.
    pub fn handle_add_partitions(
        &mut self,
        id: &Str,
        producer: Producer,
        partitions: &[(Str, i32)],
        client_version: i8,
        now: Now,
    ) -> Decision<Result<(), TransactionError>> {
        match self.with_partitions(id, producer, partitions, client_version, now) {
            Ok(Some(next)) => self.write(id, &next, Ok(())),
            Ok(None) => self.answer(Ok(())),
            Err(error) => self.answer(Err(error)),
        }
    }

    /// The transaction with these partitions; `None` if it has them already.
    fn with_partitions(
        &self,
        id: &Str,
        producer: Producer,
        partitions: &[(Str, i32)],
        client_version: i8,
        now: Now,
    ) -> Result<Option<Transaction>, TransactionError> {
        check_id(id)?;
        let current = self.by_id.get(id).ok_or(TransactionError::UnknownMapping)?;
        if current.state.is_prepared() {
            // Looked at first: the end may give the producer another id, which it has been told of already. Success
            // would join two transactions into one.
            return Err(TransactionError::Concurrent);
        }
        check_producer(current, producer)?;
        let is_open = current.state == TransactionState::Ongoing;
        if is_open && partitions.iter().all(|(topic, index)| current.has(topic, *index)) {
            return Ok(None);
        }
        let mut next = Transaction {
            state: TransactionState::Ongoing,
            client_version,
            ..current.next(now.wall_ms)
        };
        if !is_open {
            next.start_ms = now.wall_ms;
        }
        for (topic, index) in partitions {
            match next.partitions.get_mut(topic) {
                Some(indexes) => indexes.insert(*index),
                // The name is a slice of the request.
                None => next.partitions.entry(topic.detached()).or_default().insert(*index),
            };
        }
        match encoded_bytes(&next.partitions) > MAX_PARTITIONS_BYTES {
            true => Err(TransactionError::TooLarge),
            false => Ok(Some(next)),
        }
    }

    /// Whether each of the partitions is part of the producer's transaction.
    pub fn verify_partitions(
        &self,
        id: &Str,
        producer: Producer,
        partitions: &[(Str, i32)],
    ) -> Vec<Result<(), TransactionError>> {
        match self.verifiable(id, producer) {
            Ok(current) => partitions
                .iter()
                .map(|(topic, index)| match current.has(topic, *index) {
                    true => Ok(()),
                    false => Err(TransactionError::Abortable),
                })
                .collect(),
            Err(error) => vec![Err(error); partitions.len()],
        }
    }

    fn verifiable(&self, id: &Str, producer: Producer) -> Result<&Transaction, TransactionError> {
        check_id(id)?;
        let current = self.by_id.get(id).ok_or(TransactionError::UnknownMapping)?;
        check_producer(current, producer)?;
        match current.state.is_prepared() {
            true => Err(TransactionError::Concurrent),
            false => Ok(current),
        }
    }
}

fn check_producer(current: &Transaction, producer: Producer) -> Result<(), TransactionError> {
    if current.producer.id != producer.id {
        return Err(TransactionError::UnknownMapping);
    }
    match current.producer.epoch == producer.epoch {
        true => Ok(()),
        false => Err(TransactionError::Fenced),
    }
}

/// What the partitions take in a record: a topic its name, its lengths and its tagged fields, a partition four bytes.
fn encoded_bytes(partitions: &Partitions) -> usize {
    let topic_bytes = |topic: &Str| topic.len() + 12;
    partitions
        .iter()
        .map(|(topic, indexes)| topic_bytes(topic) + 4 * indexes.len())
        .sum()
}
