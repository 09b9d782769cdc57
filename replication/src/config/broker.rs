//! Broker keys, by subject, and what of them this broker honours.

mod groups;
mod honoured;
mod log;
mod network;
mod quorum;
mod remote;
mod replication;
mod security;
mod share;
mod ssl;
mod transactions;

use super::definition::Definition;

pub use honoured::{Honoured, honoured};

/// The tables.
pub(super) const TABLES: [&[Definition]; 10] = [
    log::LOG,
    network::NETWORK,
    replication::REPLICATION,
    quorum::QUORUM,
    groups::GROUPS,
    share::SHARE,
    transactions::TRANSACTIONS,
    remote::REMOTE,
    security::SECURITY,
    ssl::SSL,
];

/// The broker keys that stand for the same thing as `name`, the first winning; `name` is one of them.
///
/// A key of one listener or mechanism (`listener.name.internal.ssl.keystore.location`) has the general key as its
/// synonym (KIP-226).
pub fn synonyms(name: &str) -> Vec<&str> {
    const FAMILIES: [&[&str]; 4] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    ];
    if let Some(family) = FAMILIES.iter().find(|family| family.contains(&name)) {
        return family.to_vec();
    }
    match general_key(name) {
        Some(general) => vec![name, general],
        None => vec![name],
    }
}

/// The general key of a listener's key, if `name` has the form `listener.name.<listener>.<key>` or
/// `listener.name.<listener>.<mechanism>.<key>`.
pub fn general_key(name: &str) -> Option<&str> {
    const OF_MECHANISMS: [&str; 5] = [
        "connections.max.reauth.ms",
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
    ];
    let (_listener, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(
        OF_MECHANISMS
            .into_iter()
            .find(|general| key.ends_with(general))
            .unwrap_or(key),
    )
}
