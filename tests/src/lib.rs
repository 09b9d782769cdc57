//! What tests and benchmarks share: a broker as a process, a client that speaks the protocol by hand, frames of raw
//! bytes, a proxy that delays them, disks that fail, numbers from a seed, scratch folders, and budgets of what things may cost.

pub mod budgets;
pub mod callgrind;
pub mod client;
pub mod disks;
pub mod http;
pub mod process;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod scratch;
pub mod simple_group;
pub mod transactional;

/// Fails the test with what went wrong; tests have no use for anything finer.
pub type Result<T> = anyhow::Result<T>;
