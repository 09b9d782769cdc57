//! All figures at one moment, for Prometheus.
//!
//! How many series there are is bounded: so many partitions and committed offsets as the constants say, by name; how many
//! were left out is a figure of its own.

use crate::{
    broker::Broker,
    clock::now_ms,
    lag::{self, GroupReport, OffsetLag},
    partitions::Partition,
};
use ottla_coordinator::TransactionSummary;
use ottla_protocol::ids::TimestampMs;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::{collections::BTreeMap, sync::Arc};

/// The most partitions that have figures of their own.
const PARTITIONS_MAX: usize = 10_000;

/// The most committed offsets that have figures of their own.
pub(crate) const OFFSETS_MAX: usize = 10_000;

/// Everything that is told. Waits for coordinators and for the disk; `None` if the broker stops.
pub(crate) async fn collect(broker: &Arc<Broker>) -> Option<Vec<MetricFamily>> {
    let groups = lag::all_groups(broker, OFFSETS_MAX).await?;
    let transactions = broker.transactions.summaries().await;
    let (from, now) = (broker.clone(), now_ms());
    let partitions = broker.cold_reads.run(move || partition_families(&from, now)).await?;
    let mut families = broker.metrics.families();
    families.extend(broker_families(broker));
    families.extend(partitions);
    families.extend(transaction_families(&transactions, now));
    families.extend(group_families(&groups));
    families.retain(|family| !family.get_metric().is_empty());
    Some(families)
}

/// One figure under its labels.
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

fn sample(labels: impl IntoIterator<Item = (&'static str, String)>, value: f64) -> Sample {
    Sample {
        labels: labels.into_iter().collect(),
        value,
    }
}

fn alone(value: f64) -> Vec<Sample> {
    vec![sample([], value)]
}

fn gauge(name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) -> MetricFamily {
    family(MetricType::GAUGE, name, help, samples)
}

fn family(kind: MetricType, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) -> MetricFamily {
    let metric = |Sample { labels, value }: Sample| {
        let pair = |(name, value): (&str, String)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value);
            pair
        };
        let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    };
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples.into_iter().map(metric).collect());
    family
}

fn broker_families(broker: &Broker) -> Vec<MetricFamily> {
    let dirs = broker.logs.directories();
    let offline = dirs.iter().filter(|dir| dir.is_offline()).count();
    let version = ("version", env!("CARGO_PKG_VERSION").to_owned());
    let labels = [
        version,
        ("cluster_id", broker.cluster_id.to_string()),
        ("node_id", broker.node_id.to_string()),
    ];
    let started = broker.metrics.started_ms as f64 / 1_000.0;
    vec![
        gauge(
            "ottla_build_info",
            "Which broker this is; always 1.",
            [sample(labels, 1.0)],
        ),
        gauge(
            "ottla_start_time_seconds",
            "When it started, since 1970.",
            alone(started),
        ),
        gauge(
            "ottla_connections",
            "Connections of clients that are open.",
            alone(broker.admission.open_count() as f64),
        ),
        gauge(
            "ottla_log_dirs",
            "Log directories, by whether they are in use.",
            [
                sample([("state", "online".to_owned())], (dirs.len() - offline) as f64),
                sample([("state", "offline".to_owned())], offline as f64),
            ],
        ),
    ]
}

/// What is told of a partition: the name, the help, the figure.
type PartitionFigure = (&'static str, &'static str, fn(&Partition) -> f64);

const PARTITION_FIGURES: [PartitionFigure; 5] = [
    (
        "ottla_partition_log_start_offset",
        "The first offset that can be read.",
        |partition| partition.log().log_start_offset() as f64,
    ),
    (
        "ottla_partition_log_end_offset",
        "The offset that the next record gets.",
        |partition| partition.log().log_end_offset() as f64,
    ),
    (
        "ottla_partition_high_watermark",
        "Up to where consumers may read.",
        |partition| partition.log().high_watermark() as f64,
    ),
    (
        "ottla_partition_last_stable_offset",
        "Up to where read_committed consumers may read.",
        |partition| partition.log().last_stable_offset() as f64,
    ),
    (
        "ottla_partition_size_bytes",
        "Bytes of the batches in the log.",
        |partition| partition.log().size_bytes() as f64,
    ),
];

fn partition_families(broker: &Broker, now: TimestampMs) -> Vec<MetricFamily> {
    let mut partitions = broker.partitions.all();
    partitions.retain(|partition| !partition.is_gone() && !partition.is_offline());
    partitions.sort_by(|one, other| (&one.topic, one.index).cmp(&(&other.topic, other.index)));
    let producers: usize = partitions
        .iter()
        .map(|partition| partition.log().producer_count())
        .sum();
    let unstable = partitions
        .iter()
        .filter_map(|partition| unstable_seconds(broker, partition, now));
    let unstable = unstable.fold(0.0, f64::max);
    let (count, left_out) = (partitions.len(), partitions.len().saturating_sub(PARTITIONS_MAX));
    partitions.truncate(PARTITIONS_MAX);
    let mut families: Vec<MetricFamily> = PARTITION_FIGURES
        .iter()
        .map(|(name, help, figure)| {
            let samples = partitions.iter().map(|partition| {
                let labels = [
                    ("topic", partition.topic.to_string()),
                    ("partition", partition.index.to_string()),
                ];
                sample(labels, figure(partition))
            });
            gauge(name, help, samples)
        })
        .collect();
    let offline = broker.partitions.unusable_count();
    families.extend([
        gauge(
            "ottla_partitions",
            "Partitions that are served here.",
            alone(count as f64),
        ),
        gauge(
            "ottla_partitions_offline",
            "Partitions that should be here and whose log cannot be used.",
            alone(offline as f64),
        ),
        gauge(
            "ottla_partitions_left_out",
            "Partitions without figures of their own: there are too many.",
            alone(left_out as f64),
        ),
        gauge(
            "ottla_producer_ids",
            "Producers that partitions remember.",
            alone(producers as f64),
        ),
        gauge(
            "ottla_last_stable_lag_seconds",
            "For how long the partition that is worst off has held read_committed consumers back.",
            alone(unstable),
        ),
    ]);
    families
}

/// The age of the first record that an open transaction keeps from read_committed consumers.
fn unstable_seconds(broker: &Broker, partition: &Partition, now: TimestampMs) -> Option<f64> {
    let log = partition.log();
    let (stable, high_watermark) = (log.last_stable_offset(), log.high_watermark());
    if stable >= high_watermark {
        return None;
    }
    let unread = log
        .first_unread(stable, high_watermark, broker.metrics.started_ms)
        .ok()??;
    Some(lag::seconds_since(unread.appended?.at_ms, now))
}

fn transaction_families(transactions: &TransactionSummary, now: TimestampMs) -> Vec<MetricFamily> {
    let states = transactions.by_state.iter();
    let oldest = transactions
        .oldest_open_ms
        .map_or(0.0, |since| lag::seconds_since(since, now));
    vec![
        gauge(
            "ottla_transactions",
            "Transactional ids, by the state of their transaction.",
            states.map(|(state, count)| sample([("state", (*state).to_owned())], *count as f64)),
        ),
        gauge(
            "ottla_transaction_oldest_open_seconds",
            "The age of the transaction that has been open for longest.",
            alone(oldest),
        ),
    ]
}

/// A figure of a committed offset, where it is known.
type OffsetFigure = (&'static str, &'static str, fn(&OffsetLag) -> Option<f64>);

const OFFSET_FIGURES: [OffsetFigure; 3] = [
    (
        "ottla_group_committed_offset",
        "The next offset that the group reads.",
        |offset| Some(offset.committed_offset as f64),
    ),
    (
        "ottla_group_lag_records",
        "Offsets between the first unread record and the high watermark.",
        |offset| offset.lag_records.map(|records| records as f64),
    ),
    (
        "ottla_group_lag_seconds",
        "Time since the first unread record was appended.",
        |offset| offset.lag_seconds,
    ),
];

fn group_families(groups: &lag::AllGroups) -> Vec<MetricFamily> {
    let lags = || {
        let of_group = |group: &GroupReport| {
            let id = group.summary.group.clone();
            let offsets = group.offsets.clone().into_iter();
            offsets.map(move |offset| (id.clone(), offset)).collect::<Vec<_>>()
        };
        groups.groups.iter().flat_map(of_group)
    };
    let mut families: Vec<MetricFamily> = OFFSET_FIGURES
        .iter()
        .map(|(name, help, figure)| {
            let samples = lags().filter_map(|(group, offset)| {
                let value = figure(&offset)?;
                let labels = [
                    ("group", group),
                    ("topic", offset.topic),
                    ("partition", offset.partition.to_string()),
                ];
                Some(sample(labels, value))
            });
            gauge(name, help, samples)
        })
        .collect();
    let (mut counts, mut members, mut states) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for GroupReport { summary, offsets } in &groups.groups {
        *counts.entry((summary.kind.clone(), summary.state.clone())).or_insert(0) += 1;
        *members.entry(summary.kind.clone()).or_insert(0) += summary.members;
        for offset in offsets {
            *states.entry(offset.state.name()).or_insert(0) += 1;
        }
    }
    let counts = counts
        .into_iter()
        .map(|((kind, state), count): (_, usize)| sample([("type", kind), ("state", state)], count as f64));
    let members = members
        .into_iter()
        .map(|(kind, count): (_, usize)| sample([("type", kind)], count as f64));
    let states = states
        .into_iter()
        .map(|(state, count): (&str, usize)| sample([("state", state.to_owned())], count as f64));
    families.extend([
        gauge("ottla_groups", "Groups, by type and state.", counts),
        gauge("ottla_group_members", "Members of groups, by type.", members),
        gauge(
            "ottla_group_offsets",
            "Committed offsets, by what is known of them.",
            states,
        ),
        gauge(
            "ottla_group_offsets_left_out",
            "Committed offsets without figures of their own: there are too many.",
            alone(groups.left_out as f64),
        ),
        gauge(
            "ottla_group_coordinators_loading",
            "Coordinators whose groups are not in these figures: they are being loaded.",
            alone(groups.unavailable as f64),
        ),
        family(
            MetricType::COUNTER,
            "ottla_group_rebalances_total",
            "Rebalances of groups: generations of classic groups, epochs of consumer groups.",
            alone(groups.rebalances as f64),
        ),
    ]);
    families
}
