//! Disks that fail under a running broker: one that is full, one that turns read-only, one whose fsync, write, fallocate
//! or rename fails, one that is gone. The directory goes offline with one line, the others are served.

use ottla_protocol::ErrorCode;
use ottla_tests::{
    client::{Client, batch, code},
    disks::{Injection, Mount},
    process::{Broker, eventually},
    scratch::Scratch,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

type Outcome = ottla_tests::Result<()>;

/// A broker with its metadata and some logs in one directory, and the rest in another one, which is to fail.
struct Setting {
    good: PathBuf,
    bad: PathBuf,
    broker: Broker,
    client: Client,
    /// A partition of `t` in each directory.
    in_good: i32,
    in_bad: i32,
}

fn start(scratch: &Scratch, configs: &[(&str, &str)]) -> ottla_tests::Result<Setting> {
    let (good, bad) = (scratch.path().join("good"), scratch.path().join("bad"));
    let dirs = format!("log.dirs={},{}", good.display(), bad.display());
    let broker = Broker::start(scratch.path(), &[&dirs, "log.flush.offset.checkpoint.interval.ms=200"])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 4, configs)?;
    let lies_in = |dir: &Path| (0..4).find(|index| dir.join(format!("t-{index}")).is_dir());
    let (in_good, in_bad) = (lies_in(&good), lies_in(&bad));
    Ok(Setting {
        in_good: in_good.expect("two of them lie there"),
        in_bad: in_bad.expect("two of them lie there"),
        good,
        bad,
        broker,
        client,
    })
}

impl Setting {
    fn produce(&mut self, partition: i32) -> ottla_tests::Result<(ErrorCode, i64)> {
        self.client.produce("t", partition, batch(&[&[b'v'; 500]]), -1)
    }

    fn fetch(&mut self, partition: i32) -> ottla_tests::Result<ErrorCode> {
        let fetched = self.client.fetch("t", partition, 0, 0)?;
        Ok(code(fetched.responses[0].partitions[0].error_code))
    }

    /// The bad directory is offline, which one line says; the other one serves.
    fn assert_offline(&mut self) -> Outcome {
        let (good, bad) = (self.in_good, self.in_bad);
        assert_eq!(self.produce(bad)?.0, ErrorCode::KafkaStorageError);
        assert_eq!(self.fetch(bad)?, ErrorCode::KafkaStorageError);
        assert_eq!(self.produce(good)?.0, ErrorCode::None);
        assert_eq!(self.fetch(good)?, ErrorCode::None);
        // The controller hears of it, and no leader is named for what is not served.
        eventually(|| {
            let metadata = self.client.metadata(Some("t"))?;
            let partitions = &metadata.topics[0].partitions;
            let leader = |index: i32| partitions.iter().find(|each| each.partition_index == index);
            Ok(leader(bad).is_some_and(|each| each.leader_id == -1)
                && leader(good).is_some_and(|each| each.leader_id == 1))
        })?;
        self.broker.assert_sound()?;
        let log = self.broker.log();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(errors.len(), 1, "{log}");
        let path = self.bad.display().to_string();
        assert!(errors[0].contains(&path) && errors[0].contains("has failed"), "{log}");
        Ok(())
    }
}

#[test]
fn a_failed_fsync_takes_its_directory_offline_and_is_never_acknowledged() -> Outcome {
    let scratch = Scratch::new("fsync");
    let mut setting = start(&scratch, &[("flush.messages", "1")])?;
    let bad = setting.in_bad;
    for offset in 0..5 {
        assert_eq!(setting.produce(bad)?, (ErrorCode::None, offset));
    }
    let path = setting.bad.join(format!("t-{bad}/00000000000000000000.log"));
    let injection = Injection::start(setting.broker.pid(), "fdatasync", "EIO", &[&path])?;
    assert_eq!(setting.produce(bad)?.0, ErrorCode::KafkaStorageError);
    drop(injection);
    // The disk works again, but nobody knows what it has dropped.
    setting.assert_offline()?;
    setting.broker.kill_and_restart()?;
    let mut client = setting.broker.connect()?;
    let end = client.offset_at("t", bad, -1)?;
    assert!(end >= 5, "{end}: acknowledged records are lost");
    assert_eq!(client.produce("t", bad, batch(&[b"v"]), -1)?, (ErrorCode::None, end));
    Ok(())
}

#[test]
fn who_waits_is_told_at_once_when_the_directory_fails() -> Outcome {
    let scratch = Scratch::new("waiting");
    let mut setting = start(&scratch, &[])?;
    let (bad, mut waiting) = (setting.in_bad, setting.broker.connect()?);
    let fetch = ottla_tests::client::fetch_request("t", bad, 0, 29_000);
    let correlation_id = waiting.send(&fetch, 12)?;
    setting.produce(setting.in_good)?;
    fs::rename(&setting.bad, scratch.path().join("gone"))?;
    let began = std::time::Instant::now();
    let answer = waiting.receive::<ottla_protocol::messages::FetchRequest>(12, correlation_id)?;
    let answer = &answer.responses[0].partitions[0];
    assert_eq!(code(answer.error_code), ErrorCode::KafkaStorageError);
    // Not the end of its own patience.
    assert!(began.elapsed().as_millis() < 29_000);
    setting.assert_offline()
}

#[test]
fn errors_of_the_disk_at_other_calls_take_it_offline_too() -> Outcome {
    // Each is met by an append, or by what is written from time to time.
    for (call, error) in [
        ("fallocate", "EIO"),
        ("fallocate", "EROFS"),
        ("rename", "EIO"),
        ("pwritev", "EIO"),
    ] {
        let scratch = Scratch::new("calls");
        let mut setting = start(&scratch, &[])?;
        let bad = setting.in_bad;
        let log = setting.bad.join(format!("t-{bad}/00000000000000000000.log"));
        let checkpoint = setting.bad.join("recovery-point-offset-checkpoint");
        let temporary = setting.bad.join("recovery-point-offset-checkpoint.tmp");
        let injection = Injection::start(setting.broker.pid(), call, error, &[&log, &checkpoint, &temporary])?;
        eventually(|| Ok(setting.produce(bad)?.0 == ErrorCode::KafkaStorageError))
            .map_err(|error| error.context(call))?;
        drop(injection);
        setting.assert_offline().map_err(|error| error.context(call))?;
    }
    Ok(())
}

#[test]
fn a_process_without_descriptors_does_not_blame_the_disk() -> Outcome {
    let scratch = Scratch::new("emfile");
    let mut setting = start(&scratch, &[])?;
    let bad = setting.in_bad;
    let log = setting.bad.join(format!("t-{bad}/00000000000000000000.log"));
    let injection = Injection::start(setting.broker.pid(), "openat", "EMFILE", &[&log])?;
    assert_eq!(setting.produce(bad)?.0, ErrorCode::KafkaStorageError);
    drop(injection);
    assert_eq!(setting.produce(bad)?, (ErrorCode::None, 0));
    setting.broker.assert_sound()
}

#[test]
fn a_read_only_remount_takes_the_directory_offline() -> Outcome {
    let scratch = Scratch::new("remount");
    let mount = Mount::ext4(&scratch.path().join("bad"), 64 << 20)?;
    let mut setting = start(&scratch, &[("flush.messages", "1")])?;
    let bad = setting.in_bad;
    assert_eq!(setting.produce(bad)?.0, ErrorCode::None);
    mount.make_read_only()?;
    eventually(|| Ok(setting.produce(bad)?.0 == ErrorCode::KafkaStorageError))?;
    setting.assert_offline()?;
    setting.broker.kill()
}

#[test]
fn a_full_disk_refuses_until_there_is_space_and_loses_nothing() -> Outcome {
    let scratch = Scratch::new("full");
    let _mount = Mount::tmpfs(&scratch.path().join("bad"), 64 << 20)?;
    let mut setting = start(&scratch, &[("segment.bytes", "1048576")])?;
    let (good, bad) = (setting.in_good, setting.in_bad);
    let filler = setting.bad.join("filler");
    fs::write(&filler, vec![1; 50 << 20])?;
    let value = vec![b'v'; 100_000];
    let mut acknowledged = 0;
    // Under load until it is full.
    loop {
        match setting.client.produce("t", bad, batch(&[&value]), -1)? {
            (ErrorCode::None, offset) => {
                assert_eq!(offset, acknowledged);
                acknowledged += 1;
            }
            (error, _) => break assert_eq!(error, ErrorCode::KafkaStorageError),
        }
        assert!(acknowledged < 1_000, "it never gets full");
    }
    // Nothing of the batch that failed is visible, what is there is read, and the other directory takes more.
    assert_eq!(setting.client.offset_at("t", bad, -1)?, acknowledged);
    assert_eq!(setting.fetch(bad)?, ErrorCode::None);
    assert_eq!(setting.produce(good)?.0, ErrorCode::None);
    // Deleting makes space.
    fs::remove_file(&filler)?;
    assert_eq!(
        setting.client.produce("t", bad, batch(&[&value]), -1)?,
        (ErrorCode::None, acknowledged)
    );
    setting.broker.assert_sound()?;
    let log = setting.broker.log();
    assert_eq!(log.lines().filter(|line| line.contains("ERROR")).count(), 1, "{log}");
    setting.broker.kill_and_restart()?;
    let mut client = setting.broker.connect()?;
    assert_eq!(client.offset_at("t", bad, -1)?, acknowledged + 1);
    // Not before the broker has ended.
    setting.broker.kill()
}

#[test]
fn records_and_topics_can_be_deleted_on_a_full_disk() -> Outcome {
    let scratch = Scratch::new("deleting");
    let _mount = Mount::tmpfs(&scratch.path().join("bad"), 32 << 20)?;
    let mut setting = start(
        &scratch,
        &[
            ("segment.bytes", "1048576"),
            ("file.delete.delay.ms", "0"),
            ("retention.bytes", "-1"),
        ],
    )?;
    let bad = setting.in_bad;
    let value = vec![b'v'; 100_000];
    while setting.client.produce("t", bad, batch(&[&value]), -1)?.0 == ErrorCode::None {}
    let end = setting.client.offset_at("t", bad, -1)?;
    delete_records(&mut setting.client, bad, end - 1)?;
    setting.client.alter_configs(
        ottla_tests::client::ConfigResourceKind::Broker,
        "",
        &[("log.retention.ms", Some("3600000"))],
    )?;
    assert_eq!(setting.client.offset_at("t", bad, -2)?, end - 1);
    setting.client.delete_topic("t")?;
    // The files go after the name.
    eventually(|| Ok(!has_files_of(&setting.bad, "t")?))?;
    setting.client.create_topic("again", 4, &[])?;
    for index in 0..4 {
        assert_eq!(
            setting.client.produce("again", index, batch(&[&value]), -1)?,
            (ErrorCode::None, 0)
        );
    }
    setting.broker.kill()
}

#[test]
fn a_topic_made_on_a_full_disk_is_served_when_there_is_space() -> Outcome {
    let scratch = Scratch::new("full-new");
    let _mount = Mount::tmpfs(&scratch.path().join("bad"), 8 << 20)?;
    let mut setting = start(&scratch, &[])?;
    let filler = setting.bad.join("filler");
    // As much as there is room for.
    let written = fs::write(&filler, vec![1; 16 << 20]);
    assert!(written.is_err(), "the disk is full");
    setting.client.create_topic("late", 2, &[])?;
    let codes = [0, 1].map(|index| {
        setting
            .client
            .produce("late", index, batch(&[b"v"]), -1)
            .map(|(error, _)| error)
    });
    let codes: Vec<ErrorCode> = codes.into_iter().collect::<ottla_tests::Result<_>>()?;
    assert!(
        codes.contains(&ErrorCode::KafkaStorageError) && codes.contains(&ErrorCode::None),
        "{codes:?}"
    );
    fs::remove_file(&filler)?;
    for index in 0..2 {
        eventually(|| Ok(setting.client.produce("late", index, batch(&[b"v"]), -1)?.0 == ErrorCode::None))?;
    }
    setting.broker.assert_sound()?;
    setting.broker.kill()
}

#[test]
fn the_metadata_survive_a_full_disk() -> Outcome {
    let scratch = Scratch::new("full-metadata");
    let mount = Mount::tmpfs(&scratch.path().join("data"), 16 << 20)?;
    let mut broker = Broker::start(scratch.path(), &["log.flush.offset.checkpoint.interval.ms=200"])?;
    let mut client = broker.connect()?;
    client.create_topic("first", 1, &[])?;
    let filler = mount.path().join("filler");
    assert!(fs::write(&filler, vec![1; 32 << 20]).is_err(), "the disk is full");
    // The metadata log has some room left; then its client is told, and nothing has happened.
    let mut made = 0;
    let refused = loop {
        match client.create_topic(&format!("t-{made}"), 1, &[]) {
            Ok(_) => made += 1,
            Err(refused) => break refused.to_string(),
        }
        assert!(made < 5_000, "it never gets full");
    };
    assert!(refused.starts_with("KAFKA_STORAGE_ERROR"), "{refused}");
    assert_eq!(client.metadata(None)?.topics.len(), made + 1);
    assert_eq!(client.fetch("first", 0, 0, 0)?.responses[0].partitions[0].error_code, 0);
    fs::remove_file(&filler)?;
    client.create_topic(&format!("t-{made}"), 1, &[])?;
    for topic in ["first".to_owned(), "t-0".to_owned(), format!("t-{made}")] {
        eventually(|| Ok(client.produce(&topic, 0, batch(&[b"v"]), -1)?.0 == ErrorCode::None))?;
    }
    broker.kill_and_restart()?;
    assert_eq!(broker.connect()?.metadata(None)?.topics.len(), made + 2);
    broker.assert_sound()?;
    broker.kill()
}

#[test]
fn without_the_metadata_or_any_directory_the_broker_ends() -> Outcome {
    let scratch = Scratch::new("metadata-dir");
    let mut setting = start(&scratch, &[("flush.messages", "1")])?;
    let good = setting.in_good;
    let path = setting.good.join(format!("t-{good}/00000000000000000000.log"));
    let injection = Injection::start(setting.broker.pid(), "fdatasync", "EIO", &[&path])?;
    // The connection ends with the broker.
    let _ = setting.produce(good);
    drop(injection);
    let status = setting.broker.await_end()?;
    assert_eq!(status.code(), Some(1));
    let log = setting.broker.log();
    assert!(
        log.contains("the log directory with the metadata has failed; the broker ends"),
        "{log}"
    );
    Ok(())
}

fn delete_records(client: &mut Client, partition: i32, offset: i64) -> Outcome {
    use ottla_protocol::messages::{
        DeleteRecordsRequest,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    };
    let partition = DeleteRecordsPartition {
        partition_index: partition,
        offset,
    };
    let topic = DeleteRecordsTopic {
        name: "t".into(),
        partitions: vec![partition],
    };
    let request = DeleteRecordsRequest {
        topics: vec![topic],
        timeout_ms: 30_000,
    };
    let answer = client.call(&request, 2)?;
    assert_eq!(code(answer.topics[0].partitions[0].error_code), ErrorCode::None);
    Ok(())
}

/// Whether there is a log of the topic, or what is left of a deleted one.
fn has_files_of(dir: &Path, topic: &str) -> ottla_tests::Result<bool> {
    let entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    let prefix = format!("{topic}-");
    Ok(entries
        .iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)))
}
