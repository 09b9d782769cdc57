//! Who may vote (KIP-853).

use ottla_protocol::{
    Str,
    ids::{NodeId, Uuid},
    messages::{
        VotersRecord,
        voters_record::{self, KRaftVersionFeature},
    },
};

/// The version of the quorum's own protocol that is written: with dynamic voters and directory ids.
pub const KRAFT_VERSION: i16 = 1;

/// Where a voter can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// The controller listener's name.
    pub listener: Str,
    /// The host.
    pub host: Str,
    /// The port.
    pub port: u16,
}

/// One voter. The same node with another directory is another voter: it has lost its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub id: NodeId,
    /// The directory in which it keeps the metadata log.
    pub directory_id: Uuid,
    /// Where it can be reached.
    pub endpoints: Vec<VoterEndpoint>,
}

impl Voter {
    /// Whether both are the same node with the same directory.
    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.directory_id == other.directory_id
    }
}

/// The voters of a quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet {
    voters: Vec<Voter>,
}

impl VoterSet {
    /// A quorum of one.
    pub fn of_one(voter: Voter) -> Self {
        Self { voters: vec![voter] }
    }

    /// Every voter, in the order of the record.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.voters.iter()
    }

    /// Whether `voter` alone decides.
    pub fn is_only(&self, voter: &Voter) -> bool {
        matches!(self.voters.as_slice(), [only] if only.is_same(voter))
    }

    /// The set that a record of the log or of a snapshot names.
    pub fn from_record(record: &VotersRecord) -> Self {
        let endpoint = |endpoint: &voters_record::Endpoint| VoterEndpoint {
            listener: endpoint.name.detached(),
            host: endpoint.host.detached(),
            port: endpoint.port,
        };
        let voter = |voter: &voters_record::Voter| Voter {
            id: NodeId(voter.voter_id),
            directory_id: voter.voter_directory_id,
            endpoints: voter.endpoints.iter().map(endpoint).collect(),
        };
        Self {
            voters: record.voters.iter().map(voter).collect(),
        }
    }

    /// The record that names this set.
    pub fn to_record(&self) -> VotersRecord {
        let endpoint = |endpoint: &VoterEndpoint| voters_record::Endpoint {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        };
        let voter = |voter: &Voter| voters_record::Voter {
            voter_id: voter.id.0,
            voter_directory_id: voter.directory_id,
            endpoints: voter.endpoints.iter().map(endpoint).collect(),
            k_raft_version_feature: KRaftVersionFeature {
                min_supported_version: 0,
                max_supported_version: KRAFT_VERSION,
            },
        };
        VotersRecord {
            version: 0,
            voters: self.voters.iter().map(voter).collect(),
        }
    }
}

#[cfg(test)]
pub(super) fn test_voter() -> Voter {
    Voter {
        id: NodeId(1),
        directory_id: Uuid([9; 16]),
        endpoints: vec![VoterEndpoint {
            listener: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back_from_its_record() {
        let set = VoterSet::of_one(test_voter());
        assert_eq!(VoterSet::from_record(&set.to_record()), set);
    }

    #[test]
    fn a_node_with_another_directory_is_another_voter() {
        let set = VoterSet::of_one(test_voter());
        assert!(set.is_only(&test_voter()));
        assert!(!set.is_only(&Voter {
            directory_id: Uuid([8; 16]),
            ..test_voter()
        }));
    }
}
