//! Broker keys for the node itself, the quorum and the metadata log.

use crate::config::definition::{Definition, definitions};

definitions! { QUORUM
    "alter.config.policy.class.name": Class, null, Any, Low, ReadOnly,
        "Class that may refuse changes of configs.";
    "broker.heartbeat.interval.ms": Int, "2000", Any, Medium, ReadOnly,
        "How often a broker sends heartbeats to the controller.";
    "broker.id": Int, "-1", Any, High, ReadOnly,
        "Older name of node.id.";
    "broker.session.timeout.ms": Int, "9000", Any, Medium, ReadOnly,
        "Silence after which the controller fences a broker.";
    "config.providers": List, "", UniqueList, Low, ClusterWide,
        "Providers from which values of configs can be taken.";
    "controller.listener.names": List, null, NonEmptyList, High, ReadOnly,
        "Listeners of the controller.";
    "controller.quorum.append.linger.ms": Int, "25", AtLeast(0), Medium, ReadOnly,
        "How long the quorum's leader gathers records before it writes them.";
    "controller.quorum.auto.join.enable": Boolean, "false", Any, Low, ReadOnly,
        "Whether a controller adds itself to the voters.";
    "controller.quorum.bootstrap.servers": List, "", Servers, High, ReadOnly,
        "Addresses at which the quorum is first looked for.";
    "controller.quorum.election.backoff.max.ms": Int, "1000", AtLeast(0), High, ReadOnly,
        "Longest wait between two elections that had no winner.";
    "controller.quorum.election.timeout.ms": Int, "1000", AtLeast(0), High, ReadOnly,
        "Time without a leader after which an election starts.";
    "controller.quorum.fetch.max.bytes": Int, "1048576", AtLeast(1), Low, ReadOnly,
        "Most bytes fetched at once from the metadata log.";
    "controller.quorum.fetch.snapshot.max.bytes": Int, "1048576", AtLeast(1), Low, ReadOnly,
        "Most bytes fetched at once from a metadata snapshot.";
    "controller.quorum.fetch.timeout.ms": Int, "2000", AtLeast(0), High, ReadOnly,
        "Time without a fetch from the leader after which a voter stands for election.";
    "controller.quorum.request.timeout.ms": Int, "2000", AtLeast(0), Medium, ReadOnly,
        "How long a node waits for an answer within the quorum.";
    "controller.quorum.retry.backoff.ms": Int, "20", AtLeast(0), Low, ReadOnly,
        "Wait before a request within the quorum is tried again.";
    "controller.quorum.voters": List, "", Voters, High, ReadOnly,
        "The fixed voters of an older quorum, as id@host:port.";
    "controller.socket.timeout.ms": Int, "30000", Any, Medium, ReadOnly,
        "How long a broker waits for the controller's answer.";
    "create.topic.policy.class.name": Class, null, Any, Low, ReadOnly,
        "Class that may refuse new topics.";
    "initial.broker.registration.timeout.ms": Int, "60000", Any, Medium, ReadOnly,
        "How long a starting broker tries to register.";
    "metadata.log.dir": String, null, Any, High, ReadOnly,
        "Directory of the metadata log; the first of log.dirs if not given.";
    "metadata.log.max.record.bytes.between.snapshots": Long, "20971520", AtLeast(1), High, ReadOnly,
        "Bytes of metadata records after which a snapshot is written.";
    "metadata.log.max.snapshot.interval.ms": Long, "3600000", AtLeast(0), High, ReadOnly,
        "Time after which a snapshot is written if there are new records; 0 is never.";
    "metadata.log.segment.bytes": Int, "1073741824", AtLeast(8_388_608), High, ReadOnly,
        "Size at which a segment of the metadata log is closed.";
    "metadata.log.segment.ms": Long, "604800000", Any, High, ReadOnly,
        "Age at which a segment of the metadata log is closed.";
    "metadata.max.idle.interval.ms": Int, "500", AtLeast(0), Low, ReadOnly,
        "How often the controller writes a no-op record while nothing happens; 0 is never.";
    "metadata.max.retention.bytes": Long, "104857600", Any, High, ReadOnly,
        "Size of metadata log and snapshots above which old ones are deleted.";
    "metadata.max.retention.ms": Long, "604800000", Any, High, ReadOnly,
        "Age above which metadata segments and snapshots are deleted.";
    "node.id": Int, null, AtLeast(0), High, ReadOnly,
        "Id of this node.";
    "process.roles": List, null, NonEmptyListOf(&["broker", "controller"]), High, ReadOnly,
        "What this node is: broker, controller or both.";
}
