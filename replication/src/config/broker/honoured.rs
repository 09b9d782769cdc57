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
    "add.partitions.to.txn.retry.backoff.max.ms",
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
    "cordoned.log.dirs",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "group.consumer.assignment.interval.ms",
    "group.consumer.assignors",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.max.assignment.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.max.size",
    "group.consumer.migration.policy",
    "group.consumer.min.assignment.interval.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "group.consumer.session.timeout.ms",
    "group.coordinator.rebalance.protocols",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "listener.security.protocol.map",
    "listeners",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.enable",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleanup.policy",
    "log.dir",
    "log.dirs",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.scheduler.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.check.interval.ms",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.hours",
    "log.roll.jitter.hours",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "max.decompressed.message.bytes",
    "max.incremental.fetch.session.cache.slots",
    "max.request.partition.size.limit",
    "message.max.bytes",
    "metadata.log.dir",
    "metadata.log.max.record.bytes.between.snapshots",
    "metadata.log.max.snapshot.interval.ms",
    "metadata.log.segment.bytes",
    "metadata.log.segment.ms",
    "metadata.max.retention.bytes",
    "metadata.max.retention.ms",
    "min.insync.replicas",
    "node.id",
    "num.partitions",
    "offset.metadata.max.bytes",
    "offsets.retention.check.interval.ms",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "offsets.topic.segment.bytes",
    "process.roles",
    "producer.id.expiration.ms",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "socket.request.max.bytes",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.max.timeout.ms",
    "transaction.partition.verification.enable",
    "transaction.remove.expired.transaction.cleanup.interval.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.num.partitions",
    "transaction.state.log.segment.bytes",
    "transactional.id.expiration.ms",
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
        "transaction.state.log.replication.factor",
        "a single node has one replica",
    ),
    (
        "transaction.state.log.load.buffer.size",
        "transactions are loaded in steps of a fixed size",
    ),
    (
        "add.partitions.to.txn.retry.backoff.ms",
        "the end of the last transaction is awaited, not asked for",
    ),
    ("transaction.two.phase", "two-phase commit is not implemented"),
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
    (
        "controller.quorum.voters",
        "this node is the quorum; several are refused",
    ),
    (
        "controller.quorum.bootstrap.servers",
        "this node is the quorum; several are refused",
    ),
    ("controller.quorum.", "a quorum of several nodes is not implemented yet"),
    ("kafka.metrics.", "Java classes cannot be loaded"),
    ("metric", "metrics are not reported by Java classes"),
    ("alter.config.policy.", "Java classes cannot be loaded"),
    ("create.topic.policy.", "Java classes cannot be loaded"),
    ("client.quota.callback.", "Java classes cannot be loaded"),
    ("config.providers", "Java classes cannot be loaded"),
    ("background.threads", "threads follow the cores"),
    ("num.io.threads", "threads follow the cores"),
    ("num.network.threads", "threads follow the cores"),
    ("num.recovery.threads.per.data.dir", "threads follow the cores"),
    ("group.coordinator.threads", "threads follow the cores"),
    ("group.coordinator.background.threads", "threads follow the cores"),
    ("queued.max.", "what is in flight is bounded for each connection"),
    (
        "socket.listen.backlog.size",
        "there is always room for 1024 connections",
    ),
    ("socket.send.buffer.bytes", "the system sizes the buffers of sockets"),
    ("socket.receive.buffer.bytes", "the system sizes the buffers of sockets"),
    (
        "log.cleaner.io.buffer.size",
        "compaction reads and writes pieces of a fixed size",
    ),
    ("log.cleaner.threads", "one thread compacts"),
    (
        "log.preallocate",
        "room is always allocated ahead of the end of a log, step by step",
    ),
    (
        "log.flush.start.offset.checkpoint.interval.ms",
        "log start offsets are written with log.flush.offset.checkpoint.interval.ms",
    ),
    ("offsets.topic.replication.factor", "a single node has one replica"),
    (
        "offsets.topic.compression.codec",
        "__consumer_offsets is not compressed",
    ),
    (
        "offsets.load.buffer.size",
        "committed offsets are loaded in steps of a fixed size",
    ),
    ("offsets.commit.timeout.ms", "a single node waits for no other replica"),
    (
        "group.coordinator.append.linger.ms",
        "what waits is written at once, together",
    ),
    ("group.coordinator.cached.buffer", "buffers are not kept"),
    ("fetch.purgatory.", "there is no waiting list to sweep"),
    ("producer.purgatory.", "there is no waiting list to sweep"),
    ("delete.records.purgatory.", "there is no waiting list to sweep"),
    ("auto.leader.rebalance.enable", "a single node leads everything"),
    ("leader.imbalance.", "a single node leads everything"),
    (
        "controlled.shutdown.enable",
        "a single node has nobody to hand its partitions to",
    ),
    ("inter.broker.listener.name", "a single node has nobody to talk to"),
    ("request.timeout.ms", "a single node has nobody to talk to"),
    ("socket.connection.setup.", "a single node has nobody to talk to"),
    ("controller.socket.timeout.ms", "broker and controller are one process"),
    ("broker.heartbeat.interval.ms", "broker and controller are one process"),
    ("broker.session.timeout.ms", "broker and controller are one process"),
    (
        "initial.broker.registration.timeout.ms",
        "broker and controller are one process",
    ),
    (
        "metadata.max.idle.interval.ms",
        "a quorum of one needs no records to stay alive",
    ),
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
    fn reasons_are_those_of_known_keys_that_have_no_effect() {
        let keys = || crate::config::definitions_of(ConfigScope::Broker);
        for (prefix, _) in REASONS {
            let mut with_prefix = keys().filter(|key| key.name.starts_with(prefix));
            assert!(with_prefix.any(|key| honoured(key.name) != Honoured::Yes), "{prefix}");
        }
    }

    #[test]
    fn keys_without_effect_say_why() {
        assert_eq!(honoured("log.dirs"), Honoured::Yes);
        assert_eq!(honoured("ssl.keystore.key"), Honoured::No("TLS is not implemented yet"));
        assert_eq!(honoured("num.io.threads"), Honoured::No("threads follow the cores"));
    }
}
