//! The figures, in the order in which they are counted: those of a young broker first, then those among many partitions.

use crate::{
    client::{
        COMMIT_VERSION, Client, FETCH_VERSION, PRODUCE_VERSION, Result, base_offset, batch, batch_of, commit, decoded,
        fetch, framed, produce,
    },
    end_figure, run_counted,
};
use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::{
    ids::Uuid,
    messages::{
        ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, MetadataRequest, ProduceRequest,
        metadata_request::MetadataRequestTopic,
    },
};
use std::{thread, time::Duration};

/// Requests before those that are counted: what is made by the first ones is not counted.
const WARM_UP: usize = 50;
const COUNTED: usize = 200;
/// The same for rounds of housekeeping.
const ROUNDS: usize = 3;

const MANY_PARTITIONS: i32 = 1_000;
const OTHER_PRODUCERS: i64 = 100;

/// A request may be refused so often before its coordinator has read its log.
const PATIENCE: usize = 1_000;

/// Counts all figures, with a broker that has its data in `dir`.
pub(crate) fn all(dir: &str) -> Result<()> {
    let client = Client::start(dir)?;
    let topic = client.create_topic("few", 1)?;
    for (name, records) in [("1 KiB", 1), ("16 KiB", 16), ("128 KiB", 128)] {
        produces(&client, topic, records, &format!("produce of {name}"))?;
    }
    producers(&client, topic)?;
    fetches(&client, topic)?;
    sessions(&client, topic, 1, "fetch in a session of 1 partition")?;
    others(&client)?;
    let many = client.create_topic("many", MANY_PARTITIONS)?;
    produces(&client, many, 1, "produce of 1 KiB among 1,000 partitions")?;
    sessions(
        &client,
        many,
        MANY_PARTITIONS,
        "fetch in a session of 1,000 partitions, 1 with news",
    )?;
    housekeeping(&client);
    client.stop()
}

/// Does something `WARM_UP` times without and `COUNTED` times with counting.
fn figure(name: &str, mut work: impl FnMut(usize, bool) -> Result<()>) -> Result<()> {
    for number in 0..WARM_UP + COUNTED {
        work(number, number >= WARM_UP).with_context(|| name.to_owned())?;
    }
    end_figure(name, COUNTED);
    Ok(())
}

fn produces(client: &Client, topic: Uuid, records: usize, name: &str) -> Result<()> {
    let batch = batch(records);
    figure(name, |_, is_counted| {
        client.produce(topic, 0, batch.clone(), is_counted).map(drop)
    })
}

/// An idempotent producer that is alone, and one among others.
fn producers(client: &Client, topic: Uuid) -> Result<()> {
    let mut sequence = 0;
    let mut one_more = |_, is_counted| {
        client.produce(topic, 0, batch_of(0, sequence), is_counted)?;
        sequence += 1;
        Ok(())
    };
    figure("produce of 1 KiB by the only producer", &mut one_more)?;
    for other in 1..=OTHER_PRODUCERS {
        client.produce(topic, 0, batch_of(other, 0), false)?;
    }
    figure("produce of 1 KiB by one of 101 producers", &mut one_more)
}

fn fetches(client: &Client, topic: Uuid) -> Result<()> {
    let (small, large) = (batch(1), batch(16));
    figure("fetch of the last 16 KiB", |_, is_counted| {
        let offset = client.produce(topic, 0, large.clone(), false)?;
        let request = fetch(topic, &[(0, offset)], 0);
        let bytes = client.call_for_records(&request, FETCH_VERSION, is_counted)?;
        ensure!(bytes > large.len(), "an answer of {bytes} bytes has no records");
        Ok(())
    })?;
    let end = client.produce(topic, 0, small.clone(), false)? + 1;
    figure("fetch that waits and ends empty", |_, is_counted| {
        client
            .call(&fetch(topic, &[(0, end)], 1), FETCH_VERSION, is_counted)
            .map(drop)
    })?;
    let mut end = end;
    figure(
        "fetch that waits for a produce of 1 KiB, and that produce",
        |_, is_counted| {
            let frames = (
                framed(&fetch(topic, &[(0, end)], 60_000), FETCH_VERSION)?,
                framed(&produce(topic, 0, small.clone()), PRODUCE_VERSION)?,
            );
            end = produce_while_fetching(client, frames, is_counted)? + 1;
            Ok(())
        },
    )
}

/// Has a fetch wait, and end by a produce; where the produced records begin.
fn produce_while_fetching(client: &Client, (fetch, produce): (Bytes, Bytes), is_counted: bool) -> Result<i64> {
    let mut frames = Some((Bytes::copy_from_slice(&fetch), Bytes::copy_from_slice(&produce)));
    let mut answers = None;
    let mut ask = || {
        let (fetch, produce) = frames.take().unwrap_or_default();
        // The fetch begins first.
        let both = async { tokio::join!(biased; client.broker.answer(fetch), client.broker.answer(produce)) };
        answers = Some(client.runtime.block_on(both));
    };
    match is_counted {
        true => run_counted(&mut ask),
        false => ask(),
    }
    let (fetched, produced) = answers.context("it was asked")?;
    let fetched = decoded::<FetchRequest>(fetched?.context("an answer")?, FETCH_VERSION)?;
    let partition = fetched.responses.first().and_then(|topic| topic.partitions.first());
    let records = partition.and_then(|partition| partition.records.as_ref());
    ensure!(
        records.is_some_and(|records| !records.is_empty()),
        "the fetch got nothing"
    );
    base_offset(&decoded::<ProduceRequest>(
        produced?.context("an answer")?,
        PRODUCE_VERSION,
    )?)
}

/// Fetches in a session, of whose partitions each time another one has got records.
fn sessions(client: &Client, topic: Uuid, partitions: i32, name: &str) -> Result<()> {
    let small = batch(1);
    let ends: Result<Vec<(i32, i64)>> = (0..partitions)
        .map(|index| Ok((index, client.produce(topic, index, small.clone(), false)? + 1)))
        .collect();
    let mut opening = fetch(topic, &ends?, 0);
    opening.session_epoch = 0;
    let session_id = client.call(&opening, FETCH_VERSION, false)?.session_id;
    ensure!(session_id != 0, "there is no session");
    let mut read: Option<(i32, i64)> = None;
    figure(name, |number, is_counted| {
        let index = number as i32 % partitions;
        let offset = client.produce(topic, index, small.clone(), false)?;
        // What was read last is asked for from where it ends, as clients do.
        let mut request = fetch(topic, read.as_slice(), 0);
        if read.is_none() {
            request.topics.clear();
        }
        (request.session_id, request.session_epoch) = (session_id, number as i32 + 1);
        let bytes = client.call_for_records(&request, FETCH_VERSION, is_counted)?;
        ensure!(bytes > small.len(), "an answer of {bytes} bytes has no records");
        read = Some((index, offset + 1));
        Ok(())
    })
}

fn others(client: &Client) -> Result<()> {
    let find = FindCoordinatorRequest {
        coordinator_keys: vec!["group".into()],
        ..Default::default()
    };
    await_coordinator(client, &find)?;
    figure("offset commit", |number, is_counted| {
        let request = commit("group", "few", number as i64);
        client.call(&request, COMMIT_VERSION, is_counted).map(drop)
    })?;
    let metadata = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("few".into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    figure("metadata of a topic", |_, is_counted| {
        client.call(&metadata, 13, is_counted).map(drop)
    })?;
    let versions = ApiVersionsRequest {
        client_software_name: "costs".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    figure("api versions", |_, is_counted| {
        client.call(&versions, 4, is_counted).map(drop)
    })
}

/// Makes the topic of the offsets, and waits until it can be used.
fn await_coordinator(client: &Client, find: &FindCoordinatorRequest) -> Result<()> {
    for _ in 0..PATIENCE {
        let is_there = client.call(find, 4, false).is_ok();
        if is_there && client.call(&commit("group", "few", 0), COMMIT_VERSION, false).is_ok() {
            return Ok(());
        }
        // Others have to do something, some of them in this thread.
        client.runtime.block_on(tokio::task::yield_now());
        thread::sleep(Duration::from_millis(1));
    }
    anyhow::bail!("the group has no coordinator")
}

fn housekeeping(client: &Client) {
    for round in 0..2 * ROUNDS {
        match round >= ROUNDS {
            true => run_counted(&mut || client.broker.keep_house()),
            false => client.broker.keep_house(),
        }
    }
    end_figure(
        "housekeeping, for each of 1,000 idle partitions",
        ROUNDS * MANY_PARTITIONS as usize,
    );
}
