//! `ottla log`: each kind of damage is found and named, nothing is changed by looking, and a loss that is accepted lets
//! the partition serve again.

use anyhow::{Context, ensure};
use ottla_protocol::{
    ErrorCode,
    messages::{EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse},
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, first_code, now_ms, produce_request},
    process::{Broker, binary, eventually, run},
    scratch::Scratch,
    simple_group,
    transactional::{Producer, UNVERIFIED},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

type Outcome = ottla_tests::Result<()>;

/// A stopped broker with five batches in `orders-0`.
fn stopped(scratch: &Scratch) -> ottla_tests::Result<Broker> {
    let mut broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("orders", 1, &[("index.interval.bytes", "1")])?;
    for _ in 0..5 {
        ensure!(produce(&mut client)?.0 == ErrorCode::None);
    }
    stop(&mut broker)?;
    Ok(broker)
}

fn produce(client: &mut Client) -> ottla_tests::Result<(ErrorCode, i64)> {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(now_ms(), b"key", &[b'v'; 500]));
    client.produce("orders", 0, builder.build(), -1)
}

fn stop(broker: &mut Broker) -> Outcome {
    let status = broker.stop()?;
    ensure!(status.success(), "{status}: {}", broker.log());
    Ok(())
}

/// What the tool says about the directory, and whether it found no damage.
fn verify(data: &Path) -> ottla_tests::Result<(String, bool)> {
    let data = data.display().to_string();
    let output = run(&["log", "verify", "--records", "--log-dir", &data])?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((said, output.status.success()))
}

fn flip(path: &Path, at: usize) -> Outcome {
    flip_bits(path, at, 0x40)
}

fn flip_bits(path: &Path, at: usize, bits: u8) -> Outcome {
    let mut bytes = fs::read(path)?;
    bytes[at] ^= bits;
    Ok(fs::write(path, bytes)?)
}

fn contents(dir: &Path) -> ottla_tests::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(contents(&path)?),
            false => drop(found.insert(path.clone(), fs::read(&path)?)),
        }
    }
    Ok(found)
}

#[test]
fn an_unharmed_directory_has_no_findings_and_stays_as_it_is() -> Outcome {
    let scratch = Scratch::new("log-tool-whole");
    let broker = stopped(&scratch)?;
    let before = contents(broker.data())?;
    let (said, is_good) = verify(broker.data())?;
    assert!(is_good, "{said}");
    assert!(said.contains("no damage") && !said.contains("damage:"), "{said}");
    assert_eq!(contents(broker.data())?, before);
    Ok(())
}

#[test]
fn damage_of_each_file_is_found_and_named() -> Outcome {
    let scratch = Scratch::new("log-tool-damage");
    let broker = stopped(&scratch)?;
    let log = "orders-0/00000000000000000000";
    for (name, at, found) in [
        (format!("{log}.log"), 100, "no whole batch"),
        (format!("{log}.index"), 7, "no batch that ends with this offset"),
        (format!("{log}.timeindex"), 3, "has the timestamp"),
        ("orders-0/leader-epoch-checkpoint".into(), 4, "leader-epoch-checkpoint"),
        (
            "__cluster_metadata-0/00000000000000000000.log".into(),
            80,
            "no whole batch",
        ),
        ("meta.properties".into(), 0, "meta.properties"),
        (
            "recovery-point-offset-checkpoint".into(),
            0,
            "recovery-point-offset-checkpoint",
        ),
    ] {
        let path = broker.data().join(&name);
        let good = fs::read(&path)?;
        flip(&path, at)?;
        let (said, is_good) = verify(broker.data())?;
        assert!(said.contains(found), "{name}: {said}");
        let is_repaired = name.contains("leader-epoch");
        assert_eq!(is_good, is_repaired, "{name}: {said}");
        fs::write(&path, good)?;
    }
    // Five records are there, seven were committed.
    let path = broker.data().join("replication-offset-checkpoint");
    let good = fs::read(&path)?;
    flip_bits(&path, good.len() - 2, b'5' ^ b'7')?;
    let (said, is_good) = verify(broker.data())?;
    assert!(
        !is_good && said.contains("offset 5: the log ends, but everything before offset 7"),
        "{said}"
    );
    fs::write(&path, good)?;
    let (said, is_good) = verify(broker.data())?;
    assert!(is_good, "{said}");
    Ok(())
}

#[test]
fn damage_of_what_is_kept_of_transactions_is_found_and_named() -> Outcome {
    let scratch = Scratch::new("log-tool-transactions");
    let mut broker = Broker::start(scratch.path(), &[UNVERIFIED])?;
    let mut client = broker.connect()?;
    client.create_topic("orders", 1, &[])?;
    for id in [7, 8] {
        let producer = Producer { id, epoch: 0 };
        let (error, _) = producer.produce(&mut client, ("orders", 0), 0)?;
        ensure!(error == ErrorCode::None, "{error:?}");
        let error = producer.end(&mut client, false, ("orders", 0))?;
        ensure!(error == ErrorCode::None, "{error:?}");
    }
    stop(&mut broker)?;
    let transactions = broker.data().join("orders-0/00000000000000000000.txnindex");
    let snapshot = broker.data().join("orders-0/00000000000000000004.snapshot");
    const ENTRY_BYTES: usize = 34;
    let good = fs::read(&transactions)?;
    ensure!(good.len() == 2 * ENTRY_BYTES, "two transactions were aborted");
    let of_producer_9 = {
        // Version and the upper bytes of the id come first; 8 becomes 9.
        let mut bytes = good.clone();
        bytes[ENTRY_BYTES + 9] ^= 1;
        bytes
    };
    for (bytes, found, is_repaired) in [
        (
            &good[..ENTRY_BYTES],
            "producer 8 that is aborted there is missing",
            false,
        ),
        (&good[..0], "producer 7 that is aborted there is missing", false),
        (&of_producer_9[..], "no abort marker of producer 9", false),
        (
            &good[ENTRY_BYTES..],
            "producer 7 that is aborted there is missing",
            false,
        ),
        (&[&good[..], &[1; 3]].concat()[..], "the last entry is cut off", true),
    ] {
        fs::write(&transactions, bytes)?;
        let (said, is_good) = verify(broker.data())?;
        assert!(said.contains(found), "{} bytes: {said}", bytes.len());
        assert_eq!(is_good, is_repaired, "{} bytes: {said}", bytes.len());
    }
    fs::write(&transactions, &good)?;
    for at in [0, 5, 9] {
        let good = fs::read(&snapshot)?;
        flip(&snapshot, at)?;
        let (said, is_good) = verify(broker.data())?;
        assert!(
            is_good && said.contains("of the snapshot is wrong"),
            "byte {at}: {said}"
        );
        fs::write(&snapshot, &good)?;
    }
    let (said, is_good) = verify(broker.data())?;
    assert!(is_good && !said.contains("orders"), "{said}");
    Ok(())
}

#[test]
fn an_accepted_loss_lets_the_partition_serve_what_is_left() -> Outcome {
    let scratch = Scratch::new("log-tool-loss");
    let mut broker = stopped(&scratch)?;
    let data = broker.data().display().to_string();
    let log = broker.data().join("orders-0/00000000000000000000.log");
    let good = fs::read(&log)?;
    let accept = |extra: &[&str]| run(&[&["log", "accept-loss", &data, "orders-0"], extra].concat());

    assert!(!accept(&["--yes"])?.status.success(), "there is nothing to accept");
    // In the third of five batches, all of them committed.
    let at = good.len() / 2;
    flip(&log, at)?;
    let harmed = fs::read(&log)?;
    assert!(!accept(&[])?.status.success(), "nobody has said yes");
    assert_eq!(fs::read(&log)?, harmed, "nothing was changed");

    let output = accept(&["--yes"])?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}");
    assert!(said.contains("lost: offsets 2 to 4"), "{said}");
    let kept = fs::read(&log)?;
    assert_eq!(
        [kept.clone(), fs::read(log.with_extension("log.lost"))?].concat(),
        harmed
    );
    let (said, is_good) = verify(broker.data())?;
    assert!(is_good, "{said}");

    broker.restart()?;
    assert!(!accept(&["--yes"])?.status.success(), "a broker has the directory");
    assert_eq!(produce(&mut broker.connect()?)?, (ErrorCode::None, 2));
    Ok(())
}

/// After a stop, too: the next start must not take the harmed files for closed ones.
#[test]
fn all_damaged_logs_are_cut_at_once_and_the_others_left_alone() -> Outcome {
    let scratch = Scratch::new("log-tool-all");
    let mut broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("orders", 3, &[])?;
    for partition in 0..3 {
        for _ in 0..4 {
            let mut builder = BatchBuilder::new();
            builder.append(&NewRecord::of(now_ms(), b"key", &[b'v'; 500]));
            let produced = client.produce("orders", partition, builder.build(), -1)?;
            ensure!(produced.0 == ErrorCode::None);
        }
    }
    stop(&mut broker)?;
    assert!(broker.data().join(".kafka_cleanshutdown").exists());
    let data = broker.data().display().to_string();
    let log = |partition: i32| {
        broker
            .data()
            .join(format!("orders-{partition}/00000000000000000000.log"))
    };
    let whole = fs::read(log(1))?;
    for partition in [0, 2] {
        flip(&log(partition), whole.len() / 2 + 40)?;
    }
    let mixed = run(&["log", "accept-loss", &data, "orders-0", "orders-1", "--yes"])?;
    let said = String::from_utf8(mixed.stderr)?;
    assert!(!mixed.status.success() && said.contains("orders-1 is whole"), "{said}");

    let output = run(&["log", "accept-loss", &data, "--all", "--yes"])?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}");
    for end in ["orders-0 ends at offset 2 now", "orders-2 ends at offset 2 now"] {
        assert!(said.contains(end), "{said}");
    }
    assert_eq!(fs::read(log(1))?, whole);
    assert!(!broker.data().join(".kafka_cleanshutdown").exists());
    let again = run(&["log", "accept-loss", &data, "--all", "--yes"])?;
    assert!(!again.status.success(), "there is nothing left to accept");

    broker.restart()?;
    let mut client = broker.connect()?;
    let ends = (0..3).map(|partition| client.offset_at("orders", partition, -1));
    assert_eq!(ends.collect::<ottla_tests::Result<Vec<_>>>()?, [2, 4, 2]);
    Ok(())
}

#[test]
fn files_are_printed_for_people_and_programs() -> Outcome {
    let scratch = Scratch::new("log-tool-dump");
    let broker = stopped(&scratch)?;
    let print = |arguments: &[&str], name: &str| {
        let path = broker.data().join(name).display().to_string();
        let output = run(&[&["log", "dump"], arguments, &[path.as_str()]].concat())?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let log = "orders-0/00000000000000000000";
    let text = print(&["--records"], &format!("{log}.log"))?;
    assert_eq!(
        text.lines().filter(|line| line.starts_with("record  offset")).count(),
        5,
        "{text}"
    );
    let json = print(&["--records", "--json"], &format!("{log}.log"))?;
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line)?;
    }
    assert!(json.contains(r#""key":"key""#), "{json}");
    assert!(print(&[], &format!("{log}.index"))?.contains("entry  offset"));
    assert!(print(&[], &format!("{log}.timeindex"))?.contains("entry  timestamp"));
    assert!(print(&[], "orders-0/leader-epoch-checkpoint")?.contains("line  text"));
    Ok(())
}

#[test]
fn what_nobody_reads_any_more_is_no_panic() -> Outcome {
    let scratch = Scratch::new("closed-pipe");
    let broker = stopped(&scratch)?;
    let segment = broker.data().join("orders-0/00000000000000000000.log");
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let ended = Command::new(binary())
        .args(["log", "dump"])
        .arg(segment)
        .stdout(writer)
        .output()?;
    assert!(!ended.status.success(), "{}", ended.status);
    assert_eq!(String::from_utf8(ended.stderr)?, "");
    Ok(())
}

#[test]
fn records_of_kafkas_own_topics_are_printed_as_json_with_the_names_of_their_schemas() -> Outcome {
    let scratch = Scratch::new("log-tool-decoded");
    let mut broker = Broker::start(scratch.path(), &[ONE_OF_EACH[0], ONE_OF_EACH[1]])?;
    let mut client = broker.connect()?;
    client.create_topic("orders", 1, &[])?;
    simple_group::commit(&mut client, "billing", "orders", &[(0, 7)])?;
    pay(&mut client)?;
    stop(&mut broker)?;

    let committed = decoded(&broker, "__consumer_offsets-0", "key")?;
    let data = json!({ "group": "billing", "topic": "orders", "partition": 0 });
    let offset = committed.iter().find(|record| record["key"]["data"] == data);
    let offset = offset.with_context(|| format!("{committed:?}"))?;
    assert_eq!(offset["key"]["type"], 1);
    assert_eq!(offset["value"]["data"]["offset"], 7);

    let transactions = decoded(&broker, "__transaction_state-0", "key")?;
    let last = transactions.last().context("a transaction")?;
    assert_eq!(last["key"]["data"]["transactionalId"], "pay");
    assert_eq!(
        last["value"]["data"]["transactionStatus"], 0,
        "the next producer has begun nothing"
    );
    let is_complete = |record: &serde_json::Value| record["value"]["data"]["transactionStatus"] == 4;
    assert!(transactions.iter().any(is_complete), "{transactions:?}");

    let metadata = decoded(&broker, "__cluster_metadata-0", "value")?;
    let topic = metadata.iter().find(|record| record["value"]["type"] == "TOPIC_RECORD");
    assert_eq!(topic.context("a topic")?["value"]["data"]["name"], "orders");

    let leaders = decoded(&broker, "__cluster_metadata-0", "control")?;
    assert_eq!(leaders[0]["control"]["type"], "LEADER_CHANGE");
    assert_eq!(leaders[0]["control"]["data"]["leaderId"], 1);
    let markers = decoded(&broker, "orders-0", "control")?;
    assert_eq!(markers[0]["control"]["type"], "COMMIT");
    Ok(())
}

/// A transaction of the id `pay` with one record in `orders-0`, committed.
fn pay(client: &mut Client) -> Outcome {
    let find = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec!["pay".into()],
        ..Default::default()
    };
    client.call(&find, 6)?;
    let init = InitProducerIdRequest {
        transactional_id: Some("pay".into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let mut producer = InitProducerIdResponse::default();
    eventually(|| {
        producer = client.call(&init, 5)?;
        Ok(producer.error_code == 0)
    })?;
    let (id, epoch) = (producer.producer_id, producer.producer_epoch);
    let batch = Producer { id, epoch }.batch(0, b"value");
    let mut produce = produce_request("orders", 0, batch, -1);
    produce.transactional_id = Some("pay".into());
    ensure!(first_code(&client.call(&produce, 12)?)? == ErrorCode::None);
    let end = EndTxnRequest {
        transactional_id: "pay".into(),
        producer_id: id,
        producer_epoch: epoch,
        committed: true,
    };
    ensure!(client.call(&end, 5)?.error_code == 0);
    // The end is answered when it is prepared; the next producer of the id waits until it is complete.
    eventually(|| Ok(client.call(&init, 5)?.error_code == 0))
}

/// Internal topics of one partition, so that it is known where things are.
const ONE_OF_EACH: [&str; 2] = [
    "offsets.topic.num.partitions=1",
    "transaction.state.log.num.partitions=1",
];

/// The records of a log that are printed with this field.
fn decoded(broker: &Broker, partition: &str, field: &str) -> ottla_tests::Result<Vec<serde_json::Value>> {
    let path = broker.data().join(partition).join("00000000000000000000.log");
    let output = run(&["log", "dump", "--json", &path.display().to_string()])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let lines = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<serde_json::Value>, _>>()?;
    let has_field = |line: &serde_json::Value| line["kind"] == "record" && !line[field].is_null();
    Ok(lines.into_iter().filter(has_field).collect())
}
