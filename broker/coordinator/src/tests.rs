//! The behaviour of [`crate::Groups`], driven as the broker drives it.

mod admin;
pub(crate) mod cluster;
mod consumer;
mod driver;
mod expiry;
mod join;
pub(crate) mod model;
mod offsets;
mod rebalance;
mod replay;
mod static_members;
mod transactions;
