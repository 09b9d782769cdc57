//! A file of batches, read from its start to its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::ids::Offset;
use ottla_protocol::records::batch::{HEADER_BYTES, verify_crc};
use ottla_protocol::records::{BatchError, BatchHeader};

/// Read at once while looking for something.
const PIECE_BYTES: usize = 1024 * 1024;

/// A batch whose checksum is right, and where it stands.
#[derive(Clone, Debug)]
pub struct BatchAt {
    /// Where it begins in the file.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
    /// All of it.
    pub bytes: Bytes,
}

/// Why there is no next batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchFileError {
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What stands there is no whole, unharmed batch.
    #[error("no whole batch at byte {position}: {error}")]
    Bad {
        /// Where it should begin.
        position: u64,
        /// What is wrong.
        error: BatchError,
    },
}

/// A `.log` or `.checkpoint` file.
#[derive(Debug)]
pub struct BatchFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    position: u64,
}

impl BatchFile {
    /// Begins at the start of the file.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            path: path.into(),
            size_bytes: file.metadata()?.len(),
            file,
            position: 0,
        })
    }

    /// Which file it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the file was when it was opened.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Where the next batch is expected.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at `position`.
    pub(super) fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The next batch; `None` at the end of the file. After an error the position is where it was.
    ///
    /// # Errors
    /// The disk's, or what stands there is no batch.
    pub fn next_batch(&mut self) -> Result<Option<BatchAt>, BatchFileError> {
        if self.position >= self.size_bytes {
            return Ok(None);
        }
        let batch = self.batch_at(self.position)?;
        self.position += batch.bytes.len() as u64;
        Ok(Some(batch))
    }

    /// Goes on at the next whole batch behind the position whose offset is at or behind `offset`. False, at the end of
    /// the file, if there is none.
    ///
    /// # Errors
    /// The disk's.
    pub fn skip_damage(&mut self, offset: Offset) -> io::Result<bool> {
        let mut from = self.position + 1;
        while from + HEADER_BYTES as u64 <= self.size_bytes {
            let piece = self.bytes(from, PIECE_BYTES + HEADER_BYTES)?;
            for at in 0..=piece.len() - HEADER_BYTES {
                if could_begin(&piece[at..], offset) && self.batch_at(from + at as u64).is_ok() {
                    self.position = from + at as u64;
                    return Ok(true);
                }
            }
            from += (piece.len() - HEADER_BYTES + 1) as u64;
        }
        self.position = self.size_bytes;
        Ok(false)
    }

    /// Whether there are only zeros from the position on, as in room that was made before it was needed.
    ///
    /// # Errors
    /// The disk's.
    pub fn is_rest_zero(&self) -> io::Result<bool> {
        let mut from = self.position;
        while from < self.size_bytes {
            let piece = self.bytes(from, PIECE_BYTES)?;
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            from += piece.len() as u64;
        }
        Ok(true)
    }

    fn batch_at(&self, position: u64) -> Result<BatchAt, BatchFileError> {
        let bad = |error| BatchFileError::Bad { position, error };
        let header = BatchHeader::parse(&self.bytes(position, HEADER_BYTES)?).map_err(bad)?;
        let available = self.size_bytes - position;
        if header.size_bytes() as u64 > available {
            return Err(bad(BatchError::Truncated {
                needed_bytes: header.size_bytes(),
                available_bytes: available as usize,
            }));
        }
        let bytes = self.bytes(position, header.size_bytes())?;
        verify_crc(&bytes).map_err(bad)?;
        Ok(BatchAt {
            position,
            header,
            bytes: bytes.into(),
        })
    }

    /// Up to `wanted` bytes; fewer where the file ends.
    fn bytes(&self, position: u64, wanted: usize) -> io::Result<Vec<u8>> {
        let available = self.size_bytes.saturating_sub(position);
        let mut bytes = vec![0; available.min(wanted as u64) as usize];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }
}

/// Whether a batch of about these offsets could begin here; cheap, so that each byte can be tried.
fn could_begin(bytes: &[u8], offset: Offset) -> bool {
    BatchHeader::parse(bytes)
        .is_ok_and(|header| header.base_offset >= offset && header.base_offset - offset <= Offset::from(i32::MAX))
}
