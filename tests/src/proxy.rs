//! A TCP proxy in front of a broker that knows frames: it holds chosen requests or answers back, sends requests twice, and
//! loses answers.
//!
//! What is held stands still with all that follows it on its connection, as in a network that is slow; other connections go
//! on. A request that is held still arrives when its client has gone, and what the broker answers then can be looked at.
//!
//! A client of another kind finds the proxy if the broker advertises its address; clients/late-requests/proxy.rs is the program for that.

use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::{ApiKey, Message, Request, frame::split_response};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long something may take to come before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest frame that goes through.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// What happens to a request on its way, or to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It stops before it reaches the broker, until [`Proxy::release`].
    HoldRequest,
    /// The broker handles it; its answer stops, until [`Proxy::release`].
    HoldAnswer,
    /// The broker gets it twice; the client gets the second answer.
    Twice,
    /// The broker handles it; instead of the answer the connection ends.
    LoseAnswer,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    /// It is kept too: it answers a request of this version that was held, by its number.
    Keep(usize, i16),
    Hold,
    Swallow,
    Lose,
}

#[derive(Default)]
struct State {
    /// What happens to the next request of an API, each once.
    faults: Vec<(ApiKey, Fault)>,
    /// How many frames have been held so far, and how many of these were let go.
    held: usize,
    released: usize,
    /// What the requests that were held were answered with, by number; none where the connection to the broker ended.
    answers: BTreeMap<usize, Option<LateAnswer>>,
    is_over: bool,
}

/// The answer to a request that was held.
#[derive(Clone, Debug)]
pub struct LateAnswer {
    version: i16,
    frame: Bytes,
}

impl LateAnswer {
    /// The answer, which is one to an `R`.
    ///
    /// # Errors
    /// It is not.
    pub fn to<R: Request>(&self) -> crate::Result<R::Response> {
        let (_, mut reader) = split_response(self.frame.clone(), R::KEY, self.version)?;
        Ok(R::Response::decode(&mut reader, self.version)?)
    }
}

struct Shared {
    broker: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts one in front of a broker.
    pub fn start(broker: SocketAddr) -> crate::Result<Self> {
        Self::start_on(0, broker)
    }

    /// Starts one on a port of the loopback interface.
    pub fn start_on(port: u16, broker: SocketAddr) -> crate::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            broker,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.state().is_over {
                    return;
                }
                // A client whose broker is not there is closed.
                let _ = connect(&accepting, client);
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to the next request of this API.
    pub fn next(&self, key: ApiKey, fault: Fault) {
        self.shared.state().faults.push((key, fault));
    }

    /// Waits until so many frames have been held since the start.
    ///
    /// # Errors
    /// They do not come.
    pub fn until_held(&self, count: usize) -> crate::Result<()> {
        self.until("not so many frames are held", |state| {
            (state.held >= count).then_some(())
        })
    }

    /// Waits for what the broker answers to the request that was held as the `number`th, from 1 on.
    ///
    /// # Errors
    /// There is no answer.
    pub fn answer(&self, number: usize) -> crate::Result<LateAnswer> {
        let answer = self.until("the request that was held is not answered", |state| {
            state.answers.get(&number).cloned()
        })?;
        answer.context("the broker ended the connection instead")
    }

    fn until<T>(&self, complaint: &'static str, mut look: impl FnMut(&State) -> Option<T>) -> crate::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            if let Some(found) = look(&state) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), complaint);
            let waited = self.shared.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets go what is held.
    pub fn release(&self) {
        let mut state = self.shared.state();
        state.released = state.held;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.release();
        // The listener looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that was asked for, once.
    fn take_fault(&self, key: i16) -> Option<Fault> {
        let mut state = self.state();
        let at = state.faults.iter().position(|(wanted, _)| *wanted as i16 == key)?;
        Some(state.faults.remove(at).1)
    }

    /// Holds the caller until the release that follows; returns how many have been held.
    fn hold(&self) -> usize {
        let mut state = self.state();
        state.held += 1;
        let number = state.held;
        self.changed.notify_all();
        while state.released < number && !state.is_over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        number
    }

    fn keep(&self, number: usize, answer: Option<LateAnswer>) {
        self.state().answers.entry(number).or_insert(answer);
        self.changed.notify_all();
    }

    /// Waits for the answer to a request that was held: while it is under way its connection is not closed, whatever its
    /// client did.
    fn until_kept(&self, number: usize) {
        let mut state = self.state();
        while !state.answers.contains_key(&number) && !state.is_over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The answers that a connection waits for, in their order.
type Fates = Arc<Mutex<VecDeque<Fate>>>;

fn connect(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    let broker = TcpStream::connect(shared.broker)?;
    for socket in [&client, &broker] {
        socket.set_nodelay(true)?;
    }
    let fates = Fates::default();
    let (from_client, to_client) = (client.try_clone()?, client);
    let (from_broker, to_broker) = (broker.try_clone()?, broker);
    let (asking, answering) = (shared.clone(), shared.clone());
    let asked = fates.clone();
    thread::spawn(move || {
        // Either side may hang up whenever it likes.
        let _ = pass_requests(&asking, from_client, &to_broker, &asked);
        let _ = to_broker.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = pass_answers(&answering, from_broker, &to_client, &fates);
        for fate in fates.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Fate::Keep(number, _) = fate {
                answering.keep(number, None);
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn pass_requests(shared: &Shared, mut client: TcpStream, mut broker: &TcpStream, fates: &Fates) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut client)?;
        let (key, version) = (number_at(&frame, 4), number_at(&frame, 6));
        let mut held = None;
        let coming = match shared.take_fault(key) {
            None => vec![Fate::Pass],
            Some(Fault::HoldRequest) => {
                let number = shared.hold();
                held = Some(number);
                vec![Fate::Keep(number, version)]
            }
            Some(Fault::HoldAnswer) => vec![Fate::Hold],
            Some(Fault::LoseAnswer) => vec![Fate::Lose],
            Some(Fault::Twice) => vec![Fate::Swallow, Fate::Pass],
        };
        let count = coming.len();
        fates.lock().unwrap_or_else(PoisonError::into_inner).extend(coming);
        for _ in 0..count {
            broker.write_all(&frame)?;
        }
        if let Some(number) = held {
            shared.until_kept(number);
        }
    }
}

fn pass_answers(shared: &Shared, mut broker: TcpStream, mut client: &TcpStream, fates: &Fates) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut broker)?;
        let fate = fates.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match fate.ok_or(io::ErrorKind::InvalidData)? {
            Fate::Pass => {}
            Fate::Keep(number, version) => {
                let frame = Bytes::copy_from_slice(&frame[4..]);
                shared.keep(number, Some(LateAnswer { version, frame }));
            }
            Fate::Hold => {
                shared.hold();
            }
            Fate::Swallow => continue,
            Fate::Lose => return Ok(()),
        }
        client.write_all(&frame)?;
    }
}

fn number_at(frame: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([frame[at], frame[at + 1]])
}

/// A frame with its length.
fn read_frame(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    socket.read_exact(&mut frame)?;
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    if !(4..=FRAME_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    frame.resize(4 + length, 0);
    socket.read_exact(&mut frame[4..])?;
    Ok(frame)
}
