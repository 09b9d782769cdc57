//! The groups of one `__consumer_offsets` partition: who is a member, who leads, what is assigned, what is committed.
//!
//! Everything here is a decision. A request goes into [`Groups`] with the time, out come [`Actions`]: records to
//! append and answers to release. Records become true through [`Groups::apply`] alone, whether they are new or read
//! again after a restart; what a rebalance needs until then (joining members, awaited answers, timers) is volatile and
//! may be lost: members find out and join again.
//!
//! The driver's loop, one task per partition:
//!
//! ```text
//! load:   for each record and marker of the log: apply, apply_in_transaction, end_transaction; then on_loaded(now)
//! loop:   a request or a due timer -> handle_x(..) / tick(now) -> actions
//!         apply each of actions.records, before the next decision
//!         append the records of one or more decisions as one batch
//!         once they are committed, release actions.replies, in order (also those without records)
//!         a commit of offsets in a transaction: append its records as the producer's, then apply_in_transaction
//!         a marker: append it, then end_transaction
//! error:  an append that failed or may have failed: answer nobody with success, throw the state away, load again
//! unload: fail_all(NotCoordinator)
//! ```
//!
//! Elsewhere: routing a group to its partition's leader, authorisation, and whether a topic exists (the broker).

mod admission;
mod any_group;
mod assignor;
mod classic;
mod cluster;
mod config;
mod consumer;
mod delete_groups;
mod groups;
mod list_groups;
mod look;
mod offsets;
mod outcome;
mod partition;
mod record;
mod timers;
mod transactions;

pub use admission::{check_group_id, check_join_group};
pub use assignor::Assignor;
pub use cluster::{ClusterView, ConsumerSettings, Topic};
pub use config::{GroupsConfig, MigrationPolicy};
pub use consumer::check_consumer_group_heartbeat;
pub use delete_groups::deletion_refused;
pub use groups::Groups;
pub use look::{GroupCommit, GroupSummary};
pub use offsets::{TransactionalCommit, commit_refused};
pub use outcome::{Actions, Caller, CoordinatorRecord, Now, Reply, Ticket};
pub use partition::partition_for;
pub use record::ApplyError;
pub use transactions::{
    Decision, EndTxn, Ending, InitProducerId, Producer, TransactionError, TransactionFilter, TransactionState,
    TransactionSummary, Transactions, TransactionsConfig,
};

#[cfg(test)]
mod tests;
