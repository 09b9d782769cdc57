//! Cuts what arrives on a socket into frames.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes asked of the socket by a connection that has not sent anything yet.
const READ_BYTES: usize = 4 * 1024;

/// A buffer has so much more room than what is expected: a read that does not fill it says that there is nothing more, one
/// that does has to be followed by another that finds nothing.
const SPARE_BYTES: usize = 1;

/// Bytes asked of the socket at once by a connection whose frames are small.
pub(super) const SCRATCH_BYTES: usize = 16 * 1024;

/// The most that a connection is given at once because its last frame was large.
const LEARNED_BYTES_MAX: usize = 1 << 20;

/// A length that no frame has: the peer does not speak this protocol, or means harm.
#[derive(Debug, thiserror::Error)]
#[error("a frame of {length} bytes is outside 8..={limit}")]
pub(crate) struct BadFrameLength {
    length: i32,
    limit: usize,
}

/// Bytes received and not yet handed on. Holds no memory while the peer is silent between frames.
#[derive(Debug)]
pub(crate) struct Input {
    buffer: BytesMut,
    limit: usize,
    /// The size of the last frame: the next one will be like it.
    learned: usize,
}

impl Input {
    /// `limit`: the largest frame (`socket.request.max.bytes`).
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
            learned: READ_BYTES,
        }
    }

    /// Whether what comes next is likely to be small, so that it is best read into memory that others have just used, and
    /// taken over with [`Input::take`] in its own size.
    pub(super) fn is_small(&self) -> bool {
        self.buffer.is_empty() && self.learned <= READ_BYTES
    }

    /// Takes over bytes that were read elsewhere.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read into, with room for what is likely to follow.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        let wanted = match self.announced() {
            Some(length) => (4 + length).saturating_sub(self.buffer.len()) + SPARE_BYTES,
            None => self.learned,
        };
        // A frame gets its memory as its bytes come, or because one of that size came before: an announced length
        // alone is worth nothing.
        let earned = self.learned.max(self.buffer.len());
        self.buffer.reserve(wanted.min(earned));
        &mut self.buffer
    }

    fn announced(&self) -> Option<usize> {
        let length = self.buffer.first_chunk::<4>()?;
        usize::try_from(i32::from_be_bytes(*length)).ok()
    }

    /// The size of the next frame without its length, if all of it is there.
    fn frame_size(&self) -> Result<Option<usize>, BadFrameLength> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        let size = usize::try_from(length)
            .ok()
            .filter(|size| (8..=self.limit).contains(size));
        let size = size.ok_or(BadFrameLength {
            length,
            limit: self.limit,
        })?;
        Ok((self.buffer.len() >= 4 + size).then_some(size))
    }

    /// Whether a whole frame is there.
    ///
    /// # Errors
    /// As of [`Input::frame`].
    pub(crate) fn has_frame(&self) -> Result<bool, BadFrameLength> {
        Ok(self.frame_size()?.is_some())
    }

    /// The next whole frame without its length.
    ///
    /// # Errors
    /// The announced length is impossible; the connection cannot go on.
    pub(crate) fn frame(&mut self) -> Result<Option<Bytes>, BadFrameLength> {
        let Some(size) = self.frame_size()? else {
            return Ok(None);
        };
        self.learned = (4 + size + SPARE_BYTES).clamp(READ_BYTES, LEARNED_BYTES_MAX);
        self.buffer.advance(4);
        let frame = match self.buffer.len() == size {
            // Nothing is left that would have to share the memory.
            true => std::mem::take(&mut self.buffer),
            false => self.buffer.split_to(size),
        };
        Ok(Some(frame.freeze()))
    }

    /// Bytes received and not yet handed on; more than none between frames: a frame has begun and not ended.
    pub(crate) fn len_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Gives the memory back while nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input {
        let mut input = Input::new(100);
        input.room().extend_from_slice(bytes);
        input
    }

    #[test]
    fn frames_come_whole_and_in_order() {
        let mut input = input(&[0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 8, 9]);
        assert_eq!(
            input.frame().expect("legal").as_deref(),
            Some(&[1, 2, 3, 4, 5, 6, 7, 8][..])
        );
        assert_eq!(input.frame().expect("legal"), None);
        assert_eq!(input.len_bytes(), 5);
        input.room().extend_from_slice(&[8, 7, 6, 5, 4, 3, 2]);
        assert_eq!(
            input.frame().expect("legal").as_deref(),
            Some(&[9, 8, 7, 6, 5, 4, 3, 2][..])
        );
        assert_eq!(input.len_bytes(), 0);
    }

    #[test]
    fn what_was_read_elsewhere_is_taken_over_in_its_own_size() {
        let mut input = Input::new(100);
        assert!(input.is_small());
        input.take(&[0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!input.is_small(), "the rest belongs behind it");
        let frame = input.frame().expect("legal").expect("whole");
        assert_eq!(frame[..], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(input.is_small() && input.len_bytes() == 0);
    }

    #[test]
    fn impossible_lengths_are_refused_before_their_bytes_come() {
        assert!(input(&[0xff, 0xff, 0xff, 0xff]).frame().is_err());
        assert!(input(&[0, 0, 0, 7]).frame().is_err());
        assert!(input(&[0, 0, 0, 101]).frame().is_err());
        assert!(input(b"GET / HTTP/1.1").frame().is_err());
    }

    #[test]
    fn frames_like_the_last_one_do_not_fill_their_buffer() {
        const SIZE: usize = 100_000;
        let mut input = Input::new(2 * SIZE);
        let frame = [&(SIZE as i32).to_be_bytes()[..], &[0; SIZE]].concat();
        for part in frame.chunks(30_000) {
            assert!(input.room().capacity() > input.len_bytes());
            input.room().extend_from_slice(part);
        }
        assert!(input.frame().expect("legal").is_some());
        assert!(input.room().capacity() > frame.len());
        input.room().extend_from_slice(&frame[..10]);
        assert!(input.room().capacity() > frame.len());
    }

    #[test]
    fn an_announced_frame_does_not_get_its_memory_before_its_bytes() {
        let mut input = Input::new(100 << 20);
        input.room().extend_from_slice(&(90_i32 << 20).to_be_bytes());
        assert!(input.room().capacity() < 16 * 1024);
    }
}
