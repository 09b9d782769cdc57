//! One client connection.
//!
//! Requests are begun in the order in which they come and answered in that order. Beginning a request does all that
//! needs no waiting (an append, a look-up, handing work to a coordinator); an answer that must wait keeps its place
//! while the requests behind it are begun too. What is in flight is bounded, in number and in bytes of answers: beyond
//! that nothing more is read, so a client that never reads is held back by its own socket. How long it may do so is
//! [`Pace`]'s to say.

use super::{
    in_flight::{InFlight, Progress, poll_once},
    input::{BadFrameLength, Input, SCRATCH_BYTES},
    output::{Output, Pause},
    pace::{Owed, Pace},
    reply::Reply,
};
use crate::{
    api::table::{self, Begun},
    broker::Broker,
    metrics::Metrics,
};
use bytes::Bytes;
use std::{
    cell::RefCell,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// Answer bytes that may wait for the socket, or for the answers before them, before no further request is begun.
const MAX_OUTPUT_BYTES: usize = 4 << 20;

/// Brought into memory at once of what is to be sent.
const WARM_BYTES: usize = 4 << 20;

thread_local! {
    /// What small requests are read into: memory that is in the processor's cache, whoever they are from.
    static SCRATCH: RefCell<Box<[u8; SCRATCH_BYTES]>> = RefCell::new(Box::new([0; SCRATCH_BYTES]));
}

/// Who asks: what a handler may know of the connection.
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: SocketAddr,
    /// Name of the listener, `PLAINTEXT` for instance.
    pub(crate) listener: Arc<str>,
    /// Where answers are counted.
    pub(crate) metrics: Arc<Metrics>,
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
    /// The word for it in the metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::ByClient => "by_client",
            Self::Io(_) => "io",
            Self::BadFrame(_) => "bad_frame",
            Self::Refused(_) => "refused_request",
            Self::Idle => "idle",
            Self::StalledRequest => "stalled_request",
            Self::StalledAnswer => "stalled_answer",
            Self::Stopping => "stopping",
        }
    }

    /// Whether a person should hear of it: what clients do every day is not worth a line.
    pub(crate) fn is_worth_telling(&self) -> bool {
        match self {
            Self::ByClient | Self::Idle | Self::Stopping => false,
            Self::Io(error) => !matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
            Self::BadFrame(_) | Self::Refused(_) | Self::StalledRequest | Self::StalledAnswer => true,
        }
    }
}

/// What the connection waits for next.
enum Wake {
    Socket,
    /// What is to be sent next has been brought into memory.
    Warm(io::Result<()>),
    InFlight(Result<Progress, table::Refused>),
    Alarm,
    Stop,
}

pub(crate) struct Connection {
    stream: TcpStream,
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    input: Input,
    output: Output,
    in_flight: InFlight,
    pace: Pace,
    /// Brings into memory what is to be sent next.
    warming: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
    /// Enough was written for now: others have their turn first.
    gives_way: bool,
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
            in_flight: InFlight::default(),
            pace,
            warming: None,
            gives_way: false,
            has_ended: false,
        }
    }

    /// Serves the client until either side ends it.
    pub(crate) async fn serve(mut self) -> Closed {
        let broker = self.broker.clone();
        let mut stopping = pin!(broker.stop.requested());
        let mut alarm = pin!(tokio::time::sleep_until(self.pace.deadline(self.owed())));
        loop {
            if let Err(closed) = self.move_on() {
                return closed;
            }
            if self.gives_way {
                tokio::task::yield_now().await;
                self.gives_way = false;
                continue;
            }
            match self.wait(alarm.as_mut(), stopping.as_mut()).await {
                Wake::Socket => {}
                Wake::Warm(Ok(())) => self.pace.taken(Instant::now()),
                Wake::Warm(Err(error)) => return error.into(),
                Wake::InFlight(Ok(Progress::Answered(frame))) => self.take_answer(frame),
                Wake::InFlight(Ok(Progress::Begun(begun))) => {
                    if let Err(closed) = self.take(begun) {
                        return closed;
                    }
                }
                Wake::InFlight(Err(refused)) => return refused.into(),
                Wake::Alarm => {
                    let deadline = self.pace.deadline(self.owed());
                    if deadline <= Instant::now() {
                        return self.closed_at_deadline();
                    }
                    alarm.as_mut().reset(deadline);
                }
                Wake::Stop => return Closed::Stopping,
            }
        }
    }

    /// Does all that can be done without waiting: begins requests, collects answers, reads, writes.
    fn move_on(&mut self) -> Result<(), Closed> {
        loop {
            let had_output = !self.output.is_empty();
            self.begin_requests()?;
            self.in_flight.ready().for_each(|frame| self.output.push(frame));
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
        match self.has_ended && self.in_flight.is_empty() && self.output.is_empty() {
            true => Err(Closed::ByClient),
            false => Ok(()),
        }
    }

    /// Writes what can be written without waiting. What is not in memory is brought there meanwhile.
    fn write(&mut self) -> Result<(), Closed> {
        if self.warming.is_some() || self.gives_way {
            return Ok(());
        }
        match self.output.write_to(&self.stream)? {
            Pause::Done | Pause::Socket => {}
            Pause::Turn => self.gives_way = true,
            Pause::Disk(region) => {
                let broker = self.broker.clone();
                self.warming = Some(Box::pin(async move {
                    let warmed = broker.cold_reads.run(move || region.bring_in(WARM_BYTES)).await;
                    warmed.unwrap_or_else(|| Err(io::ErrorKind::Interrupted.into()))
                }));
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.in_flight.may_begin() && self.output.len_bytes() + self.in_flight.ready_bytes() < MAX_OUTPUT_BYTES
    }

    /// Takes what the socket has; says whether something came.
    fn read(&mut self) -> Result<bool, Closed> {
        if self.has_ended {
            return Ok(false);
        }
        let read = match self.input.is_small() {
            true => self.read_small(),
            false => {
                let (mut reader, _) = self.stream.split();
                let read = pin!(reader.read_buf(self.input.room()));
                poll_once(read)
            }
        };
        let Poll::Ready(read) = read else {
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

    /// Reads into memory that all connections of this thread share.
    ///
    /// Through poll_read, which knows after a read that did not fill the buffer that there is nothing more, and saves the
    /// system call that would say so.
    fn read_small(&mut self) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..]);
            let polled = Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
            polled.map_ok(|()| {
                self.input.take(buffer.filled());
                buffer.filled().len()
            })
        })
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
        let answer = self.in_flight.take(begun)?;
        answer.into_iter().for_each(|frame| self.output.push(frame));
        Ok(())
    }

    /// The first answer in flight, which was waited for, is there.
    fn take_answer(&mut self, frame: Option<Reply>) {
        let now = Instant::now();
        self.pace.sign(now);
        if self.output.is_empty() {
            self.pace.taken(now);
        }
        frame.into_iter().for_each(|frame| self.output.push(frame));
    }

    /// What the peer has to do next.
    fn owed(&self) -> Owed {
        if !self.output.is_empty() {
            Owed::Taking
        } else if self.input.len_bytes() > 0 && self.in_flight.is_empty() {
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

    /// Waits for what comes next. `alarm` goes off at the deadline or before: it is set again when it has, and not with every
    /// sign of the peer.
    async fn wait(&mut self, mut alarm: Pin<&mut Sleep>, stopping: Pin<&mut impl Future<Output = ()>>) -> Wake {
        let deadline = self.pace.deadline(self.owed());
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        let reads = self.has_room() && !self.has_ended;
        let warms = self.warming.is_some();
        let writes = !self.output.is_empty() && !warms;
        let waits_for_answer = !self.in_flight.is_empty();
        tokio::select! {
            biased;
            progress = self.in_flight.progress(), if waits_for_answer => Wake::InFlight(progress),
            warmed = warmed(&mut self.warming), if warms => Wake::Warm(warmed),
            _ = self.stream.readable(), if reads => Wake::Socket,
            _ = self.stream.writable(), if writes => Wake::Socket,
            // A peer that has ended may still read, but nobody waits for ever for somebody who may be gone.
            // While the disk works it is not the peer who is slow.
            () = alarm, if !warms && (!waits_for_answer || writes || self.has_ended) => Wake::Alarm,
            () = stopping => Wake::Stop,
        }
    }
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
