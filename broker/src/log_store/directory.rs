//! One log directory, and what becomes of it when its disk fails.
//!
//! A directory that fails is out of use until the process ends: nothing in it is read, written or tried again. What of
//! an error is the disk's is decided by `ottla_storage::Fault`; this is the one place that acts on it.

use crate::clock::now_ms;
use ottla_protocol::ids::{TimestampMs, Uuid};
use ottla_storage::{Fault, LogDir, StorageError};
use std::{
    fmt::Display,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// Something that goes wrong again and again is said so often.
const REPEAT_MS: TimestampMs = 10_000;

/// What the directories of a broker share.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    /// How many directories for logs of topics are in use.
    pub(super) online: AtomicUsize,
    /// A directory has failed, or logs have been found or put where the metadata do not know of.
    pub(crate) news: Notify,
}

/// What a directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose {
    pub(crate) holds_topics: bool,
    pub(crate) holds_metadata: bool,
}

/// A log directory of this broker.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// `None` where it could not be read.
    id: Option<Uuid>,
    opened: Option<LogDir>,
    purpose: Purpose,
    is_offline: AtomicBool,
    is_full: AtomicBool,
    siblings: Arc<Siblings>,
}

/// Says something at most once in a while.
#[derive(Debug, Default)]
pub(crate) struct Occasion(AtomicI64);

impl Occasion {
    /// Whether it is time to say it again.
    pub(crate) fn is_due(&self) -> bool {
        let (now, last) = (now_ms(), self.0.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(last).abs() >= REPEAT_MS;
        is_due
            && self
                .0
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Directory {
    /// A directory that is in use.
    pub(crate) fn online(opened: LogDir, purpose: Purpose, siblings: Arc<Siblings>) -> Self {
        siblings
            .online
            .fetch_add(usize::from(purpose.holds_topics), Ordering::AcqRel);
        Self {
            path: opened.path().into(),
            id: opened.properties().map(|properties| properties.directory_id),
            opened: Some(opened),
            purpose,
            is_offline: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            siblings,
        }
    }

    /// A directory that cannot be used, from the start on.
    pub(crate) fn offline(path: &Path, siblings: Arc<Siblings>) -> Self {
        let purpose = Purpose {
            holds_topics: true,
            holds_metadata: false,
        };
        Self {
            path: path.into(),
            id: None,
            opened: None,
            purpose,
            is_offline: AtomicBool::new(true),
            is_full: AtomicBool::new(false),
            siblings,
        }
    }

    /// Where it is, as it was configured.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its id; `None` where it could not be read.
    pub(crate) fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// The directory, as long as it may be used.
    pub(crate) fn in_use(&self) -> Option<&LogDir> {
        self.opened.as_ref().filter(|_| !self.is_offline())
    }

    /// Whether it has failed.
    pub(crate) fn is_offline(&self) -> bool {
        self.is_offline.load(Ordering::Acquire)
    }

    /// Does what follows from an error in it: nothing, a line in the log, or the directory goes offline. `about` says
    /// what was being done, or with which log.
    pub(crate) fn blame(&self, error: &dyn StorageError, about: &dyn Display, occasion: &Occasion) {
        let Some(fault) = error.fault() else { return };
        if self.is_offline() {
            return;
        }
        let dir = self.path.display();
        match fault {
            Fault::Disk => self.fail(error),
            Fault::Missing if !self.is_there() => self.fail(error),
            Fault::Full if !self.is_full.swap(true, Ordering::AcqRel) => tracing::error!(
                %dir,
                %error,
                "the disk is full: nothing can be appended here until there is space; deleting records or topics makes some"
            ),
            Fault::Full => {}
            Fault::Process if occasion.is_due() => {
                tracing::error!(%about, %error, "the broker has run out of something that it needs for its files");
            }
            Fault::Missing | Fault::Log if occasion.is_due() => {
                tracing::error!(%dir, %about, %error, "the log cannot be used");
            }
            Fault::Process | Fault::Missing | Fault::Log => {}
        }
    }

    /// Something that needs space was written.
    pub(crate) fn note_space(&self) {
        if self.is_full.load(Ordering::Relaxed) && self.is_full.swap(false, Ordering::AcqRel) {
            tracing::info!(dir = %self.path.display(), "the disk has space again");
        }
    }

    /// Whether the directory itself is there still, whatever has become of one log in it.
    fn is_there(&self) -> bool {
        self.path.join("meta.properties").exists()
    }

    /// Takes the directory out of use.
    fn fail(&self, error: &dyn Display) {
        if self.is_offline.swap(true, Ordering::AcqRel) {
            return;
        }
        let dir = self.path.display();
        let topics = usize::from(self.purpose.holds_topics);
        let left = self.siblings.online.fetch_sub(topics, Ordering::AcqRel) - topics;
        if self.purpose.holds_metadata {
            tracing::error!(%dir, %error, "the log directory with the metadata has failed; the broker ends");
            process::exit(1);
        }
        if left == 0 {
            tracing::error!(%dir, %error, "the last log directory has failed; the broker ends");
            process::exit(1);
        }
        tracing::error!(
            %dir,
            %error,
            "the log directory has failed: its partitions are offline, those elsewhere are served; repair the disk and \
             start the broker again"
        );
        self.siblings.news.notify_one();
    }
}
