//! Broker keys for transactions.

use crate::config::definition::{Definition, definitions};

definitions! { TRANSACTIONS
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int, "10000", AtLeast(1), Low, ReadOnly,
        "How often transactions past their timeout are looked for.";
    "transaction.max.timeout.ms": Int, "900000", AtLeast(1), High, ReadOnly,
        "Longest timeout that a transactional producer may ask for.";
    "transaction.partition.verification.enable": Boolean, "true", Any, Low, ClusterWide,
        "Whether a broker asks the coordinator if a partition belongs to a transaction before it appends.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int, "3600000", AtLeast(1), Low, ReadOnly,
        "How often expired transactional ids are looked for.";
    "transaction.state.log.load.buffer.size": Int, "5242880", AtLeast(1), High, ReadOnly,
        "Bytes read at once while transactions are loaded.";
    "transaction.state.log.min.isr": Int, "2", AtLeast(1), High, ReadOnly,
        "In-sync replicas that __transaction_state needs.";
    "transaction.state.log.num.partitions": Int, "50", AtLeast(1), High, ReadOnly,
        "Partitions of __transaction_state.";
    "transaction.state.log.replication.factor": Short, "3", AtLeast(1), High, ReadOnly,
        "Replicas of __transaction_state.";
    "transaction.state.log.segment.bytes": Int, "104857600", AtLeast(1), High, ReadOnly,
        "Size at which a segment of __transaction_state is closed.";
    "transaction.two.phase.commit.enable": Boolean, "false", Any, Low, ReadOnly,
        "Whether producers may take part in two-phase commit (KIP-939).";
    "transactional.id.expiration.ms": Int, "604800000", AtLeast(1), High, ReadOnly,
        "Idle time after which a transactional id is forgotten.";
}
