//! Several log directories: where new logs go, what a directory that cannot be used at start takes with it, what is
//! cordoned, what clients are told of them.

use ottla_protocol::{
    ErrorCode,
    messages::{DescribeLogDirsRequest, describe_log_dirs_response::DescribeLogDirsResult},
};
use ottla_tests::{
    client::{Client, ConfigResourceKind, batch, code},
    process::{Broker, eventually, run},
    scratch::Scratch,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

type Outcome = ottla_tests::Result<()>;

fn dirs(scratch: &Scratch) -> [PathBuf; 3] {
    ["a", "b", "c"].map(|name| scratch.path().join(name))
}

fn setting(dirs: &[PathBuf]) -> String {
    let names: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    format!("log.dirs={}", names.join(","))
}

fn start(scratch: &Scratch, others: &[&str]) -> ottla_tests::Result<Broker> {
    let dirs = setting(&dirs(scratch));
    Broker::start(scratch.path(), &[&[dirs.as_str()], others].concat())
}

/// The numbers of the partitions of a topic that lie in a directory.
fn lie_in(dir: &Path, topic: &str) -> BTreeSet<i32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| name.strip_prefix(&format!("{topic}-"))?.parse().ok())
        .collect()
}

fn describe(client: &mut Client) -> ottla_tests::Result<Vec<DescribeLogDirsResult>> {
    Ok(client.call(&DescribeLogDirsRequest { topics: None }, 5)?.results)
}

fn produce(client: &mut Client, topic: &str, partition: i32) -> ottla_tests::Result<(ErrorCode, i64)> {
    client.produce(topic, partition, batch(&[b"v"]), -1)
}

fn stop(broker: &mut Broker) -> Outcome {
    let status = broker.stop()?;
    assert!(status.success(), "{status}: {}", broker.log());
    Ok(())
}

#[test]
fn new_logs_go_to_the_directory_with_the_fewest() -> Outcome {
    let scratch = Scratch::new("spread");
    let broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    client.create_topic("one", 4, &[])?;
    client.create_topic("two", 5, &[])?;
    let counts = dirs(&scratch).map(|dir| lie_in(&dir, "one").len() + lie_in(&dir, "two").len());
    assert_eq!(counts, [3, 3, 3]);
    let described = describe(&mut client)?;
    for (dir, described) in dirs(&scratch).iter().zip(&described) {
        assert_eq!(described.log_dir.as_str(), dir.display().to_string());
        let shown: BTreeSet<i32> = described
            .topics
            .iter()
            .filter(|topic| topic.name.as_str() == "two")
            .flat_map(|topic| topic.partitions.iter().map(|each| each.partition_index))
            .collect();
        assert_eq!(shown, lie_in(dir, "two"));
        assert!(described.total_bytes > 0 && described.usable_bytes > 0 && !described.is_cordoned);
    }
    Ok(())
}

/// Replaces a directory by a file, so that it cannot be used; root may read everything else.
fn break_dir(dir: &Path) -> Outcome {
    fs::rename(dir, dir.with_extension("away"))?;
    Ok(fs::write(dir, "no directory")?)
}

fn mend_dir(dir: &Path) -> Outcome {
    fs::remove_file(dir)?;
    Ok(fs::rename(dir.with_extension("away"), dir)?)
}

#[test]
fn a_directory_that_is_bad_at_start_is_offline_and_nothing_in_it_is_made_anew() -> Outcome {
    let scratch = Scratch::new("bad-start");
    let [_, b, _] = dirs(&scratch);
    let mut broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 6, &[])?;
    for index in 0..6 {
        assert_eq!(produce(&mut client, "t", index)?, (ErrorCode::None, 0));
    }
    let lost = lie_in(&b, "t");
    assert_eq!(lost.len(), 2);
    stop(&mut broker)?;
    break_dir(&b)?;
    for _ in 0..2 {
        broker.restart()?;
        let mut client = broker.connect()?;
        for index in 0..6 {
            let (error, _) = produce(&mut client, "t", index)?;
            let expected = if lost.contains(&index) {
                ErrorCode::KafkaStorageError
            } else {
                ErrorCode::None
            };
            assert_eq!(error, expected, "{index}: {}", broker.log());
        }
        let metadata = client.metadata(Some("t"))?;
        let leaderless: BTreeSet<i32> = metadata.topics[0]
            .partitions
            .iter()
            .filter(|partition| partition.leader_id == -1)
            .map(|partition| partition.partition_index)
            .collect();
        assert_eq!(leaderless, lost);
        let described = describe(&mut client)?;
        let errors: Vec<ErrorCode> = described.iter().map(|dir| code(dir.error_code)).collect();
        assert_eq!(errors, [ErrorCode::None, ErrorCode::KafkaStorageError, ErrorCode::None]);
        // What is new finds a place.
        broker.kill()?;
    }
    broker.restart()?;
    let mut client = broker.connect()?;
    client.create_topic("new", 4, &[])?;
    for index in 0..4 {
        assert_eq!(produce(&mut client, "new", index)?, (ErrorCode::None, 0));
    }
    stop(&mut broker)?;
    mend_dir(&b)?;
    broker.restart()?;
    let mut client = broker.connect()?;
    for index in &lost {
        assert_eq!(produce(&mut client, "t", *index)?, (ErrorCode::None, 1), "as it was");
    }
    broker.assert_sound()
}

#[test]
fn without_the_metadata_or_any_directory_it_does_not_start() -> Outcome {
    let scratch = Scratch::new("no-start");
    let [a, b, c] = dirs(&scratch);
    let mut broker = start(&scratch, &[])?;
    stop(&mut broker)?;
    break_dir(&a)?;
    let listeners = format!("listeners=PLAINTEXT://{}", broker.address());
    let all = setting(&dirs(&scratch));
    let refused = run(&["serve", "--override", &listeners, "--override", &all])?;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains(&a.display().to_string()), "{said}");
    mend_dir(&a)?;
    for dir in [&b, &c] {
        break_dir(dir)?;
    }
    // The others may be missing, as long as one is left.
    broker.restart()?;
    stop(&mut broker)
}

#[test]
fn a_log_in_another_directory_than_the_metadata_say_is_served_from_there() -> Outcome {
    let scratch = Scratch::new("elsewhere");
    let [a, b, c] = dirs(&scratch);
    let mut broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 3, &[])?;
    let index = *lie_in(&b, "t").first().expect("one each");
    assert_eq!(produce(&mut client, "t", index)?, (ErrorCode::None, 0));
    stop(&mut broker)?;
    let name = format!("t-{index}");
    fs::rename(b.join(&name), c.join(&name))?;
    broker.restart()?;
    assert_eq!(produce(&mut broker.connect()?, "t", index)?, (ErrorCode::None, 1));
    // The metadata know now: without the directory it came from it is served, without its own it is not.
    stop(&mut broker)?;
    break_dir(&b)?;
    broker.restart()?;
    assert_eq!(produce(&mut broker.connect()?, "t", index)?, (ErrorCode::None, 2));
    stop(&mut broker)?;
    mend_dir(&b)?;
    break_dir(&c)?;
    broker.restart()?;
    assert_eq!(
        produce(&mut broker.connect()?, "t", index)?.0,
        ErrorCode::KafkaStorageError
    );
    stop(&mut broker)?;
    mend_dir(&c)?;

    // A leftover of the same name is set aside, not served and not removed.
    copy_dir(&c.join(&name), &a.join(&name))?;
    broker.restart()?;
    assert_eq!(produce(&mut broker.connect()?, "t", index)?, (ErrorCode::None, 3));
    let is_aside = |entry: fs::DirEntry| {
        let found = entry.file_name().into_string().unwrap_or_default();
        found.starts_with(&name) && found.ends_with("-stray")
    };
    assert_eq!(
        fs::read_dir(&a)?
            .flatten()
            .filter(|_| true)
            .map(is_aside)
            .filter(|is| *is)
            .count(),
        1
    );
    assert!(broker.log().contains("set aside"), "{}", broker.log());

    // Two of them, neither where the metadata say: nobody chooses.
    stop(&mut broker)?;
    fs::rename(c.join(&name), b.join(&name))?;
    copy_dir(&b.join(&name), &a.join(&name))?;
    broker.restart()?;
    assert_eq!(
        produce(&mut broker.connect()?, "t", index)?.0,
        ErrorCode::KafkaStorageError
    );
    let log = broker.log();
    assert!(log.contains("the metadata do not say which one counts"), "{log}");
    assert!(a.join(&name).is_dir() && b.join(&name).is_dir());
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> Outcome {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[test]
fn the_log_of_a_topic_that_was_made_anew_meanwhile_is_set_aside() -> Outcome {
    let scratch = Scratch::new("anew");
    let [_, b, _] = dirs(&scratch);
    let mut broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 3, &[])?;
    let index = *lie_in(&b, "t").first().expect("one each");
    for _ in 0..3 {
        produce(&mut client, "t", index)?;
    }
    stop(&mut broker)?;
    break_dir(&b)?;
    broker.restart()?;
    let mut client = broker.connect()?;
    client.delete_topic("t")?;
    client.create_topic("t", 3, &[])?;
    assert_eq!(produce(&mut client, "t", index)?, (ErrorCode::None, 0));
    stop(&mut broker)?;
    mend_dir(&b)?;
    broker.restart()?;
    assert_eq!(produce(&mut broker.connect()?, "t", index)?, (ErrorCode::None, 1));
    assert!(broker.log().contains("set aside"), "{}", broker.log());
    Ok(())
}

#[test]
fn the_files_of_a_deleted_topic_go_while_its_name_is_in_use_again() -> Outcome {
    let scratch = Scratch::new("deleted");
    let dirs = dirs(&scratch);
    let broker = start(&scratch, &[])?;
    let mut client = broker.connect()?;
    for _ in 0..3 {
        client.create_topic("t", 20, &[])?;
        assert_eq!(produce(&mut client, "t", 7)?, (ErrorCode::None, 0));
        client.delete_topic("t")?;
    }
    client.create_topic("t", 20, &[])?;
    let count = |dir: &PathBuf| -> ottla_tests::Result<usize> {
        let entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
        let names = entries.iter().map(|entry| entry.file_name());
        Ok(names.filter(|name| name.to_string_lossy().starts_with("t-")).count())
    };
    eventually(|| Ok(dirs.iter().map(count).sum::<ottla_tests::Result<usize>>()? == 20))?;
    assert_eq!(dirs.iter().map(|dir| lie_in(dir, "t").len()).sum::<usize>(), 20);
    Ok(())
}

#[test]
fn a_cordoned_directory_gets_nothing_new_and_serves_what_it_has() -> Outcome {
    let scratch = Scratch::new("cordon");
    let [a, b, c] = dirs(&scratch);
    let cordoned = format!("cordoned.log.dirs={}", a.display());
    let mut broker = start(&scratch, &[&cordoned])?;
    let mut client = broker.connect()?;
    client.create_topic("first", 4, &[])?;
    assert_eq!([&a, &b, &c].map(|dir| lie_in(dir, "first").len()), [0, 2, 2]);
    let shown: Vec<bool> = describe(&mut client)?.iter().map(|dir| dir.is_cordoned).collect();
    assert_eq!(shown, [true, false, false]);

    // At run time.
    let set = |client: &mut Client, value: Option<&str>| {
        client.alter_configs(ConfigResourceKind::Broker, "1", &[("cordoned.log.dirs", value)])
    };
    let shown = |client: &mut Client, expected: [bool; 3]| {
        eventually(|| {
            let shown: Vec<bool> = describe(client)?.iter().map(|dir| dir.is_cordoned).collect();
            Ok(shown == expected)
        })
    };
    set(&mut client, Some("*"))?;
    shown(&mut client, [true; 3])?;
    // The controller hears of it a moment later.
    let mut number = 0;
    eventually(|| {
        number += 1;
        let created = client.create_topic(&format!("second-{number}"), 1, &[]);
        Ok(created.is_err_and(|error| error.to_string().contains("have all their log directories cordoned")))
    })?;
    for index in 0..4 {
        assert_eq!(produce(&mut client, "first", index)?, (ErrorCode::None, 0));
    }
    assert!(set(&mut client, Some("/nowhere")).is_err());
    let others = format!("{},{}", a.display(), b.display());
    set(&mut client, Some(&others))?;
    let mut number = 0;
    eventually(|| {
        number += 1;
        let name = format!("third-{number}");
        let is_created = client.create_topic(&name, 3, &[]).is_ok();
        Ok(is_created && [&a, &b, &c].map(|dir| lie_in(dir, &name).len()) == [0, 0, 3])
    })?;
    broker.assert_sound()
}

#[test]
fn cordoned_directories_that_are_none_of_ours_are_refused_at_start() -> Outcome {
    let scratch = Scratch::new("cordon-wrong");
    let all = setting(&dirs(&scratch));
    let refused = run(&["serve", "--override", &all, "--override", "cordoned.log.dirs=/nowhere"])?;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("cordoned.log.dirs") && said.contains("/nowhere"),
        "{said}"
    );
    Ok(())
}
