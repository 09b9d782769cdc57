//! The partitions that one fetch, or one fetch session (KIP-227), asks for, and what each has to say.
//!
//! A full fetch looks at every partition and answers for each. An incremental fetch looks only at those with news:
//! marked by an append, added or changed by the client, or left with data that did not fit; and it answers only for
//! those whose answer differs from the last one.

mod cold;
pub(crate) mod session;

use crate::{
    broker::Broker,
    partitions::Partition,
    waiting::{Interest, RegistrationId, SlotIndex},
};
use bytes::Bytes;
pub(crate) use cold::{ColdRead, warm};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{Offset, Uuid},
    messages::{
        fetch_request::FetchPartition,
        fetch_response::{EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData},
    },
};
use ottla_storage::FileRegion;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

/// Partitions that one fetch, or one session, may ask for. Each costs the broker some 800 bytes until it is answered,
/// and a client 33: more than a broker can have of them is no fetch but an attack.
pub(crate) const PARTITIONS_MAX: usize = 100_000;

/// How a partition is named in a request: by topic id from version 13 on, by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TopicRef {
    Id(Uuid),
    Name(Str),
}

/// What holds for a whole fetch request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) min_bytes: usize,
    pub(crate) max_bytes: usize,
    pub(crate) is_read_committed: bool,
    /// Whether reads may wait for the disk.
    pub(crate) may_wait: bool,
}

/// One partition of a fetch.
struct Slot {
    topic: TopicRef,
    index: i32,
    asked: FetchPartition,
    partition: Option<Arc<Partition>>,
    registration: Option<RegistrationId>,
    /// What the client was last told: error, high watermark, last stable offset, log start offset.
    told: Option<(i16, Offset, Offset, Offset)>,
}

/// The result of looking once at the partitions.
#[derive(Default)]
pub(crate) struct Look {
    /// Partition answers by slot.
    answers: Vec<(SlotIndex, Answer)>,
    /// What has to be brought into memory before the look can be whole. Those partitions are not among the answers.
    pub(crate) cold: Vec<ColdRead>,
    /// Bytes of records found.
    pub(crate) bytes: usize,
    /// A partition answered with an error, or diverged: the client must hear of it at once.
    pub(crate) is_urgent: bool,
}

/// What one partition has to say.
pub(crate) struct Answer {
    pub(crate) data: PartitionData,
    /// The records, if they are to be sent from their file. Those in `data` are empty then.
    pub(crate) region: Option<FileRegion>,
}

impl From<PartitionData> for Answer {
    fn from(data: PartitionData) -> Self {
        Self { data, region: None }
    }
}

impl Answer {
    fn records_len(&self) -> usize {
        let in_memory = self.data.records.as_ref().map_or(0, Bytes::len);
        self.region.as_ref().map_or(in_memory, FileRegion::len)
    }
}

/// Why a partition has nothing to say.
pub(crate) enum NoAnswer {
    Refused(ErrorCode),
    /// It would have to wait for the disk.
    Cold(ColdRead),
}

impl From<ErrorCode> for NoAnswer {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

/// The partitions of a fetch or a fetch session.
pub(crate) struct Fetching {
    slots: Vec<Option<Slot>>,
    free: Vec<SlotIndex>,
    by_partition: HashMap<(TopicRef, i32), SlotIndex>,
    pub(crate) interest: Arc<Interest>,
    /// Slots to look at besides those that the interest has marked.
    open: BTreeSet<SlotIndex>,
    /// Where the next look begins, so that no partition starves behind those before it.
    next: SlotIndex,
    is_registered: bool,
}

impl Fetching {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_partition: HashMap::new(),
            interest: Arc::default(),
            open: BTreeSet::new(),
            next: 0,
            is_registered: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_partition.len()
    }

    /// Adds a partition, or takes its new offset and limits.
    pub(crate) fn put(&mut self, broker: &Broker, topic: TopicRef, asked: FetchPartition) {
        let key = (topic, asked.partition);
        if let Some(index) = self.by_partition.get(&key).copied() {
            self.open.insert(index);
            if let Some(slot) = &mut self.slots[index as usize] {
                slot.asked = asked;
            }
            return;
        }
        let slot = Slot {
            topic: key.0.clone(),
            index: asked.partition,
            partition: broker.partitions.find(&broker.image.load(), &key.0, asked.partition),
            asked,
            registration: None,
            told: None,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                self.slots.len() as SlotIndex - 1
            }
        };
        self.slots[index as usize] = Some(slot);
        self.by_partition.insert(key, index);
        self.open.insert(index);
        if self.is_registered {
            self.register_slot(index);
        }
    }

    /// Drops a partition.
    pub(crate) fn forget(&mut self, topic: &TopicRef, partition: i32) {
        let Some(index) = self.by_partition.remove(&(topic.clone(), partition)) else {
            return;
        };
        if let Some(slot) = self.slots[index as usize].take() {
            slot.unregister();
        }
        self.open.remove(&index);
        self.free.push(index);
    }

    /// From now on appends mark the partitions that they concern.
    pub(crate) fn register(&mut self) {
        if !self.is_registered {
            self.is_registered = true;
            (0..self.slots.len() as SlotIndex).for_each(|index| self.register_slot(index));
        }
    }

    fn register_slot(&mut self, index: SlotIndex) {
        let Some(slot) = &mut self.slots[index as usize] else {
            return;
        };
        if let (Some(partition), None) = (&slot.partition, slot.registration) {
            slot.registration = Some(partition.interested.register(&self.interest, index));
            // What came between the last look and now must not be missed.
            self.interest.mark_quietly(index);
        }
    }

    /// Looks at every partition; each gets an answer.
    pub(crate) fn look_at_all(&mut self, broker: &Broker, limits: Limits) -> Look {
        self.open = (0..self.slots.len() as SlotIndex)
            .filter(|index| self.slots[*index as usize].is_some())
            .collect();
        self.look(broker, limits, false)
    }

    /// Looks at the partitions with news; those whose answer is new are answered.
    pub(crate) fn look_at_news(&mut self, broker: &Broker, limits: Limits) -> Look {
        self.look(broker, limits, true)
    }

    fn look(&mut self, broker: &Broker, limits: Limits, only_changes: bool) -> Look {
        self.open.append(&mut self.interest.take_marked());
        let order: Vec<SlotIndex> = self
            .open
            .range(self.next..)
            .chain(self.open.range(..self.next))
            .copied()
            .collect();
        let mut look = Look::default();
        let mut found_again = Vec::new();
        for index in order {
            let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
                self.open.remove(&index);
                continue;
            };
            let room = limits.max_bytes.saturating_sub(look.bytes);
            let answer = match slot.look(broker, limits, room, look.bytes == 0) {
                Ok(answer) => answer,
                Err(cold) => {
                    look.cold.push(cold);
                    continue;
                }
            };
            let found = answer.records_len();
            look.bytes += found;
            look.is_urgent |= answer.data.error_code != 0 || answer.data.diverging_epoch.end_offset >= 0;
            if found > 0 {
                self.next = index + 1;
            }
            let is_news = found > 0 || slot.is_news(&answer.data);
            if !is_news && room > 0 {
                self.open.remove(&index);
            }
            if !only_changes || is_news {
                look.answers.push((index, answer));
            }
            if self.is_registered && slot.partition.is_some() && slot.registration.is_none() {
                found_again.push(index);
            }
        }
        // A topic that was deleted and created again is another partition, whose news concern the same slot.
        // Who waits looks once more: an append may have come between the look and the registration.
        for index in found_again {
            self.register_slot(index);
            self.interest.mark(index);
        }
        look.answers.sort_by_key(|(index, _)| *index);
        look
    }

    /// Turns a look into the answer's topics, and the files of those partitions, in their order, that send from one; and
    /// remembers what the client is told.
    pub(crate) fn answer(&mut self, look: Look) -> (Vec<FetchableTopicResponse>, VecDeque<Option<FileRegion>>) {
        let mut files = VecDeque::with_capacity(look.answers.len());
        let mut topics: Vec<FetchableTopicResponse> = Vec::new();
        let mut last: Option<TopicRef> = None;
        for (index, answer) in look.answers {
            let Some(slot) = &mut self.slots[index as usize] else {
                continue;
            };
            slot.told = Some(told(&answer.data));
            if last.as_ref() != Some(&slot.topic) {
                last = Some(slot.topic.clone());
                topics.push(slot.topic_answer());
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(answer.data);
                files.push_back(answer.region);
            }
        }
        (topics, files)
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.slots.iter().flatten().for_each(Slot::unregister);
    }
}

fn told(answer: &PartitionData) -> (i16, Offset, Offset, Offset) {
    (
        answer.error_code,
        answer.high_watermark,
        answer.last_stable_offset,
        answer.log_start_offset,
    )
}

impl Slot {
    fn unregister(&self) {
        if let (Some(partition), Some(registration)) = (&self.partition, self.registration) {
            partition.interested.unregister(registration);
        }
    }

    fn is_news(&self, answer: &PartitionData) -> bool {
        self.told != Some(told(answer)) || answer.error_code != 0 || answer.diverging_epoch.end_offset >= 0
    }

    fn topic_answer(&self) -> FetchableTopicResponse {
        let (topic, topic_id) = match &self.topic {
            TopicRef::Id(id) => (Str::EMPTY, *id),
            TopicRef::Name(name) => (name.clone(), Uuid::ZERO),
        };
        FetchableTopicResponse {
            topic,
            topic_id,
            partitions: Vec::new(),
        }
    }

    /// What the partition has from the asked offset on, at most `room` bytes and the partition's own limit.
    ///
    /// # Errors
    /// What has to be brought into memory before there is an answer.
    fn look(&mut self, broker: &Broker, limits: Limits, room: usize, is_first: bool) -> Result<Answer, ColdRead> {
        if self.partition.as_ref().is_none_or(|partition| partition.is_gone()) {
            self.unregister();
            self.registration = None;
            self.partition = broker.partitions.find(&broker.image.load(), &self.topic, self.index);
        }
        let answer = match &self.partition {
            None => Err(NoAnswer::Refused(broker.partitions.absence(
                &broker.image.load(),
                &self.topic,
                self.index,
                self.unknown(),
            ))),
            Some(partition) => partition.look(&self.asked, limits, room, is_first),
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(NoAnswer::Cold(read)) => return Err(read),
            Err(NoAnswer::Refused(error)) => self.refused(error).into(),
        };
        answer.data.partition_index = self.index;
        Ok(answer)
    }

    fn refused(&self, error: ErrorCode) -> PartitionData {
        PartitionData {
            error_code: error.code(),
            high_watermark: -1,
            current_leader: self.current_leader(error),
            records: Some(Bytes::new()),
            ..Default::default()
        }
    }

    fn unknown(&self) -> ErrorCode {
        match self.topic {
            TopicRef::Id(_) => ErrorCode::UnknownTopicId,
            TopicRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
        }
    }

    /// KIP-951: who leads, for a client that asked the wrong broker or with an old epoch.
    fn current_leader(&self, error: ErrorCode) -> LeaderIdAndEpoch {
        let tells = matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
        match &self.partition {
            Some(partition) if tells => {
                let (leader, epoch) = partition.leader();
                LeaderIdAndEpoch {
                    leader_id: leader.0,
                    leader_epoch: epoch.0,
                }
            }
            _ => LeaderIdAndEpoch::default(),
        }
    }
}

/// The answer of a partition that has no error.
pub(crate) fn partition_data(
    high_watermark: Offset,
    last_stable_offset: Offset,
    log_start_offset: Offset,
    records: Bytes,
) -> PartitionData {
    PartitionData {
        high_watermark,
        last_stable_offset,
        log_start_offset,
        records: Some(records),
        aborted_transactions: None,
        ..Default::default()
    }
}

/// The answer to a follower or client whose last fetched epoch does not lie in this log (KIP-595, KIP-320).
pub(crate) fn diverging(mut data: PartitionData, epoch: i32, end_offset: Offset) -> PartitionData {
    data.diverging_epoch = EpochEndOffset { epoch, end_offset };
    data.records = Some(Bytes::new());
    data
}
