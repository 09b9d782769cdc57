//! Sockets: listeners accept, each connection reads requests and writes answers in their order.

pub(crate) mod admission;
pub(crate) mod connection;
mod in_flight;
pub(crate) mod in_process;
mod input;
pub(crate) mod listener;
mod output;
mod pace;
pub(crate) mod reply;
