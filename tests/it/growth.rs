//! What one more of something costs in memory (tests/budgets.toml): it follows from what is used, not from what could be.

use anyhow::ensure;
use bytes::Bytes;
use ottla_protocol::{
    ids::{ProducerEpoch, ProducerId},
    messages::{
        ConsumerGroupHeartbeatRequest, JoinGroupRequest, ProduceRequest, fetch_request::FetchPartition,
        join_group_request::JoinGroupRequestProtocol,
    },
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    budgets,
    client::{code, fetch_request, now_ms, produce_request},
    process::{Broker, eventually},
    scratch::Scratch,
    simple_group,
};

type Outcome = ottla_tests::Result<()>;

const PRODUCERS: usize = 100_000;

/// How many are made before the first and before the second reading; what the first ones cost besides themselves
/// (tables, arenas) is in neither.
const WARM_UP: usize = 200;
const MEASURED: usize = 1_000;

/// Holds the anonymous memory for each of `MEASURED` things more, after `WARM_UP` of them, against its budget.
fn hold_each(broker: &Broker, name: &str, make: impl FnMut(usize) -> Outcome) -> Outcome {
    hold_each_of(broker, name, (WARM_UP, MEASURED), make)
}

fn hold_each_of(
    broker: &Broker,
    name: &str,
    (warm_up, measured): (usize, usize),
    mut make: impl FnMut(usize) -> Outcome,
) -> Outcome {
    (0..warm_up).try_for_each(&mut make)?;
    let before = broker.anonymous_bytes()?;
    (warm_up..warm_up + measured).try_for_each(&mut make)?;
    hold(name, broker.anonymous_bytes()?.saturating_sub(before), measured)
}

fn hold(name: &str, bytes: usize, count: usize) -> Outcome {
    budgets::hold("anonymous-bytes", name, bytes as f64 / count as f64)
}

#[test]
fn an_idle_connection_costs_little_and_no_thread() -> Outcome {
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &[])?;
    let threads = broker.thread_count()?;
    let mut open = Vec::new();
    hold_each(&broker, "idle connection", |_| {
        let mut client = broker.connect()?;
        client.api_versions()?;
        client.metadata(None)?;
        open.push(client);
        Ok(())
    })?;
    assert_eq!(broker.thread_count()?, threads);
    Ok(())
}

#[test]
fn a_fetch_session_costs_little() -> Outcome {
    let scratch = Scratch::new("growth");
    let slots = format!("max.incremental.fetch.session.cache.slots={}", WARM_UP + MEASURED);
    let broker = Broker::start(scratch.path(), &[&slots])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    hold_each(&broker, "fetch session of 1 partition", |_| {
        let mut opening = fetch_request("t", 0, 0, 0);
        opening.session_epoch = 0;
        assert_ne!(client.call(&opening, 12)?.session_id, 0, "the cache is full");
        Ok(())
    })
}

#[test]
fn a_fetch_session_of_many_partitions_costs_little_for_each() -> Outcome {
    const PARTITIONS: i32 = 1_000;
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", PARTITIONS, &[])?;
    let mut opening = fetch_request("t", 0, 0, 0);
    opening.session_epoch = 0;
    let one = opening.topics[0].partitions[0].clone();
    let all = (0..PARTITIONS).map(|partition| FetchPartition {
        partition,
        ..one.clone()
    });
    opening.topics[0].partitions = all.collect();
    hold_each_of(&broker, "fetch session of 1,000 partitions", (20, 100), |_| {
        assert_ne!(client.call(&opening, 12)?.session_id, 0, "the cache is full");
        Ok(())
    })
}

#[test]
fn a_member_of_a_consumer_group_costs_little() -> Outcome {
    const MEMBERS: usize = 50;
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", MEMBERS as i32, &[])?;
    simple_group::commit(&mut client, "warm-up", "t", &[(0, 0)])?;
    hold_each(&broker, "member of a consumer group", |number| {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: format!("group-{}", number / MEMBERS).into(),
            member_id: format!("member-{number:015}").into(),
            rebalance_timeout_ms: 300_000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        };
        let response = client.call(&request, 1)?;
        ensure!(response.error_code == 0, "{:?}", code(response.error_code));
        Ok(())
    })
}

#[test]
fn a_classic_group_costs_little() -> Outcome {
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &["group.initial.rebalance.delay.ms=0"])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    simple_group::commit(&mut client, "warm-up", "t", &[(0, 0)])?;
    hold_each(&broker, "classic group of one member", |number| {
        let request = JoinGroupRequest {
            group_id: format!("group-{number}").into(),
            session_timeout_ms: 300_000,
            rebalance_timeout_ms: 300_000,
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(&[0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff]),
            }],
            ..Default::default()
        };
        // From version 4 on a member asks twice: first for its id.
        let response = client.call(&request, 3)?;
        ensure!(response.error_code == 0, "{:?}", code(response.error_code));
        Ok(())
    })
}

#[test]
fn an_idle_partition_costs_little_and_no_thread() -> Outcome {
    const PARTITIONS: usize = 100;
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("warm-up", PARTITIONS as i32, &[])?;
    let (threads, before) = (broker.thread_count()?, broker.anonymous_bytes()?);
    for topic in 0..10 {
        client.create_topic(&format!("t{topic}"), PARTITIONS as i32, &[])?;
    }
    let bytes = broker.anonymous_bytes()?.saturating_sub(before);
    hold("idle partition", bytes, 10 * PARTITIONS)?;
    // Those that have opened the logs end soon.
    eventually(|| Ok(broker.thread_count()? <= threads))?;
    Ok(())
}

#[test]
fn a_producer_that_has_gone_costs_little() -> Outcome {
    const AT_ONCE: usize = 100;
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    // One batch each, so many requests under way at the same time.
    let mut make = |ids: std::ops::Range<usize>| -> Outcome {
        for first in ids.step_by(AT_ONCE) {
            let mut sent = Vec::new();
            for id in first..first + AT_ONCE {
                let mut batch = BatchBuilder::new().producer(ProducerId(id as i64), ProducerEpoch(0), 0);
                batch.append(&NewRecord::of(now_ms(), b"k", b"v"));
                sent.push(client.send(&produce_request("t", 0, batch.build(), -1), 9)?);
            }
            for correlation_id in sent {
                let response = client.receive::<ProduceRequest>(9, correlation_id)?;
                assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
            }
        }
        Ok(())
    };
    make(0..1_000)?;
    let before = broker.anonymous_bytes()?;
    make(1_000..1_000 + PRODUCERS)?;
    let bytes = broker.anonymous_bytes()?.saturating_sub(before);
    hold("idle producer id", bytes, PRODUCERS)
}
