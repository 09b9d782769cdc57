//! ListTransactions and DescribeTransactions (KIP-664): what can be seen from outside.

use super::{TransactionError, TransactionState, Transactions, check_id};
use crate::consumer::compile_pattern;
use ottla_protocol::{
    ErrorCode, Str,
    ids::TimestampMs,
    messages::{
        describe_transactions_response::{TopicData, TransactionState as Described},
        list_transactions_response::TransactionState as Listed,
    },
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// The transactions of one or more coordinators in few words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionSummary {
    /// How many transactional ids are in each state.
    pub by_state: BTreeMap<&'static str, usize>,
    /// When the transaction began that has been open for longest.
    pub oldest_open_ms: Option<TimestampMs>,
}

impl TransactionSummary {
    /// Adds those of another coordinator.
    pub fn add(&mut self, other: Self) {
        for (state, count) in other.by_state {
            *self.by_state.entry(state).or_insert(0) += count;
        }
        let both = [self.oldest_open_ms, other.oldest_open_ms];
        self.oldest_open_ms = both.into_iter().flatten().min();
    }
}

/// Which transactions are asked for; nothing given lets all pass.
#[derive(Clone, Debug)]
pub struct TransactionFilter {
    producer_ids: BTreeSet<i64>,
    states: BTreeSet<Str>,
    /// Those that are open for longer than this; -1 for all.
    longer_than_ms: i64,
    pattern: Option<Regex>,
}

impl TransactionFilter {
    /// A filter as ListTransactions has it.
    ///
    /// # Errors
    /// The pattern is no regular expression.
    pub fn new(
        producer_ids: &[i64],
        states: &[Str],
        longer_than_ms: i64,
        pattern: Option<&Str>,
    ) -> Result<Self, ErrorCode> {
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        let compile = |pattern: &Str| compile_pattern(pattern).ok_or(ErrorCode::InvalidRegularExpression);
        Ok(Self {
            producer_ids: producer_ids.iter().copied().collect(),
            states: states.iter().cloned().collect(),
            longer_than_ms,
            pattern: pattern.map(compile).transpose()?,
        })
    }
}

impl Transactions {
    /// All of them in few words.
    pub fn summary(&self) -> TransactionSummary {
        let mut summary = TransactionSummary::default();
        for transaction in self.by_id.values() {
            *summary.by_state.entry(transaction.state.name()).or_insert(0) += 1;
            if transaction.state == TransactionState::Ongoing || transaction.state.is_prepared() {
                let since = summary.oldest_open_ms.unwrap_or(TimestampMs::MAX);
                summary.oldest_open_ms = Some(since.min(transaction.start_ms));
            }
        }
        summary
    }

    /// The transactional ids that pass.
    pub fn list(&self, filter: &TransactionFilter, now_ms: TimestampMs) -> Vec<Listed> {
        let passing = self.by_id.iter().filter(|(id, transaction)| {
            let is_of = |wanted: &BTreeSet<i64>| wanted.is_empty() || wanted.contains(&transaction.producer.id.0);
            let is_in = |wanted: &BTreeSet<Str>| wanted.is_empty() || wanted.contains(transaction.state.name());
            let is_long = filter.longer_than_ms < 0 || now_ms - transaction.start_ms > filter.longer_than_ms;
            let is_named = filter.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
            is_of(&filter.producer_ids) && is_in(&filter.states) && is_long && is_named
        });
        passing
            .map(|(id, transaction)| Listed {
                transactional_id: id.clone(),
                producer_id: transaction.producer.id.0,
                transaction_state: Str::from_static(transaction.state.name()),
            })
            .collect()
    }

    /// All that is known of one.
    ///
    /// # Errors
    /// It is unknown.
    pub fn describe(&self, id: &Str) -> Result<Described, TransactionError> {
        check_id(id)?;
        let transaction = self.by_id.get(id).ok_or(TransactionError::NotFound)?;
        let topics = transaction.partitions.iter().map(|(topic, indexes)| TopicData {
            topic: topic.clone(),
            partitions: indexes.iter().copied().collect(),
        });
        Ok(Described {
            transactional_id: id.clone(),
            transaction_state: Str::from_static(transaction.state.name()),
            transaction_timeout_ms: transaction.timeout_ms,
            transaction_start_time_ms: transaction.start_ms,
            producer_id: transaction.producer.id.0,
            producer_epoch: transaction.producer.epoch.0,
            topics: topics.collect(),
            ..Default::default()
        })
    }

    /// The names among `states` that no state has.
    pub fn unknown_states(states: &[Str]) -> Vec<Str> {
        let unknown = states.iter().filter(|name| !TransactionState::is_known(name));
        unknown.cloned().collect()
    }
}
