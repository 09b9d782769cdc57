//! How far groups are behind: the broker's own figure, in records and in seconds.
//!
//! Records are the offsets between the first unread record and the high watermark; seconds are the time since that record
//! was appended. Both are looked up when somebody asks (docs/decisions/0016-lag-is-looked-up.md); what cannot be known is
//! said to be unknown, never a negative number.

use crate::{broker::Broker, clock::now_ms, coordinators::GroupsSeen};
use ottla_coordinator::{GroupCommit, GroupSummary as Summary};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{Offset, TimestampMs},
};
use ottla_replication::image::MetadataImage;
use ottla_storage::AppendTimeSource;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is known of a committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OffsetState {
    /// It is in the log.
    Known,
    /// What it points to has been deleted: the group goes on at the log start, or wherever its clients say.
    BeforeLogStart,
    /// The log ends before it.
    BeyondLogEnd,
    /// The topic or partition does not exist any more.
    UnknownPartition,
    /// The log cannot be used.
    Offline,
}

impl OffsetState {
    /// As JSON and metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::BeforeLogStart => "before_log_start",
            Self::BeyondLogEnd => "beyond_log_end",
            Self::UnknownPartition => "unknown_partition",
            Self::Offline => "offline",
        }
    }
}

/// A committed offset, and what is behind it in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OffsetLag {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) committed_offset: Offset,
    pub(crate) state: OffsetState,
    pub(crate) log_start_offset: Option<Offset>,
    pub(crate) last_stable_offset: Option<Offset>,
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) lag_records: Option<i64>,
    pub(crate) lag_seconds: Option<f64>,
    /// How the seconds are known: `append`, `log_append_time`, `create_time`.
    pub(crate) lag_seconds_by: Option<String>,
}

/// A group in few words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupSummary {
    pub(crate) group: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) members: usize,
    /// The sum over its partitions; of those that are known.
    pub(crate) lag_records: i64,
    /// That of the partition that is furthest behind.
    pub(crate) lag_seconds: f64,
}

/// A group with its offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupReport {
    #[serde(flatten)]
    pub(crate) summary: GroupSummary,
    pub(crate) offsets: Vec<OffsetLag>,
}

/// All groups that this broker coordinates.
pub(crate) struct AllGroups {
    pub(crate) groups: Vec<GroupReport>,
    pub(crate) rebalances: u64,
    /// Committed offsets that were not looked at.
    pub(crate) left_out: usize,
    /// Coordinators that cannot say anything yet.
    pub(crate) unavailable: usize,
}

/// Reports of all groups, in which at most `offsets_max` committed offsets are looked at. `None` if the broker stops.
pub(crate) async fn all_groups(broker: &Arc<Broker>, offsets_max: usize) -> Option<AllGroups> {
    let seen = broker.coordinators.see_groups(offsets_max).await;
    let from = broker.clone();
    broker
        .cold_reads
        .run(move || report_all(&from, seen, offsets_max))
        .await
}

fn report_all(broker: &Broker, seen: GroupsSeen, offsets_max: usize) -> AllGroups {
    let mut groups = Vec::with_capacity(seen.groups.len());
    let (mut room, mut left_out) = (offsets_max, 0);
    for (summary, mut commits) in seen.groups {
        commits.truncate(room);
        room -= commits.len();
        left_out += summary.commits - commits.len();
        groups.push(report(broker, &summary, &commits));
    }
    groups.sort_by(|one, other| one.summary.group.cmp(&other.summary.group));
    AllGroups {
        groups,
        rebalances: seen.rebalances,
        left_out,
        unavailable: seen.unavailable,
    }
}

/// The report of one group; `None` if there is none, or the broker stops.
///
/// # Errors
/// Its coordinator is not here, or is being loaded.
pub(crate) async fn one_group(broker: &Arc<Broker>, group: &Str) -> Result<Option<GroupReport>, ErrorCode> {
    let id = group.clone();
    let look = move |groups: &ottla_coordinator::Groups| Some((groups.summary(&id)?, groups.commits(&id, usize::MAX)));
    let Some((summary, commits)) = broker.coordinators.look(broker, group, look).await? else {
        return Ok(None);
    };
    let from = broker.clone();
    Ok(broker.cold_reads.run(move || report(&from, &summary, &commits)).await)
}

fn report(broker: &Broker, summary: &Summary, commits: &[GroupCommit]) -> GroupReport {
    let (image, now) = (broker.image.load_full(), now_ms());
    let of_commit = |commit: &GroupCommit| lag_of(broker, &image, commit, now);
    let offsets: Vec<OffsetLag> = commits.iter().map(of_commit).collect();
    GroupReport {
        summary: GroupSummary {
            group: summary.id.to_string(),
            kind: summary.kind.to_owned(),
            state: summary.state.to_owned(),
            members: summary.members,
            lag_records: offsets.iter().filter_map(|offset| offset.lag_records).sum(),
            lag_seconds: offsets
                .iter()
                .filter_map(|offset| offset.lag_seconds)
                .fold(0.0, f64::max),
        },
        offsets,
    }
}

fn lag_of(broker: &Broker, image: &MetadataImage, commit: &GroupCommit, now: TimestampMs) -> OffsetLag {
    let unknown = |state| OffsetLag {
        topic: commit.topic.to_string(),
        partition: commit.partition,
        committed_offset: commit.offset,
        state,
        log_start_offset: None,
        last_stable_offset: None,
        high_watermark: None,
        lag_records: None,
        lag_seconds: None,
        lag_seconds_by: None,
    };
    // A topic of the same name that was made later is another one.
    let topic = image.topics().by_name(&commit.topic);
    let topic = topic.filter(|topic| commit.topic_id.is_zero() || topic.id == commit.topic_id);
    let Some(topic) = topic.filter(|topic| topic.partition(commit.partition).is_some()) else {
        return unknown(OffsetState::UnknownPartition);
    };
    let partition = broker.partitions.by_id(topic.id, commit.partition);
    let Some(partition) = partition.filter(|partition| !partition.is_offline()) else {
        return unknown(OffsetState::Offline);
    };
    let log = partition.log();
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let (high_watermark, stable) = (log.high_watermark(), log.last_stable_offset());
    let state = match commit.offset {
        offset if offset < start => OffsetState::BeforeLogStart,
        offset if offset > end => OffsetState::BeyondLogEnd,
        _ => OffsetState::Known,
    };
    let unread = log.first_unread(commit.offset, high_watermark, broker.metrics.started_ms);
    let unread = unread.map_err(|error| partition.storage_fault(&error));
    let appended = unread.as_ref().ok().and_then(|unread| unread.as_ref()?.appended);
    OffsetLag {
        log_start_offset: Some(start),
        last_stable_offset: Some(stable),
        high_watermark: Some(high_watermark),
        lag_records: Some(match &unread {
            Ok(None) => 0,
            Ok(Some(unread)) => high_watermark - unread.offset,
            Err(_) => (high_watermark - commit.offset.max(start)).max(0),
        }),
        lag_seconds: match &unread {
            Ok(None) => Some(0.0),
            _ => appended.map(|appended| seconds_since(appended.at_ms, now)),
        },
        lag_seconds_by: appended.map(|appended| source_name(appended.source).to_owned()),
        ..unknown(state)
    }
}

fn source_name(source: AppendTimeSource) -> &'static str {
    match source {
        AppendTimeSource::Seen => "append",
        AppendTimeSource::LogAppendTime => "log_append_time",
        AppendTimeSource::CreateTime => "create_time",
    }
}

/// Never negative: the clock may have been put back.
pub(crate) fn seconds_since(then_ms: TimestampMs, now_ms: TimestampMs) -> f64 {
    now_ms.saturating_sub(then_ms).max(0) as f64 / 1_000.0
}
