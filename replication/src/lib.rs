//! Who leads and what is committed: configs, the metadata image, the controller and the quorum.
//!
//! Pure: no files, sockets, clocks, threads or randomness of its own. Requests, events and the time come in as
//! arguments; records, responses and actions go out, and the broker carries them out.

#![forbid(unsafe_code)]

pub mod config;
pub mod controller;
pub mod image;
