//! The names of partition directories.
//!
//! | name | what it is |
//! |---|---|
//! | `topic-0` | the log of a partition |
//! | `topic-0.<32 hex digits>-delete` | of a deleted topic, to be removed |
//! | `topic-0.<32 hex digits>-future` | a log that is being moved here from another directory |
//! | `topic-0.<32 hex digits>-stray` | of a partition that this node should not have; kept for a human to look at |

use std::sync::Arc;

use ottla_protocol::ids::Uuid;

/// A file name may not be longer than this.
const NAME_BYTES_MAX: usize = 255;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Number of the partition.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition of that number.
    pub fn new(topic: &str, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }

    /// Name of the directory with its log.
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// The partition whose log has this directory name.
    pub fn parse_dir_name(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        let is_number = !partition.is_empty() && partition.bytes().all(|digit| digit.is_ascii_digit());
        if topic.is_empty() || !is_number {
            return None;
        }
        Some(Self::new(topic, partition.parse().ok()?))
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a partition's directory is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirKind {
    /// A log in use.
    Current,
    /// A copy that is to become the log in use.
    Future,
    /// Of a partition that this node should not have.
    Stray,
    /// To be removed.
    Deleted,
}

/// The kind of a directory and its partition. The topic of a deleted one may be cut short. `None` for a name that is no
/// partition's.
pub(crate) fn parse(name: &str) -> Option<(DirKind, TopicPartition)> {
    let kinds = [
        (DirKind::Deleted, "-delete"),
        (DirKind::Future, "-future"),
        (DirKind::Stray, "-stray"),
    ];
    for (kind, suffix) in kinds {
        if let Some(rest) = name.strip_suffix(suffix)
            && let Some((partition, unique)) = rest.rsplit_once('.')
            && unique.len() == 32
            && unique.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return Some((kind, TopicPartition::parse_dir_name(partition)?));
        }
    }
    Some((DirKind::Current, TopicPartition::parse_dir_name(name)?))
}

fn suffix(partition: i32, unique: Uuid, kind: &str) -> String {
    format!("-{partition}.{:032x}-{kind}", u128::from_be_bytes(unique.0))
}

/// The name of the directory in which a copy of a partition's log grows; `None` where it would be longer than a file
/// name may be.
pub(super) fn future(partition: &TopicPartition, unique: Uuid) -> Option<String> {
    let name = format!("{}{}", partition.topic, suffix(partition.partition, unique, "future"));
    (name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// The name of a directory that is kept for a human to look at; a long one loses the end of its topic.
pub(super) fn stray(partition: &TopicPartition, unique: Uuid) -> String {
    shortened(partition, &suffix(partition.partition, unique, "stray"))
}

/// The name of a partition's directory once its topic is deleted; `unique` keeps it from meeting another one's.
pub(super) fn deleted(partition: &TopicPartition, unique: Uuid) -> String {
    shortened(partition, &suffix(partition.partition, unique, "delete"))
}

fn shortened(partition: &TopicPartition, suffix: &str) -> String {
    // Topic names are ASCII.
    let topic = partition
        .topic
        .get(..NAME_BYTES_MAX - suffix.len())
        .unwrap_or(&partition.topic);
    format!("{topic}{suffix}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_partition_and_what_for() {
        let of =
            |name: &str| parse(name).map(|(kind, partition)| (kind, partition.topic.to_string(), partition.partition));
        assert_eq!(of("orders-3"), Some((DirKind::Current, "orders".into(), 3)));
        assert_eq!(of("a-b.c-0"), Some((DirKind::Current, "a-b.c".into(), 0)));
        assert_eq!(of("x-delete-1"), Some((DirKind::Current, "x-delete".into(), 1)));
        let unique = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            of(&format!("a.b-1.{unique}-delete")),
            Some((DirKind::Deleted, "a.b".into(), 1))
        );
        assert_eq!(
            of(&format!("a.b-1.{unique}-future")),
            Some((DirKind::Future, "a.b".into(), 1))
        );
        assert_eq!(
            of(&format!("a.b-1.{unique}-stray")),
            Some((DirKind::Stray, "a.b".into(), 1))
        );
        for name in [
            "orders",
            "-1",
            "orders-",
            "orders-x",
            "orders-1.delete",
            "lost+found",
            "orders--1x",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn a_copy_has_a_name_if_the_file_system_has_room_for_it() {
        let short = future(&TopicPartition::new("t", 3), Uuid([0xab; 16])).unwrap();
        assert_eq!(short, format!("t-3.{}-future", "ab".repeat(16)));
        assert_eq!(parse(&short), Some((DirKind::Future, TopicPartition::new("t", 3))));
        assert_eq!(future(&TopicPartition::new(&"t".repeat(249), 3), Uuid::ZERO), None);
        let stray = stray(&TopicPartition::new("t", 3), Uuid([0xab; 16]));
        assert_eq!(parse(&stray), Some((DirKind::Stray, TopicPartition::new("t", 3))));
    }

    #[test]
    fn the_name_of_a_deleted_directory_fits_the_file_system() {
        let long = TopicPartition::new(&"t".repeat(249), 12345);
        let name = deleted(&long, Uuid::METADATA_TOPIC);
        assert_eq!(name.len(), NAME_BYTES_MAX);
        assert_eq!(parse(&name).unwrap().0, DirKind::Deleted);
        assert_eq!(
            deleted(&TopicPartition::new("t", 0), Uuid::ZERO),
            format!("t-0.{}-delete", "0".repeat(32))
        );
    }
}
