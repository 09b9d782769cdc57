//! Frames made by Apache Kafka's own classes, for every message, version and a few ways of filling them.
//!
//! Each must decode to the same values, compared through the JSON that Apache's converters print, and encode to the
//! same bytes. Frames with unknown tagged fields must decode like their twin without them.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::{for_each_message, messages::*};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::Path,
};

struct Golden {
    version: i16,
    variant: String,
    bytes: Bytes,
    json: Value,
}

impl Golden {
    fn parse(line: &str) -> (String, Self) {
        let mut value: Value = serde_json::from_str(line).expect("a line is a JSON object");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let golden = Self {
            version: value["version"].as_i64().expect("a number") as i16,
            variant: text(&value["variant"]),
            bytes: STANDARD.decode(text(&value["bytes"])).expect("base64").into(),
            json: value["json"].take(),
        };
        (text(&value["name"]), golden)
    }
}

fn frames() -> BTreeMap<String, Vec<Golden>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/frames");
    let mut frames: BTreeMap<String, Vec<Golden>> = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("the frames are checked in") {
        let path = entry.expect("readable").path();
        let mut text = String::new();
        let file = File::open(&path).expect("readable");
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (name, golden) in text.lines().map(Golden::parse) {
            frames.entry(name).or_default().push(golden);
        }
    }
    frames
}

/// What is wrong with our reading or writing of one frame.
fn complaint<M: Message>(golden: &Golden) -> Option<String> {
    let decoded = match M::from_bytes(golden.bytes.clone(), golden.version) {
        Ok(decoded) => decoded,
        Err(error) => return Some(format!("does not decode: {error}")),
    };
    let json = decoded.to_json(golden.version);
    if json != golden.json {
        return Some(format!("decodes to {json}\ninstead of {}", golden.json));
    }
    let encoded = match decoded.to_bytes(golden.version) {
        Ok(encoded) => encoded,
        Err(error) => return Some(format!("does not encode: {error}")),
    };
    // Unknown tagged fields are skipped by design; their values were compared above.
    let is_same = golden.variant.contains("unknown") || encoded == golden.bytes;
    (!is_same).then(|| {
        format!(
            "encodes to {}\ninstead of {}",
            STANDARD.encode(&encoded),
            STANDARD.encode(&golden.bytes)
        )
    })
}

/// No prefix of a frame may be read as the whole, and none may panic.
fn reads_a_prefix<M: Message>(golden: &Golden) -> bool {
    let step = (golden.bytes.len() / 40).max(1);
    let cuts = (0..golden.bytes.len()).step_by(step);
    cuts.into_iter()
        .any(|cut| M::from_bytes(golden.bytes.slice(..cut), golden.version).is_ok())
}

#[test]
fn every_message_and_version_reads_and_writes_as_apache_kafka_does() {
    let mut frames = frames();
    let mut complaints = Vec::new();
    let mut checked = 0;
    let mut without_frames = BTreeSet::new();
    macro_rules! check {
        ($message:ident) => {
            let goldens = frames.remove(stringify!($message)).unwrap_or_default();
            if goldens.is_empty() {
                without_frames.insert(stringify!($message));
            }
            for golden in &goldens {
                checked += 1;
                let name = format!("{} v{} {}", stringify!($message), golden.version, golden.variant);
                complaints.extend(complaint::<$message>(golden).map(|what| format!("{name}: {what}")));
                if reads_a_prefix::<$message>(golden) {
                    complaints.push(format!("{name}: a part of it is read as the whole"));
                }
            }
        };
    }
    for_each_message!(check);
    let shown = complaints
        .iter()
        .take(5)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n\n");
    assert!(
        complaints.is_empty(),
        "{} of {checked} frames differ:\n{shown}",
        complaints.len()
    );
    assert_eq!(
        frames.keys().collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "frames of messages that are unknown here"
    );
    assert_eq!(without_frames, BTreeSet::new(), "messages that no frame tests");
    assert!(checked > 3_500, "only {checked} frames");
}
