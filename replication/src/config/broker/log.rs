//! Broker keys for logs: where they are, defaults of topic keys, compaction.

use crate::config::definition::{Definition, definitions};

definitions! { LOG
    "auto.create.topics.enable": Boolean, "true", Any, High, ReadOnly,
        "Whether naming an unknown topic in Metadata creates it.";
    "compression.gzip.level": Int, "-1", BetweenOrMinusOne(1, 9), Medium, ClusterWide,
        "Default level for topics stored with gzip.";
    "compression.lz4.level": Int, "9", Between(1, 17), Medium, ClusterWide,
        "Default level for topics stored with lz4.";
    "compression.type": String,
        "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), High, ClusterWide,
        "Codec in which topics are stored by default; producer keeps what the producer sent.";
    "compression.zstd.level": Int, "3", Between(-131_072, 22), Medium, ClusterWide,
        "Default level for topics stored with zstd.";
    "cordoned.log.dirs": List, "", UniqueList, Medium, PerBroker,
        "Log directories that get no new partitions (KIP-1066); * means all.";
    "delete.topic.enable": Boolean, "true", Any, High, ReadOnly,
        "Whether topics can be deleted at all.";
    "log.cleaner.backoff.ms": Long, "15000", AtLeast(0), Medium, ClusterWide,
        "Pause of the cleaner when nothing needs compaction.";
    "log.cleaner.dedupe.buffer.size": Long, "134217728", Any, Medium, ClusterWide,
        "Memory for the keys of all cleaner threads together.";
    "log.cleaner.delete.retention.ms": Long, "86400000", AtLeast(0), Medium, ClusterWide,
        "Default of delete.retention.ms.";
    "log.cleaner.enable": Boolean, "true", Any, Medium, ReadOnly,
        "Whether compaction runs; without it compacted topics grow without bound.";
    "log.cleaner.io.buffer.load.factor": Double, "0.9", Any, Medium, ClusterWide,
        "How full the cleaner's key map may get.";
    "log.cleaner.io.buffer.size": Int, "524288", AtLeast(0), Medium, ClusterWide,
        "Memory for the reads and writes of all cleaner threads together.";
    "log.cleaner.io.max.bytes.per.second": Double, "1.7976931348623157E308", Any, Medium, ClusterWide,
        "Bytes that the cleaner reads and writes a second at most.";
    "log.cleaner.max.compaction.lag.ms": Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide,
        "Default of max.compaction.lag.ms.";
    "log.cleaner.min.cleanable.ratio": Double, "0.5", Between(0, 1), Medium, ClusterWide,
        "Default of min.cleanable.dirty.ratio.";
    "log.cleaner.min.compaction.lag.ms": Long, "0", AtLeast(0), Medium, ClusterWide,
        "Default of min.compaction.lag.ms.";
    "log.cleaner.threads": Int, "1", AtLeast(0), Medium, ClusterWide,
        "Threads that compact.";
    "log.cleanup.policy": List, "delete", ListOf(&["compact", "delete"]), Medium, ClusterWide,
        "Default of cleanup.policy.";
    "log.dir": List, "/tmp/kafka-logs", NonEmptyList, High, ReadOnly,
        "Where data are kept if log.dirs is not given.";
    "log.dir.failure.timeout.ms": Long, "30000", AtLeast(1), Low, ReadOnly,
        "How long a failed log directory may wait to be reported before the node stops.";
    "log.dirs": List, null, NonEmptyList, High, ReadOnly,
        "Directories in which data are kept.";
    "log.flush.interval.messages": Long, "9223372036854775807", AtLeast(1), High, ClusterWide,
        "Default of flush.messages.";
    "log.flush.interval.ms": Long, null, Any, High, ClusterWide,
        "Default of flush.ms; without it log.flush.scheduler.interval.ms counts.";
    "log.flush.offset.checkpoint.interval.ms": Int, "60000", AtLeast(0), High, ReadOnly,
        "How often the recovery points are written down.";
    "log.flush.scheduler.interval.ms": Long, "9223372036854775807", Any, High, ReadOnly,
        "How often it is checked whether a log must be flushed.";
    "log.flush.start.offset.checkpoint.interval.ms": Int, "60000", AtLeast(0), High, ReadOnly,
        "How often the log start offsets are written down.";
    "log.index.interval.bytes": Int, "4096", AtLeast(0), Medium, ClusterWide,
        "Default of index.interval.bytes.";
    "log.index.size.max.bytes": Int, "10485760", AtLeast(4), Medium, ClusterWide,
        "Default of segment.index.bytes.";
    "log.local.retention.bytes": Long, "-2", AtLeast(-2), Medium, ClusterWide,
        "Default of local.retention.bytes.";
    "log.local.retention.ms": Long, "-2", AtLeast(-2), Medium, ClusterWide,
        "Default of local.retention.ms.";
    "log.message.timestamp.after.max.ms": Long, "3600000", AtLeast(0), Medium, ClusterWide,
        "Default of message.timestamp.after.max.ms.";
    "log.message.timestamp.before.max.ms": Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide,
        "Default of message.timestamp.before.max.ms.";
    "log.message.timestamp.type": String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide,
        "Default of message.timestamp.type.";
    "log.preallocate": Boolean, "false", Any, Medium, ClusterWide,
        "Default of preallocate.";
    "log.remote.copy.lag.bytes": Long, "-1", AtLeast(-1), Medium, ClusterWide,
        "Default of remote.copy.lag.bytes.";
    "log.remote.copy.lag.ms": Long, "0", AtLeast(-1), Medium, ClusterWide,
        "Default of remote.copy.lag.ms.";
    "log.retention.bytes": Long, "-1", Any, High, ClusterWide,
        "Default of retention.bytes.";
    "log.retention.check.interval.ms": Long, "300000", AtLeast(1), Medium, ReadOnly,
        "How often it is checked whether segments may be deleted.";
    "log.retention.hours": Int, "168", Any, High, ReadOnly,
        "Default of retention.ms in hours, if neither log.retention.ms nor log.retention.minutes is given.";
    "log.retention.minutes": Int, null, Any, High, ReadOnly,
        "Default of retention.ms in minutes, if log.retention.ms is not given.";
    "log.retention.ms": Long, null, Any, High, ClusterWide,
        "Default of retention.ms; -1 is no limit.";
    "log.roll.hours": Int, "168", AtLeast(1), High, ReadOnly,
        "Default of segment.ms in hours, if log.roll.ms is not given.";
    "log.roll.jitter.hours": Int, "0", AtLeast(0), High, ReadOnly,
        "Default of segment.jitter.ms in hours, if log.roll.jitter.ms is not given.";
    "log.roll.jitter.ms": Long, null, Any, High, ClusterWide,
        "Default of segment.jitter.ms.";
    "log.roll.ms": Long, null, Any, High, ClusterWide,
        "Default of segment.ms.";
    "log.segment.bytes": Int, "1073741824", AtLeast(1_048_576), High, ClusterWide,
        "Default of segment.bytes.";
    "log.segment.delete.delay.ms": Long, "60000", AtLeast(0), High, ClusterWide,
        "Default of file.delete.delay.ms.";
    "max.decompressed.message.bytes": Int, "2147483639", Between(1, 2_147_483_639), Medium, ClusterWide,
        "Default largest size to which one batch may inflate.";
    "message.max.bytes": Int, "1048588", AtLeast(0), High, ClusterWide,
        "Default of max.message.bytes.";
    "min.insync.replicas": Int, "1", AtLeast(1), High, ClusterWide,
        "Default number of replicas that must have a record before acks=all is answered.";
    "num.partitions": Int, "1", AtLeast(1), Medium, ReadOnly,
        "Partitions of a topic that is created without saying how many.";
    "num.recovery.threads.per.data.dir": Int, "2", AtLeast(1), High, ClusterWide,
        "Threads per log directory that recover logs at start and flush them at stop.";
    "producer.id.expiration.ms": Int, "86400000", AtLeast(1), Low, ClusterWide,
        "Idle time after which the state of an idempotent producer is forgotten.";
    "unclean.leader.election.enable": Boolean, "false", Any, High, ClusterWide,
        "Default of whether a replica outside the ISR may lead as a last resort.";
}
