//! `ottla bench`: compares brokers of the Kafka protocol on one machine, as ratios and costs per unit.
//!
//! [`core`] decides, computes and draws; [`shell`] starts brokers, makes load and reads /proc; each file of [`scenario`]
//! is a question that is measured. docs/benchmarks/README.md has the method.

pub mod core;
pub mod scenario;
pub mod shell;
