//! [`Groups`]: the state of one partition of `__consumer_offsets`, and how time and records change it.

use crate::{
    classic::{ClassicGroup, Step},
    cluster::{ClusterView, EmptyCluster},
    config::GroupsConfig,
    consumer::{ConsumerGroup, TopicHashes},
    offsets::{CommittedOffset, Offsets, pending::PendingOffsets},
    outcome::{Actions, CoordinatorRecord, Now},
    record::{self, ApplyError, Record},
    timers::{Timer, Timers},
};
use ottla_protocol::{ErrorCode, Str, messages::GroupMetadataValue};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The groups whose ids fall on one partition of `__consumer_offsets`, with their offsets.
///
/// Every method named `handle_x` decides a request, [`Groups::tick`] decides what time brings; both return
/// [`Actions`], whose records must be applied before the next decision. The order of everything is determined by the
/// calls: nothing here depends on a clock, a random number or the order of a hash table.
#[derive(Debug)]
pub struct Groups {
    pub(crate) config: GroupsConfig,
    /// A group id is in one of `classic` and `consumer` at most.
    pub(crate) classic: BTreeMap<Str, ClassicGroup>,
    pub(crate) consumer: BTreeMap<Str, ConsumerGroup>,
    pub(crate) offsets: Offsets,
    pub(crate) pending: PendingOffsets,
    pub(crate) cluster: Arc<dyn ClusterView>,
    pub(crate) topic_hashes: TopicHashes,
    pub(crate) timers: Timers,
    /// Rebalances since the groups were loaded; for reports only.
    pub(crate) rebalances: u64,
    is_loading: bool,
    /// Records of the last decision that have not been applied yet.
    unapplied: usize,
}

impl Groups {
    /// No groups yet: the log is to be replayed through [`Groups::apply`], then [`Groups::on_loaded`] is due.
    pub fn new(config: GroupsConfig) -> Self {
        Self {
            config,
            classic: BTreeMap::new(),
            consumer: BTreeMap::new(),
            offsets: Offsets::default(),
            pending: PendingOffsets::default(),
            cluster: Arc::new(EmptyCluster),
            topic_hashes: TopicHashes::default(),
            timers: Timers::default(),
            rebalances: 0,
            is_loading: true,
            unapplied: 0,
        }
    }

    /// Makes one record true, whether read from the log or just decided. Never refuses one that it can read; records
    /// of other kinds of groups are passed over.
    ///
    /// # Errors
    /// The record cannot be read; nothing has changed. It is to be logged and skipped.
    pub fn apply(&mut self, record: &CoordinatorRecord) -> Result<(), ApplyError> {
        self.unapplied = self.unapplied.saturating_sub(1);
        match record::decode(record)? {
            Record::Offset(key, Some(value)) => {
                self.make_group_for_offsets(&key.group);
                let committed = CommittedOffset::of(&value);
                self.offsets.put(&key.group, &key.topic, key.partition, committed);
                self.pending.supersede(&key);
            }
            Record::Offset(key, None) => {
                self.offsets.remove(&key.group, &key.topic, key.partition);
                self.pending.remove(&key.group, &key.topic, key.partition);
            }
            Record::Group(id, Some(value)) => self.apply_group(&id, &value),
            Record::Group(id, None) => {
                self.classic.remove(&id);
            }
            Record::Consumer(group_id, record) => self.apply_consumer_record(&group_id, record),
            Record::Other => {}
        }
        Ok(())
    }

    /// Whoever commits without joining makes a group that only holds offsets.
    pub(crate) fn make_group_for_offsets(&mut self, group: &Str) {
        if self.group(group).is_none() {
            let group = ClassicGroup::new(group.detached(), None);
            self.classic.insert(group.id.clone(), group);
        }
    }

    /// Takes over a later view of the cluster. Groups see what changed with the next heartbeat of any of their members.
    pub fn see(&mut self, cluster: Arc<dyn ClusterView>) {
        if self.cluster.version() != cluster.version() {
            self.topic_hashes.forget();
        }
        self.cluster = cluster;
    }

    fn apply_group(&mut self, id: &Str, value: &GroupMetadataValue) {
        let deciding = self.classic.get_mut(id).filter(|_| !self.is_loading);
        match deciding {
            Some(group) if group.generation == value.generation => group.confirm(value),
            _ => {
                let group = ClassicGroup::from_record(id, value);
                self.classic.insert(group.id.clone(), group);
            }
        }
    }

    /// The log has been replayed: sessions begin, and decisions may be asked for.
    pub fn on_loaded(&mut self, now: Now) -> Actions {
        self.is_loading = false;
        self.unapplied = 0;
        self.schedule_expiry(now);
        self.start_consumer_timers(now);
        self.decide_in_all(now, ClassicGroup::on_loaded)
    }

    /// This coordinator is no longer in charge, or starts over: everybody who waits is answered with `error`. The
    /// state is not to be used afterwards.
    pub fn fail_all(&mut self, error: ErrorCode) -> Actions {
        let now = Now {
            monotonic_ms: 0,
            wall_ms: 0,
        };
        self.unapplied = 0;
        self.decide_in_all(now, |group, step| group.fail_all(error, step))
    }

    /// Whether the log is still being replayed.
    pub(crate) fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// When [`Groups::tick`] is to be called next, on the monotonic clock. May be earlier than something happens.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_ms()
    }

    /// Decides what is due at `now`: silent members, rebalances that have waited long enough, expired offsets.
    pub fn tick(&mut self, now: Now) -> Actions {
        let mut actions = Actions::default();
        let mut expelled: BTreeMap<Str, BTreeSet<Str>> = BTreeMap::new();
        while let Some((moment_ms, timer)) = self.timers.pop_due(now.monotonic_ms) {
            match timer {
                Timer::Session { group, member } if self.consumer.contains_key(&group) => {
                    if self.is_consumer_session_over(&group, &member, moment_ms) {
                        expelled.entry(group).or_default().insert(member);
                    }
                }
                Timer::Revocation { .. } | Timer::Rejoin { .. } | Timer::MemberSync { .. } => {
                    if self.is_member_overdue(&timer, moment_ms)
                        && let Some((group, member)) = timer.of_member()
                    {
                        expelled.entry(group).or_default().insert(member);
                    }
                }
                Timer::Session { group, member } => self.in_group(&group, now, &mut actions, |group, step| {
                    group.on_session_deadline(&member, moment_ms, step);
                }),
                Timer::Join { group } => self.in_group(&group, now, &mut actions, |group, step| {
                    group.on_join_deadline(moment_ms, step);
                }),
                Timer::Sync { group } => self.in_group(&group, now, &mut actions, |group, step| {
                    group.on_sync_deadline(moment_ms, step);
                }),
                Timer::Expiry => {
                    self.expire_offsets(now, &mut actions);
                    self.schedule_expiry(now);
                }
            }
        }
        // All of a group together: each decision must see the one before.
        for (group, members) in expelled {
            self.fence_consumer_members(&group, &members, now, &mut actions);
        }
        self.decided(actions)
    }

    fn schedule_expiry(&mut self, now: Now) {
        let at_ms = now.monotonic_ms + self.config.offsets_retention_check_interval_ms.max(1);
        self.timers.schedule(at_ms, Timer::Expiry);
    }

    /// What a decision at `now` may use; it leads to `actions`.
    pub(crate) fn step<'a>(&'a mut self, now: Now, actions: &'a mut Actions) -> Step<'a> {
        Step {
            config: &self.config,
            timers: &mut self.timers,
            rebalances: &mut self.rebalances,
            now,
            actions,
        }
    }

    fn in_group(
        &mut self,
        id: &Str,
        now: Now,
        actions: &mut Actions,
        decide: impl FnOnce(&mut ClassicGroup, &mut Step<'_>),
    ) {
        if let Some(group) = self.classic.get_mut(id) {
            let mut step = Step {
                config: &self.config,
                timers: &mut self.timers,
                rebalances: &mut self.rebalances,
                now,
                actions,
            };
            decide(group, &mut step);
        }
    }

    /// A decision about one group; `None` if it does not exist.
    pub(crate) fn decide_in_group(
        &mut self,
        id: &Str,
        now: Now,
        decide: impl FnOnce(&mut ClassicGroup, &mut Step<'_>),
    ) -> Option<Actions> {
        self.classic.get(id)?;
        let mut actions = Actions::default();
        self.in_group(id, now, &mut actions, decide);
        Some(self.decided(actions))
    }

    fn decide_in_all(&mut self, now: Now, mut decide: impl FnMut(&mut ClassicGroup, &mut Step<'_>)) -> Actions {
        let mut actions = Actions::default();
        for group in self.classic.values_mut() {
            let mut step = Step {
                config: &self.config,
                timers: &mut self.timers,
                rebalances: &mut self.rebalances,
                now,
                actions: &mut actions,
            };
            decide(group, &mut step);
        }
        self.decided(actions)
    }

    /// Ends a decision. The one before must have been applied, or this one rests on a state that is not true.
    pub(crate) fn decided(&mut self, actions: Actions) -> Actions {
        assert!(!self.is_loading, "decided before the log was replayed");
        assert_eq!(self.unapplied, 0, "decided before the last decision was applied");
        self.unapplied = actions.records.len();
        actions
    }
}
