//! One file per API: what a request means here. Handlers authorise, ask, translate; they decide nothing.

pub(crate) mod refusal;
pub(crate) mod table;

// STUB mod alter_configs;
mod api_versions;
// STUB mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
// STUB mod delete_topics;
mod describe_acls;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
// STUB mod elect_leaders;
mod fetch;
mod find_coordinator;
mod heartbeat;
// STUB mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
