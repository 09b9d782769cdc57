//! The loops that drive the pure parts: what decides is elsewhere, what waits, writes and wakes is here.

pub(crate) mod cleaner;
pub(crate) mod cold_reads;
pub(crate) mod controller;
pub(crate) mod coordinator_shard;
pub(crate) mod directories;
pub(crate) mod housekeeping;
mod journal;
pub(crate) mod metadata_log;
pub(crate) mod mover;
pub(crate) mod transaction_shard;
