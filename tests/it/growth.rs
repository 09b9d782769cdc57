//! What one more of something costs: memory that follows from what is used, not from what could be.

use ottla_protocol::{
    ids::{ProducerEpoch, ProducerId},
    messages::ProduceRequest,
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{fetch_request, now_ms, produce_request},
    process::{Broker, eventually},
    scratch::Scratch,
};

type Outcome = ottla_tests::Result<()>;

/// Anonymous memory of a connection that has said who it is and is silent now.
const IDLE_CONNECTION_BYTES_MAX: usize = 4 << 10;
/// Anonymous memory of a fetch session with one partition, without its connection.
const FETCH_SESSION_BYTES_MAX: usize = 4 << 10;
/// Anonymous memory of a partition that nobody uses.
const IDLE_PARTITION_BYTES_MAX: usize = 10 << 10;
/// Anonymous memory of a producer that a partition remembers, over [`PRODUCERS`] of them.
const IDLE_PRODUCER_BYTES_MAX: usize = 400;
const PRODUCERS: usize = 100_000;

/// How many are made before the first and before the second reading; what the first ones cost besides themselves
/// (tables, arenas) is in neither.
const WARM_UP: usize = 200;
const MEASURED: usize = 1_000;

/// Anonymous bytes for each of `MEASURED` things more, after `WARM_UP` of them.
fn bytes_each(broker: &Broker, mut make: impl FnMut(usize) -> Outcome) -> ottla_tests::Result<usize> {
    (0..WARM_UP).try_for_each(&mut make)?;
    let before = broker.anonymous_bytes()?;
    (WARM_UP..WARM_UP + MEASURED).try_for_each(&mut make)?;
    Ok(broker.anonymous_bytes()?.saturating_sub(before) / MEASURED)
}

#[test]
fn an_idle_connection_costs_little_and_no_thread() -> Outcome {
    let scratch = Scratch::new("growth");
    let broker = Broker::start(scratch.path(), &[])?;
    let threads = broker.thread_count()?;
    let mut open = Vec::new();
    let bytes = bytes_each(&broker, |_| {
        let mut client = broker.connect()?;
        client.api_versions()?;
        client.metadata(None)?;
        open.push(client);
        Ok(())
    })?;
    assert!(
        bytes <= IDLE_CONNECTION_BYTES_MAX,
        "{bytes} bytes for an idle connection"
    );
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
    let bytes = bytes_each(&broker, |_| {
        let mut opening = fetch_request("t", 0, 0, 0);
        opening.session_epoch = 0;
        assert_ne!(client.call(&opening, 12)?.session_id, 0, "the cache is full");
        Ok(())
    })?;
    assert!(bytes <= FETCH_SESSION_BYTES_MAX, "{bytes} bytes for a fetch session");
    Ok(())
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
    let bytes = broker.anonymous_bytes()?.saturating_sub(before) / (10 * PARTITIONS);
    assert!(bytes <= IDLE_PARTITION_BYTES_MAX, "{bytes} bytes for an idle partition");
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
    let bytes = broker.anonymous_bytes()?.saturating_sub(before) / PRODUCERS;
    println!("{bytes} bytes for an idle producer");
    assert!(bytes <= IDLE_PRODUCER_BYTES_MAX, "{bytes} bytes for an idle producer");
    Ok(())
}
