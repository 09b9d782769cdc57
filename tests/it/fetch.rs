//! Fetch and ListOffsets over a real socket: limits, waiting, sessions, look-ups by time.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    messages::{
        FetchRequest, FetchResponse, ListOffsetsRequest,
        fetch_request::{FetchPartition, FetchTopic},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, batch, code, fetch_request},
    process::Broker,
    scratch::Scratch,
};
use std::time::{Duration, Instant};

type Outcome = ottla_tests::Result<()>;

fn with_broker(test: impl FnOnce(&Broker, &mut Client) -> Outcome) -> Outcome {
    let scratch = Scratch::new("fetch");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    test(&broker, &mut client)
}

/// Records of the n-th partition of the first topic.
fn records(response: &FetchResponse, partition: usize) -> Bytes {
    let partitions = response.responses.first().map(|topic| &topic.partitions);
    let found = partitions.and_then(|partitions| partitions.get(partition));
    found
        .and_then(|partition| partition.records.clone())
        .unwrap_or_default()
}

fn of_partitions(topic: &str, offsets: &[(i32, i64)]) -> FetchRequest {
    let mut request = fetch_request(topic, 0, 0, 0);
    let partition = |(index, offset): &(i32, i64)| FetchPartition {
        partition: *index,
        fetch_offset: *offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let partitions = offsets.iter().map(partition).collect();
    request.topics = vec![FetchTopic {
        topic: topic.into(),
        partitions,
        ..Default::default()
    }];
    request
}

/// BR-20, BR-22.
#[test]
fn a_fetch_at_the_end_waits_for_its_time_or_for_news() -> Outcome {
    with_broker(|broker, client| {
        client.create_topic("t", 1, &[])?;
        let begin = Instant::now();
        let response = client.fetch("t", 0, 0, 300)?;
        assert!(
            begin.elapsed() >= Duration::from_millis(300),
            "answered after {:?}",
            begin.elapsed()
        );
        assert_eq!(records(&response, 0).len(), 0);
        assert!(
            response.responses[0].partitions[0].records.is_some(),
            "empty, not null: librdkafka refuses null"
        );
        let request = client.send(&fetch_request("t", 0, 0, 60_000), 12)?;
        broker.connect()?.produce("t", 0, batch(&[b"news"]), -1)?;
        assert!(!records(&client.receive::<FetchRequest>(12, request)?, 0).is_empty());
        Ok(())
    })
}

/// BR-20.
#[test]
fn too_few_bytes_come_when_the_time_is_up() -> Outcome {
    with_broker(|_, client| {
        client.create_topic("t", 1, &[])?;
        client.produce("t", 0, batch(&[b"little"]), -1)?;
        let mut request = fetch_request("t", 0, 0, 300);
        request.min_bytes = 1_000_000;
        let begin = Instant::now();
        let response = client.call(&request, 12)?;
        assert!(begin.elapsed() >= Duration::from_millis(300));
        assert!(!records(&response, 0).is_empty());
        Ok(())
    })
}

/// BR-21 (KIP-74).
#[test]
fn the_first_batch_comes_whole_whatever_the_limits() -> Outcome {
    with_broker(|_, client| {
        client.create_topic("t", 2, &[])?;
        let large = batch(&[&vec![b'x'; 100_000]]);
        for partition in [0, 1] {
            client.produce("t", partition, large.clone(), -1)?;
        }
        let mut request = of_partitions("t", &[(0, 0), (1, 0)]);
        request.max_bytes = 1;
        request.topics[0]
            .partitions
            .iter_mut()
            .for_each(|partition| partition.partition_max_bytes = 1);
        let response = client.call(&request, 12)?;
        assert_eq!(records(&response, 0).len(), large.len());
        assert_eq!(
            records(&response, 1).len(),
            0,
            "the limits hold from the second partition on"
        );
        Ok(())
    })
}

#[test]
fn a_session_answers_only_for_partitions_with_news_and_starves_none() -> Outcome {
    with_broker(|_, client| {
        client.create_topic("t", 3, &[])?;
        let mut opening = of_partitions("t", &[(0, 0), (1, 0), (2, 0)]);
        opening.session_epoch = 0;
        let opened = client.call(&opening, 12)?;
        assert_eq!(opened.responses[0].partitions.len(), 3, "the first answer is full");
        let next = |epoch: i32, wait: i32| FetchRequest {
            session_id: opened.session_id,
            session_epoch: epoch,
            max_wait_ms: wait,
            min_bytes: 1,
            max_bytes: 64 << 20,
            ..Default::default()
        };
        assert_eq!(client.call(&next(1, 0), 12)?.responses, [], "nothing new, nothing told");
        client.produce("t", 1, batch(&[b"news"]), -1)?;
        let told = |response: &FetchResponse| -> Vec<i32> {
            response
                .responses
                .iter()
                .flat_map(|topic| &topic.partitions)
                .map(|each| each.partition_index)
                .collect()
        };
        assert_eq!(told(&client.call(&next(2, 60_000), 12)?), [1]);
        // The client has not moved on: it gets the same again, as after a lost answer.
        assert_eq!(told(&client.call(&next(3, 60_000), 12)?), [1]);
        for partition in [0, 1, 2] {
            client.produce("t", partition, batch(&[&vec![b'x'; 50_000]]), -1)?;
        }
        let mut served = Vec::new();
        for epoch in 4..7 {
            let mut small = next(epoch, 0);
            small.max_bytes = 1;
            let response = client.call(&small, 12)?;
            let with_data = response.responses.iter().flat_map(|topic| &topic.partitions);
            let with_data = with_data.filter(|each| each.records.as_ref().is_some_and(|records| !records.is_empty()));
            served.extend(with_data.map(|each| each.partition_index));
        }
        served.sort_unstable();
        assert_eq!(served, [0, 1, 2], "each got its turn");
        Ok(())
    })
}

/// BR-24.
#[test]
fn a_topic_deleted_and_created_again_is_another_one_to_a_session() -> Outcome {
    with_broker(|_, client| {
        let id = client.create_topic("t", 1, &[])?;
        client.produce("t", 0, batch(&[b"old"]), -1)?;
        let mut opening = fetch_request("", 0, 0, 0);
        opening.session_epoch = 0;
        opening.topics[0].topic_id = id;
        let opened = client.call(&opening, 13)?;
        assert!(!records(&opened, 0).is_empty());
        client.delete_topic("t")?;
        client.create_topic("t", 1, &[])?;
        client.produce("t", 0, batch(&[b"new"]), -1)?;
        let next = FetchRequest {
            session_id: opened.session_id,
            session_epoch: 1,
            ..Default::default()
        };
        let response = client.call(&next, 13)?;
        assert_eq!(
            code(response.responses[0].partitions[0].error_code),
            ErrorCode::UnknownTopicId
        );
        assert_eq!(response.responses[0].topic_id, id);
        Ok(())
    })
}

#[test]
fn a_session_that_names_topics_is_woken_by_the_topic_that_has_the_name_now() -> Outcome {
    with_broker(|broker, client| {
        client.create_topic("t", 1, &[])?;
        let mut opening = fetch_request("t", 0, 0, 0);
        opening.session_epoch = 0;
        let opened = client.call(&opening, 12)?;
        client.delete_topic("t")?;
        let next = |epoch: i32, max_wait_ms: i32| FetchRequest {
            session_id: opened.session_id,
            session_epoch: epoch,
            max_wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            ..Default::default()
        };
        let gone = client.call(&next(1, 0), 12)?;
        assert_eq!(
            code(gone.responses[0].partitions[0].error_code),
            ErrorCode::UnknownTopicOrPartition
        );
        client.create_topic("t", 1, &[])?;
        // The new topic is told of twice at the most: once that it is there, then nothing is new.
        client.call(&next(2, 0), 12)?;
        client.call(&next(3, 0), 12)?;
        let waiting = client.send(&next(4, 60_000), 12)?;
        broker.connect()?.produce("t", 0, batch(&[b"news"]), -1)?;
        assert!(!records(&client.receive::<FetchRequest>(12, waiting)?, 0).is_empty());
        Ok(())
    })
}

/// The answer to one look-up: offset and timestamp.
fn list_offset(client: &mut Client, timestamp: i64) -> ottla_tests::Result<(i64, i64)> {
    let partition = ListOffsetsPartition {
        timestamp,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: "t".into(),
        partitions: vec![partition],
    };
    let response = client.call(
        &ListOffsetsRequest {
            replica_id: -1,
            topics: vec![topic],
            ..Default::default()
        },
        11,
    )?;
    let answer = &response.topics[0].partitions[0];
    assert_eq!(code(answer.error_code), ErrorCode::None, "timestamp {timestamp}");
    Ok((answer.offset, answer.timestamp))
}

/// BR-25, BR-26, BR-28.
#[test]
fn look_ups_by_time_are_exact_to_the_record() -> Outcome {
    with_broker(|_, client| {
        client.create_topic("t", 1, &[])?;
        for special in [-3, 5] {
            assert_eq!(
                list_offset(client, special)?,
                (-1, -1),
                "an empty partition has no answer for {special}"
            );
        }
        assert_eq!((list_offset(client, -1)?, list_offset(client, -2)?), ((0, -1), (0, -1)));
        for pair in [[2, 4], [6, 8]] {
            let mut builder = BatchBuilder::new();
            for timestamp in pair {
                builder.append(&NewRecord::of(timestamp, b"k", b"v"));
            }
            client.produce("t", 0, builder.build(), -1)?;
        }
        let expected = [
            (1, 0, 2),
            (2, 0, 2),
            (3, 1, 4),
            (4, 1, 4),
            (5, 2, 6),
            (6, 2, 6),
            (7, 3, 8),
            (8, 3, 8),
        ];
        for (asked, offset, timestamp) in expected {
            assert_eq!(list_offset(client, asked)?, (offset, timestamp), "at {asked}");
        }
        assert_eq!(list_offset(client, 9)?, (-1, -1));
        assert_eq!(list_offset(client, -1)?.0, 4);
        assert_eq!(list_offset(client, -3)?, (3, 8), "the largest timestamp (KIP-734)");
        assert_eq!(
            list_offset(client, -4)?.0,
            0,
            "without tiering the local log is the log"
        );
        assert_eq!(list_offset(client, -5)?, (-1, -1), "nothing is tiered");
        Ok(())
    })
}

/// BR-29.
#[test]
fn leader_epochs_are_checked_both_ways() -> Outcome {
    with_broker(|_, client| {
        client.create_topic("t", 1, &[])?;
        client.produce("t", 0, batch(&[b"a"]), -1)?;
        let metadata = client.metadata(Some("t"))?;
        let current = metadata.topics[0].partitions[0].leader_epoch;
        let mut ask = |epoch: i32| {
            let mut request = fetch_request("t", 0, 0, 0);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            client
                .call(&request, 12)
                .map(|response| code(response.responses[0].partitions[0].error_code))
        };
        assert_eq!(ask(-1)?, ErrorCode::None);
        assert_eq!(ask(current)?, ErrorCode::None);
        assert_eq!(ask(current + 1)?, ErrorCode::UnknownLeaderEpoch);
        if current > 0 {
            assert_eq!(ask(current - 1)?, ErrorCode::FencedLeaderEpoch);
        }
        Ok(())
    })
}

/// BR-24: a session does not change between names and ids.
#[test]
fn a_session_keeps_to_names_or_to_ids() -> Outcome {
    with_broker(|_, client| {
        let id = client.create_topic("t", 1, &[])?;
        let mut opening = fetch_request("t", 0, 0, 0);
        (opening.session_epoch, opening.topics[0].topic_id) = (0, id);
        for (first, second) in [(12, 13), (13, 12)] {
            let opened = client.call(&opening, first)?;
            assert_ne!(opened.session_id, 0);
            let next = FetchRequest {
                session_id: opened.session_id,
                session_epoch: 1,
                ..Default::default()
            };
            let error = client.call(&next, second)?.error_code;
            assert_eq!(
                code(error),
                ErrorCode::FetchSessionTopicIdError,
                "{first}, then {second}"
            );
        }
        Ok(())
    })
}
