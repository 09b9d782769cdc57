//! Keys of client metrics subscriptions (KIP-714).

use super::definition::{Definition, definitions};

definitions! { CLIENT_METRICS
    "interval.ms": Int, "300000", Between(100, 3_600_000), Medium, ClusterWide,
        "How often clients push their metrics.";
    "match": List, "", Any, Medium, ClusterWide,
        "Which clients the subscription is for: property=pattern items that must all match; empty is every client.";
    "metrics": List, "", Any, Medium, ClusterWide,
        "Prefixes of the metrics that are asked for; * is every metric.";
}

/// The properties of a client that a `match` may name.
pub const MATCHED_PROPERTIES: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];
