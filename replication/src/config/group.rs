//! Keys of groups (KIP-848, KIP-932, KIP-1071), and the broker keys that set their defaults.

use super::definition::{Definition, definitions};

/// The broker key that the group key `name` falls back to.
pub fn broker_synonym(name: &str) -> Option<String> {
    const WITHOUT: [&str; 3] = [
        "share.auto.offset.reset",
        "share.isolation.level",
        "share.renew.acknowledge.enable",
    ];
    if name == "streams.assignor.name" {
        return Some("group.streams.assignors".to_owned());
    }
    let has_one = ["consumer.", "share.", "streams."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    (has_one && !WITHOUT.contains(&name)).then(|| format!("group.{name}"))
}

definitions! { GROUP
    "consumer.assignment.interval.ms": Int, "1000", AtLeast(0), Medium, ClusterWide,
        "Least time between two target assignments of a consumer group.";
    "consumer.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ClusterWide,
        "How often members of a consumer group send heartbeats.";
    "consumer.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ClusterWide,
        "Silence after which a member of a consumer group is removed.";
    "errors.deadletterqueue.copy.record.enable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether the dead letter queue gets the record itself besides headers on what failed.";
    "errors.deadletterqueue.topic.name": String, "", Any, Medium, ClusterWide,
        "Topic that gets the records that a share group gave up on; empty for none.";
    "share.assignment.interval.ms": Int, "1000", AtLeast(0), Medium, ClusterWide,
        "Least time between two target assignments of a share group.";
    "share.auto.offset.reset": String, "latest", OffsetReset, Medium, ClusterWide,
        "Where a share group starts in a new partition: latest, earliest or by_duration:<ISO 8601 duration>.";
    "share.delivery.count.limit": Int, "5", AtLeast(2), Medium, ClusterWide,
        "How often a share group delivers a record before giving up on it.";
    "share.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ClusterWide,
        "How often members of a share group send heartbeats.";
    "share.isolation.level": String,
        "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), Medium, ClusterWide,
        "Whether a share group sees records of open and aborted transactions.";
    "share.partition.max.record.locks": Int, "2000", AtLeast(100), Medium, ClusterWide,
        "Most records of one partition that a share group holds acquired at a time.";
    "share.record.lock.duration.ms": Int, "30000", AtLeast(1000), Medium, ClusterWide,
        "How long a member of a share group may hold an acquired record.";
    "share.renew.acknowledge.enable": Boolean, "true", Any, Medium, ClusterWide,
        "Whether a member of a share group may renew its hold on a record.";
    "share.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ClusterWide,
        "Silence after which a member of a share group is removed.";
    "streams.assignment.interval.ms": Int, "1000", AtLeast(0), Medium, ClusterWide,
        "Least time between two target assignments of a streams group.";
    "streams.assignor.name": String, null, Any, Medium, ClusterWide,
        "Assignor of a streams group; null lets the broker choose.";
    "streams.heartbeat.interval.ms": Int, "5000", AtLeast(1), Medium, ClusterWide,
        "How often members of a streams group send heartbeats.";
    "streams.initial.rebalance.delay.ms": Int, "3000", AtLeast(0), Medium, ClusterWide,
        "How long a new streams group waits for further members before its first assignment.";
    "streams.num.standby.replicas": Int, "0", AtLeast(0), Medium, ClusterWide,
        "Standby copies of each stateful task of a streams group.";
    "streams.rack.aware.assignment.tags": List, "", UniqueList, Low, ClusterWide,
        "Client tags over which a streams group spreads its standby tasks.";
    "streams.session.timeout.ms": Int, "45000", AtLeast(1), Medium, ClusterWide,
        "Silence after which a member of a streams group is removed.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigScope, definition};

    #[test]
    fn the_broker_keys_behind_group_keys_are_known() {
        for key in GROUP {
            if let Some(broker_key) = broker_synonym(key.name) {
                assert!(definition(ConfigScope::Broker, &broker_key).is_some(), "{broker_key}");
            }
        }
    }
}
