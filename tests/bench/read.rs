//! Reads a partition from its beginning, again and again, and looks at none of it.
//!
//!     read ADDRESS TOPIC SECONDS RATE [FOLDER]
//!
//! RATE: MB per second at most; 0: as fast as it comes. FOLDER: that of the partition. What the kernel keeps of its files in memory is dropped before each round, so that every
//! byte comes from the disk. Prints the bytes that were read, as one line of JSON.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::{Buf, Bytes};
use ottla_protocol::messages::FetchRequest;
use ottla_protocol::records::BatchHeader;
use ottla_tests::client::{Client, fetch_request};
use rustix::fs::{Advice, fadvise};

const VERSION: i16 = 11;

fn main() -> anyhow::Result<()> {
    const USAGE: &str = "read ADDRESS TOPIC SECONDS RATE [FOLDER]";
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context(USAGE);
    let (address, topic, seconds) = (next()?.parse()?, next()?, next()?.parse()?);
    let rate: f64 = next()?.parse()?;
    let folder = next().ok();
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(seconds);
    let pace = move |bytes: u64| {
        if rate > 0.0 {
            let due = begin + Duration::from_secs_f64(bytes as f64 / (rate * 1e6));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    };
    let mut client = Client::connect(address)?;
    let mut bytes = 0;
    while Instant::now() < end {
        if let Some(folder) = &folder {
            drop_from_memory(Path::new(folder))?;
        }
        bytes = read_once(&mut client, &topic, end, bytes, pace)?;
    }
    println!("{}", serde_json::json!({ "bytes": bytes }));
    Ok(())
}

fn drop_from_memory(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let file = std::fs::File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Reads from the beginning to the end; returns how many bytes there were, with the `bytes` before.
fn read_once(
    client: &mut Client,
    topic: &str,
    end: Instant,
    mut bytes: u64,
    pace: impl Fn(u64),
) -> anyhow::Result<u64> {
    let mut offset = 0;
    while Instant::now() < end {
        let response = client.call::<FetchRequest>(&fetch_request(topic, 0, offset, 0), VERSION)?;
        let records = response.responses[0].partitions[0].records.clone().unwrap_or_default();
        if records.is_empty() {
            break;
        }
        bytes += records.len() as u64;
        offset = offset_behind(records)?;
        pace(bytes);
    }
    Ok(bytes)
}

/// The offset behind the last whole batch.
fn offset_behind(mut records: Bytes) -> anyhow::Result<i64> {
    let mut offset = None;
    while let Ok(header) = BatchHeader::parse(&records) {
        if header.size_bytes() > records.len() {
            break;
        }
        offset = Some(header.last_offset() + 1);
        records.advance(header.size_bytes());
    }
    offset.context("an answer without a whole batch")
}
