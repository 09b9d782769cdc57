//! Many committed offsets, and how soon they are there after a start.

use crate::{
    Options,
    connection::Connection,
    scenes::{create_topic, find_coordinator},
};
use anyhow::{Context, ensure};
use ottla_protocol::{
    Str,
    messages::{
        OffsetCommitRequest, OffsetFetchRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Offsets of each group.
const EACH: usize = 100;
/// Groups that are asked for: enough for every partition of `__consumer_offsets`.
const ASKED: usize = 1000;

fn group(options: &Options, number: usize) -> Str {
    format!("{}-{number}", options.name).into()
}

pub(crate) async fn fill(options: &Options) -> anyhow::Result<Value> {
    let mut connection = Connection::to(options.address).await?;
    create_topic(&mut connection, &options.name, EACH).await?;
    find_coordinator(&mut connection, &group(options, 0)).await?;
    let begin = Instant::now();
    for number in 0..options.commits / EACH {
        let partitions = (0..EACH as i32).map(|partition| OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: i64::from(partition) + 1,
            committed_metadata: Some(Str::EMPTY),
            ..Default::default()
        });
        let request = OffsetCommitRequest {
            group_id: group(options, number),
            topics: vec![OffsetCommitRequestTopic {
                name: options.name.as_str().into(),
                partitions: partitions.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut is_done = false;
        while !is_done {
            let response = connection.call(&request, 9).await?;
            let mut codes = response.topics.iter().flat_map(|topic| &topic.partitions);
            let worst = codes.find(|partition| partition.error_code != 0);
            is_done = worst.is_none();
            // Apache's coordinators load one after another; nothing else is to go wrong.
            let code = worst.map_or(0, |partition| partition.error_code);
            ensure!(
                matches!(code, 0 | 3 | 14..=16),
                "a commit is answered with error {code}"
            );
        }
    }
    Ok(json!({ "commits": options.commits, "seconds": begin.elapsed().as_secs_f64() }))
}

pub(crate) async fn ready(options: &Options) -> anyhow::Result<Value> {
    let begin = Instant::now();
    let mut connection = loop {
        match Connection::to(options.address).await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(Duration::from_micros(500)).await,
        }
        ensure!(begin.elapsed() < Duration::from_secs(300), "the broker does not listen");
    };
    let groups = options.commits / EACH;
    for number in (0..groups).step_by((groups / ASKED).max(1)) {
        while !is_there(&mut connection, options, number).await? {
            ensure!(
                begin.elapsed() < Duration::from_secs(300),
                "group {number} is not loaded"
            );
            // Whoever asks without a pause takes a core from a broker that loads.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(json!({ "seconds": begin.elapsed().as_secs_f64() }))
}

async fn is_there(connection: &mut Connection, options: &Options, number: usize) -> anyhow::Result<bool> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group(options, number),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: options.name.as_str().into(),
                partition_indexes: vec![(EACH - 1) as i32],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    };
    let response = connection.call(&request, 8).await?;
    let group = response.groups.first().context("an answer for the group")?;
    if group.error_code != 0 {
        return Ok(false);
    }
    let partition = group.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.context("an answer for the partition")?;
    let offset = partition.committed_offset;
    ensure!(
        partition.error_code != 0 || offset == EACH as i64,
        "the offset of group {number} is {offset}"
    );
    Ok(partition.error_code == 0)
}
