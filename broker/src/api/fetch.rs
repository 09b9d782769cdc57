//! Fetch, key 1, versions 4-18.
//!
//! v5: log start offset. v7: sessions (KIP-227). v9: current leader epoch (KIP-320). v11: rack. v12: flexible, last
//! fetched epoch. v13: topic ids (KIP-516). v15: replica state. v16: node endpoints (KIP-951). v17: directory id.
//! v18: high watermark of the fetcher (KIP-1166).
//! Not done: fetches of followers; a preferred read replica.

use super::table::{Begun, Call, Refused};
use crate::{
    broker::Broker,
    fetching::{
        Fetching, Limits, Look, PARTITIONS_MAX, TopicRef,
        session::{FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION, Session},
        warm,
    },
    net::reply::Reply,
};
use ottla_protocol::{
    ErrorCode, Message, frame,
    messages::{FetchRequest, FetchResponse},
    primitives::Reader,
};
use ottla_storage::FileRegion;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;

const READ_COMMITTED: i8 = 1;

/// So often what a fetch needs is brought into memory. Then it is read, even if that waits: memory may be so short that it
/// is gone again each time, or the file may not open at all.
const WARM_UPS_MAX: usize = 3;

/// Where the partitions of a request are kept while it is answered.
enum Holder {
    /// A fetch without a session, or one for which there was no room.
    Alone(Mutex<Box<Fetching>>),
    /// The first, full fetch of a session.
    Opened(Arc<Mutex<Session>>),
    Resumed(Arc<Mutex<Session>>),
}

impl Holder {
    fn with<R>(&self, run: impl FnOnce(&mut Fetching) -> R) -> R {
        match self {
            Self::Alone(fetching) => run(&mut fetching.lock()),
            Self::Opened(session) | Self::Resumed(session) => run(&mut session.lock().fetching),
        }
    }

    fn look(&self, broker: &Broker, limits: Limits) -> Look {
        self.with(|fetching| match self {
            Self::Resumed(_) => fetching.look_at_news(broker, limits),
            Self::Alone(_) | Self::Opened(_) => fetching.look_at_all(broker, limits),
        })
    }

    /// Nothing is asked for: there is nothing to wait for.
    fn is_empty(&self) -> bool {
        self.with(|fetching| fetching.len() == 0)
    }

    fn session_id(&self) -> i32 {
        match self {
            Self::Alone(_) => NO_SESSION,
            Self::Opened(session) | Self::Resumed(session) => session.lock().id,
        }
    }
}

/// A response, and for each of its partitions the file that has the records, if they are not in the response.
type Found = (FetchResponse, VecDeque<Option<FileRegion>>);

pub(super) fn begin(broker: &Arc<Broker>, call: Call, mut reader: Reader) -> Result<Begun, Refused> {
    let request = FetchRequest::decode(&mut reader, call.version)?;
    drop(reader);
    let broker = broker.clone();
    Ok(Begun::Waiting(Box::pin(async move {
        let (response, files) = handle(&broker, &call, request).await;
        let lengths = files.iter().map(|file| file.as_ref().map(FileRegion::len)).collect();
        let frame = frame::response_around(call.key, call.version, call.correlation_id, &response, lengths)?;
        let reply = Reply::around(frame, files.into_iter().flatten());
        call.count(&response, &reply);
        Ok(Some(reply))
    })))
}

async fn handle(broker: &Arc<Broker>, call: &Call, request: FetchRequest) -> Found {
    let max_wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
    let limits = Limits {
        min_bytes: request.min_bytes.max(0) as usize,
        max_bytes: (request.max_bytes.max(0) as usize).min(broker.config.fetch_max_bytes),
        is_read_committed: request.isolation_level == READ_COMMITTED,
        may_wait: false,
    };
    let holder = match holder(broker, call, request) {
        Ok(holder) => holder,
        Err(error) => {
            let refused = FetchResponse {
                error_code: error.code(),
                ..Default::default()
            };
            return (refused, VecDeque::new());
        }
    };
    let look = look_until_enough(broker, &holder, limits, max_wait).await;
    let (responses, files) = holder.with(|fetching| fetching.answer(look));
    let response = FetchResponse {
        session_id: holder.session_id(),
        responses,
        ..Default::default()
    };
    (response, files)
}

/// Looks, and if that would have to wait for the disk, brings what is needed into memory and looks again.
async fn look(broker: &Broker, holder: &Holder, limits: Limits) -> Look {
    for _ in 0..WARM_UPS_MAX {
        let cold = {
            let look = holder.look(broker, limits);
            if look.cold.is_empty() {
                return look;
            }
            look.cold
        };
        warm(&broker.cold_reads, cold).await;
    }
    holder.look(
        broker,
        Limits {
            may_wait: true,
            ..limits
        },
    )
}

/// Looks again whenever there are news, until there is enough, an error, or the time is up.
async fn look_until_enough(broker: &Arc<Broker>, holder: &Holder, limits: Limits, max_wait: Duration) -> Look {
    let deadline = tokio::time::Instant::now() + max_wait;
    // A look holds records, so none is kept while this waits.
    {
        let look = look(broker, holder, limits).await;
        if is_enough(&look, limits) || max_wait.is_zero() || holder.is_empty() {
            return look;
        }
    }
    let interest = holder.with(|fetching| {
        fetching.register();
        fetching.interest.clone()
    });
    loop {
        {
            let look = look(broker, holder, limits).await;
            if is_enough(&look, limits) {
                return look;
            }
        }
        if tokio::time::timeout_at(deadline, interest.news()).await.is_err() {
            return look(broker, holder, limits).await;
        }
    }
}

fn is_enough(look: &Look, limits: Limits) -> bool {
    look.is_urgent || look.bytes >= limits.min_bytes
}

/// Finds or makes the place where the partitions of this request are kept.
fn holder(broker: &Arc<Broker>, call: &Call, request: FetchRequest) -> Result<Holder, ErrorCode> {
    let uses_topic_ids = call.version >= TOPIC_IDS_FROM;
    let (id, epoch) = (request.session_id, request.session_epoch);
    if request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>() > PARTITIONS_MAX {
        return Err(ErrorCode::InvalidRequest);
    }
    match epoch {
        INITIAL_EPOCH | FINAL_EPOCH => {
            if id != NO_SESSION {
                broker.fetch_sessions.close(id);
            }
            let mut fetching = Box::new(Fetching::new());
            apply(broker, &mut fetching, request, uses_topic_ids);
            if epoch == FINAL_EPOCH || fetching.len() == 0 {
                return Ok(Holder::Alone(Mutex::new(fetching)));
            }
            Ok(
                match broker.fetch_sessions.open(fetching, uses_topic_ids, Instant::now()) {
                    Ok(session) => {
                        session.lock().fetching.register();
                        Holder::Opened(session)
                    }
                    Err(fetching) => Holder::Alone(Mutex::new(fetching)),
                },
            )
        }
        _ => {
            let session = broker
                .fetch_sessions
                .resume(id, epoch, uses_topic_ids, Instant::now())?;
            let partitions = {
                let fetching = &mut session.lock().fetching;
                apply(broker, fetching, request, uses_topic_ids);
                fetching.len()
            };
            if partitions > PARTITIONS_MAX {
                broker.fetch_sessions.close(id);
                return Err(ErrorCode::FetchSessionIdNotFound);
            }
            if partitions == 0 {
                // A session without partitions serves nobody: the client is told that it has none (KIP-227).
                broker.fetch_sessions.close(id);
                return Ok(Holder::Alone(Mutex::new(Box::new(Fetching::new()))));
            }
            Ok(Holder::Resumed(session))
        }
    }
}

fn apply(broker: &Broker, fetching: &mut Fetching, request: FetchRequest, uses_topic_ids: bool) {
    for topic in request.forgotten_topics_data {
        let topic_ref = if uses_topic_ids {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(topic.topic)
        };
        topic
            .partitions
            .iter()
            .for_each(|partition| fetching.forget(&topic_ref, *partition));
    }
    for topic in request.topics {
        // Kept for as long as the session lives, so it must not hold on to the frame.
        let topic_ref = if uses_topic_ids {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(topic.topic.detached())
        };
        for partition in topic.partitions {
            fetching.put(broker, topic_ref.clone(), partition);
        }
    }
}
