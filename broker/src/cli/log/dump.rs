//! `ottla log dump`.

use super::{
    Dump,
    decoded::{self, Decoded},
    line::Line,
};
use anyhow::{Context, bail};
use ottla_protocol::{
    ids::Offset,
    records::{BatchHeader, Record, TimestampType, batch::HEADER_BYTES, compression::decompress, record::records},
};
use ottla_storage::inspect::{BatchAt, BatchFile, IndexEntry, IndexKind, index_entries, producers};
use std::{
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
};

/// The records of a batch inflate to so many bytes at most.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// Whose records a file has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    Metadata,
    Groups,
    Transactions,
    Other,
}

struct Output<W> {
    to: W,
    is_json: bool,
    with_records: bool,
}

/// Prints the files one after another; goes on behind one that cannot be read.
pub(super) fn dump(arguments: &Dump) -> anyhow::Result<ExitCode> {
    let mut output = Output {
        to: BufWriter::new(std::io::stdout().lock()),
        is_json: arguments.json,
        with_records: arguments.records,
    };
    let mut code = ExitCode::SUCCESS;
    for path in &arguments.files {
        let file = output.line("file").text("path", &path.display().to_string());
        output.put(file)?;
        if let Err(error) = output.file(path) {
            output.to.flush()?;
            eprintln!("ottla: {}: {error:#}", path.display());
            code = ExitCode::FAILURE;
        }
    }
    output.to.flush()?;
    Ok(code)
}

impl<W: Write> Output<W> {
    fn line(&self, kind: &str) -> Line {
        Line::new(self.is_json, kind)
    }

    fn put(&mut self, line: Line) -> anyhow::Result<()> {
        Ok(writeln!(self.to, "{}", line.finish())?)
    }

    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.unwrap_or_default() {
            "log" | "checkpoint" => self.batches(path),
            "index" => self.index(path, IndexKind::Offset),
            "timeindex" => self.index(path, IndexKind::Time),
            "txnindex" => self.index(path, IndexKind::Transaction),
            "snapshot" => self.producers(path),
            _ => self.lines(path),
        }
    }

    fn batches(&mut self, path: &Path) -> anyhow::Result<()> {
        let contents = contents(path);
        let mut file = BatchFile::open(path)?;
        loop {
            match file.next_batch() {
                Ok(None) => return Ok(()),
                Ok(Some(batch)) => self.batch(&batch, contents)?,
                Err(_) if file.is_rest_zero()? => {
                    let room = self.line("room").plain("position", file.position());
                    return self.put(room.plain("bytes", file.size_bytes() - file.position()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn batch(&mut self, batch: &BatchAt, contents: Contents) -> anyhow::Result<()> {
        let header = &batch.header;
        let codec = header.attributes.compression().map_or("unknown", |codec| codec.name());
        let mut line = self
            .line("batch")
            .plain("position", batch.position)
            .plain("base_offset", header.base_offset)
            .plain("last_offset", header.last_offset())
            .plain("records", header.records_count)
            .plain("bytes", batch.bytes.len())
            .text("codec", codec)
            .plain("leader_epoch", header.partition_leader_epoch)
            .text("timestamp_type", timestamp_type(header))
            .plain("base_timestamp", header.base_timestamp)
            .plain("max_timestamp", header.max_timestamp);
        if header.producer_id.is_some() {
            line = line
                .plain("producer_id", header.producer_id)
                .plain("producer_epoch", header.producer_epoch)
                .plain("base_sequence", header.base_sequence);
        }
        let line = line
            .plain("transactional", header.attributes.is_transactional())
            .plain("control", header.attributes.is_control())
            .plain("crc", header.crc);
        self.put(line)?;
        let is_decoded = contents != Contents::Other || header.attributes.is_control();
        match self.with_records || is_decoded {
            true => self.records(batch, contents),
            false => Ok(()),
        }
    }

    fn records(&mut self, batch: &BatchAt, contents: Contents) -> anyhow::Result<()> {
        let header = &batch.header;
        let section = batch.bytes.slice(HEADER_BYTES..);
        let section = decompress(header.attributes.compression()?, &section, INFLATED_BYTES_MAX)
            .with_context(|| format!("records at byte {}", batch.position))?;
        for record in records(&section, header.records_count) {
            let record = record.with_context(|| format!("records at byte {}", batch.position))?;
            let offset = header.base_offset + Offset::from(record.offset_delta);
            let line = self.line("record").plain("offset", offset);
            let line = match header.attributes.timestamp_type() {
                TimestampType::CreateTime => line.plain("timestamp", record.timestamp(header.base_timestamp)),
                TimestampType::LogAppendTime => line.plain("timestamp", header.max_timestamp),
            };
            let mut line = content(line, contents, &record, header.attributes.is_control());
            for header in record.headers {
                line = line.bytes(&format!("header {}", String::from_utf8_lossy(header.key)), header.value);
            }
            self.put(line)?;
        }
        Ok(())
    }

    fn index(&mut self, path: &Path, kind: IndexKind) -> anyhow::Result<()> {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(base_offset) = name.parse() else {
            bail!("the name of an index is the base offset of its segment");
        };
        for entry in index_entries(path, kind, base_offset)? {
            let (_, entry) = entry.context("the last entry is cut off")?;
            let line = self.line("entry");
            self.put(match entry {
                IndexEntry::Offset { offset, position } => line.plain("offset", offset).plain("position", position),
                IndexEntry::Time { timestamp_ms, offset } => {
                    line.plain("timestamp", timestamp_ms).plain("offset", offset)
                }
                IndexEntry::Transaction(aborted) => line
                    .plain("producer_id", aborted.producer_id)
                    .plain("first_offset", aborted.first_offset)
                    .plain("last_offset", aborted.last_offset)
                    .plain("last_stable_offset", aborted.last_stable_offset),
            })?;
        }
        Ok(())
    }

    fn producers(&mut self, path: &Path) -> anyhow::Result<()> {
        let producers = producers(path)?.context("its checksum or form is wrong")?;
        for producer in producers {
            let line = self
                .line("producer")
                .plain("producer_id", producer.producer_id)
                .plain("producer_epoch", producer.producer_epoch)
                .plain("last_sequence", producer.last_sequence)
                .plain("last_timestamp", producer.last_timestamp)
                .plain("coordinator_epoch", producer.coordinator_epoch)
                .maybe("transaction_start", producer.current_txn_start_offset);
            self.put(line)?;
        }
        Ok(())
    }

    /// Checkpoints, `meta.properties`, `quorum-state` and their like are text.
    fn lines(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path)?;
        for line in text.lines() {
            let line = self.line("line").text("text", line);
            self.put(line)?;
        }
        Ok(())
    }
}

fn timestamp_type(header: &BatchHeader) -> &'static str {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

/// Whose log a file is of, which the name of its directory says; snapshots of the metadata have names of their own.
fn contents(path: &Path) -> Contents {
    let parent = path
        .canonicalize()
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned));
    let parent = parent
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    match parent.unwrap_or_default() {
        "__cluster_metadata-0" => Contents::Metadata,
        name if name.starts_with("__consumer_offsets-") => Contents::Groups,
        name if name.starts_with("__transaction_state-") => Contents::Transactions,
        _ if path.extension().is_some_and(|extension| extension == "checkpoint") => Contents::Metadata,
        _ => Contents::Other,
    }
}

/// Adds what the record says. What cannot be decoded is shown as it is, with the reason.
fn content(line: Line, contents: Contents, record: &Record<'_>, is_control: bool) -> Line {
    let raw = (record.key, record.value);
    let as_it_is = |line: Line| line.bytes("key", record.key).bytes("value", record.value);
    let pair = |Decoded { key, value }| vec![("key", key), ("value", value)];
    let decoded = match contents {
        _ if is_control => decoded::control(raw).map(|control| vec![("control", control)]),
        Contents::Other => return as_it_is(line),
        Contents::Metadata => decoded::metadata(raw).map(|value| vec![("value", value)]),
        Contents::Groups => decoded::group(raw).map(pair),
        Contents::Transactions => decoded::transaction(raw).map(pair),
    };
    match decoded {
        Ok(fields) => fields.iter().fold(line, |line, (name, value)| line.json(name, value)),
        Err(error) => as_it_is(line.text("error", &error.to_string())),
    }
}
