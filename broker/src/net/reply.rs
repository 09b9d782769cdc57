//! An answer as the connection sends it: bytes, and parts of files that need not become bytes of this process.

use bytes::Bytes;
use ottla_protocol::primitives::Frame;
use ottla_storage::FileRegion;
use smallvec::SmallVec;

/// A part of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    File(FileRegion),
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(region) => region.len(),
        }
    }
}

/// A whole answer with its length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(super) pieces: SmallVec<[Piece; 1]>,
}

impl From<Frame> for Reply {
    /// A frame without gaps.
    fn from(frame: Frame) -> Self {
        assert_eq!(frame.gaps, [], "a frame with gaps is not whole");
        Self {
            pieces: frame.pieces.into_iter().map(Piece::Bytes).collect(),
        }
    }
}

impl Reply {
    /// A frame whose gaps are filled by `files`, in order.
    ///
    /// # Panics
    /// The files are not those for which the frame has gaps.
    pub(crate) fn around(frame: Frame, files: impl IntoIterator<Item = FileRegion>) -> Self {
        let mut pieces = SmallVec::with_capacity(frame.pieces.len() + frame.gaps.len());
        let (mut gaps, mut files) = (frame.gaps.into_iter().peekable(), files.into_iter());
        for (at, bytes) in frame.pieces.into_iter().map(Some).chain([None]).enumerate() {
            while let Some(gap) = gaps.next_if(|gap| gap.before == at) {
                let file = files.next().expect("a file was announced for each gap");
                assert_eq!(file.len(), gap.len, "what was announced is what is sent");
                pieces.push(Piece::File(file));
            }
            pieces.extend(bytes.map(Piece::Bytes));
        }
        Self { pieces }
    }

    /// How many bytes go to the peer.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }
}
