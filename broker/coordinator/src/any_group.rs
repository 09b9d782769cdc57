//! What groups of all kinds have in common.

use crate::{CoordinatorRecord, classic::ClassicGroup, consumer::ConsumerGroup, groups::Groups, record};
use ottla_protocol::Str;

/// A group of any kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnyGroup<'a> {
    Classic(&'a ClassicGroup),
    Consumer(&'a ConsumerGroup),
}

impl<'a> AnyGroup<'a> {
    pub(crate) fn id(self) -> &'a Str {
        match self {
            Self::Classic(group) => &group.id,
            Self::Consumer(group) => &group.id,
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// The records that take all of it away but its offsets.
    pub(crate) fn tombstones(self) -> Vec<CoordinatorRecord> {
        match self {
            Self::Classic(group) => vec![record::group_tombstone(&group.id)],
            Self::Consumer(group) => group.tombstones(),
        }
    }

    /// Whether offsets of `topic` are in use.
    pub(crate) fn is_subscribed_to(self, topic: &Str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
        }
    }
}

impl Groups {
    pub(crate) fn group(&self, id: &Str) -> Option<AnyGroup<'_>> {
        let classic = self.classic.get(id).map(AnyGroup::Classic);
        classic.or_else(|| self.consumer.get(id).map(AnyGroup::Consumer))
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = AnyGroup<'_>> {
        let classic = self.classic.values().map(AnyGroup::Classic);
        classic.chain(self.consumer.values().map(AnyGroup::Consumer))
    }
}
