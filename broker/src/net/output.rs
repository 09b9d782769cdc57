//! Answers on their way to the socket.

use bytes::{Buf, Bytes};
use ottla_protocol::primitives::Frame;
use std::{collections::VecDeque, io, io::IoSlice};
use tokio::net::TcpStream;

/// Pieces handed to one vectored write.
const PIECES_PER_WRITE: usize = 64;

/// Bytes to be written, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Output {
    /// Adds a frame behind those that wait.
    pub(crate) fn push(&mut self, frame: Frame) {
        for piece in frame.pieces {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// How many bytes wait.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Writes as much as the socket takes without waiting.
    pub(crate) fn write_to(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            let written = if self.pieces.len() == 1 {
                stream.try_write(&self.pieces[0])
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
                let filled = slices.iter_mut().zip(&self.pieces);
                let count = filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count();
                stream.try_write_vectored(&slices[..count])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.pieces = VecDeque::new();
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
    }
}
