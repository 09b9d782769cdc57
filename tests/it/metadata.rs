//! The metadata over restarts: what an admin made is there again after a stop, a kill, a torn log, a lost snapshot; and a
//! node that cannot be sure of its metadata does not start.

use anyhow::{Context, ensure};
use ottla_protocol::{
    messages::{
        DeleteTopicsRequest, DescribeQuorumRequest, MetadataResponse,
        delete_topics_request::DeleteTopicState,
        describe_configs_response::DescribeConfigsResourceResult,
        describe_quorum_request::{PartitionData, TopicData},
        describe_quorum_response::PartitionData as Quorum,
    },
    records::batch::batches,
};
use ottla_tests::{
    client::{Client, ConfigResourceKind, code},
    process::{Broker, run},
    scratch::Scratch,
};
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

type Outcome = ottla_tests::Result<()>;

/// So few bytes that nearly every change is followed by a snapshot.
const SNAPSHOT_OFTEN: &str = "metadata.log.max.record.bytes.between.snapshots=1";

/// What clients are told.
#[derive(Debug, PartialEq)]
struct Seen {
    metadata: MetadataResponse,
    configs: Vec<Vec<DescribeConfigsResourceResult>>,
}

/// Everything that is compared; leader epochs are returned apart, since they rise.
fn see(client: &mut Client) -> ottla_tests::Result<(Seen, Vec<i32>)> {
    let mut metadata = client.metadata(None)?;
    metadata.topics.sort_by(|a, b| a.name.cmp(&b.name));
    let mut epochs = Vec::new();
    for partition in metadata.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        epochs.push(std::mem::take(&mut partition.leader_epoch));
    }
    let mut configs = Vec::new();
    for topic in metadata.topics.iter().filter_map(|topic| topic.name.as_deref()) {
        configs.push(client.describe_configs(ConfigResourceKind::Topic, topic)?);
    }
    for broker in ["1", ""] {
        configs.push(client.describe_configs(ConfigResourceKind::Broker, broker)?);
    }
    Ok((Seen { metadata, configs }, epochs))
}

/// Makes topics, changes and deletes some.
fn administrate(client: &mut Client) -> Outcome {
    for number in 0..12 {
        client.create_topic(&format!("t-{number}"), 1 + number % 3, &[("retention.ms", "1234567")])?;
    }
    let topic = ConfigResourceKind::Topic;
    client.alter_configs(
        topic,
        "t-1",
        &[("cleanup.policy", Some("compact")), ("retention.ms", None)],
    )?;
    client.alter_configs(
        ConfigResourceKind::Broker,
        "",
        &[("log.retention.ms", Some("98765432"))],
    )?;
    client.alter_configs(
        ConfigResourceKind::Broker,
        "1",
        &[("message.max.bytes", Some("2000000"))],
    )?;
    let gone = |name: &str| DeleteTopicState {
        name: Some(name.into()),
        ..Default::default()
    };
    let request = DeleteTopicsRequest {
        topics: vec![gone("t-3"), gone("t-7")],
        timeout_ms: 30_000,
        ..Default::default()
    };
    for deleted in client.call(&request, 6)?.responses {
        ensure!(deleted.error_code == 0, "{}", code(deleted.error_code));
    }
    Ok(())
}

fn describe_quorum(client: &mut Client) -> ottla_tests::Result<Quorum> {
    let topic = TopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![PartitionData { partition_index: 0 }],
    };
    let mut response = client.call(&DescribeQuorumRequest { topics: vec![topic] }, 2)?;
    let partition = response.topics.first_mut().and_then(|topic| topic.partitions.pop());
    partition.context("an answer for the partition")
}

fn metadata_dir(broker: &Broker) -> PathBuf {
    broker.data().join("__cluster_metadata-0")
}

fn files(dir: &Path, extension: &str) -> ottla_tests::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The snapshots besides the one that a new directory begins with.
fn snapshots(broker: &Broker) -> ottla_tests::Result<Vec<PathBuf>> {
    let mut found = files(&metadata_dir(broker), "checkpoint")?;
    found.retain(|path| !path.ends_with("00000000000000000000-0000000000.checkpoint"));
    Ok(found)
}

/// Starts a broker on the data of one that has ended, which must not succeed. Returns what it says.
fn refusal(data: &Path, overrides: &[&str]) -> ottla_tests::Result<String> {
    let data = format!("log.dirs={}", data.display());
    let mut arguments = vec![
        "serve",
        "--override",
        "listeners=PLAINTEXT://127.0.0.1:0",
        "--override",
        &data,
    ];
    for each in overrides {
        arguments.extend(["--override", *each]);
    }
    let Output { status, stderr, .. } = run(&arguments)?;
    let said = String::from_utf8_lossy(&stderr).into_owned();
    ensure!(!status.success(), "it has started: {said}");
    Ok(said)
}

#[test]
fn what_an_admin_made_is_there_after_stops_and_kills() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[])?;
    administrate(&mut broker.connect()?)?;
    let (seen, mut epochs) = see(&mut broker.connect()?)?;
    assert_eq!(seen.metadata.topics.len(), 10);
    let mut quorum_epoch = describe_quorum(&mut broker.connect()?)?.leader_epoch;
    for round in 0..4 {
        if round % 2 == 0 {
            assert!(broker.stop()?.success());
            broker.restart()?;
        } else {
            broker.kill_and_restart()?;
        }
        let (seen_again, epochs_now) = see(&mut broker.connect()?)?;
        assert_eq!(seen_again, seen, "round {round}");
        let have_risen = epochs.iter().zip(&epochs_now).all(|(before, now)| before < now);
        assert!(
            have_risen,
            "round {round}: leader epochs were {epochs:?} and are {epochs_now:?}"
        );
        epochs = epochs_now;
        let quorum = describe_quorum(&mut broker.connect()?)?;
        assert_eq!((quorum.leader_id, quorum.leader_epoch), (1, quorum_epoch + 1));
        assert_eq!(quorum.current_voters.len(), 1);
        assert_eq!(quorum.high_watermark, quorum.current_voters[0].log_end_offset);
        quorum_epoch = quorum.leader_epoch;
    }
    Ok(())
}

/// Creates topics until the broker is gone; returns those that it acknowledged.
fn create_until_gone(address: SocketAddr, round: usize, acknowledged: &AtomicUsize) -> Vec<String> {
    let mut created = Vec::new();
    let Ok(mut client) = Client::connect(address) else {
        return created;
    };
    for number in 0.. {
        let name = format!("t-{round}-{number}");
        if client.create_topic(&name, 3, &[("retention.ms", "1234567")]).is_err() {
            break;
        }
        created.push(name);
        acknowledged.fetch_add(1, Ordering::Release);
    }
    created
}

#[test]
fn topics_that_were_acknowledged_are_there_after_kills_in_the_middle_of_it() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[SNAPSHOT_OFTEN])?;
    let mut expected = BTreeSet::new();
    for round in 0..8 {
        let (address, acknowledged) = (broker.address(), AtomicUsize::new(0));
        let created = thread::scope(|scope| {
            let creating = scope.spawn(|| create_until_gone(address, round, &acknowledged));
            while acknowledged.load(Ordering::Acquire) < 3 + round && !creating.is_finished() {
                thread::yield_now();
            }
            broker.kill()?;
            creating
                .join()
                .map_err(|_| anyhow::anyhow!("the creating thread panicked"))
        })?;
        ensure!(
            created.len() >= 3,
            "round {round}: it ended by itself after {created:?}"
        );
        expected.extend(created);
        broker.restart()?;
        let metadata = broker.connect()?.metadata(None)?;
        let found: BTreeSet<_> = metadata
            .topics
            .iter()
            .filter_map(|topic| topic.name.as_deref())
            .collect();
        for name in &expected {
            assert!(found.contains(name.as_str()), "round {round}: {name} is gone");
        }
        // Whole or not at all, also those whose answer was cut off.
        for topic in &metadata.topics {
            let leaders: Vec<_> = topic.partitions.iter().map(|partition| partition.leader_id).collect();
            assert_eq!(leaders, [1, 1, 1], "round {round}: {:?}", topic.name);
            let configs = broker
                .connect()?
                .describe_configs(ConfigResourceKind::Topic, topic.name.as_deref().unwrap_or_default())?;
            let retention = configs.iter().find(|config| config.name == "retention.ms");
            assert_eq!(retention.and_then(|config| config.value.as_deref()), Some("1234567"));
        }
    }
    Ok(())
}

#[test]
fn no_producer_id_is_given_twice() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[])?;
    let mut given = BTreeSet::new();
    for round in 0..4 {
        let mut client = broker.connect()?;
        // More than a block of ids now and then.
        for _ in 0..if round == 1 { 1500 } else { 3 } {
            let id = client.init_producer_id()?;
            assert!(given.insert(id.0), "{} was given before", id.0);
        }
        if round == 2 {
            assert!(broker.stop()?.success());
            broker.restart()?;
        } else {
            broker.kill_and_restart()?;
        }
    }
    Ok(())
}

#[test]
fn a_snapshot_and_the_log_behind_it_give_the_same_metadata() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[SNAPSHOT_OFTEN])?;
    administrate(&mut broker.connect()?)?;
    let (seen, _) = see(&mut broker.connect()?)?;
    broker.kill()?;
    assert_eq!(snapshots(&broker)?.len(), 2, "two are kept");
    broker.restart()?;
    assert_eq!(see(&mut broker.connect()?)?.0, seen);

    // Without the newest one, which a crash has left half written.
    broker.kill()?;
    let newest = snapshots(&broker)?.pop().context("a snapshot")?;
    let part = newest.with_added_extension("part");
    fs::rename(&newest, &part)?;
    broker.restart()?;
    assert_eq!(see(&mut broker.connect()?)?.0, seen);
    assert!(!part.exists(), "what was half written goes");

    // Without the log: every change had its snapshot.
    assert!(broker.stop()?.success());
    for log in files(&metadata_dir(&broker), "log")? {
        fs::remove_file(log)?;
    }
    broker.restart()?;
    assert_eq!(see(&mut broker.connect()?)?.0, seen);
    broker.kill_and_restart()?;
    assert_eq!(see(&mut broker.connect()?)?.0, seen);
    Ok(())
}

#[test]
fn a_torn_batch_at_the_end_is_cut_off() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[])?;
    administrate(&mut broker.connect()?)?;
    let (seen, _) = see(&mut broker.connect()?)?;
    broker.kill()?;
    let log = files(&metadata_dir(&broker), "log")?.pop().context("a segment")?;
    let mut bytes = fs::read(&log)?;
    let sizes = batches(&bytes).map_while(Result::ok).map(|(_, batch)| batch.len());
    let (end, last) = sizes.fold((0, 0), |(end, _), size| (end + size, size));
    // The beginning of a batch whose end has not reached the disk.
    bytes.copy_within(end - last..end - last / 2, end);
    fs::write(&log, bytes)?;
    broker.restart()?;
    assert_eq!(see(&mut broker.connect()?)?.0, seen);
    Ok(())
}

#[test]
fn damage_of_what_was_committed_stops_the_start_and_is_named() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[SNAPSHOT_OFTEN])?;
    administrate(&mut broker.connect()?)?;
    broker.kill()?;
    let log = files(&metadata_dir(&broker), "log")?.pop().context("a segment")?;
    let whole = fs::read(&log)?;
    let first = batches(&whole).next().context("a batch")??.1.len();
    let mut damaged = whole.clone();
    damaged[first + 70] ^= 1;
    fs::write(&log, damaged)?;
    let said = refusal(broker.data(), &[])?;
    let place = format!("{} is damaged at byte {first}", log.display());
    assert!(
        said.contains(&place) && said.contains("move all *.log files away"),
        "{said}"
    );
    fs::write(&log, whole)?;

    let newest = snapshots(&broker)?.pop().context("a snapshot")?;
    let snapshot = fs::read(&newest)?;
    fs::write(&newest, &snapshot[..snapshot.len() - 10])?;
    let said = refusal(broker.data(), &[])?;
    assert!(
        said.contains(&newest.display().to_string()) && said.contains("move it away"),
        "{said}"
    );
    fs::remove_file(&newest)?;
    broker.restart()
}

#[test]
fn the_ways_out_of_damage_lead_out() -> Outcome {
    for is_clean in [true, false] {
        let scratch = Scratch::new("metadata");
        let mut broker = Broker::start(scratch.path(), &[])?;
        broker.connect()?.create_topic("first", 2, &[])?;
        let log = files(&metadata_dir(&broker), "log")?.pop().context("a segment")?;
        let first = batches(&fs::read(&log)?)
            .map_while(Result::ok)
            .map(|(_, batch)| batch.len())
            .sum::<usize>();
        broker.connect()?.create_topic("second", 2, &[])?;
        broker.connect()?.create_topic("third", 2, &[])?;
        if is_clean {
            assert!(broker.stop()?.success());
        } else {
            broker.kill()?;
        }
        let mut damaged = fs::read(&log)?;
        damaged[first + 70] ^= 1;
        fs::write(&log, &damaged)?;
        let said = refusal(broker.data(), &[])?;
        assert!(
            said.contains(&format!("byte {first}")) && said.contains("cut the file there"),
            "{said}"
        );
        fs::write(&log, &damaged[..first])?;
        fs::remove_file(broker.data().join("replication-offset-checkpoint"))
            .or_else(|error| if is_clean { Err(error) } else { Ok(()) })?;
        broker.restart()?;
        let metadata = broker.connect()?.metadata(None)?;
        let topics: Vec<_> = metadata
            .topics
            .iter()
            .filter_map(|topic| topic.name.as_deref())
            .collect();
        assert_eq!(topics, ["first"]);
        broker.connect()?.create_topic("fourth", 1, &[])?;
        broker.kill_and_restart()?;
        assert_eq!(broker.connect()?.metadata(None)?.topics.len(), 2);
    }
    Ok(())
}

#[test]
fn a_log_that_is_shorter_than_it_was_stops_the_start() -> Outcome {
    let scratch = Scratch::new("metadata");
    let mut broker = Broker::start(scratch.path(), &[])?;
    administrate(&mut broker.connect()?)?;
    assert!(broker.stop()?.success());
    let log = files(&metadata_dir(&broker), "log")?.pop().context("a segment")?;
    let whole = fs::read(&log)?;
    let last = batches(&whole).map_while(Result::ok).last().context("a batch")?.1.len();
    fs::write(&log, &whole[..whole.len() - last])?;
    let said = refusal(broker.data(), &[])?;
    assert!(
        said.contains("ends at offset") && said.contains("bring its files back"),
        "{said}"
    );

    fs::remove_dir_all(metadata_dir(&broker))?;
    let said = refusal(broker.data(), &[])?;
    assert!(said.contains("__cluster_metadata-0"), "{said}");
    Ok(())
}

#[test]
fn directories_of_another_node_or_cluster_are_refused() -> Outcome {
    let (here, there) = (Scratch::new("metadata"), Scratch::new("metadata"));
    let mut broker = Broker::start(here.path(), &[])?;
    let mut other = Broker::start(there.path(), &[])?;
    broker.connect()?.create_topic("t", 1, &[])?;
    assert!(broker.stop()?.success() && other.stop()?.success());
    let said = refusal(broker.data(), &["node.id=2"])?;
    assert!(said.contains("node.id is 1, but 2 is configured"), "{said}");

    let both = format!("log.dirs={},{}", broker.data().display(), other.data().display());
    let said = refusal(broker.data(), &[&both])?;
    assert!(said.contains("cluster.id is"), "{said}");

    let properties = broker.data().join("meta.properties");
    let own = fs::read(&properties)?;
    fs::copy(other.data().join("meta.properties"), &properties)?;
    let said = refusal(broker.data(), &[])?;
    assert!(said.contains("was written in directory"), "{said}");
    fs::remove_file(&properties)?;
    let said = refusal(broker.data(), &[])?;
    assert!(said.contains("no meta.properties"), "{said}");
    fs::write(&properties, own)?;

    let state = metadata_dir(&broker).join("quorum-state");
    let own = fs::read_to_string(&state)?;
    fs::write(&state, own.replace("\"leaderId\":1", "\"leaderId\":7"))?;
    let said = refusal(broker.data(), &[])?;
    assert!(said.contains("quorum-state is of node 7, but node.id is 1"), "{said}");
    fs::write(&state, "{}")?;
    let said = refusal(broker.data(), &[])?;
    assert!(said.contains("quorum-state has no valid"), "{said}");
    fs::write(&state, own)?;
    broker.restart()
}

#[test]
fn the_metadata_log_lies_where_it_is_told_to() -> Outcome {
    let scratch = Scratch::new("metadata");
    let apart = scratch.path().join("apart");
    let metadata_log_dir = format!("metadata.log.dir={}", apart.display());
    let mut broker = Broker::start(scratch.path(), &[&metadata_log_dir])?;
    broker.connect()?.create_topic("t", 2, &[])?;
    let (seen, _) = see(&mut broker.connect()?)?;
    assert!(apart.join("__cluster_metadata-0").is_dir() && !apart.join("t-0").exists());
    assert!(broker.data().join("t-0").is_dir() && !metadata_dir(&broker).exists());
    broker.kill_and_restart()?;
    assert_eq!(see(&mut broker.connect()?)?.0, seen);
    assert!(broker.stop()?.success());
    let said = refusal(broker.data(), &[])?;
    assert!(said.contains("the metadata that they belong to is gone"), "{said}");
    Ok(())
}
