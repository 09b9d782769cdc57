//! Broker keys for tiered storage (KIP-405).

use crate::config::definition::{Definition, definitions};

definitions! { REMOTE
    "remote.fetch.max.wait.ms": Int, "500", AtLeast(1), Medium, ClusterWide,
        "Longest time that a fetch waits for remote storage.";
    "remote.list.offsets.request.timeout.ms": Long, "30000", AtLeast(1), Medium, ClusterWide,
        "Longest time that ListOffsets waits for remote storage.";
    "remote.log.index.file.cache.total.size.bytes": Long, "1073741824", AtLeast(1), Low, ClusterWide,
        "Disk space for indexes fetched from remote storage.";
    "remote.log.manager.copier.thread.pool.size": Int, "10", AtLeast(1), Medium, ClusterWide,
        "Threads that copy segments to remote storage.";
    "remote.log.manager.copy.max.bytes.per.second": Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide,
        "Bytes a second that are copied to remote storage.";
    "remote.log.manager.copy.quota.window.num": Int, "11", AtLeast(1), Medium, ReadOnly,
        "Windows over which copying to remote storage is measured.";
    "remote.log.manager.copy.quota.window.size.seconds": Int, "1", AtLeast(1), Medium, ReadOnly,
        "Length of a window for copying to remote storage.";
    "remote.log.manager.expiration.thread.pool.size": Int, "10", AtLeast(1), Medium, ClusterWide,
        "Threads that delete expired segments in remote storage.";
    "remote.log.manager.fetch.max.bytes.per.second": Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide,
        "Bytes a second that are read from remote storage.";
    "remote.log.manager.fetch.quota.window.num": Int, "11", AtLeast(1), Medium, ReadOnly,
        "Windows over which reading from remote storage is measured.";
    "remote.log.manager.fetch.quota.window.size.seconds": Int, "1", AtLeast(1), Medium, ReadOnly,
        "Length of a window for reading from remote storage.";
    "remote.log.manager.follower.thread.pool.size": Int, "2", AtLeast(1), Medium, ClusterWide,
        "Threads that follow the state of remote storage for followers.";
    "remote.log.manager.task.interval.ms": Long, "30000", AtLeast(1), Low, ReadOnly,
        "How often it is checked what must be copied or deleted.";
    "remote.log.manager.thread.pool.size": Int, "2", AtLeast(1), Medium, ReadOnly,
        "Threads that schedule work on remote storage.";
    "remote.log.metadata.custom.metadata.max.bytes": Int, "128", AtLeast(0), Low, ReadOnly,
        "Largest data that a storage plugin may attach to a segment.";
    "remote.log.metadata.manager.class.name": String,
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty, Medium, ReadOnly,
        "Class that keeps track of tiered segments.";
    "remote.log.metadata.manager.class.path": String, null, Any, Medium, ReadOnly,
        "Class path of the class that keeps track of tiered segments.";
    "remote.log.metadata.manager.impl.prefix": String, "rlmm.config.", NonEmpty, Medium, ReadOnly,
        "Prefix of the keys handed to the class that keeps track of tiered segments.";
    "remote.log.metadata.manager.listener.name": String, null, NonEmpty, Medium, ReadOnly,
        "Listener over which the class that keeps track of tiered segments talks to brokers.";
    "remote.log.reader.max.pending.tasks": Int, "100", AtLeast(1), Medium, ReadOnly,
        "Reads from remote storage that may wait.";
    "remote.log.reader.threads": Int, "10", AtLeast(1), Medium, ClusterWide,
        "Threads that read from remote storage.";
    "remote.log.storage.manager.class.name": String, null, NonEmpty, Medium, ReadOnly,
        "Class that talks to the remote storage.";
    "remote.log.storage.manager.class.path": String, null, Any, Medium, ReadOnly,
        "Class path of the class that talks to the remote storage.";
    "remote.log.storage.manager.impl.prefix": String, "rsm.config.", NonEmpty, Medium, ReadOnly,
        "Prefix of the keys handed to the class that talks to the remote storage.";
    "remote.log.storage.system.enable": Boolean, "false", Any, Medium, ReadOnly,
        "Whether tiering is available at all.";
}
