//! `ottla group`: what it shows of groups, and what it says where it cannot.

use anyhow::{Context, ensure};
use ottla_protocol::{
    ErrorCode, Message, Str,
    messages::{
        ConsumerProtocolAssignment, JoinGroupRequest, SyncGroupRequest, consumer_protocol_assignment::TopicPartition,
        join_group_request::JoinGroupRequestProtocol, sync_group_request::SyncGroupRequestAssignment,
    },
};
use ottla_tests::{
    client::{Client, batch, code},
    http::free_address,
    process::{Broker, eventually, run},
    scratch::Scratch,
    simple_group::commit,
};
use serde_json::Value;
use std::net::SocketAddr;

type Outcome = ottla_tests::Result<()>;

fn with_broker(test: impl FnOnce(&Broker, &mut Client, SocketAddr) -> Outcome) -> Outcome {
    let scratch = Scratch::new("group-tool");
    let http = free_address()?;
    let settings = [
        format!("http.listener=http://{http}"),
        "group.initial.rebalance.delay.ms=0".to_owned(),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let broker = Broker::start(scratch.path(), &settings)?;
    let mut client = broker.connect()?;
    client.create_topic("orders", 2, &[])?;
    test(&broker, &mut client, http)
}

/// What the tool says on its two outputs, and whether it is content.
fn tool(broker: &Broker, arguments: &[&str]) -> ottla_tests::Result<(String, String, bool)> {
    let bootstrap = broker.address().to_string();
    let all = [&["group"], arguments, &["--bootstrap", &bootstrap]].concat();
    let output = run(&all)?;
    Ok((
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
        output.status.success(),
    ))
}

/// The words of each line.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// Joins "readers" alone and is assigned partition 0 of "orders".
fn join(client: &mut Client) -> ottla_tests::Result<Str> {
    let mut join = JoinGroupRequest {
        group_id: "readers".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: "anything".into(),
        }],
        ..Default::default()
    };
    join.member_id = client.call(&join, 9)?.member_id;
    let joined = client.call(&join, 9)?;
    ensure!(code(joined.error_code) == ErrorCode::None, "{joined:?}");
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: vec![TopicPartition {
            topic: "orders".into(),
            partitions: vec![0],
        }],
        ..Default::default()
    };
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&assignment.to_bytes(0)?);
    let sync = SyncGroupRequest {
        group_id: "readers".into(),
        generation_id: joined.generation_id,
        member_id: join.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: join.member_id.clone(),
            assignment: bytes.into(),
        }],
        ..Default::default()
    };
    let synced = client.call(&sync, 5)?;
    ensure!(code(synced.error_code) == ErrorCode::None, "{synced:?}");
    Ok(join.member_id)
}

fn produce(client: &mut Client, count: usize) -> Outcome {
    for _ in 0..count {
        let (code, _) = client.produce("orders", 0, batch(&[b"v"]), -1)?;
        ensure!(code == ErrorCode::None, "{code:?}");
    }
    Ok(())
}

#[test]
fn groups_are_shown_with_their_lag_in_records_and_in_time() -> Outcome {
    with_broker(|broker, client, http| {
        produce(client, 5)?;
        commit(client, "billing", "orders", &[(0, 2), (1, 0)])?;
        let url = format!("http://{http}");
        let (list, errors, is_good) = tool(broker, &["list", "--http", &url])?;
        assert!(is_good && errors.is_empty(), "{errors}");
        let lines = words(&list);
        assert_eq!(lines[0], ["GROUP", "TYPE", "STATE", "MEMBERS", "LAG", "BEHIND"]);
        assert_eq!(lines[1][..5], ["billing", "classic", "Empty", "0", "3"]);
        let describe = ["describe", "--group", "billing", "--http", &url];
        let (described, errors, is_good) = tool(broker, &describe)?;
        assert!(is_good && errors.is_empty(), "{errors}");
        assert!(
            described.starts_with("billing: classic, Empty, 0 members, lag 3, "),
            "{described}"
        );
        let lines = words(&described);
        assert_eq!(lines[3][..5], ["orders", "0", "2", "5", "3"]);
        assert_eq!(lines[4], ["orders", "1", "0", "0", "0", "0", "s", "-"]);
        let (json, _, _) = tool(broker, &[&describe[..], &["--json"]].concat())?;
        let json: Value = serde_json::from_str(&json)?;
        let offset = &json[0]["offsets"][0];
        assert_eq!(
            (&offset["lag_records"], &offset["lag_seconds_by"]),
            (&3.into(), &"append".into())
        );
        assert!(offset["lag_seconds"].as_f64().context("seconds")? >= 0.0);
        let (json, _, _) = tool(broker, &["list", "--http", &url, "--json"])?;
        let json: Value = serde_json::from_str(&json)?;
        assert_eq!(
            (&json[0]["group"], &json[0]["lag_records"]),
            (&"billing".into(), &3.into())
        );
        Ok(())
    })
}

#[test]
fn members_and_what_they_are_assigned_are_shown() -> Outcome {
    with_broker(|broker, client, http| {
        produce(client, 1)?;
        // Makes the topic for the offsets.
        commit(client, "another", "orders", &[(0, 1)])?;
        let member = join(client)?;
        let url = format!("http://{http}");
        let arguments = [
            "describe",
            "--group",
            "readers",
            "--members",
            "--state",
            "--offsets",
            "--http",
            &url,
        ];
        let (described, errors, is_good) = tool(broker, &arguments)?;
        assert!(is_good, "{errors}");
        let lines = words(&described);
        let address = broker.address().to_string();
        assert_eq!(lines[3], [&*address, "(1)", "consumer", "range", "-", "Stable"]);
        assert_eq!(lines[6], [&*member, "-", "ottla-tests", "127.0.0.1", "-", "orders(0)"]);
        assert_eq!(lines[9], ["orders", "0", "-", "1", "-", "-", "ottla-tests"]);
        let (all, _, is_good) = tool(broker, &["describe", "--all", "--http", &url])?;
        assert!(
            is_good && all.contains("another: ") && all.contains("readers: "),
            "{all}"
        );
        Ok(())
    })
}

#[test]
fn without_http_the_lag_in_records_is_shown_and_the_reason_said() -> Outcome {
    with_broker(|broker, client, http| {
        produce(client, 5)?;
        commit(client, "billing", "orders", &[(0, 2)])?;
        // Nobody is there.
        let nobody = format!("http://{}", free_address()?);
        let (_, errors, is_good) = tool(broker, &["list", "--http", &nobody])?;
        assert!(!is_good && errors.contains(&nobody), "{errors}");
        // Another cluster is there.
        let scratch = Scratch::new("group-tool-other");
        let other = Broker::start(scratch.path(), &["http.listener="])?;
        let (_, errors, is_good) = tool(&other, &["list", "--http", &format!("http://{http}")])?;
        assert!(!is_good && errors.contains("is of cluster"), "{errors}");
        commit_in(&other)?;
        // The usual port is somebody else's, or nobody's.
        let (described, errors, is_good) = tool(&other, &["describe", "--all"])?;
        assert!(is_good && errors.starts_with("no lag in seconds: "), "{errors}");
        assert_eq!(words(&described)[3][..6], ["orders", "0", "2", "5", "3", "-"]);
        Ok(())
    })
}

fn commit_in(broker: &Broker) -> Outcome {
    let mut client = broker.connect()?;
    client.create_topic("orders", 1, &[])?;
    produce(&mut client, 5)?;
    commit(&mut client, "billing", "orders", &[(0, 2)])
}

#[test]
fn what_is_not_there_is_said_in_words_and_an_exit_code() -> Outcome {
    with_broker(|broker, client, http| {
        let url = format!("http://{http}");
        let (said, errors, is_good) = tool(broker, &["describe", "--group", "nobody", "--http", &url])?;
        assert!(
            !is_good && said.is_empty() && errors.contains("there is no group nobody"),
            "{errors}"
        );
        // Looking has made nothing.
        let topics = client.metadata(None)?.topics;
        assert!(
            topics.iter().all(|topic| topic.name.as_deref() == Some("orders")),
            "{topics:?}"
        );
        let nobody = free_address()?.to_string();
        let output = run(&["group", "list", "--bootstrap", &nobody])?;
        let errors = String::from_utf8(output.stderr)?;
        assert!(
            !output.status.success() && errors.contains(&format!("cannot reach the broker at {nobody}")),
            "{errors}"
        );
        let output = run(&["group", "describe", "--bootstrap", &nobody])?;
        assert_eq!(output.status.code(), Some(2), "neither a group nor all");
        Ok(())
    })
}

#[test]
fn names_do_not_act_on_the_terminal() -> Outcome {
    with_broker(|broker, client, http| {
        commit(client, "a\x1b[2J/b", "orders", &[(0, 0)])?;
        let url = format!("http://{http}");
        eventually(|| {
            let (said, errors, is_good) = tool(broker, &["describe", "--all", "--http", &url])?;
            ensure!(is_good && !said.contains('\x1b'), "{said} {errors}");
            Ok(said.starts_with("a\\u{1b}[2J/b: "))
        })
    })
}
