//! Which brokers get the replicas of new partitions.
//!
//! Replicas go round racks first and round the brokers of a rack second, both from a random start that moves by one
//! with each partition; so leaders and replicas spread evenly. Every partition starts with a broker that is not fenced,
//! and fenced ones are taken only when there are no others.

use super::random::Random;
use crate::image::{BrokerRegistration, BrokersImage};
use ottla_protocol::{Str, ids::NodeId};
use std::collections::BTreeMap;

/// Why there is no place for new partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// More replicas than brokers.
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {usable} broker(s) are registered \
         or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers {
        /// The replicas of a partition.
        wanted: usize,
        /// The brokers that may get one.
        usable: usize,
    },
    /// Nobody could lead.
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    AllFenced,
}

/// One rack: its brokers, those that can lead first, each group from its own random start.
struct Rack {
    unfenced: Vec<NodeId>,
    fenced: Vec<NodeId>,
}

impl Rack {
    fn new<'a>(brokers: impl Iterator<Item = &'a BrokerRegistration>, random: &mut Random) -> Self {
        let (mut fenced, mut unfenced) = (Vec::new(), Vec::new());
        for broker in brokers {
            if broker.is_fenced {
                fenced.push(broker.id)
            } else {
                unfenced.push(broker.id)
            }
        }
        for group in [&mut fenced, &mut unfenced] {
            let start = random.below(group.len());
            group.rotate_left(start);
        }
        Self { unfenced, fenced }
    }

    /// The brokers of this rack in the order in which the partition `turn` takes them.
    fn order(&self, turn: usize) -> impl Iterator<Item = NodeId> {
        let rotated = |group: &[NodeId]| {
            let mut group = group.to_vec();
            if !group.is_empty() {
                let start = turn % group.len();
                group.rotate_left(start);
            }
            group
        };
        rotated(&self.unfenced).into_iter().chain(rotated(&self.fenced))
    }
}

/// The replicas of `partition_count` new partitions, `replica_count` for each, the first of each to lead.
///
/// # Errors
/// There are fewer brokers than replicas, or none that could lead.
pub(super) fn place(
    brokers: &BrokersImage,
    partition_count: usize,
    replica_count: usize,
    random: &mut Random,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let usable: Vec<_> = brokers
        .iter()
        .filter(|broker| broker.has_uncordoned_directory())
        .collect();
    if usable.iter().all(|broker| broker.is_fenced) {
        return Err(PlacementError::AllFenced);
    }
    if replica_count > usable.len() {
        return Err(PlacementError::TooFewBrokers {
            wanted: replica_count,
            usable: usable.len(),
        });
    }
    let mut by_rack: BTreeMap<Option<&Str>, Vec<&BrokerRegistration>> = BTreeMap::new();
    for broker in &usable {
        by_rack.entry(broker.rack.as_ref()).or_default().push(broker);
    }
    let mut racks: Vec<_> = by_rack
        .into_values()
        .map(|group| Rack::new(group.into_iter(), random))
        .collect();
    let start = random.below(racks.len());
    racks.rotate_left(start);
    Ok((0..partition_count)
        .map(|turn| place_one(&racks, turn, replica_count))
        .collect())
}

fn place_one(racks: &[Rack], turn: usize, replica_count: usize) -> Vec<NodeId> {
    // A rack's brokers move on by one only once every rack had its turn as the first.
    let step = turn / racks.len() + turn % racks.len();
    let mut orders: Vec<_> = racks
        .iter()
        .map(|rack| rack.order(step).collect::<Vec<_>>().into_iter())
        .collect();
    let round = |offset: usize| (turn + offset) % racks.len();
    let first_rack = (0..racks.len())
        .map(round)
        .find(|rack| !racks[*rack].unfenced.is_empty());
    let first_rack = first_rack.expect("some broker is not fenced");
    let mut replicas: Vec<_> = orders[first_rack].next().into_iter().collect();
    let mut rack = first_rack;
    while replicas.len() < replica_count {
        rack = (rack + 1) % racks.len();
        replicas.extend(orders[rack].next());
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MetadataImage;
    use ottla_protocol::{ids::Uuid, messages::RegisterBrokerRecord};

    fn image(brokers: &[(i32, Option<&str>, bool)]) -> MetadataImage {
        let record = |(id, rack, fenced): &(i32, Option<&str>, bool)| {
            let record = RegisterBrokerRecord {
                broker_id: *id,
                rack: rack.map(Str::from),
                fenced: *fenced,
                log_dirs: vec![Uuid([9; 16])],
                ..Default::default()
            };
            record.into()
        };
        MetadataImage::replay(&brokers.iter().map(record).collect::<Vec<_>>())
    }

    fn placed(image: &MetadataImage, partitions: usize, replicas: usize) -> Vec<Vec<i32>> {
        let placed = place(image.brokers(), partitions, replicas, &mut Random::new([5; 32])).expect("there is room");
        placed
            .into_iter()
            .map(|ids| ids.into_iter().map(|id| id.0).collect())
            .collect()
    }

    #[test]
    fn leaders_and_replicas_spread_evenly() {
        let image = image(&[(0, None, false), (1, None, false), (2, None, false)]);
        let placed = placed(&image, 6, 2);
        for broker in 0..3 {
            let leads = placed.iter().filter(|replicas| replicas[0] == broker).count();
            let holds = placed.iter().filter(|replicas| replicas.contains(&broker)).count();
            assert_eq!((leads, holds), (2, 4), "{placed:?}");
        }
    }

    #[test]
    fn replicas_of_a_partition_lie_in_different_racks() {
        let brokers = [
            (0, Some("a"), false),
            (1, Some("a"), false),
            (2, Some("b"), false),
            (3, Some("b"), false),
        ];
        for replicas in placed(&image(&brokers), 20, 2) {
            assert_ne!(replicas[0] / 2, replicas[1] / 2, "{replicas:?}");
        }
    }

    #[test]
    fn a_fenced_broker_never_leads_a_new_partition() {
        let image = image(&[(0, Some("a"), true), (1, Some("b"), false), (2, Some("b"), true)]);
        for replicas in placed(&image, 20, 3) {
            assert_eq!(replicas[0], 1, "{replicas:?}");
            assert_eq!(replicas.iter().sum::<i32>(), 3, "{replicas:?}");
        }
    }

    #[test]
    fn too_many_replicas_and_fenced_brokers_are_refused() {
        let one = image(&[(0, None, false)]);
        let refusal = place(one.brokers(), 1, 2, &mut Random::new([1; 32]));
        assert_eq!(refusal, Err(PlacementError::TooFewBrokers { wanted: 2, usable: 1 }));
        let fenced = image(&[(0, None, true)]);
        assert_eq!(
            place(fenced.brokers(), 1, 1, &mut Random::new([1; 32])),
            Err(PlacementError::AllFenced)
        );
    }
}
