//! Answers on their way to the socket.

use super::reply::{Piece, Reply};
use bytes::Buf;
use ottla_storage::FileRegion;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use std::{collections::VecDeque, hint::black_box, io, io::IoSlice};
use tokio::{io::Interest, net::TcpStream};

/// Pieces handed to one vectored write.
const PIECES_PER_WRITE: usize = 64;

/// Pieces for which a connection keeps room while it has nothing to send.
const PIECES_KEPT: usize = 2;

/// Sent from files before others have their turn: a reader that is as fast as the broker would have the thread for itself.
/// Turns of an eighth of this cost twice the processor time, and the produces of others came no sooner.
const FILE_BYTES_PER_TURN: usize = 1 << 20;

/// Bytes to be written, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

/// Why not more was written.
#[derive(Debug)]
pub(crate) enum Pause {
    /// Everything has been.
    Done,
    /// The socket is full.
    Socket,
    /// What comes next is on the disk and not in memory.
    Disk(FileRegion),
    /// It is others' turn.
    Turn,
}

impl Output {
    /// Adds an answer behind those that wait.
    pub(crate) fn push(&mut self, reply: Reply) {
        self.pieces.reserve_exact(reply.pieces.len());
        for piece in reply.pieces {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// How many bytes wait. Those of files count as the others do: they keep a client that does not read from asking for
    /// more.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Writes as much as the socket takes and memory has, without waiting for either.
    ///
    /// # Errors
    /// The connection cannot go on: the socket is gone, or a file has not what was promised.
    pub(crate) fn write_to(&mut self, stream: &TcpStream) -> io::Result<Pause> {
        let mut left_of_turn = FILE_BYTES_PER_TURN;
        loop {
            let written = match self.pieces.front() {
                None => break,
                Some(Piece::Bytes(_)) => self.write_bytes(stream),
                Some(Piece::File(_)) if left_of_turn == 0 => return Ok(Pause::Turn),
                Some(Piece::File(region)) => match region.resident_len(left_of_turn) {
                    0 => return Ok(Pause::Disk(region.clone())),
                    len => send_file(stream, region, len).inspect(|sent| left_of_turn -= sent),
                },
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Pause::Socket),
                Err(error) => return Err(error),
            }
        }
        self.pieces.shrink_to(PIECES_KEPT);
        Ok(Pause::Done)
    }

    /// Writes the bytes before the next file.
    fn write_bytes(&self, stream: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
        let mut count = 0;
        let bytes = self.pieces.iter().map_while(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::File(_) => None,
        });
        for (slice, bytes) in slices.iter_mut().zip(bytes) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        let slices = &slices[..count];
        let written = match self.pieces.len() > count {
            // What follows shares its packets.
            true => stream.try_io(Interest::WRITABLE, || {
                let mut no_ancillary = SendAncillaryBuffer::default();
                let sent = rustix::net::sendmsg(stream, slices, &mut no_ancillary, SendFlags::MORE);
                sent.map_err(io::Error::from)
            }),
            false => match slices {
                [one] => stream.try_write(one),
                several => stream.try_write_vectored(several),
            },
        };
        written.inspect_err(|error| {
            if error.raw_os_error() == Some(rustix::io::Errno::FAULT.raw_os_error()) {
                self.touch();
            }
        })
    }

    /// Looks at each page of the bytes that wait. The kernel could not read some of them: they are of a map whose file
    /// has lost them. Looking at them ourselves has the log notice, so that nobody is given them again.
    fn touch(&self) {
        const PAGE_BYTES: usize = 4096;
        for piece in &self.pieces {
            if let Piece::Bytes(bytes) = piece {
                bytes.iter().step_by(PAGE_BYTES).for_each(|byte| _ = black_box(*byte));
                black_box(bytes.last());
            }
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                match first {
                    Piece::Bytes(bytes) => bytes.advance(written),
                    Piece::File(region) => region.advance(written),
                }
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
    }
}

/// Sends up to `len` bytes of `region` from its file.
fn send_file(stream: &TcpStream, region: &FileRegion, len: usize) -> io::Result<usize> {
    let file = region.descriptor()?;
    let mut position = region.position();
    let sent = stream.try_io(Interest::WRITABLE, || {
        Ok(rustix::fs::sendfile(stream, file, Some(&mut position), len)?)
    })?;
    match sent {
        // The frame's length is already on its way: only closing tells the peer that it does not come.
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        sent => Ok(sent),
    }
}
