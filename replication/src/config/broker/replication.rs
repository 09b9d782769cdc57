//! Broker keys for replication between brokers.

use crate::config::definition::{Definition, definitions};

definitions! { REPLICATION
    "default.replication.factor": Int, "1", Any, Medium, ReadOnly,
        "Replicas of a topic that is created without saying how many.";
    "delete.records.purgatory.purge.interval.requests": Int, "1", Any, Medium, ReadOnly,
        "Finished DeleteRecords after which the waiting list is swept.";
    "follower.fetch.last.tiered.offset.enable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether an empty follower starts at the last tiered offset instead of copying what is tiered.";
    "num.replica.alter.log.dirs.threads": Int, null, Any, High, ReadOnly,
        "Threads that move replicas between log directories.";
    "num.replica.fetchers": Int, "1", AtLeast(1), High, ClusterWide,
        "Fetchers per source broker for replication.";
    "producer.purgatory.purge.interval.requests": Int, "1000", Any, Medium, ReadOnly,
        "Finished produce requests after which the waiting list is swept.";
    "replica.fetch.backoff.ms": Int, "1000", AtLeast(0), Medium, ReadOnly,
        "Wait of a follower after a failed fetch.";
    "replica.fetch.max.bytes": Int, "1048576", AtLeast(0), Medium, ReadOnly,
        "Bytes that a follower asks for per partition.";
    "replica.fetch.min.bytes": Int, "1", Any, High, ReadOnly,
        "Least bytes that a follower waits for.";
    "replica.fetch.response.max.bytes": Int, "10485760", AtLeast(0), Medium, ReadOnly,
        "Bytes that a follower asks for in one fetch.";
    "replica.fetch.wait.max.ms": Int, "500", Any, High, ReadOnly,
        "Longest time that a follower's fetch waits at the leader.";
    "replica.high.watermark.checkpoint.interval.ms": Long, "5000", Any, High, ReadOnly,
        "How often the high watermarks are written down.";
    "replica.lag.time.max.ms": Long, "30000", Any, High, ReadOnly,
        "How long a follower may stay behind before it leaves the ISR.";
    "replica.selector.class": String, null, Any, Medium, ReadOnly,
        "Which replica consumers read from; null is the leader.";
    "replica.socket.receive.buffer.bytes": Int, "65536", Any, High, ReadOnly,
        "Receive buffer of a follower's socket.";
    "replica.socket.timeout.ms": Int, "30000", Any, High, ReadOnly,
        "How long a follower waits for an answer.";
}
