//! One client connection.
//!
//! Requests are begun in the order in which they come and answered in that order. Beginning a request does all that
//! needs no waiting (an append, a look-up, handing work to a coordinator); an answer that must wait keeps its place
//! while the requests behind it are begun too. What is in flight is bounded, in number and in bytes of answers: beyond
//! that nothing more is read, so a client that never reads is held back by its own socket. How long it may do so is
//! [`Pace`]'s to say.

use super::{
    input::{BadFrameLength, Input},
    output::{Output, Pause},
    pace::{Owed, Pace},
    reply::Reply,
};
use crate::{
    api::table::{self, Begun, Deferred, Waiting},
    broker::Broker,
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant};

/// Requests begun and not yet answered, per connection.
const MAX_IN_FLIGHT: usize = 128;

/// Answer bytes that may wait for the socket, or for the answers before them, before no further request is begun.
const MAX_OUTPUT_BYTES: usize = 4 << 20;

/// Brought into memory at once of what is to be sent.
const WARM_BYTES: usize = 4 << 20;

/// Who asks: what a handler may know of the connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: SocketAddr,
    /// Name of the listener, `PLAINTEXT` for instance.
    pub(crate) listener: Arc<str>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("the client closed it")]
    ByClient,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    BadFrame(#[from] BadFrameLength),
    #[error("{0}")]
    Refused(#[from] table::Refused),
    #[error("idle")]
    Idle,
    #[error("a request did not come to its end in time")]
    StalledRequest,
    #[error("answers were not read in time")]
    StalledAnswer,
    #[error("the broker stops")]
    Stopping,
}

impl Closed {
    /// Whether a person should hear of it: what clients do every day is not worth a line.
    pub(crate) fn is_worth_telling(&self) -> bool {
        match self {
            Self::ByClient | Self::Idle | Self::Stopping => false,
            Self::Io(error) => !matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
            Self::BadFrame(_) | Self::Refused(_) | Self::StalledRequest | Self::StalledAnswer => true,
        }
    }
}

/// An answer in its place in the queue.
enum Slot {
    Ready(Option<Reply>),
    Waiting(Waiting),
}

/// What the connection waits for next.
enum Wake {
    Socket,
    /// What is to be sent next has been brought into memory.
    Warm(io::Result<()>),
    Answered(Result<Option<Reply>, table::Refused>),
    /// The request that held up those behind it has begun.
    Begun(Result<Begun, table::Refused>),
    Deadline,
    Stop,
}

pub(crate) struct Connection {
    stream: TcpStream,
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    input: Input,
    output: Output,
    in_flight: VecDeque<Slot>,
    /// The request behind those in flight whose beginning has to wait; nothing behind it is begun.
    deferred: Option<Deferred>,
    /// Bytes of the answers in flight that are ready.
    ready_bytes: usize,
    pace: Pace,
    /// Brings into memory what is to be sent next.
    warming: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
    /// The peer will not send any more.
    has_ended: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, broker: Arc<Broker>, peer: Peer) -> Self {
        let limit = broker.config.socket_request_max_bytes;
        let pace = Pace::new(broker.config.connections_max_idle, Instant::now());
        Self {
            stream,
            broker,
            peer: Arc::new(peer),
            input: Input::new(limit),
            output: Output::default(),
            in_flight: VecDeque::new(),
            deferred: None,
            ready_bytes: 0,
            pace,
            warming: None,
            has_ended: false,
        }
    }

    /// Serves the client until either side ends it.
    pub(crate) async fn serve(mut self) -> Closed {
        loop {
            if let Err(closed) = self.move_on() {
                return closed;
            }
            match self.wait().await {
                Wake::Socket => {}
                Wake::Warm(Ok(())) => self.pace.taken(Instant::now()),
                Wake::Warm(Err(error)) => return error.into(),
                Wake::Answered(Ok(frame)) => self.take_answer(frame),
                Wake::Begun(Ok(begun)) => {
                    if let Err(closed) = self.take(begun) {
                        return closed;
                    }
                }
                Wake::Answered(Err(refused)) | Wake::Begun(Err(refused)) => return refused.into(),
                Wake::Deadline => return self.closed_at_deadline(),
                Wake::Stop => return Closed::Stopping,
            }
        }
    }

    /// Does all that can be done without waiting: begins requests, collects answers, reads, writes.
    fn move_on(&mut self) -> Result<(), Closed> {
        loop {
            let had_output = !self.output.is_empty();
            self.begin_requests()?;
            self.collect_ready();
            let waiting = self.output.len_bytes();
            self.write()?;
            let is_left = !self.output.is_empty();
            if is_left && (!had_output || self.output.len_bytes() < waiting) {
                self.pace.taken(Instant::now());
            }
            if !self.has_room() {
                break;
            }
            // Writing may have made room for requests that came long ago, of which the socket will not remind us.
            if !self.input.has_frame()? && !self.read()? {
                break;
            }
        }
        self.input.release();
        match self.has_ended && !self.owes_answer() && self.output.is_empty() {
            true => Err(Closed::ByClient),
            false => Ok(()),
        }
    }

    /// Writes what can be written without waiting. What is not in memory is brought there meanwhile.
    fn write(&mut self) -> Result<(), Closed> {
        if self.warming.is_none()
            && let Pause::Disk(region) = self.output.write_to(&self.stream)?
        {
            let broker = self.broker.clone();
            self.warming = Some(Box::pin(async move {
                let warmed = broker.cold_reads.run(move || region.bring_in(WARM_BYTES)).await;
                warmed.unwrap_or_else(|| Err(io::ErrorKind::Interrupted.into()))
            }));
        }
        Ok(())
    }

    /// Whether something has been asked that has no answer yet.
    fn owes_answer(&self) -> bool {
        !self.in_flight.is_empty() || self.deferred.is_some()
    }

    fn has_room(&self) -> bool {
        self.deferred.is_none()
            && self.in_flight.len() < MAX_IN_FLIGHT
            && self.output.len_bytes() + self.ready_bytes < MAX_OUTPUT_BYTES
    }

    /// Takes what the socket has; says whether something came.
    fn read(&mut self) -> Result<bool, Closed> {
        if self.has_ended {
            return Ok(false);
        }
        // Through poll_read, which knows after a read that did not fill the buffer that there is nothing more, and saves
        // the system call that would say so.
        let (mut reader, _) = self.stream.split();
        let read = pin!(reader.read_buf(self.input.room()));
        let Poll::Ready(read) = poll_once(read) else {
            return Ok(false);
        };
        match read {
            Ok(0) => {
                self.has_ended = true;
                Ok(false)
            }
            Ok(_) => {
                self.pace.sign(Instant::now());
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn begin_requests(&mut self) -> Result<(), Closed> {
        while self.has_room() {
            let Some(frame) = self.input.frame()? else {
                if self.input.len_bytes() > 0 {
                    self.pace.frame_begun();
                }
                break;
            };
            self.pace.frame_ended();
            self.begin(frame)?;
        }
        Ok(())
    }

    fn begin(&mut self, frame: Bytes) -> Result<(), Closed> {
        let begun = table::begin(&self.broker, &self.peer, frame)?;
        self.take(begun)
    }

    fn take(&mut self, begun: Begun) -> Result<(), Closed> {
        let slot = match begun {
            Begun::Deferred(mut deferred) => match poll_once(deferred.as_mut()) {
                Poll::Ready(begun) => return self.take(begun?),
                Poll::Pending => {
                    self.deferred = Some(deferred);
                    return Ok(());
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
            Slot::Ready(frame) if self.in_flight.is_empty() => frame.into_iter().for_each(|f| self.output.push(f)),
            slot => {
                if let Slot::Ready(Some(frame)) = &slot {
                    self.ready_bytes += frame.len();
                }
                self.in_flight.push_back(slot);
            }
        }
        Ok(())
    }

    fn collect_ready(&mut self) {
        while let Some(Slot::Ready(frame)) = self.in_flight.front_mut() {
            if let Some(frame) = frame.take() {
                self.ready_bytes -= frame.len();
                self.output.push(frame);
            }
            self.in_flight.pop_front();
        }
    }

    /// The first answer in flight, which was waited for, is there.
    fn take_answer(&mut self, frame: Option<Reply>) {
        let now = Instant::now();
        self.pace.sign(now);
        if self.output.is_empty() {
            self.pace.taken(now);
        }
        self.in_flight.pop_front();
        frame.into_iter().for_each(|frame| self.output.push(frame));
    }

    /// What the peer has to do next.
    fn owed(&self) -> Owed {
        if !self.output.is_empty() {
            Owed::Taking
        } else if self.input.len_bytes() > 0 && !self.owes_answer() {
            Owed::Frame {
                received: self.input.len_bytes(),
            }
        } else {
            Owed::Sign
        }
    }

    fn closed_at_deadline(&self) -> Closed {
        match self.owed() {
            Owed::Taking => Closed::StalledAnswer,
            Owed::Frame { .. } => Closed::StalledRequest,
            Owed::Sign => Closed::Idle,
        }
    }

    async fn wait(&mut self) -> Wake {
        let deadline = tokio::time::sleep_until(self.pace.deadline(self.owed()));
        let reads = self.has_room() && !self.has_ended;
        let warms = self.warming.is_some();
        let writes = !self.output.is_empty() && !warms;
        let (waits_for_answer, is_deferred) = (self.owes_answer(), self.deferred.is_some());
        let has_in_flight = !self.in_flight.is_empty();
        tokio::select! {
            biased;
            answer = front_answer(&mut self.in_flight), if has_in_flight => Wake::Answered(answer),
            begun = begun(&mut self.deferred), if is_deferred => Wake::Begun(begun),
            warmed = warmed(&mut self.warming), if warms => Wake::Warm(warmed),
            _ = self.stream.readable(), if reads => Wake::Socket,
            _ = self.stream.writable(), if writes => Wake::Socket,
            // A peer that has ended may still read, but nobody waits for ever for somebody who may be gone.
            // While the disk works it is not the peer who is slow.
            () = deadline, if !warms && (!waits_for_answer || writes || self.has_ended) => Wake::Deadline,
            () = self.broker.stop.requested() => Wake::Stop,
        }
    }
}

/// The first look at a future, which does the part of the work that needs no waiting.
fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

/// Ends with what is being brought into memory.
async fn warmed(warming: &mut Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>) -> io::Result<()> {
    let result = match warming {
        Some(work) => work.await,
        None => std::future::pending().await,
    };
    *warming = None;
    result
}

/// Ends when the request that holds up those behind it has begun.
async fn begun(deferred: &mut Option<Deferred>) -> Result<Begun, table::Refused> {
    let begun = match deferred {
        Some(beginning) => beginning.await,
        None => std::future::pending().await,
    };
    *deferred = None;
    begun
}

async fn front_answer(in_flight: &mut VecDeque<Slot>) -> Result<Option<Reply>, table::Refused> {
    poll_fn(|context| match in_flight.front_mut() {
        Some(Slot::Waiting(waiting)) => waiting.as_mut().poll(context),
        Some(Slot::Ready(frame)) => Poll::Ready(Ok(frame.take())),
        None => Poll::Pending,
    })
    .await
}
