//! Which broker keys have an effect in this broker. A key that is known but without effect is warned about at start.

/// Whether a broker key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honoured {
    /// It does what Kafka's documentation says.
    Yes,
    /// It is accepted and shown, but without effect; why.
    No(&'static str),
}

/// Whether the broker key `name` has an effect here.
pub fn honoured(name: &str) -> Honoured {
    if HONOURED.binary_search(&name).is_ok() {
        return Honoured::Yes;
    }
    let reason = REASONS.iter().find(|(prefix, _)| name.starts_with(prefix));
    Honoured::No(reason.map_or("not implemented yet", |(_, reason)| reason))
}

/// Keys with an effect, ascending.
const HONOURED: &[&str] = &[
    "advertised.listeners",
    "auto.create.topics.enable",
    "broker.id",
    "broker.rack",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "connections.max.idle.ms",
    "controller.listener.names",
    "default.replication.factor",
    "delete.topic.enable",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "listener.security.protocol.map",
    "listeners",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleanup.policy",
    "log.dir",
    "log.dirs",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.hours",
    "log.roll.jitter.hours",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.decompressed.message.bytes",
    "message.max.bytes",
    "metadata.log.max.record.bytes.between.snapshots",
    "min.insync.replicas",
    "node.id",
    "num.partitions",
    "offset.metadata.max.bytes",
    "offsets.retention.check.interval.ms",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "offsets.topic.segment.bytes",
    "process.roles",
    "unclean.leader.election.enable",
];

/// Why others have none, by prefix.
const REASONS: &[(&str, &str)] = &[
    ("remote.", "tiered storage is not implemented yet"),
    ("log.remote.", "tiered storage is not implemented yet"),
    ("log.local.", "tiered storage is not implemented yet"),
    ("follower.fetch.last.tiered", "tiered storage is not implemented yet"),
    ("ssl.", "TLS is not implemented yet"),
    ("sasl.", "SASL is not implemented yet"),
    ("security.", "security is not implemented yet"),
    ("authorizer.", "authorisation is not implemented yet"),
    ("delegation.token.", "delegation tokens are not implemented yet"),
    ("principal.builder.", "security is not implemented yet"),
    ("connections.max.reauth", "SASL is not implemented yet"),
    ("connection.failed.authentication", "SASL is not implemented yet"),
    ("share.", "share groups are not implemented yet"),
    ("group.share.", "share groups are not implemented yet"),
    ("errors.deadletterqueue.", "share groups are not implemented yet"),
    ("group.streams.", "streams groups are not implemented yet"),
    (
        "group.consumer.",
        "the consumer protocol of KIP-848 is not implemented yet",
    ),
    ("transaction", "transactions are not implemented yet"),
    ("add.partitions.to.txn.", "transactions are not implemented yet"),
    ("replica.", "replication between brokers is not implemented yet"),
    ("num.replica", "replication between brokers is not implemented yet"),
    (
        "leader.replication.",
        "replication between brokers is not implemented yet",
    ),
    (
        "follower.replication.",
        "replication between brokers is not implemented yet",
    ),
    (
        "replication.quota.",
        "replication between brokers is not implemented yet",
    ),
    ("controller.quorum.", "a quorum of several nodes is not implemented yet"),
    ("kafka.metrics.", "Java classes cannot be loaded"),
    ("metric", "metrics are not reported by Java classes"),
    ("alter.config.policy.", "Java classes cannot be loaded"),
    ("create.topic.policy.", "Java classes cannot be loaded"),
    ("client.quota.callback.", "Java classes cannot be loaded"),
    ("config.providers", "Java classes cannot be loaded"),
    ("background.threads", "threads are not sized by this key"),
    ("num.io.threads", "threads are not sized by this key"),
    ("num.network.threads", "threads are not sized by this key"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigScope, definition};

    #[test]
    fn honoured_keys_are_known_and_ascending() {
        assert!(HONOURED.is_sorted_by(|a, b| a < b));
        for name in HONOURED {
            assert!(definition(ConfigScope::Broker, name).is_some(), "{name} is in no table");
        }
    }

    #[test]
    fn keys_without_effect_say_why() {
        assert_eq!(honoured("log.dirs"), Honoured::Yes);
        assert_eq!(honoured("ssl.keystore.key"), Honoured::No("TLS is not implemented yet"));
    }
}
