//! What a heartbeat says of its member, and what that makes of the group: which topics it subscribes to, which group
//! epoch it is in.

use super::{
    World,
    group::{ConsumerGroup, ResolvedRegex, decrement, increment},
    join::Sender,
    member::Subscription,
    refusal::Refusal,
    regex,
};
use crate::{CoordinatorRecord, config::REGEX_REFRESH_MIN_INTERVAL_MS, outcome::Caller, record::consumer as records};
use ottla_protocol::{
    Str,
    messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionValue},
};
use std::collections::{BTreeMap, BTreeSet};

/// The group as it will be when the records so far are applied, as far as its sender changes it.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) sender: Sender<'a>,
    /// What the sender says of itself from now on.
    pub(super) subscription: Subscription,
    /// The regular expressions with the topics that they match.
    pub(super) regexes: BTreeMap<Str, ResolvedRegex>,
    pub(super) group_epoch: i32,
    /// Whether the sender subscribes to something else than before.
    pub(super) is_subscription_changed: bool,
    /// Whether the topics were looked at.
    pub(super) has_seen_cluster: bool,
    pub(super) records: Vec<CoordinatorRecord>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(group: &'a ConsumerGroup, sender: Sender<'a>, subscription: Subscription) -> Self {
        Self {
            subscription,
            records: group.replacement(&sender),
            regexes: group.regexes.clone(),
            group_epoch: group.group_epoch,
            is_subscription_changed: false,
            has_seen_cluster: false,
            group,
            sender,
        }
    }

    /// Takes over what the sender says, and raises the group epoch if that, or a change of the cluster, asks for a new
    /// target assignment.
    pub(super) fn update(&mut self, world: &mut World<'_>) -> Result<(), Refusal> {
        let before = &self.sender.member.subscription;
        if self.sender.is_new || *before != self.subscription {
            let record = self.subscription.to_record(&self.group.id, &self.sender.id);
            self.records.push(record);
        }
        let are_names_changed = before.topic_names != self.subscription.topic_names;
        let is_regex_changed = before.topic_regex != self.subscription.topic_regex;
        let is_assignor_changed = self.is_assignor_changed(world);
        let is_other_regex = is_regex_changed && self.is_matching_known();
        let is_matching_changed = self.update_regexes(is_regex_changed, world)?;
        self.is_subscription_changed = are_names_changed || is_regex_changed;
        let asks_for_target = are_names_changed || is_other_regex || is_assignor_changed || is_matching_changed;
        if asks_for_target || self.group.seen_version != Some(world.cluster.version()) {
            self.update_group_epoch(asks_for_target, world);
        }
        Ok(())
    }

    /// How many members want an assignor, the sender's new wish counted.
    pub(super) fn assignor_counts(&self) -> BTreeMap<Str, usize> {
        let mut counts = self.group.assignor_counts.clone();
        let before = self.sender.member.subscription.server_assignor.as_ref();
        before.iter().for_each(|name| decrement(&mut counts, name));
        let after = self.subscription.server_assignor.as_ref();
        after.iter().for_each(|name| increment(&mut counts, name));
        counts
    }

    fn is_assignor_changed(&self, world: &World<'_>) -> bool {
        if self.sender.member.subscription.server_assignor == self.subscription.server_assignor {
            return false;
        }
        let counts = self.assignor_counts();
        let preferred = |counts| {
            let name = ConsumerGroup::preferred_assignor(counts);
            name.map_or(world.config.default_assignor().name(), |name| name.as_str())
        };
        preferred(&self.group.assignor_counts) != preferred(&counts)
    }

    /// Whether it was known before which topics the sender's regular expression matches, if only none.
    fn is_matching_known(&self) -> bool {
        let regex = self.subscription.regex();
        regex.is_none_or(|regex| self.group.regexes.contains_key(regex))
    }

    /// The regular expressions that members have, with the sender's new one.
    fn expressions(&self) -> BTreeSet<Str> {
        let mut counts = self.group.regex_counts.clone();
        let before = self.sender.member.subscription.regex();
        before.iter().for_each(|regex| decrement(&mut counts, regex));
        let after = self.subscription.regex();
        after.iter().for_each(|regex| increment(&mut counts, regex));
        counts.into_keys().collect()
    }

    /// Finds out which topics the group's regular expressions match, if that is not known. Whether any of them matches
    /// other topics than before.
    ///
    /// Kafka does this beside the coordinator and answers without; here the answer has it already.
    fn update_regexes(&mut self, is_changed: bool, world: &World<'_>) -> Result<bool, Refusal> {
        if self.group.regex_counts.is_empty() && self.subscription.regex().is_none() {
            return Ok(false);
        }
        if let Some(expression) = self.subscription.regex().filter(|_| is_changed) {
            regex::compile(expression)?;
        }
        let expressions = self.expressions();
        for gone in self.group.regexes.keys().filter(|regex| !expressions.contains(*regex)) {
            self.records
                .push(records::regular_expression(&self.group.id, gone, None));
            self.regexes.remove(gone);
        }
        let due: BTreeSet<Str> = expressions
            .into_iter()
            .filter(|expression| self.is_due(expression, world))
            .collect();
        let mut is_matching_changed = false;
        if due.is_empty() {
            return Ok(false);
        }
        for (expression, topics) in regex::resolve(world.cluster, &due) {
            let before = self.regexes.get(&expression).map(|resolved| &resolved.topics);
            is_matching_changed |= before.unwrap_or(&BTreeSet::new()) != &topics;
            self.resolve(expression, topics, world);
        }
        Ok(is_matching_changed)
    }

    /// Whether the topics of an expression are not known, or topics may have come or gone since.
    fn is_due(&self, expression: &Str, world: &World<'_>) -> bool {
        self.regexes.get(expression).is_none_or(|resolved| {
            let age_ms = world.now.wall_ms.saturating_sub(resolved.timestamp_ms);
            // A clock that was set back does not hold it up.
            let is_old = !(0..REGEX_REFRESH_MIN_INTERVAL_MS).contains(&age_ms);
            resolved.version != world.cluster.version() && is_old
        })
    }

    fn resolve(&mut self, expression: Str, topics: BTreeSet<Str>, world: &World<'_>) {
        let value = ConsumerGroupRegularExpressionValue {
            topics: topics.iter().cloned().collect(),
            version: world.cluster.version(),
            timestamp: world.now.wall_ms,
        };
        self.records
            .push(records::regular_expression(&self.group.id, &expression, Some(&value)));
        let resolved = ResolvedRegex {
            topics,
            version: value.version,
            timestamp_ms: value.timestamp,
        };
        self.regexes.insert(expression, resolved);
    }

    fn update_group_epoch(&mut self, asks_for_target: bool, world: &mut World<'_>) {
        let hash = world.hashes.of_group(world.cluster, &self.subscribed_topics());
        if asks_for_target || hash != self.group.metadata_hash {
            self.group_epoch += 1;
            self.records.push(group_record(&self.group.id, self.group_epoch, hash));
        }
        if self.group.has_partition_metadata {
            self.records.push(records::partition_metadata_tombstone(&self.group.id));
        }
        // An expression that could not be resolved again yet must be looked at once more.
        let version = world.cluster.version();
        self.has_seen_cluster = self.regexes.values().all(|resolved| resolved.version == version);
    }

    /// Every topic to which a member subscribes.
    fn subscribed_topics(&self) -> BTreeSet<Str> {
        let before = match self.sender.is_new {
            true => None,
            false => Some(&self.sender.member.subscription),
        };
        let names = self
            .group
            .names_after(before.as_slice(), &[&self.subscription])
            .into_keys();
        let matched = self
            .regexes
            .values()
            .flat_map(|resolved| resolved.topics.iter().cloned());
        names.chain(matched).collect()
    }
}

impl ConsumerGroup {
    /// How many members name a topic once some have said something else.
    pub(super) fn names_after(&self, before: &[&Subscription], after: &[&Subscription]) -> BTreeMap<Str, usize> {
        let mut counts = self.name_counts.clone();
        let names = |subscriptions: &[&Subscription]| -> Vec<Str> {
            let names = subscriptions.iter().flat_map(|subscription| &subscription.topic_names);
            names.cloned().collect()
        };
        names(before).iter().for_each(|name| decrement(&mut counts, name));
        names(after).iter().for_each(|name| increment(&mut counts, name));
        counts
    }
}

/// The record of a group epoch.
pub(super) fn group_record(group_id: &Str, epoch: i32, metadata_hash: i64) -> CoordinatorRecord {
    let value = ConsumerGroupMetadataValue { epoch, metadata_hash };
    records::group(group_id, Some(&value))
}

/// What a member says of itself after a request: what the request leaves out stays.
pub(super) fn updated(
    before: &Subscription,
    request: &ConsumerGroupHeartbeatRequest,
    caller: &Caller<'_>,
) -> Subscription {
    let or_before = |said: &Option<Str>, before: &Option<Str>| said.as_ref().map(Str::detached).or(before.clone());
    let names = request.subscribed_topic_names.as_ref();
    Subscription {
        instance_id: or_before(&request.instance_id, &before.instance_id),
        rack_id: or_before(&request.rack_id, &before.rack_id),
        client_id: Str::from(caller.client_id),
        client_host: Str::from(caller.client_host),
        topic_names: match names {
            Some(names) => names.iter().map(Str::detached).collect(),
            None => before.topic_names.clone(),
        },
        topic_regex: match &request.subscribed_topic_regex {
            Some(regex) => regex.detached(),
            None => before.topic_regex.clone(),
        },
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            said => said,
        },
        server_assignor: or_before(&request.server_assignor, &before.server_assignor),
        classic: None,
    }
}
