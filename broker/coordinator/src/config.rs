//! The settings that decisions depend on.

use crate::assignor::Assignor;

/// `group.consumer.migration.policy` (KIP-848): which way a group that has members may change its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Neither way, and members of both protocols do not mix.
    Disabled,
    /// From the classic to the consumer protocol.
    Upgrade,
    /// From the consumer to the classic protocol.
    Downgrade,
    /// Both ways.
    Bidirectional,
}

impl MigrationPolicy {
    /// The policy that Kafka calls `name`, in any case of letters.
    pub fn by_name(name: &str) -> Option<Self> {
        let known = [
            ("disabled", Self::Disabled),
            ("upgrade", Self::Upgrade),
            ("downgrade", Self::Downgrade),
            ("bidirectional", Self::Bidirectional),
        ];
        let found = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, policy)| policy)
    }

    pub(crate) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    pub(crate) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

/// Settings of a coordinator; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members than its first.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the most members of a classic group.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`; counted in UTF-16 units, as Kafka does.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `group.consumer.max.size`: the most members of a consumer group.
    pub consumer_max_size: usize,
    /// `group.consumer.assignors`, the default first; those that are not known are left out.
    pub consumer_assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub consumer_migration_policy: MigrationPolicy,
    /// A bug for tests: partitions are given to a member although another one still has them.
    #[cfg(test)]
    pub(crate) gives_early: bool,
}

impl GroupsConfig {
    /// The assignor of consumer groups whose members do not ask for another one.
    pub(crate) fn default_assignor(&self) -> Assignor {
        self.consumer_assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

impl Default for GroupsConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            consumer_max_size: i32::MAX as usize,
            consumer_assignors: vec![Assignor::Uniform, Assignor::Range],
            consumer_migration_policy: MigrationPolicy::Bidirectional,
            #[cfg(test)]
            gives_early: false,
        }
    }
}

/// How long a JoinGroup of a member without an id may wait: it cannot send heartbeats. Kafka's figure.
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 300_000;

/// The most protocols a member may offer. Clients offer one to three.
pub(crate) const MAX_PROTOCOLS: usize = 128;

/// The most bytes that the metadata of a member's protocols may have together. Kafka bounds it by the size of the
/// group's record, `max.message.bytes`, which is 1 MiB for the whole group.
pub(crate) const MAX_MEMBER_METADATA_BYTES: usize = 1 << 20;

/// The most members of a group that were given an id and have not yet joined with it (KIP-394).
pub(crate) const MAX_PENDING_MEMBERS: usize = 10_000;

/// The most bytes of a name that goes into a record with 16-bit lengths; leaves room for a member id's UUID.
pub(crate) const MAX_NAME_BYTES: usize = 32_000;

/// The most topics that a member of a consumer group may name.
pub(crate) const MAX_SUBSCRIBED_TOPICS: usize = 100_000;

/// The least time between two looks at which topics a group's regular expressions match. Topics may be created in
/// quick succession, and each look goes through all names.
pub(crate) const REGEX_REFRESH_MIN_INTERVAL_MS: i64 = 1_000;
