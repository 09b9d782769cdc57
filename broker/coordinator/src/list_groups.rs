//! ListGroups.

use crate::{classic::ClassicGroup, consumer::ConsumerGroup, groups::Groups};
use ottla_protocol::{Str, messages::list_groups_response::ListedGroup};

/// The types of groups (KIP-848).
const CLASSIC: Str = Str::from_static("classic");
const CONSUMER: Str = Str::from_static("consumer");

/// The protocol type of every consumer group.
const CONSUMER_PROTOCOL: Str = Str::from_static("consumer");

impl Groups {
    /// The groups of this coordinator in one of `states` and of one of `types`, each in any case of letters; no
    /// filter lets all pass, an unknown word none.
    pub fn list_groups(&self, states: &[Str], types: &[Str]) -> Vec<ListedGroup> {
        let is_wanted = |group: &ListedGroup| {
            let has_state = |word: &Str| word.trim().eq_ignore_ascii_case(&group.group_state);
            let has_type = |word: &Str| word.eq_ignore_ascii_case(&group.group_type);
            (states.is_empty() || states.iter().any(has_state)) && (types.is_empty() || types.iter().any(has_type))
        };
        let classic = self.classic.values().map(list_classic);
        let consumer = self.consumer.values().map(list_consumer);
        classic.chain(consumer).filter(is_wanted).collect()
    }
}

fn list_classic(group: &ClassicGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.id.clone(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        group_state: Str::from_static(group.state.name()),
        group_type: CLASSIC,
    }
}

fn list_consumer(group: &ConsumerGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.id.clone(),
        protocol_type: CONSUMER_PROTOCOL,
        group_state: Str::from_static(group.state().name()),
        group_type: CONSUMER,
    }
}
