//! A log that has lost committed records: that partition is offline, the others are served, nothing is cut.

use anyhow::Context;
use ottla_protocol::{
    ErrorCode,
    records::{BatchBuilder, NewRecord},
};
use ottla_tests::{
    client::{Client, code, now_ms},
    process::{Broker, run},
    scratch::Scratch,
};
use std::fs;

fn produce(client: &mut Client, partition: i32) -> ottla_tests::Result<(ErrorCode, i64)> {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(now_ms(), b"key", &[b'v'; 500]));
    client.produce("orders", partition, builder.build(), -1)
}

#[test]
fn a_damaged_partition_is_offline_and_the_others_serve() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("damage");
    let mut broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("orders", 2, &[])?;
    for partition in 0..2 {
        for _ in 0..5 {
            assert_eq!(produce(&mut client, partition)?.0, ErrorCode::None);
        }
    }
    // A clean stop writes down what was committed.
    stop(&mut broker)?;
    broker.restart()?;
    broker.kill()?;
    let path = broker.data().join("orders-0/00000000000000000000.log");
    let good = fs::read(&path)?;
    fs::write(&path, &good[..good.len() - 100])?;
    broker.restart()?;

    let mut client = broker.connect()?;
    assert_eq!(produce(&mut client, 0)?.0, ErrorCode::KafkaStorageError);
    let fetched = client.fetch("orders", 0, 0, 0)?;
    assert_eq!(
        code(fetched.responses[0].partitions[0].error_code),
        ErrorCode::KafkaStorageError
    );
    assert_eq!(produce(&mut client, 1)?, (ErrorCode::None, 5));
    let said = broker.log();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("orders-0")).collect();
    let explains = |line: &&&str| {
        line.contains("ERROR")
            && line.contains("00000000000000000000.log")
            && line.contains("offsets 4 to 4 are missing")
    };
    assert_eq!(lines.iter().filter(explains).count(), 1, "{said}");
    assert_eq!(fs::read(&path)?, good[..good.len() - 100], "nothing is cut");

    // The file is put back.
    stop(&mut broker)?;
    fs::write(&path, &good)?;
    broker.restart()?;
    let mut client = broker.connect()?;
    assert_eq!(produce(&mut client, 0)?, (ErrorCode::None, 5));

    // The loss is accepted, as the message says.
    stop(&mut broker)?;
    let shorter = fs::read(&path)?.len() - 100;
    fs::write(&path, &fs::read(&path)?[..shorter])?;
    let (_, command) = lines[0].split_once(": ottla ").context("the message has a command")?;
    let arguments: Vec<&str> = command.split_whitespace().chain(["--yes"]).collect();
    assert!(run(&arguments)?.status.success(), "{command}");
    broker.restart()?;
    assert_eq!(produce(&mut broker.connect()?, 0)?, (ErrorCode::None, 5));
    Ok(())
}

fn stop(broker: &mut Broker) -> ottla_tests::Result<()> {
    let status = broker.stop()?;
    assert!(status.success(), "{status}: {}", broker.log());
    Ok(())
}
