//! What a node does with its settings, from the file and at run time; how it starts and ends.

use anyhow::ensure;
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    ids::TimestampMs,
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, ConfigResourceKind, batch, now_ms},
    process::{Broker, run},
    scratch::Scratch,
};
use std::{
    fs,
    time::{Duration, Instant},
};

type Outcome = ottla_tests::Result<()>;

const DAY_MS: i64 = 86_400_000;

/// Asks until it is so; gives up after 30 s.
fn eventually(mut is_so: impl FnMut() -> ottla_tests::Result<bool>) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "it never came to be so");
    }
    Ok(())
}

fn batch_of(timestamp: TimestampMs) -> Bytes {
    let mut batch = BatchBuilder::new();
    batch.append(&NewRecord::of(timestamp, b"key", b"value"));
    batch.build()
}

#[test]
fn a_second_broker_on_a_directory_names_the_process_that_has_it() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &[])?;
    let data = format!("log.dirs={}", broker.data().display());
    let second = run(&[
        "serve",
        "--override",
        &data,
        "--override",
        "listeners=PLAINTEXT://127.0.0.1:0",
    ])?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success(), "{said}");
    assert!(
        said.contains(&format!("is in use by process {}", broker.pid())),
        "{said}"
    );
    broker.connect()?.metadata(None)?;
    Ok(())
}

#[test]
fn wrong_values_stop_with_file_line_key_and_what_is_allowed() -> Outcome {
    let scratch = Scratch::new("settings");
    let file = scratch.path().join("server.properties");
    let path = file.display().to_string();
    let cases = [
        ("num.partitions=none", &["num.partitions", "none"][..]),
        ("num.partitions=0", &["num.partitions", "at least 1"]),
        ("log.cleanup.policy=shred", &["log.cleanup.policy", "compact", "delete"]),
        (
            "auto.create.topics.enable=maybe",
            &["auto.create.topics.enable", "true", "false"],
        ),
    ];
    for (line, expected) in cases {
        fs::write(&file, format!("# settings\nnode.id=1\n{line}\n"))?;
        let ended = run(&["serve", &path])?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{line}: {said}");
        let place = format!("{path}:3: ");
        assert!(said.contains(&place), "{line}: {said}");
        for part in expected {
            assert!(said.contains(part), "{line}: {part} is not in: {said}");
        }
    }
    Ok(())
}

/// The words are those of Apache Kafka 4.4.0.
#[test]
fn settings_of_groups_outside_of_the_brokers_bounds_are_refused_at_start_and_at_run_time() -> Outcome {
    let scratch = Scratch::new("settings");
    let data = format!("log.dirs={}", scratch.path().join("data").display());
    let too_short = "group.consumer.session.timeout.ms=1000";
    let started = run(&["serve", "--override", &data, "--override", too_short])?;
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    let expected =
        "group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms";
    assert!(!started.status.success() && said.contains(expected), "{said}");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    let mut refusal = |kind, name: &str, key, value| {
        let altered = client.alter_configs(kind, name, &[(key, Some(value))]);
        altered.err().map_or_else(String::new, |error| error.to_string())
    };
    let refused = refusal(ConfigResourceKind::Group, "g", "consumer.session.timeout.ms", "1000");
    let expected = "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.";
    assert!(
        refused.starts_with("INVALID_CONFIG") && refused.contains(expected),
        "{refused}"
    );
    let interval = "group.consumer.assignment.interval.ms";
    let refused = refusal(ConfigResourceKind::Broker, "", interval, "20000");
    let expected = format!("{interval} must be less than or equal to group.consumer.max.assignment.interval.ms");
    assert!(
        refused.starts_with("INVALID_REQUEST") && refused.contains(&expected),
        "{refused}"
    );
    assert_eq!(refusal(ConfigResourceKind::Broker, "", interval, "2000"), "");
    Ok(())
}

#[test]
fn both_signals_end_it_within_seconds_and_with_success() -> Outcome {
    let scratch = Scratch::new("settings");
    let mut broker = Broker::start(scratch.path(), &[])?;
    for signal in ["TERM", "INT"] {
        let mut client = broker.connect()?;
        client.create_topic(signal, 3, &[])?;
        // A fetch that waits, and a connection that is idle, must not hold it up.
        client.send(&ottla_tests::client::fetch_request(signal, 0, 0, 60_000), 12)?;
        let begin = Instant::now();
        broker.signal(signal)?;
        let status = broker.await_end()?;
        assert!(status.success(), "SIG{signal}: {status}");
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "SIG{signal}: {:?}",
            begin.elapsed()
        );
        broker.restart()?;
    }
    Ok(())
}

#[test]
fn clients_are_told_the_address_of_the_listener_that_they_use() -> Outcome {
    let scratch = Scratch::new("settings");
    let protocols = "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT";
    let broker = Broker::start_with_listeners(scratch.path(), &["INSIDE", "OUTSIDE"], &[protocols])?;
    for number in [0, 1] {
        let address = broker.listener(number);
        let metadata = Client::connect(address)?.metadata(None)?;
        let told: Vec<_> = metadata
            .brokers
            .iter()
            .map(|broker| (broker.host.to_string(), broker.port))
            .collect();
        assert_eq!(told, [(address.ip().to_string(), i32::from(address.port()))]);
    }
    Ok(())
}

#[test]
fn retention_that_is_changed_for_brokers_acts_on_topics_at_once() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &["log.retention.check.interval.ms=20"])?;
    let mut client = broker.connect()?;
    for (topic, resource) in [("all", ""), ("one", "1")] {
        client.create_topic(topic, 1, &[])?;
        client.create_topic("own", 1, &[("retention.ms", "-1")])?;
        for topic in [topic, "own"] {
            client.produce(topic, 0, batch_of(now_ms() - 2 * DAY_MS), -1)?;
        }
        assert_eq!(client.offset_at(topic, 0, -2)?, 0);
        let day = DAY_MS.to_string();
        client.alter_configs(
            ConfigResourceKind::Broker,
            resource,
            &[("log.retention.ms", Some(&day))],
        )?;
        eventually(|| Ok(client.offset_at(topic, 0, -2)? == 1))?;
        assert_eq!(client.offset_at("own", 0, -2)?, 0, "a topic's own value wins");
        client.alter_configs(ConfigResourceKind::Broker, resource, &[("log.retention.ms", None)])?;
        client.delete_topic("own")?;
    }
    Ok(())
}

#[test]
fn the_largest_batch_changes_with_the_brokers_setting() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    let large = batch(&[&vec![b'x'; 10_000]]);
    assert_eq!(client.produce("t", 0, large.clone(), -1)?.0, ErrorCode::None);
    let limit = |value| [("message.max.bytes", value)];
    client.alter_configs(ConfigResourceKind::Broker, "1", &limit(Some("5000")))?;
    assert_eq!(client.produce("t", 0, large.clone(), -1)?.0, ErrorCode::MessageTooLarge);
    client.alter_configs(ConfigResourceKind::Broker, "1", &limit(None))?;
    assert_eq!(client.produce("t", 0, large, -1)?.0, ErrorCode::None);
    Ok(())
}

#[test]
fn no_more_connections_are_taken_than_max_connections_says_at_the_time() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut first = broker.connect()?;
    first.alter_configs(ConfigResourceKind::Broker, "", &[("max.connections", Some("1"))])?;
    assert!(
        broker.connect()?.metadata(None).is_err(),
        "a second connection was taken"
    );
    first.alter_configs(ConfigResourceKind::Broker, "", &[("max.connections", None)])?;
    broker.connect()?.metadata(None)?;
    Ok(())
}

#[test]
fn new_topics_get_the_partitions_that_the_file_says() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &["num.partitions=7", "offsets.topic.num.partitions=3"])?;
    let mut client = broker.connect()?;
    client.create_topic("t", -1, &[])?;
    assert_eq!(client.metadata(Some("t"))?.topics[0].partitions.len(), 7);
    Ok(())
}

/// The recovery points that are written down, as `topic partition offset`.
fn has_recovery_point(broker: &Broker, line: &str) -> bool {
    let file = broker.data().join("recovery-point-offset-checkpoint");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|found| found == line)
}

#[test]
fn flushes_follow_messages_and_time_and_otherwise_are_left_to_the_system() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &["log.flush.offset.checkpoint.interval.ms=10"])?;
    let mut client = broker.connect()?;
    let topics = [
        ("each", &[("flush.messages", "1")][..]),
        ("timed", &[("flush.ms", "30")]),
        ("lazy", &[]),
    ];
    for (topic, configs) in topics {
        client.create_topic(topic, 1, configs)?;
        for acks in [-1, 1, -1] {
            assert_eq!(client.produce(topic, 0, batch(&[b"value"]), acks)?.0, ErrorCode::None);
        }
        assert_eq!(client.offset_at(topic, 0, -1)?, 3, "{topic}");
    }
    eventually(|| Ok(has_recovery_point(&broker, "each 0 3") && has_recovery_point(&broker, "timed 0 3")))?;
    assert!(has_recovery_point(&broker, "lazy 0 0"));

    // For all brokers, at run time.
    let every = [("log.flush.interval.messages", Some("2"))];
    client.alter_configs(ConfigResourceKind::Broker, "", &every)?;
    client.produce("lazy", 0, batch(&[b"a", b"b"]), -1)?;
    eventually(|| Ok(has_recovery_point(&broker, "lazy 0 5")))
}

#[test]
fn produces_that_wait_for_the_disk_are_answered_in_order_and_by_all_partitions() -> Outcome {
    use ottla_protocol::messages::{ProduceRequest, produce_request::PartitionProduceData};
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &["log.flush.interval.messages=1"])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 4, &[])?;
    let mut request = ottla_tests::client::produce_request("t", 0, batch(&[b"value"]), -1);
    request.topic_data[0]
        .partition_data
        .extend((1..4).map(|index| PartitionProduceData {
            index,
            records: Some(batch(&[b"value"])),
        }));
    let sent: Vec<i32> = (0..20).map(|_| client.send(&request, 9)).collect::<Result<_, _>>()?;
    for (offset, correlation_id) in (0..).zip(sent) {
        let response = client.receive::<ProduceRequest>(9, correlation_id)?;
        for answer in &response.responses[0].partition_responses {
            assert_eq!((answer.error_code, answer.base_offset), (0, offset));
        }
    }
    // Without an answer nobody waits, and what is behind it is not held up.
    request.acks = 0;
    client.send(&request, 9)?;
    eventually(|| Ok(client.offset_at("t", 3, -1)? == 21))?;
    Ok(())
}

#[test]
fn idle_connections_and_large_requests_and_answers_have_the_limits_of_the_file() -> Outcome {
    let scratch = Scratch::new("settings");
    let limits = [
        "connections.max.idle.ms=300",
        "fetch.max.bytes=1024",
        "socket.request.max.bytes=20000",
    ];
    let broker = Broker::start(scratch.path(), &limits)?;
    let mut client = broker.connect()?;
    client.create_topic("t", 1, &[])?;
    for _ in 0..3 {
        client.produce("t", 0, batch(&[&vec![b'x'; 1000]]), -1)?;
    }
    let begin = Instant::now();
    let fetched = client.fetch("t", 0, 0, 0)?;
    let records = fetched.responses[0].partitions[0]
        .records
        .as_ref()
        .map_or(0, |records| records.len());
    assert!(
        (1000..2000).contains(&records),
        "one batch of three, not {records} bytes"
    );

    assert!(client.is_closed_in_silence()?, "an idle connection is closed");
    assert!(
        begin.elapsed() >= Duration::from_millis(300),
        "after {:?}",
        begin.elapsed()
    );

    let mut client = broker.connect()?;
    let large = ottla_tests::client::produce_request("t", 0, batch(&[&vec![b'x'; 30_000]]), -1);
    client.send(&large, 9)?;
    assert!(
        client.is_closed_in_silence()?,
        "a request that is too large is not read"
    );
    Ok(())
}

#[test]
fn more_in_sync_replicas_than_there_are_replicas_cannot_be_asked_for() -> Outcome {
    let scratch = Scratch::new("settings");
    let broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    // As with Kafka, min.insync.replicas counts up to the replication factor: one replica is all there is.
    client.create_topic("t", 1, &[("min.insync.replicas", "2")])?;
    assert_eq!(client.produce("t", 0, batch(&[b"a"]), -1)?, (ErrorCode::None, 0));
    Ok(())
}
