//! A TCP proxy in front of a broker that knows frames: it holds chosen requests or answers back, sends requests twice, and
//! loses answers.
//!
//! What is held stands still with all that follows it on its connection, as in a network that is slow; other connections go
//! on. A request that is held still arrives when its client has gone.

use anyhow::ensure;
use ottla_protocol::ApiKey;
use std::{
    collections::VecDeque,
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
    is_over: bool,
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
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
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while state.held < count {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "{} of {count} frames are held", state.held);
            (state, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
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

    /// Holds the caller until the release that follows.
    fn hold(&self) {
        let mut state = self.state();
        let number = state.held;
        state.held += 1;
        self.changed.notify_all();
        while state.released <= number && !state.is_over {
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
        let _ = to_client.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn pass_requests(shared: &Shared, mut client: TcpStream, mut broker: &TcpStream, fates: &Fates) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut client)?;
        let key = i16::from_be_bytes([frame[4], frame[5]]);
        let fault = shared.take_fault(key);
        let coming: &[Fate] = match fault {
            None | Some(Fault::HoldRequest) => &[Fate::Pass],
            Some(Fault::HoldAnswer) => &[Fate::Hold],
            Some(Fault::LoseAnswer) => &[Fate::Lose],
            Some(Fault::Twice) => &[Fate::Swallow, Fate::Pass],
        };
        if fault == Some(Fault::HoldRequest) {
            shared.hold();
        }
        fates.lock().unwrap_or_else(PoisonError::into_inner).extend(coming);
        for _ in coming {
            broker.write_all(&frame)?;
        }
    }
}

fn pass_answers(shared: &Shared, mut broker: TcpStream, mut client: &TcpStream, fates: &Fates) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut broker)?;
        let fate = fates.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match fate.ok_or(io::ErrorKind::InvalidData)? {
            Fate::Pass => {}
            Fate::Hold => shared.hold(),
            Fate::Swallow => continue,
            Fate::Lose => return Ok(()),
        }
        client.write_all(&frame)?;
    }
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
