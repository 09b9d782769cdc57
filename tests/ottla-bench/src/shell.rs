//! The shell around the core: brokers as processes, load, what /proc says, files.

pub mod bench;
pub mod client;
pub mod java;
pub mod launch;
pub mod machine;
pub mod offsets;
pub mod output;
pub mod paced;
pub mod pages;
pub mod perf;
pub mod process;
pub mod produce;
pub mod progress;
pub mod reader;
pub mod target;
pub mod token;
pub mod wire;
