//! Online migration between the classic and the consumer protocol (KIP-848).
//!
//! A conversion is a decision like any other: its records take the group away in one form and write it in the other, and
//! [`crate::Groups::apply`] makes them true, new or read again. What is not logged comes with the decision, as for any
//! group that begins: [`upgrade`] answers those who wait for the classic group, starts the members' sessions, and leaves
//! an empty consumer group that the records fill; [`Downgrade`] brings the classic group as the record will have it,
//! with the rebalance that follows, and the record confirms it.

mod downgrade;
mod upgrade;

pub(super) use downgrade::Downgrade;
pub(super) use upgrade::upgrade;
