//! A file that shrinks under its map. What would end the process if it were not contained runs in one of its own.

use std::process::Command;

use super::*;
use crate::disk::without_waiting;

const CHILD: &str = "OTTLA_TEST_FAULTS";

/// Runs `test`, which is called `name`, in a process of its own.
fn in_a_process(name: &str, test: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let name = format!("log::tests::faults::{name}");
    let output = child
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "the test has that name: {said}");
}

fn shrink(log: &Log, len: u64) {
    let path = log.dir().join("00000000000000000000.log");
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
}

fn large() -> LogOptions {
    LogOptions {
        config: LogConfig::default(),
        is_clean: true,
        ..LogOptions::default()
    }
}

#[test]
fn an_append_to_what_is_gone_is_refused_and_the_log_is_offline() {
    in_a_process("an_append_to_what_is_gone_is_refused_and_the_log_is_offline", || {
        let (dir, other_dir) = (scratch("faults"), scratch("faults"));
        let (log, other) = (open(dir.path(), &large()), open(other_dir.path(), &large()));
        fill(&log, 3, &batch(1));
        fill(&other, 3, &batch(1));
        shrink(&log, 0);
        let end = log.log_end_offset();
        let error = log.append(client(&batch(1))).unwrap_err();
        assert!(matches!(error, AppendError::Io(_)), "{error}");
        assert_eq!(log.log_end_offset(), end);
        assert!(log.is_offline());
        assert!(matches!(log.append(client(&batch(1))), Err(AppendError::Offline)));
        assert!(log.sync().is_err());
        append(&other, &batch(1));
        other.sync().unwrap();
        assert_eq!(read_all(&other, 0).len(), 4);
    });
}

#[test]
fn what_is_gone_is_not_read_as_zeros() {
    in_a_process("what_is_gone_is_not_read_as_zeros", || {
        let dir = scratch("faults");
        let log = open(dir.path(), &large());
        fill(&log, 200, &batch(1));
        shrink(&log, 4096);
        let read = || log.read(150, Offset::MAX, 1000, true);
        without_waiting(read).unwrap_err();
        without_waiting(read).unwrap_err();
        assert!(log.is_offline());
    });
}

#[test]
fn what_the_disk_has_lost_is_not_synced() {
    in_a_process("what_the_disk_has_lost_is_not_synced", || {
        let dir = scratch("faults");
        let log = open(dir.path(), &large());
        fill(&log, 200, &batch(1));
        let held = log.read(150, Offset::MAX, 1000, true).unwrap().records;
        shrink(&log, 4096);
        let bytes = held.into_bytes().unwrap();
        assert_eq!(bytes[0], 0, "looked at by one who was given it before");
        assert!(matches!(log.sync(), Err(SyncError::SyncFailed(_))));
        assert!(log.is_offline());
        assert_eq!(log.recovery_point(), 0);
    });
}
