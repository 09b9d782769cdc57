//! The file `quorum-state`: what this node must not forget about epochs and votes.
//!
//! One line of JSON, as Apache Kafka 4.4 writes it:
//! `{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}`.
//! Version 0 had no directory id and some keys more, which are passed over.

use ottla_protocol::ids::{LeaderEpoch, NodeId, Uuid};

/// What a node has promised or learned in its latest epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The latest epoch that this node has seen.
    pub leader_epoch: LeaderEpoch,
    /// Its leader, [`NodeId::NONE`] if that is not known.
    pub leader_id: NodeId,
    /// Whom this node gave its vote in this epoch, [`NodeId::NONE`] for nobody. A leader has no use for it.
    pub voted_id: NodeId,
    /// The directory of that voter.
    pub voted_directory_id: Uuid,
}

/// The content of `quorum-state` is not what Kafka writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quorum-state has no valid \"{0}\"")]
pub struct MalformedQuorumState(pub &'static str);

impl QuorumState {
    /// The state of a node that leads.
    pub const fn leader(id: NodeId, epoch: LeaderEpoch) -> Self {
        Self {
            leader_epoch: epoch,
            leader_id: id,
            voted_id: NodeId::NONE,
            voted_directory_id: Uuid::ZERO,
        }
    }

    /// The content of the file.
    pub fn to_json(&self) -> String {
        format!(
            r#"{{"leaderId":{},"leaderEpoch":{},"votedId":{},"votedDirectoryId":"{}","data_version":1}}"#,
            self.leader_id, self.leader_epoch, self.voted_id, self.voted_directory_id
        )
    }

    /// Reads the content of the file.
    ///
    /// # Errors
    /// A key is missing or has no value of its type. What is missing is named.
    pub fn from_json(text: &str) -> Result<Self, MalformedQuorumState> {
        let number = |key| {
            let digits = value_of(text, key).map(|rest| {
                let end = rest.find(|letter: char| letter != '-' && !letter.is_ascii_digit());
                &rest[..end.unwrap_or(rest.len())]
            });
            digits
                .and_then(|digits| digits.parse::<i32>().ok())
                .ok_or(MalformedQuorumState(key))
        };
        let voted_directory_id = match number("data_version")? {
            0 => Uuid::ZERO,
            _ => {
                let key = "votedDirectoryId";
                let quoted = value_of(text, key).and_then(|rest| rest.strip_prefix('"')?.split_once('"'));
                quoted
                    .and_then(|(id, _)| Uuid::parse(id))
                    .ok_or(MalformedQuorumState(key))?
            }
        };
        Ok(Self {
            leader_epoch: LeaderEpoch(number("leaderEpoch")?),
            leader_id: NodeId(number("leaderId")?),
            voted_id: NodeId(number("votedId")?),
            voted_directory_id,
        })
    }
}

/// What follows the colon of a key. No value of this file contains a quoted key.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\"{key}\""))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_kafka_4_4_is_read_and_written_alike() {
        let apache = r#"{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        let state = QuorumState::leader(NodeId(1), LeaderEpoch(2));
        assert_eq!(QuorumState::from_json(apache), Ok(state));
        assert_eq!(state.to_json(), apache);
    }

    #[test]
    fn a_vote_comes_back() {
        let state = QuorumState {
            leader_epoch: LeaderEpoch(7),
            leader_id: NodeId::NONE,
            voted_id: NodeId(3),
            voted_directory_id: Uuid([5; 16]),
        };
        assert_eq!(QuorumState::from_json(&state.to_json()), Ok(state));
    }

    #[test]
    fn an_older_file_is_read() {
        let old = r#"{ "clusterId": "", "leaderId": 1, "leaderEpoch": 4, "votedId": -1, "appliedOffset": 0,
            "currentVoters": [{"voterId": 1}], "data_version": 0 }"#;
        assert_eq!(
            QuorumState::from_json(old),
            Ok(QuorumState::leader(NodeId(1), LeaderEpoch(4)))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(QuorumState::from_json(""), Err(MalformedQuorumState("data_version")));
        let cut = r#"{"leaderId":1,"leaderEpoch":x,"votedId":-1,"data_version":0}"#;
        assert_eq!(QuorumState::from_json(cut), Err(MalformedQuorumState("leaderEpoch")));
    }
}
