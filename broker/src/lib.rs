//! The running process.
