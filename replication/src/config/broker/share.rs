//! Broker keys for share groups (KIP-932) and their dead letters (KIP-1191).

use crate::config::definition::{Definition, definitions};

definitions! { SHARE
    "errors.deadletterqueue.auto.create.topics.enable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether dead letter topics of share groups are created by themselves.";
    "errors.deadletterqueue.topic.name.prefix": String, "dlq.", Any, Medium, ClusterWide,
        "Prefix that dead letter topics must have in order to be created by themselves.";
    "group.share.assignment.interval.ms": Int, "1000", AtLeast(0), Medium, ClusterWide,
        "Default of share.assignment.interval.ms.";
    "group.share.assignors": List, "simple", NonEmptyList, Medium, ReadOnly,
        "Assignors offered to share groups.";
    "group.share.delivery.count.limit": Int, "5", Between(2, 10), Medium, ReadOnly,
        "Default of share.delivery.count.limit.";
    "group.share.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ReadOnly,
        "Default of share.heartbeat.interval.ms.";
    "group.share.max.assignment.interval.ms": Int, "15000", AtLeast(0), Medium, ReadOnly,
        "Largest allowed share.assignment.interval.ms.";
    "group.share.max.delivery.count.limit": Int, "10", Between(5, 25), Medium, ReadOnly,
        "Largest allowed share.delivery.count.limit.";
    "group.share.max.heartbeat.interval.ms": Int, "15000", AtLeast(1), Medium, ReadOnly,
        "Largest allowed share.heartbeat.interval.ms.";
    "group.share.max.partition.max.record.locks": Int, "4000", Between(2000, 10_000), Medium, ReadOnly,
        "Largest allowed share.partition.max.record.locks.";
    "group.share.max.record.lock.duration.ms": Int, "60000", Between(30_000, 3_600_000), Medium, ReadOnly,
        "Largest allowed share.record.lock.duration.ms.";
    "group.share.max.session.timeout.ms": Int, "60000", AtLeast(1), Medium, ReadOnly,
        "Largest allowed share.session.timeout.ms.";
    "group.share.max.share.sessions": Int, "2000", AtLeast(1), Medium, ReadOnly,
        "Most share sessions per broker.";
    "group.share.max.size": Int, "200", Between(1, 1000), Medium, ReadOnly,
        "Most members of a share group.";
    "group.share.min.assignment.interval.ms": Int, "0", AtLeast(0), Medium, ReadOnly,
        "Smallest allowed share.assignment.interval.ms.";
    "group.share.min.delivery.count.limit": Int, "2", Between(2, 5), Medium, ReadOnly,
        "Smallest allowed share.delivery.count.limit.";
    "group.share.min.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ReadOnly,
        "Smallest allowed share.heartbeat.interval.ms.";
    "group.share.min.partition.max.record.locks": Int, "100", Between(100, 2000), Medium, ReadOnly,
        "Smallest allowed share.partition.max.record.locks.";
    "group.share.min.record.lock.duration.ms": Int, "15000", Between(1000, 30_000), Medium, ReadOnly,
        "Smallest allowed share.record.lock.duration.ms.";
    "group.share.min.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ReadOnly,
        "Smallest allowed share.session.timeout.ms.";
    "group.share.partition.max.record.locks": Int, "2000", Between(100, 10_000), Medium, ReadOnly,
        "Default of share.partition.max.record.locks.";
    "group.share.record.lock.duration.ms": Int, "30000", Between(1000, 3_600_000), Medium, ReadOnly,
        "Default of share.record.lock.duration.ms.";
    "group.share.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ReadOnly,
        "Default of share.session.timeout.ms.";
    "share.coordinator.append.linger.ms": Int, "-1", AtLeast(-1), Medium, ReadOnly,
        "How long the share coordinator gathers records before it writes them; -1 adapts.";
    "share.coordinator.cached.buffer.max.bytes": Int, "1048588", AtLeast(524_288), Medium, ClusterWide,
        "Largest write buffer that the share coordinator keeps for reuse.";
    "share.coordinator.load.buffer.size": Int, "5242880", AtLeast(1), High, ReadOnly,
        "Bytes read at once while share state is loaded.";
    "share.coordinator.snapshot.update.records.per.snapshot": Int, "500", Between(0, 500), Medium, ReadOnly,
        "Updates of share state between two snapshots of it.";
    "share.coordinator.state.topic.compression.codec": Int, "0", Any, High, ReadOnly,
        "Number of the codec in which __share_group_state is written.";
    "share.coordinator.state.topic.min.isr": Short, "2", AtLeast(1), High, ReadOnly,
        "In-sync replicas that __share_group_state needs.";
    "share.coordinator.state.topic.num.partitions": Int, "50", AtLeast(1), High, ReadOnly,
        "Partitions of __share_group_state.";
    "share.coordinator.state.topic.replication.factor": Short, "3", AtLeast(1), High, ReadOnly,
        "Replicas of __share_group_state.";
    "share.coordinator.state.topic.segment.bytes": Int, "104857600", AtLeast(1), High, ReadOnly,
        "Size at which a segment of __share_group_state is closed.";
    "share.coordinator.threads": Int, "1", AtLeast(1), Medium, ReadOnly,
        "Threads of the share coordinator.";
    "share.coordinator.write.timeout.ms": Int, "5000", AtLeast(1), High, ReadOnly,
        "How long a write of share state waits for its replicas.";
    "share.fetch.purgatory.purge.interval.requests": Int, "1000", Any, Medium, ReadOnly,
        "Finished share fetches after which the waiting list is swept.";
}
