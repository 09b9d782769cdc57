//! A member of a KIP-848 group, without a connection, and what all of a group have together.
//!
//! It does what Kafka's own clients do: says what it has when that has changed, and at once; otherwise it says nothing,
//! and waits as long as the coordinator asks it to.

use anyhow::{bail, ensure};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_heartbeat_request::TopicPartitions,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The version of ConsumerGroupHeartbeat in which a client makes its own member id.
pub(crate) const VERSION: i16 = 1;
/// A member's epoch when it leaves.
const LEAVES: i32 = -1;
/// How long a member waits that was told to ask again.
const BACKOFF: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Member {
    number: usize,
    group: Str,
    topic: Str,
    epoch: i32,
    owned: BTreeMap<Uuid, BTreeSet<i32>>,
    /// Whether the coordinator has not heard yet what it has.
    has_news: bool,
}

impl Member {
    pub(crate) fn new(group: &str, topic: &str, number: usize) -> Self {
        Self {
            number,
            group: group.into(),
            topic: topic.into(),
            epoch: 0,
            owned: BTreeMap::new(),
            has_news: true,
        }
    }

    /// As long as those of Kafka's clients: 22 characters.
    pub(crate) fn id(&self) -> Str {
        format!("groups-member-{:08}", self.number).into()
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Any partition that it has.
    pub(crate) fn partition(&self) -> Option<i32> {
        self.owned.values().flatten().next().copied()
    }

    /// Its next heartbeat.
    pub(crate) fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let is_joining = self.epoch == 0;
        let owned = self.owned.iter().map(|(topic_id, partitions)| TopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.iter().copied().collect(),
        });
        ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if is_joining { 300_000 } else { -1 },
            subscribed_topic_names: is_joining.then(|| vec![self.topic.clone()]),
            topic_partitions: (is_joining || self.has_news).then(|| owned.collect()),
            ..Default::default()
        }
    }

    /// Gives up what it has; returns the heartbeat with which it leaves.
    pub(crate) fn leave(&mut self, board: &mut Board) -> anyhow::Result<ConsumerGroupHeartbeatRequest> {
        self.become_owner(0, BTreeMap::new(), board)?;
        Ok(ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id(),
            member_epoch: LEAVES,
            ..Default::default()
        })
    }

    /// Takes the answer; returns how long it waits until the next heartbeat.
    ///
    /// # Errors
    /// One that no member recovers from, or two had the same partition at once.
    pub(crate) fn take(
        &mut self,
        response: &ConsumerGroupHeartbeatResponse,
        board: &mut Board,
    ) -> anyhow::Result<Duration> {
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(
                ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator,
            ) => return Ok(BACKOFF),
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => {
                board.fenced += 1;
                self.become_owner(0, BTreeMap::new(), board)?;
                return Ok(Duration::ZERO);
            }
            code => bail!("a heartbeat is answered with {code:?}: {:?}", response.error_message),
        }
        // Joining says everything.
        self.has_news = false;
        let owned = match &response.assignment {
            None => self.owned.clone(),
            Some(assignment) => {
                self.has_news = true;
                let topics = assignment.topic_partitions.iter();
                topics
                    .map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect()))
                    .collect()
            }
        };
        self.become_owner(response.member_epoch, owned, board)?;
        Ok(match self.has_news {
            true => Duration::ZERO,
            false => Duration::from_millis(u64::try_from(response.heartbeat_interval_ms)?),
        })
    }

    fn become_owner(
        &mut self,
        epoch: i32,
        owned: BTreeMap<Uuid, BTreeSet<i32>>,
        board: &mut Board,
    ) -> anyhow::Result<()> {
        let of = |owned: &BTreeMap<Uuid, BTreeSet<i32>>| owned.values().flatten().copied().collect();
        let (before, after): (BTreeSet<i32>, BTreeSet<i32>) = (of(&self.owned), of(&owned));
        board.change((self.epoch, &before), (epoch, &after))?;
        (self.epoch, self.owned) = (epoch, owned);
        Ok(())
    }
}

/// What the members of a group have together.
#[derive(Debug)]
pub(crate) struct Board {
    members: usize,
    partitions: usize,
    owned: BTreeSet<i32>,
    /// How many members are in an epoch; those that have not joined are in none.
    epochs: BTreeMap<i32, usize>,
    /// How many members have fewer partitions than each can have.
    poor: usize,
    pub(crate) heartbeats: usize,
    pub(crate) fenced: usize,
}

impl Board {
    /// A group of which nobody has joined.
    pub(crate) fn new(members: usize, partitions: usize) -> Self {
        Self {
            members,
            partitions,
            owned: BTreeSet::new(),
            epochs: BTreeMap::new(),
            poor: members,
            heartbeats: 0,
            fenced: 0,
        }
    }

    /// The group has more to share.
    pub(crate) fn grow(&mut self, partitions: usize) {
        self.partitions = partitions;
        // Whoever has its share of the former partitions has too little of the new ones.
        self.poor = self.members;
    }

    fn change(
        &mut self,
        (epoch_before, before): (i32, &BTreeSet<i32>),
        (epoch, after): (i32, &BTreeSet<i32>),
    ) -> anyhow::Result<()> {
        for given_up in before.difference(after) {
            self.owned.remove(given_up);
        }
        for given in after.difference(before) {
            ensure!(self.owned.insert(*given), "partition {given} has two owners");
        }
        if let Some(count) = self.epochs.get_mut(&epoch_before) {
            *count -= 1;
            if *count == 0 {
                self.epochs.remove(&epoch_before);
            }
        }
        if epoch > 0 {
            *self.epochs.entry(epoch).or_default() += 1;
        }
        let share = self.partitions / self.members;
        match (before.len() < share, after.len() < share) {
            (true, false) => self.poor -= 1,
            (false, true) => self.poor += 1,
            _ => {}
        }
        Ok(())
    }

    /// Whether all are in one epoch, each has its share, and every partition has an owner.
    pub(crate) fn is_stable(&self) -> bool {
        let in_one = self.epochs.len() == 1 && self.epochs.values().sum::<usize>() == self.members;
        in_one && self.poor == 0 && self.owned.len() == self.partitions
    }
}
