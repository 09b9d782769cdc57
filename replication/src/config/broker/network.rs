//! Broker keys for listeners, connections, threads, metrics and quotas.

use crate::config::definition::{Definition, definitions};

definitions! { NETWORK
    "add.partitions.to.txn.retry.backoff.max.ms": Int, "100", AtLeast(0), High, ReadOnly,
        "Longest wait of the broker's own retries while it adds partitions to a transaction.";
    "add.partitions.to.txn.retry.backoff.ms": Int, "20", AtLeast(1), High, ReadOnly,
        "First wait of the broker's own retries while it adds partitions to a transaction.";
    "advertised.listeners": List, null, NonEmptyList, High, ReadOnly,
        "Addresses that clients are told to connect to; those of listeners if not given.";
    "auto.leader.rebalance.enable": Boolean, "true", Any, High, ReadOnly,
        "Whether leadership goes back to preferred replicas by itself.";
    "background.threads": Int, "10", AtLeast(1), High, ClusterWide,
        "Threads for background work.";
    "broker.rack": String, null, Any, Medium, ReadOnly,
        "Rack of this broker, for placement of replicas and for reading from the nearest one.";
    "connection.failed.authentication.delay.ms": Int, "100", AtLeast(0), Low, ReadOnly,
        "How long the close of a connection is delayed after failed authentication.";
    "connections.max.idle.ms": Long, "600000", Any, Medium, ReadOnly,
        "Idle time after which a connection is closed.";
    "controlled.shutdown.enable": Boolean, "true", Any, Medium, ReadOnly,
        "Whether leadership is moved away before a node stops.";
    "early.start.listeners": List, null, UniqueList, High, ReadOnly,
        "Listeners that accept connections before the node has caught up; those of the controller if not given.";
    "fetch.max.bytes": Int, "57671680", AtLeast(1024), Medium, ReadOnly,
        "Most bytes answered to one fetch.";
    "fetch.purgatory.purge.interval.requests": Int, "1000", Any, Medium, ReadOnly,
        "Finished fetches after which the waiting list is swept.";
    "inter.broker.listener.name": String, null, Any, Medium, ReadOnly,
        "Listener over which brokers talk to each other.";
    "kafka.metrics.polling.interval.secs": Int, "10", AtLeast(1), Low, ReadOnly,
        "How often classes in kafka.metrics.reporters are asked.";
    "kafka.metrics.reporters": List, "", UniqueList, Low, ReadOnly,
        "Classes that report the older kind of metrics.";
    "leader.imbalance.check.interval.seconds": Long, "300", AtLeast(1), High, ReadOnly,
        "How often the controller checks whether leaders are where they should be.";
    "listener.security.protocol.map": String,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, Low, PerBroker,
        "Security protocol of each listener name.";
    "listeners": List, "PLAINTEXT://:9092", NonEmptyList, High, PerBroker,
        "Addresses on which connections are accepted.";
    "max.connection.creation.rate": Int, "2147483647", AtLeast(0), Medium, ClusterWide,
        "New connections that are accepted a second.";
    "max.connections": Int, "2147483647", AtLeast(0), Medium, ClusterWide,
        "Open connections that are allowed.";
    "max.connections.per.ip": Int, "2147483647", AtLeast(0), Medium, ClusterWide,
        "Open connections that are allowed from one address.";
    "max.connections.per.ip.overrides": String, "", Any, Medium, ClusterWide,
        "Addresses with a limit of their own, as address:count pairs.";
    "max.incremental.fetch.session.cache.slots": Int, "1000", AtLeast(0), Medium, ReadOnly,
        "Fetch sessions that are kept in all.";
    "max.request.partition.size.limit": Int, "2000", AtLeast(1), Medium, ReadOnly,
        "Most partitions that one DescribeTopicPartitions answers.";
    "metric.reporters": List, "org.apache.kafka.common.metrics.JmxReporter", UniqueList, Low, ClusterWide,
        "Classes that report metrics.";
    "metrics.num.samples": Int, "2", AtLeast(1), Low, ReadOnly,
        "Samples that a metric is computed over.";
    "metrics.recording.level": String, "INFO", Any, Low, ReadOnly,
        "How detailed metrics are recorded.";
    "metrics.sample.window.ms": Long, "30000", AtLeast(1), Low, ReadOnly,
        "Time that one sample of a metric covers.";
    "num.io.threads": Int, "8", AtLeast(1), High, ClusterWide,
        "Threads that work on requests.";
    "num.network.threads": Int, "3", AtLeast(1), High, ClusterWide,
        "Threads per listener that read and write sockets.";
    "queued.max.request.bytes": Long, "-1", Any, Medium, ReadOnly,
        "Bytes of requests that may wait before sockets are no longer read; -1 is no limit.";
    "queued.max.requests": Int, "500", AtLeast(1), High, ReadOnly,
        "Requests that may wait before sockets are no longer read.";
    "request.timeout.ms": Int, "30000", Any, High, ReadOnly,
        "How long the node waits for the answer to a request of its own.";
    "socket.connection.setup.timeout.max.ms": Long, "30000", Any, Medium, ReadOnly,
        "Longest wait for a connection of the node's own to be set up.";
    "socket.connection.setup.timeout.ms": Long, "10000", Any, Medium, ReadOnly,
        "First wait for a connection of the node's own to be set up.";
    "socket.listen.backlog.size": Int, "50", AtLeast(1), Medium, ReadOnly,
        "Connections that may wait to be accepted.";
    "socket.receive.buffer.bytes": Int, "102400", Any, High, ReadOnly,
        "Receive buffer of a client's socket; -1 leaves it to the system.";
    "socket.request.max.bytes": Int, "104857600", AtLeast(1), High, ReadOnly,
        "Largest request that is read.";
    "socket.send.buffer.bytes": Int, "102400", Any, High, ReadOnly,
        "Send buffer of a client's socket; -1 leaves it to the system.";
    "telemetry.max.bytes": Int, "1048576", AtLeast(1), Low, ReadOnly,
        "Largest push of client metrics (KIP-714).";
    "alter.log.dirs.replication.quota.window.num": Int, "11", AtLeast(1), Low, ReadOnly,
        "Windows over which throttling of moves between log directories is measured.";
    "alter.log.dirs.replication.quota.window.size.seconds": Int, "1", AtLeast(1), Low, ReadOnly,
        "Length of a window for throttling of moves between log directories.";
    "client.quota.callback.class": Class, null, Any, Low, ReadOnly,
        "Class that decides on client quotas.";
    "controller.quota.window.num": Int, "11", AtLeast(1), Low, ReadOnly,
        "Windows over which quotas on controller mutations are measured.";
    "controller.quota.window.size.seconds": Int, "1", AtLeast(1), Low, ReadOnly,
        "Length of a window for quotas on controller mutations.";
    "follower.replication.throttled.rate": Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide,
        "Bytes a second that a follower fetches for throttled replicas.";
    "leader.replication.throttled.rate": Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide,
        "Bytes a second that a leader sends for throttled replicas.";
    "quota.window.num": Int, "11", AtLeast(1), Low, ReadOnly,
        "Windows over which client quotas are measured.";
    "quota.window.size.seconds": Int, "1", AtLeast(1), Low, ReadOnly,
        "Length of a window for client quotas.";
    "replica.alter.log.dirs.io.max.bytes.per.second": Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide,
        "Bytes a second that are moved between log directories.";
    "replication.quota.window.num": Int, "11", AtLeast(1), Low, ReadOnly,
        "Windows over which replication throttling is measured.";
    "replication.quota.window.size.seconds": Int, "1", AtLeast(1), Low, ReadOnly,
        "Length of a window for replication throttling.";
}
