//! `partition.metadata`: which topic id a partition's directory belongs to.
//!
//! ```text
//! version: 0
//! topic_id: 22 URL-safe base64 characters
//! ```

use std::io;
use std::path::Path;

use ottla_protocol::ids::Uuid;

use crate::disk::{Disk, read_file, replace_file};

/// Name of the file in the partition's directory.
pub(crate) const FILE: &str = "partition.metadata";

/// Reads the topic id; `None` where there is no file, or nothing in it that names a topic id.
pub fn read_topic_id(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Uuid>> {
    let content = read_file(disk, &dir.join(FILE))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let mut id = None;
    for line in text.lines() {
        match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("version", "0")) => {}
            Some(("topic_id", value)) => id = Uuid::parse(value).filter(|id| !id.is_zero()),
            _ => return Ok(None),
        }
    }
    Ok(id)
}

/// Writes the topic id, durably.
pub fn write_topic_id(disk: &dyn Disk, dir: &Path, topic_id: Uuid) -> io::Result<()> {
    // Kafka writes no line end after the id.
    replace_file(
        disk,
        &dir.join(FILE),
        format!("version: 0\ntopic_id: {topic_id}").as_bytes(),
    )
}
