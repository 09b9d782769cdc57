//! The HTTP endpoint over a real socket: what the metrics say, the lag of groups in records and in seconds, and who sends
//! what no well-behaved client does.

use anyhow::{Context, ensure};
use ottla_protocol::{
    ErrorCode,
    messages::{
        DeleteRecordsRequest,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    },
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, batch, now_ms},
    http::{Answer, Figures, exchange, free_address, get, get_json, parse_metrics},
    process::{Broker, eventually, run},
    scratch::Scratch,
    simple_group::commit,
    transactional::{Producer, UNVERIFIED},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

type Outcome = ottla_tests::Result<()>;

const GROUP: &str = "billing";
const PRODUCER: Producer = Producer { id: 9, epoch: 0 };

fn with_broker(test: impl FnOnce(&mut Broker, &mut Client, SocketAddr) -> Outcome) -> Outcome {
    let scratch = Scratch::new("metrics");
    let http = free_address()?;
    let mut broker = Broker::start(scratch.path(), &[&format!("http.listener=http://{http}"), UNVERIFIED])?;
    let mut client = broker.connect()?;
    // Records that say that they are from 1970 are not to be deleted at once.
    client.create_topic("t", 2, &[("retention.ms", "-1")])?;
    test(&mut broker, &mut client, http)?;
    broker.assert_sound()
}

/// Records whose producer says that they are from 1970.
fn old_batch(count: usize) -> bytes::Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder.append(&NewRecord::of(7, b"key", b"value"));
    }
    builder.build()
}

fn produce(client: &mut Client, partition: i32, batch: bytes::Bytes) -> Outcome {
    let (code, _) = client.produce("t", partition, batch, -1)?;
    ensure!(code == ErrorCode::None, "{code:?}");
    Ok(())
}

/// What the broker says of the group's partition of "t".
fn lag(http: SocketAddr, partition: i32) -> ottla_tests::Result<Value> {
    let group = get_json(http, &format!("/v1/groups/{GROUP}"))?;
    let offsets = group["offsets"].as_array().context("offsets")?;
    let is_meant = |offset: &&Value| offset["partition"] == partition && offset["topic"] == "t";
    offsets.iter().find(is_meant).cloned().context("the partition")
}

fn seconds(lag: &Value) -> ottla_tests::Result<f64> {
    lag["lag_seconds"].as_f64().context("seconds")
}

fn metrics(http: SocketAddr) -> ottla_tests::Result<Figures> {
    let answer = get(http, "/metrics")?;
    ensure!(answer.status == 200, "{}", answer.body);
    ensure!(
        answer.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    parse_metrics(&answer.body)
}

fn figure(figures: &Figures, name: &str, labels: &[(&str, &str)]) -> ottla_tests::Result<f64> {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let found = figures.get(&(name.to_owned(), labels.clone()));
    found.copied().with_context(|| format!("{name} {labels:?}"))
}

#[test]
fn lag_is_what_is_left_to_read_and_for_how_long_it_has_been_there() -> Outcome {
    with_broker(|_, client, http| {
        let begin = Instant::now();
        produce(client, 0, old_batch(5))?;
        commit(client, GROUP, "t", &[(0, 2), (1, 0)])?;
        let first = lag(http, 0)?;
        assert_eq!((&first["state"], &first["lag_records"]), (&"known".into(), &3.into()));
        assert_eq!(first["lag_seconds_by"], "append");
        let nothing = lag(http, 1)?;
        assert_eq!((&nothing["lag_records"], seconds(&nothing)?), (&0.into(), 0.0));
        // The producer's clock says 1970; what counts is when the broker took it, which it knows in whole milliseconds.
        assert!(seconds(&first)? <= begin.elapsed().as_secs_f64() + 0.001, "{first}");
        eventually(|| Ok(seconds(&lag(http, 0)?)? > seconds(&first)?))?;
        produce(client, 1, batch(&[b"v"]))?;
        let (older, younger) = (lag(http, 0)?, lag(http, 1)?);
        assert_eq!((&older["lag_records"], &younger["lag_records"]), (&3.into(), &1.into()));
        assert!(seconds(&lag(http, 0)?)? >= seconds(&younger)?, "{older} {younger}");
        let group = get_json(http, &format!("/v1/groups/{GROUP}"))?;
        assert_eq!((&group["lag_records"], &group["state"]), (&4.into(), &"Empty".into()));
        commit(client, GROUP, "t", &[(0, 5), (1, 1)])?;
        for partition in [0, 1] {
            let read = lag(http, partition)?;
            assert_eq!((&read["lag_records"], seconds(&read)?), (&0.into(), 0.0));
        }
        Ok(())
    })
}

#[test]
fn offsets_that_point_to_nothing_are_named_and_never_negative() -> Outcome {
    with_broker(|_, client, http| {
        produce(client, 0, old_batch(5))?;
        commit(client, GROUP, "t", &[(0, 1), (1, 99)])?;
        let delete = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: "t".into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: 0,
                    offset: 3,
                }],
            }],
            timeout_ms: 10_000,
        };
        assert_eq!(client.call(&delete, 2)?.topics[0].partitions[0].error_code, 0);
        let before = lag(http, 0)?;
        assert_eq!(
            (&before["state"], &before["lag_records"]),
            (&"before_log_start".into(), &2.into())
        );
        let beyond = lag(http, 1)?;
        assert_eq!(
            (&beyond["state"], &beyond["lag_records"]),
            (&"beyond_log_end".into(), &0.into())
        );
        assert_eq!(seconds(&beyond)?, 0.0);
        client.delete_topic("t")?;
        // Until the offsets are forgotten they are of a partition that nobody knows.
        eventually(|| {
            let group = get(http, &format!("/v1/groups/{GROUP}"))?;
            ensure!([200, 404].contains(&group.status), "{}", group.body);
            if group.status == 404 {
                return Ok(true);
            }
            let group: Value = serde_json::from_str(&group.body)?;
            let offsets = group["offsets"].as_array().context("offsets")?;
            for offset in offsets {
                assert_eq!(
                    (&offset["state"], &offset["lag_records"]),
                    (&"unknown_partition".into(), &Value::Null)
                );
            }
            Ok(offsets.is_empty())
        })
    })
}

#[test]
fn markers_are_not_left_to_read_but_an_open_transaction_is() -> Outcome {
    with_broker(|_, client, http| {
        assert_eq!(PRODUCER.produce(client, ("t", 0), 0)?.0, ErrorCode::None);
        commit(client, GROUP, "t", &[(0, 1)])?;
        assert_eq!(PRODUCER.end(client, true, ("t", 0))?, ErrorCode::None);
        let behind_marker = lag(http, 0)?;
        assert_eq!(
            (&behind_marker["high_watermark"], &behind_marker["lag_records"]),
            (&2.into(), &0.into())
        );
        Ok(())
    })
}

#[test]
fn after_a_restart_the_records_own_time_counts_and_nothing_is_younger_than_the_start() -> Outcome {
    with_broker(|broker, client, http| {
        let future = now_ms() + 3_600_000;
        let mut builder = BatchBuilder::new();
        builder.append(&NewRecord::of(now_ms() - 50_000, b"key", b"value"));
        produce(client, 0, builder.build())?;
        let mut builder = BatchBuilder::new();
        builder.append(&NewRecord::of(future, b"key", b"value"));
        produce(client, 1, builder.build())?;
        commit(client, GROUP, "t", &[(0, 0), (1, 0)])?;
        assert!(seconds(&lag(http, 0)?)? < 50.0, "the broker has seen it");
        broker.kill_and_restart()?;
        // The groups are loaded without being asked for.
        eventually(|| Ok(get(http, &format!("/v1/groups/{GROUP}"))?.status == 200))?;
        let (told, bounded) = (lag(http, 0)?, lag(http, 1)?);
        assert_eq!(
            (&told["lag_seconds_by"], &told["lag_records"]),
            (&"create_time".into(), &1.into())
        );
        assert!(seconds(&told)? >= 50.0, "{told}");
        // As if it had come when the broker started, not in an hour.
        eventually(|| Ok(seconds(&lag(http, 1)?)? > 0.0))?;
        assert!(seconds(&bounded)? < 3_600.0, "{bounded}");
        Ok(())
    })
}

#[test]
fn the_metrics_are_in_prometheus_format_and_count_what_has_happened() -> Outcome {
    with_broker(|broker, client, http| {
        let hostile = "a\"b\\c\nd";
        produce(client, 0, batch(&[b"1", b"2", b"3"]))?;
        commit(client, hostile, "t", &[(0, 1)])?;
        let (code, _) = client.produce("unknown", 0, batch(&[b"v"]), -1)?;
        assert_ne!(code, ErrorCode::None);
        let second = broker.connect()?;
        let figures = metrics(http)?;
        let of = |name: &str, labels: &[(&str, &str)]| figure(&figures, name, labels);
        assert_eq!(of("ottla_requests_total", &[("api", "Produce")])?, 2.0);
        assert!(of("ottla_request_bytes_total", &[("api", "Produce")])? > 100.0);
        assert!(of("ottla_response_bytes_total", &[("api", "Produce")])? > 50.0);
        assert_eq!(
            of(
                "ottla_request_errors_total",
                &[("api", "Produce"), ("error", code.name())]
            )?,
            1.0
        );
        let partition = [("topic", "t"), ("partition", "0")];
        assert_eq!(of("ottla_partition_log_start_offset", &partition)?, 0.0);
        assert_eq!(of("ottla_partition_log_end_offset", &partition)?, 3.0);
        assert_eq!(of("ottla_partition_high_watermark", &partition)?, 3.0);
        assert_eq!(of("ottla_partition_last_stable_offset", &partition)?, 3.0);
        assert!(of("ottla_partition_size_bytes", &partition)? > 61.0);
        let group = [("group", hostile), ("topic", "t"), ("partition", "0")];
        assert_eq!(of("ottla_group_lag_records", &group)?, 2.0);
        assert_eq!(of("ottla_group_committed_offset", &group)?, 1.0);
        assert!(of("ottla_group_lag_seconds", &group)? >= 0.0);
        assert_eq!(of("ottla_groups", &[("type", "classic"), ("state", "Empty")])?, 1.0);
        assert_eq!(of("ottla_group_offsets", &[("state", "known")])?, 1.0);
        for (name, expected) in [
            ("ottla_log_dirs", 0.0),
            ("ottla_partitions_offline", 0.0),
            ("ottla_partitions_left_out", 0.0),
            ("ottla_group_offsets_left_out", 0.0),
            ("ottla_group_coordinators_loading", 0.0),
            ("ottla_group_rebalances_total", 0.0),
            ("ottla_producer_ids", 0.0),
            ("ottla_last_stable_lag_seconds", 0.0),
            ("ottla_transaction_oldest_open_seconds", 0.0),
        ] {
            let labels: &[(&str, &str)] = match name {
                "ottla_log_dirs" => &[("state", "offline")],
                _ => &[],
            };
            assert_eq!(of(name, labels)?, expected, "{name}");
        }
        assert!(of("ottla_connections", &[])? >= 2.0);
        let accepted = of("ottla_connections_accepted_total", &[])?;
        drop(second);
        eventually(|| {
            let figures = metrics(http)?;
            Ok(
                figure(&figures, "ottla_connections_closed_total", &[("reason", "by_client")])
                    .is_ok_and(|ended| ended < accepted),
            )
        })
    })
}

#[test]
fn an_open_transaction_is_seen_where_it_holds_consumers_back() -> Outcome {
    with_broker(|_, client, http| {
        assert_eq!(PRODUCER.produce(client, ("t", 0), 0)?.0, ErrorCode::None);
        eventually(|| Ok(figure(&metrics(http)?, "ottla_last_stable_lag_seconds", &[])? > 0.0))?;
        let figures = metrics(http)?;
        let partition = [("topic", "t"), ("partition", "0")];
        assert_eq!(figure(&figures, "ottla_partition_last_stable_offset", &partition)?, 0.0);
        assert_eq!(figure(&figures, "ottla_partition_high_watermark", &partition)?, 1.0);
        assert_eq!(figure(&figures, "ottla_producer_ids", &[])?, 1.0);
        assert_eq!(PRODUCER.end(client, true, ("t", 0))?, ErrorCode::None);
        assert_eq!(figure(&metrics(http)?, "ottla_last_stable_lag_seconds", &[])?, 0.0);
        Ok(())
    })
}

#[test]
fn health_is_told_and_other_paths_and_methods_are_refused() -> Outcome {
    with_broker(|_, _, http| {
        for path in ["/health/live", "/health/ready"] {
            let answer = get(http, path)?;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.head.contains("connection: close"), "{}", answer.head);
        }
        for path in [
            "/",
            "/metrics/x",
            "/v1/groups/unknown",
            "/v1",
            "/../etc/passwd",
            "/v1/groups/%ff",
        ] {
            let answer = get(http, path)?;
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        }
        let groups = get_json(http, "/v1/groups")?;
        assert_eq!(
            (&groups["groups"], &groups["node_id"]),
            (&Value::Array(Vec::new()), &1.into())
        );
        let status = |answer: Option<Answer>| answer.map(|answer| answer.status);
        for method in ["POST", "PUT", "DELETE"] {
            let request = format!("{method} /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(status(exchange(http, request.as_bytes())?), Some(405), "{method}");
        }
        Ok(())
    })
}

#[test]
fn bytes_that_are_no_request_cost_their_own_connection_alone() -> Outcome {
    with_broker(|broker, client, http| {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
        let many: String = (0..1_000).map(|at| format!("X-{at}: b\r\n")).collect();
        let many = format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{many}\r\n");
        let huge = format!("GET /metrics HTTP/1.1\r\nX: {}", "b".repeat(8 << 20));
        let wrong: [&[u8]; 7] = [
            b"\r\n\r\n\r\n",
            b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff",
            b"GET /metrics HTTP/9.9\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz",
            long.as_bytes(),
            many.as_bytes(),
            huge.as_bytes(),
        ];
        for bytes in wrong {
            let answer = exchange(http, bytes)?;
            let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
            if let Some(answer) = answer {
                let is_fine = (400..600).contains(&answer.status) || begin.starts_with("GET /metrics HTTP/1.1");
                assert!(is_fine, "{begin}: {}", answer.status);
            }
            assert_eq!(get(http, "/health/ready")?.status, 200, "after {begin}");
        }
        client.metadata(None)?;
        broker.assert_sound()
    })
}

#[test]
fn silent_connections_end_by_themselves_and_do_not_touch_kafkas_clients() -> Outcome {
    with_broker(|broker, client, http| {
        let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(http)).collect::<Result<_, _>>()?;
        client.metadata(None)?;
        produce(client, 0, batch(&[b"v"]))?;
        // The broker ends the connections that it serves, so that those behind them come to their turn.
        let mut first = &silent[0];
        first.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
        let read = std::io::Read::read(&mut first, &mut [0; 1]);
        assert!(
            !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "it is still open"
        );
        drop(silent);
        assert_eq!(get(http, "/health/ready")?.status, 200);
        broker.assert_sound()
    })
}

#[test]
fn an_address_that_was_asked_for_must_be_free_and_one_that_was_not_need_not() -> Outcome {
    let scratch = Scratch::new("metrics-address");
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let listener = format!("http.listener=http://{}", taken.local_addr()?);
    let data = format!("log.dirs={}", scratch.path().join("other").display());
    let arguments = ["serve", "--override", "listeners=PLAINTEXT://127.0.0.1:0"];
    let output = run(&[&arguments[..], &["--override", &data, "--override", &listener]].concat())?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && said.contains("(http.listener)"), "{said}");
    // Either this has the usual port or somebody else does.
    let _usual = TcpListener::bind("127.0.0.1:9464");
    let broker = Broker::start(scratch.path(), &[])?;
    assert!(broker.log().contains("there are no metrics"), "{}", broker.log());
    broker.connect()?.metadata(None)?;
    let off = Scratch::new("metrics-off");
    let broker = Broker::start(off.path(), &["http.listener="])?;
    assert!(!broker.log().contains("metrics at"), "{}", broker.log());
    Ok(())
}
