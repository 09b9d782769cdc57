//! The running process: listeners, connections, one handler file per API, configuration, and the loops that drive
//! the pure parts. docs/architecture.md tells the way of a produce and of a fetch.

mod api;
mod broker;
pub mod cli;
mod clock;
pub mod config;
mod coordinators;
mod fetching;
mod http;
mod lag;
mod log_limits;
mod log_store;
mod markers;
mod metrics;
mod net;
mod partitions;
mod producer_ids;
mod runtime;
mod stop;
mod transactions;
mod waiting;

pub use net::in_process::{Answer, InProcess};
