//! `meta.properties`: to which cluster and node a log directory belongs.
//!
//! ```text
//! #
//! #Thu Jan 01 00:00:00 GMT 1970     Kafka writes the date; we do not
//! cluster.id=22 URL-safe base64 characters, or any text
//! directory.id=22 URL-safe base64 characters
//! node.id=1
//! version=1
//! ```
//!
//! The form is Java's properties; keys that are not ours are kept.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::{NodeId, Uuid};

use crate::disk::{Disk, read_file, replace_file};

/// Name of the file in the log directory.
pub const FILE: &str = "meta.properties";

/// Who a log directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: NodeId,
    /// The directory itself: it tells a disk that was swapped or copied.
    pub directory_id: Uuid,
    /// Other keys of the file, which are written back as they are.
    pub other: BTreeMap<String, String>,
}

/// Why `meta.properties` was not read.
#[derive(Debug, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A version that is not 1. Version 0 is of the time of ZooKeeper.
    #[error("{}: version {version:?} is not supported, only 1 is", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// A key is missing or its value makes no sense.
    #[error("{}: {key} is missing or invalid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
}

/// Reads the file; `None` where there is none.
///
/// A file without `directory.id` is of a Kafka before 3.7: it gets [`Uuid::ZERO`], and the caller draws an id and
/// writes it.
pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<MetaProperties>, MetaPropertiesError> {
    let path = dir.join(FILE);
    let content = read_file(disk, &path).map_err(|source| MetaPropertiesError::Io {
        path: path.clone(),
        source,
    })?;
    let Some(content) = content else { return Ok(None) };
    let mut properties = parse(&String::from_utf8_lossy(&content));
    let version = properties.remove("version").unwrap_or_default();
    if version != "1" {
        return Err(MetaPropertiesError::UnsupportedVersion { path, version });
    }
    let invalid = |key| MetaPropertiesError::Invalid {
        path: path.clone(),
        key,
    };
    let cluster_id = properties.remove("cluster.id").filter(|id| !id.is_empty());
    let node_id = properties
        .remove("node.id")
        .and_then(|id| id.parse().ok())
        .map(NodeId)
        .filter(|id| id.is_some());
    let directory_id = match properties.remove("directory.id") {
        Some(id) => Uuid::parse(&id).ok_or_else(|| invalid("directory.id"))?,
        None => Uuid::ZERO,
    };
    Ok(Some(MetaProperties {
        cluster_id: cluster_id.ok_or_else(|| invalid("cluster.id"))?,
        node_id: node_id.ok_or_else(|| invalid("node.id"))?,
        directory_id,
        other: properties,
    }))
}

/// Writes the file, durably.
pub fn write(disk: &dyn Disk, dir: &Path, properties: &MetaProperties) -> io::Result<()> {
    let mut all = properties.other.clone();
    all.insert("version".into(), "1".into());
    all.insert("cluster.id".into(), properties.cluster_id.clone());
    all.insert("node.id".into(), properties.node_id.to_string());
    all.insert("directory.id".into(), properties.directory_id.to_string());
    let mut text = String::new();
    for (key, value) in &all {
        text.extend([&escape(key), "=", &escape(value), "\n"]);
    }
    replace_file(disk, &dir.join(FILE), text.as_bytes())
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (unescape(key.trim()), unescape(value.trim())))
        .collect()
}

/// Java puts a backslash before these when it writes properties.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '=' | ':' | '#' | '!' | '\\' | ' ') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::testing::scratch;

    #[test]
    fn what_kafka_writes_is_read_and_foreign_keys_survive() {
        let dir = scratch("meta-properties");
        let text = "#\n#Mon Nov 02 10:00:00 UTC 2026\ncluster.id=4L6g3nShT\\:eMCtK--X86sw\n\
                    directory.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=7\nversion=1\nmine=a\\=b\n";
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let read_back = read(&RealDisk, dir.path()).unwrap().unwrap();
        assert_eq!(read_back.cluster_id, "4L6g3nShT:eMCtK--X86sw");
        assert_eq!(read_back.node_id, NodeId(7));
        assert_eq!(read_back.directory_id, Uuid::METADATA_TOPIC);
        assert_eq!(read_back.other["mine"], "a=b");
        write(&RealDisk, dir.path(), &read_back).unwrap();
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), Some(read_back));
    }

    #[test]
    fn a_file_of_another_version_or_without_its_keys_is_refused() {
        let dir = scratch("meta-properties-bad");
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), None);
        for text in [
            "version=0\nbroker.id=1\n",
            "version=1\ncluster.id=x\n",
            "version=1\nnode.id=1\n",
            "",
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert!(read(&RealDisk, dir.path()).is_err(), "{text}");
        }
    }
}
