//! Broker keys for classic, consumer and streams groups and for committed offsets.

use crate::config::definition::{Definition, definitions};

definitions! { GROUPS
    "group.consumer.assignment.interval.ms": Int, "1000", AtLeast(0), Medium, ClusterWide,
        "Default of consumer.assignment.interval.ms.";
    "group.consumer.assignors": List, "uniform,range", NonEmptyList, Medium, ReadOnly,
        "Assignors offered to consumer groups; the first is the default.";
    "group.consumer.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ReadOnly,
        "Default of consumer.heartbeat.interval.ms.";
    "group.consumer.max.assignment.interval.ms": Int, "15000", AtLeast(0), Medium, ReadOnly,
        "Largest allowed consumer.assignment.interval.ms.";
    "group.consumer.max.heartbeat.interval.ms": Int, "15000", AtLeast(1), Medium, ReadOnly,
        "Largest allowed consumer.heartbeat.interval.ms.";
    "group.consumer.max.session.timeout.ms": Int, "60000", AtLeast(1), Medium, ReadOnly,
        "Largest allowed consumer.session.timeout.ms.";
    "group.consumer.max.size": Int, "2147483647", AtLeast(1), Medium, ReadOnly,
        "Most members of a consumer group.";
    "group.consumer.migration.policy": String,
        "bidirectional", OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), Medium, ReadOnly,
        "Whether groups may change between the classic and the consumer protocol.";
    "group.consumer.min.assignment.interval.ms": Int, "0", AtLeast(0), Medium, ReadOnly,
        "Smallest allowed consumer.assignment.interval.ms.";
    "group.consumer.min.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ReadOnly,
        "Smallest allowed consumer.heartbeat.interval.ms.";
    "group.consumer.min.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ReadOnly,
        "Smallest allowed consumer.session.timeout.ms.";
    "group.consumer.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ReadOnly,
        "Default of consumer.session.timeout.ms.";
    "group.coordinator.append.linger.ms": Int, "-1", AtLeast(-1), Medium, ReadOnly,
        "How long the group coordinator gathers records before it writes them; -1 adapts.";
    "group.coordinator.background.threads": Int, "2", AtLeast(1), High, ReadOnly,
        "Threads for background work of the group coordinator.";
    "group.coordinator.cached.buffer.max.bytes": Int, "1048588", AtLeast(524_288), Medium, ClusterWide,
        "Largest write buffer that the group coordinator keeps for reuse.";
    "group.coordinator.rebalance.protocols": List,
        "classic,consumer,streams", NonEmptyListOf(&["consumer", "classic", "share", "streams"]), Medium, ReadOnly,
        "Kinds of groups that are served.";
    "group.coordinator.threads": Int, "4", AtLeast(1), High, ReadOnly,
        "Threads of the group coordinator.";
    "group.initial.rebalance.delay.ms": Int, "3000", Any, Medium, ReadOnly,
        "How long a new classic group waits for further members before its first rebalance.";
    "group.max.session.timeout.ms": Int, "1800000", Any, Medium, ReadOnly,
        "Largest session timeout that a classic member may ask for.";
    "group.max.size": Int, "2147483647", AtLeast(1), Medium, ReadOnly,
        "Most members of a classic group.";
    "group.min.session.timeout.ms": Int, "6000", Any, Medium, ReadOnly,
        "Smallest session timeout that a classic member may ask for.";
    "offset.metadata.max.bytes": Int, "4096", Any, High, ReadOnly,
        "Largest metadata text with a committed offset.";
    "offsets.commit.timeout.ms": Int, "5000", AtLeast(1), High, ReadOnly,
        "How long a commit of offsets waits for its replicas.";
    "offsets.load.buffer.size": Int, "5242880", AtLeast(1), High, ReadOnly,
        "Bytes read at once while committed offsets are loaded.";
    "offsets.retention.check.interval.ms": Long, "600000", AtLeast(1), High, ReadOnly,
        "How often expired offsets are looked for.";
    "offsets.retention.minutes": Int, "10080", AtLeast(1), High, ReadOnly,
        "Time after which the offsets of an empty group are forgotten.";
    "offsets.topic.compression.codec": Int, "0", Any, High, ReadOnly,
        "Number of the codec in which __consumer_offsets is written.";
    "offsets.topic.num.partitions": Int, "50", AtLeast(1), High, ReadOnly,
        "Partitions of __consumer_offsets.";
    "offsets.topic.replication.factor": Short, "3", AtLeast(1), High, ReadOnly,
        "Replicas of __consumer_offsets.";
    "offsets.topic.segment.bytes": Int, "104857600", AtLeast(1), High, ReadOnly,
        "Size at which a segment of __consumer_offsets is closed.";
    "group.streams.assignment.interval.ms": Int, "1000", AtLeast(0), Medium, ClusterWide,
        "Default of streams.assignment.interval.ms.";
    "group.streams.assignors": List, "sticky", NonEmptyList, Medium, ReadOnly,
        "Assignors offered to streams groups.";
    "group.streams.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ReadOnly,
        "Default of streams.heartbeat.interval.ms.";
    "group.streams.initial.rebalance.delay.ms": Int, "3000", AtLeast(0), Medium, ReadOnly,
        "Default of streams.initial.rebalance.delay.ms.";
    "group.streams.max.assignment.interval.ms": Int, "15000", AtLeast(0), Medium, ReadOnly,
        "Largest allowed streams.assignment.interval.ms.";
    "group.streams.max.heartbeat.interval.ms": Int, "15000", AtLeast(1), Medium, ReadOnly,
        "Largest allowed streams.heartbeat.interval.ms.";
    "group.streams.max.session.timeout.ms": Int, "60000", AtLeast(1), Medium, ReadOnly,
        "Largest allowed streams.session.timeout.ms.";
    "group.streams.max.size": Int, "2147483647", AtLeast(1), Medium, ReadOnly,
        "Most members of a streams group.";
    "group.streams.max.standby.replicas": Int, "2", AtLeast(0), Medium, ReadOnly,
        "Largest allowed streams.num.standby.replicas.";
    "group.streams.min.assignment.interval.ms": Int, "0", AtLeast(0), Medium, ReadOnly,
        "Smallest allowed streams.assignment.interval.ms.";
    "group.streams.min.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ReadOnly,
        "Smallest allowed streams.heartbeat.interval.ms.";
    "group.streams.min.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ReadOnly,
        "Smallest allowed streams.session.timeout.ms.";
    "group.streams.num.standby.replicas": Int, "0", AtLeast(0), Medium, ReadOnly,
        "Default of streams.num.standby.replicas.";
    "group.streams.rack.aware.assignment.tags": List, "", UniqueList, Low, ReadOnly,
        "Default of streams.rack.aware.assignment.tags.";
    "group.streams.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ReadOnly,
        "Default of streams.session.timeout.ms.";
    "group.streams.topology.description.plugin.class": Class, null, Any, Medium, ReadOnly,
        "Class that stores the topologies that streams clients describe (KIP-1331).";
}
