//! What is refused by looking at the request alone.
//!
//! Apache Kafka answers these before it asks who coordinates the group, so that a client with a wrong setting hears
//! what is wrong and does not look for another coordinator for ever.

use crate::config::{GroupsConfig, MAX_NAME_BYTES};
use ottla_protocol::{ErrorCode, messages::JoinGroupRequest};

/// Whether members may form a group of this name. Offsets alone may be kept under the empty name too.
///
/// # Errors
/// INVALID_GROUP_ID.
pub fn check_group_id(group_id: &str) -> Result<(), ErrorCode> {
    match group_id.len() {
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(ErrorCode::InvalidGroupId),
    }
}

/// Whether a JoinGroup makes sense whatever the group's state.
///
/// # Errors
/// INVALID_GROUP_ID, then INVALID_SESSION_TIMEOUT.
pub fn check_join_group(request: &JoinGroupRequest, config: &GroupsConfig) -> Result<(), ErrorCode> {
    check_group_id(&request.group_id)?;
    let accepted = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    match accepted.contains(&request.session_timeout_ms) {
        true => Ok(()),
        false => Err(ErrorCode::InvalidSessionTimeout),
    }
}
