//! A consumer, as careful as clients are: it gives up before it takes, and has nothing once it is told that it is out.

use crate::{Ticket, tests::driver::GROUP};
use ottla_protocol::{
    ErrorCode, Str,
    ids::Uuid,
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_heartbeat_request::TopicPartitions,
    },
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Having = BTreeSet<(Uuid, i32)>;

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    T,
    TAndU,
    All,
}

/// One consumer process.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: Str,
    pub(super) instance_id: Option<Str>,
    pub(super) wish: Wish,
    /// Whether it takes part, or wants to.
    pub(super) is_in: bool,
    /// 0 while it joins.
    pub(super) epoch: i32,
    /// What it was told to have.
    pub(super) told: Having,
    /// What it reads from.
    pub(super) having: Having,
    /// What it said last that it has.
    said: Option<Having>,
    said_wish: Option<Wish>,
    /// The heartbeat that has no answer yet.
    pub(super) awaits: Option<Ticket>,
    /// It has missed an answer and must say everything.
    must_say_all: bool,
}

impl Client {
    pub(super) fn new(id: Str, instance_id: Option<Str>, wish: Wish) -> Self {
        Self {
            id,
            instance_id,
            wish,
            is_in: false,
            epoch: 0,
            told: Having::new(),
            having: Having::new(),
            said: None,
            said_wish: None,
            awaits: None,
            must_say_all: false,
        }
    }

    /// It takes nothing with it.
    pub(super) fn stop(&mut self) {
        self.begin_anew();
        self.is_in = false;
        self.awaits = None;
    }

    fn begin_anew(&mut self) {
        self.epoch = 0;
        self.told.clear();
        self.having.clear();
        self.said = None;
        self.said_wish = None;
        self.must_say_all = false;
    }

    /// Reads from what it was told to, and from nothing else.
    pub(super) fn obey(&mut self) {
        self.having = self.told.clone();
    }

    /// The answer does not come: it says everything with the next heartbeat.
    pub(super) fn give_up_waiting(&mut self) {
        self.awaits = None;
        self.must_say_all = true;
    }

    pub(super) fn heartbeat(&mut self, says_all: bool) -> ConsumerGroupHeartbeatRequest {
        let says_all = says_all || self.must_say_all || self.epoch == 0;
        self.must_say_all = false;
        if says_all {
            // What it was told to have and has not taken yet would pass for given up, and it might still take it: the
            // protocol, Kafka's coordinator too, rests on clients that finish first.
            self.obey();
        }
        let mut request = self.request(self.epoch);
        if says_all || self.said_wish != Some(self.wish) {
            let (names, regex): (&[&str], &str) = match self.wish {
                Wish::T => (&["t"], ""),
                Wish::TAndU => (&["t", "u"], ""),
                Wish::All => (&[], "[tu]"),
            };
            request.subscribed_topic_names = Some(names.iter().map(|name| Str::from(*name)).collect());
            request.subscribed_topic_regex = Some(regex.into());
            self.said_wish = Some(self.wish);
        }
        if says_all {
            request.rebalance_timeout_ms = 5_000;
        }
        if says_all || self.said.as_ref() != Some(&self.having) {
            request.topic_partitions = Some(by_topic(&self.having));
            self.said = Some(self.having.clone());
        }
        request
    }

    pub(super) fn leave(&mut self) -> ConsumerGroupHeartbeatRequest {
        self.request(if self.instance_id.is_some() { -2 } else { -1 })
    }

    /// A static member, too, does not come back.
    pub(super) fn leave_for_good(&self) -> ConsumerGroupHeartbeatRequest {
        self.request(-1)
    }

    fn request(&self, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            member_epoch,
            instance_id: self.instance_id.clone(),
            ..Default::default()
        }
    }

    /// # Errors
    /// The answer contradicts an earlier one.
    pub(super) fn hear(&mut self, response: &ConsumerGroupHeartbeatResponse) -> Result<(), String> {
        self.awaits = None;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            // A former self is not given up yet.
            Some(ErrorCode::UnreleasedInstanceId) => return Ok(()),
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound) => {
                self.begin_anew();
                return Ok(());
            }
            other => return Err(format!("{} hears {other:?}: {:?}", self.id, response.error_message)),
        }
        if response.member_epoch < self.epoch {
            return Err(format!(
                "{} goes back from epoch {} to {}",
                self.id, self.epoch, response.member_epoch
            ));
        }
        self.epoch = response.member_epoch;
        if let Some(assignment) = &response.assignment {
            let topics = assignment.topic_partitions.iter();
            let flat = topics.flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)));
            self.told = flat.collect();
        }
        Ok(())
    }
}

fn by_topic(having: &Having) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in having {
        topics.entry(*topic).or_default().push(*partition);
    }
    let topic = |(topic_id, partitions)| TopicPartitions { topic_id, partitions };
    topics.into_iter().map(topic).collect()
}
