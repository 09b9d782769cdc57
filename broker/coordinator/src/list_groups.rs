//! ListGroups.

use crate::{classic::ClassicGroup, groups::Groups};
use ottla_protocol::{Str, messages::list_groups_response::ListedGroup};

/// The type of all groups there are so far (KIP-848).
const CLASSIC: &str = "classic";

impl Groups {
    /// The groups of this coordinator in one of `states` and of one of `types`, each in any case of letters; no
    /// filter lets all pass, an unknown word none.
    pub fn list_groups(&self, states: &[Str], types: &[Str]) -> Vec<ListedGroup> {
        let is_wanted = |group: &&ClassicGroup| {
            let has_state = |word: &Str| word.trim().eq_ignore_ascii_case(group.state.name());
            let has_type = |word: &Str| word.eq_ignore_ascii_case(CLASSIC);
            (states.is_empty() || states.iter().any(has_state)) && (types.is_empty() || types.iter().any(has_type))
        };
        self.classic.values().filter(is_wanted).map(list_group).collect()
    }
}

fn list_group(group: &ClassicGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.id.clone(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        group_state: Str::from_static(group.state.name()),
        group_type: Str::from_static(CLASSIC),
    }
}
