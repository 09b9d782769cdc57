//! Incremental fetch sessions (KIP-227): what a client asked for stays here, so that it need not repeat it.
//!
//! The cache is bounded. A session idle for two minutes may be evicted by any newcomer; with none of these a
//! newcomer simply gets no session, and fetches in full.

use super::Fetching;
use ottla_protocol::ErrorCode;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a session must have been idle before another may take its place.
const EVICT_AFTER: Duration = Duration::from_secs(120);

/// Id 0 says "no session".
pub(crate) const NO_SESSION: i32 = 0;
/// Epoch of a request that opens a session (with id 0) in a full fetch.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request without a session, which also closes the one it names.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// One session.
pub(crate) struct Session {
    pub(crate) id: i32,
    /// The epoch that the next request must carry.
    pub(crate) next_epoch: i32,
    /// Whether topics are named by id; it may not change within a session.
    pub(crate) uses_topic_ids: bool,
    pub(crate) fetching: Box<Fetching>,
}

struct Entry {
    session: Arc<Mutex<Session>>,
    last_used: Instant,
}

/// All sessions of this broker.
pub(crate) struct Sessions {
    entries: Mutex<HashMap<i32, Entry>>,
    limit: usize,
}

impl Sessions {
    /// `limit`: `max.incremental.fetch.session.cache.slots`.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            limit,
        }
    }

    /// Keeps `fetching` as a new session.
    ///
    /// # Errors
    /// There is no room; `fetching` comes back.
    pub(crate) fn open(
        &self,
        fetching: Box<Fetching>,
        uses_topic_ids: bool,
        now: Instant,
    ) -> Result<Arc<Mutex<Session>>, Box<Fetching>> {
        let mut entries = self.entries.lock();
        if entries.len() >= self.limit && !evict_one(&mut entries, now) {
            return Err(fetching);
        }
        let id = unused_id(&entries);
        let session = Session {
            id,
            next_epoch: INITIAL_EPOCH + 1,
            uses_topic_ids,
            fetching,
        };
        let session = Arc::new(Mutex::new(session));
        entries.insert(
            id,
            Entry {
                session: session.clone(),
                last_used: now,
            },
        );
        Ok(session)
    }

    /// The session for a request with `id` and `epoch`; its epoch moves on.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR where the client
    /// changed from names to ids or back.
    pub(crate) fn resume(
        &self,
        id: i32,
        epoch: i32,
        uses_topic_ids: bool,
        now: Instant,
    ) -> Result<Arc<Mutex<Session>>, ErrorCode> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut session = entry.session.lock();
        if session.next_epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        drop(session);
        entry.last_used = now;
        Ok(entry.session.clone())
    }

    /// Forgets a session.
    pub(crate) fn close(&self, id: i32) {
        self.entries.lock().remove(&id);
    }
}

fn evict_one(entries: &mut HashMap<i32, Entry>, now: Instant) -> bool {
    let oldest = entries
        .iter()
        .min_by_key(|(_, entry)| entry.last_used)
        .map(|(id, entry)| (*id, entry.last_used));
    match oldest {
        Some((id, last_used)) if now.duration_since(last_used) > EVICT_AFTER => entries.remove(&id).is_some(),
        _ => false,
    }
}

fn unused_id(entries: &HashMap<i32, Entry>) -> i32 {
    loop {
        let bits = uuid::Uuid::new_v4().as_u128() as i32 & i32::MAX;
        if bits != NO_SESSION && !entries.contains_key(&bits) {
            return bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(sessions: &Sessions, now: Instant) -> Option<i32> {
        sessions
            .open(Box::new(Fetching::new()), true, now)
            .ok()
            .map(|session| session.lock().id)
    }

    #[test]
    fn a_request_must_carry_the_next_epoch_of_a_known_session() {
        let (sessions, now) = (Sessions::new(10), Instant::now());
        let id = open(&sessions, now).expect("there is room");
        assert_eq!(
            sessions.resume(id + 1, 1, true, now).err(),
            Some(ErrorCode::FetchSessionIdNotFound)
        );
        assert_eq!(
            sessions.resume(id, 2, true, now).err(),
            Some(ErrorCode::InvalidFetchSessionEpoch)
        );
        assert!(sessions.resume(id, 1, true, now).is_ok());
        assert_eq!(
            sessions.resume(id, 1, true, now).err(),
            Some(ErrorCode::InvalidFetchSessionEpoch)
        );
        assert_eq!(
            sessions.resume(id, 2, false, now).err(),
            Some(ErrorCode::FetchSessionTopicIdError)
        );
        sessions.close(id);
        assert_eq!(
            sessions.resume(id, 2, true, now).err(),
            Some(ErrorCode::FetchSessionIdNotFound)
        );
    }

    #[test]
    fn only_an_idle_session_makes_room_for_a_newcomer() {
        let (sessions, start) = (Sessions::new(1), Instant::now());
        let first = open(&sessions, start).expect("there is room");
        assert_eq!(open(&sessions, start + EVICT_AFTER), None);
        assert!(open(&sessions, start + EVICT_AFTER + Duration::from_millis(1)).is_some());
        assert_eq!(
            sessions.resume(first, 1, true, start).err(),
            Some(ErrorCode::FetchSessionIdNotFound)
        );
    }
}
