//! The requests of a connection that have been begun and not answered, in the order in which they came.
//!
//! Only the answer at the front is waited for: those behind it cannot be sent anyway. A request whose beginning itself
//! has to wait stands behind all others, and nothing is begun after it until it has begun.

use super::reply::Reply;
use crate::api::table::{Begun, Deferred, Refused, Waiting};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

/// Requests begun and not yet answered, per connection.
const MAX_IN_FLIGHT: usize = 128;

/// An answer in its place.
enum Slot {
    Ready(Option<Reply>),
    Waiting(Waiting),
}

/// What has come of one of the requests.
pub(super) enum Progress {
    /// The answer at the front is there; it is not in here any more.
    Answered(Option<Reply>),
    /// The one that held up those behind it has begun, and is to be taken in.
    Begun(Begun),
}

#[derive(Default)]
pub(super) struct InFlight {
    slots: VecDeque<Slot>,
    deferred: Option<Deferred>,
    /// Bytes of the answers that are ready.
    ready_bytes: usize,
}

impl InFlight {
    /// Whether nothing has been asked that has no answer yet.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.deferred.is_none()
    }

    /// Whether the next request may be begun.
    pub(super) fn may_begin(&self) -> bool {
        self.deferred.is_none() && self.slots.len() < MAX_IN_FLIGHT
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Takes in what became of a request. Returns its answer if that is there and its turn has come.
    ///
    /// # Errors
    /// The request cannot be answered.
    pub(super) fn take(&mut self, begun: Begun) -> Result<Option<Reply>, Refused> {
        let slot = match begun {
            Begun::Deferred(mut deferred) => match poll_once(deferred.as_mut()) {
                Poll::Ready(begun) => return self.take(begun?),
                Poll::Pending => {
                    self.deferred = Some(deferred);
                    return Ok(None);
                }
            },
            Begun::Answered(frame) => Slot::Ready(Some(frame)),
            Begun::NoAnswer => Slot::Ready(None),
            Begun::Waiting(mut waiting) => match poll_once(waiting.as_mut()) {
                Poll::Ready(answer) => Slot::Ready(answer?),
                Poll::Pending => Slot::Waiting(waiting),
            },
        };
        match slot {
            Slot::Ready(frame) if self.slots.is_empty() => Ok(frame),
            slot => {
                if let Slot::Ready(Some(frame)) = &slot {
                    self.ready_bytes += frame.len();
                }
                self.slots.push_back(slot);
                Ok(None)
            }
        }
    }

    /// The answers at the front that are ready.
    pub(super) fn ready(&mut self) -> impl Iterator<Item = Reply> {
        std::iter::from_fn(|| {
            while let Some(Slot::Ready(frame)) = self.slots.front_mut() {
                let frame = frame.take();
                self.slots.pop_front();
                if let Some(frame) = frame {
                    self.ready_bytes -= frame.len();
                    return Some(frame);
                }
            }
            None
        })
    }

    /// Ends when the answer at the front is there, or what was deferred has begun; never if there is neither.
    ///
    /// # Errors
    /// The request cannot be answered.
    pub(super) async fn progress(&mut self) -> Result<Progress, Refused> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Progress, Refused>> {
        if let Some(Slot::Waiting(waiting)) = self.slots.front_mut()
            && let Poll::Ready(answer) = waiting.as_mut().poll(context)
        {
            self.slots.pop_front();
            return Poll::Ready(answer.map(Progress::Answered));
        }
        if let Some(deferred) = &mut self.deferred
            && let Poll::Ready(begun) = deferred.as_mut().poll(context)
        {
            self.deferred = None;
            return Poll::Ready(begun.map(Progress::Begun));
        }
        Poll::Pending
    }
}

/// The first look at a future, which does the part of the work that needs no waiting.
pub(super) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::{ApiKey, frame, messages::HeartbeatResponse};
    use tokio::sync::oneshot;

    /// An answer that can be told from others by its length.
    fn reply(extra: usize) -> Reply {
        let mut frame = frame::response(ApiKey::Heartbeat, 0, 1, &HeartbeatResponse::default()).expect("a small frame");
        frame.pieces.extend(vec![bytes::Bytes::from_static(b"x"); extra]);
        frame.into()
    }

    fn len(extra: usize) -> usize {
        reply(extra).len()
    }

    /// A request that waits, and how it is answered.
    fn waiting(extra: usize) -> (Begun, oneshot::Sender<()>) {
        let (sender, go) = oneshot::channel();
        let answered = async move {
            go.await.expect("the test goes on");
            Ok(Some(reply(extra)))
        };
        (Begun::Waiting(Box::pin(answered)), sender)
    }

    /// A request that has to wait before it begins, and then waits for its answer.
    fn deferred(then: Begun) -> (Begun, oneshot::Sender<()>) {
        let (sender, go) = oneshot::channel();
        let begins = async move {
            go.await.expect("the test goes on");
            Ok(then)
        };
        (Begun::Deferred(Box::pin(begins)), sender)
    }

    fn taken(in_flight: &mut InFlight, begun: Begun) -> Option<usize> {
        in_flight.take(begun).expect("nobody refuses").map(|frame| frame.len())
    }

    async fn begin_deferred(in_flight: &mut InFlight) -> Option<usize> {
        match in_flight.progress().await.expect("nobody refuses") {
            Progress::Begun(begun) => taken(in_flight, begun),
            Progress::Answered(_) => panic!("nothing is answered yet"),
        }
    }

    #[tokio::test]
    async fn nothing_begins_behind_a_request_that_has_not_begun() {
        let mut in_flight = InFlight::default();
        let (request, begins) = deferred(Begun::Answered(reply(1)));
        assert_eq!(taken(&mut in_flight, request), None);
        assert!(!in_flight.may_begin() && !in_flight.is_empty());
        begins.send(()).expect("it waits");
        assert_eq!(begin_deferred(&mut in_flight).await, Some(len(1)));
        assert!(in_flight.may_begin() && in_flight.is_empty());
    }

    #[tokio::test]
    async fn a_request_begins_while_answers_before_it_are_waited_for_and_keeps_its_place() {
        let mut in_flight = InFlight::default();
        let (first, first_answered) = waiting(1);
        let (second, second_answered) = waiting(2);
        let (second, second_begins) = deferred(second);
        assert_eq!(taken(&mut in_flight, first), None);
        assert_eq!(taken(&mut in_flight, second), None);
        second_begins.send(()).expect("it waits");
        assert_eq!(begin_deferred(&mut in_flight).await, None);
        assert!(in_flight.may_begin(), "it has begun, though it has no answer");
        assert_eq!(taken(&mut in_flight, Begun::Answered(reply(3))), None, "not its turn");
        assert_eq!(in_flight.ready_bytes(), len(3));
        second_answered.send(()).expect("it waits");
        first_answered.send(()).expect("it waits");
        for extra in [1, 2] {
            assert_eq!(in_flight.ready().count(), 0);
            match in_flight.progress().await.expect("nobody refuses") {
                Progress::Answered(frame) => assert_eq!(frame.map(|frame| frame.len()), Some(len(extra))),
                Progress::Begun(_) => panic!("all have begun"),
            }
        }
        let ready: Vec<usize> = in_flight.ready().map(|frame| frame.len()).collect();
        assert_eq!(ready, [len(3)]);
        assert!(in_flight.is_empty());
        assert_eq!(in_flight.ready_bytes(), 0);
    }

    #[test]
    fn so_many_and_no_more_are_in_flight() {
        let mut in_flight = InFlight::default();
        let mut senders = Vec::new();
        while in_flight.may_begin() {
            let (request, sender) = waiting(0);
            taken(&mut in_flight, request);
            senders.push(sender);
        }
        assert_eq!(senders.len(), MAX_IN_FLIGHT);
    }
}
