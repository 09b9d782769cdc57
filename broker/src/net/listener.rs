//! Accepts connections on one address.

use super::{
    admission::Rate,
    connection::{Connection, Peer},
};
use crate::broker::Broker;
use socket2::SockRef;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpStream};

/// Pause after an error of accept that may last, running out of descriptors above all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address that does not serve yet.
pub(crate) struct Listener {
    socket: TcpListener,
    name: Arc<str>,
}

impl Listener {
    /// Binds `address`. Connections have receive buffers of `receive_bytes`, if given: what the peer is told when it connects
    /// follows from it.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub(crate) fn bind(name: &str, address: SocketAddr, receive_bytes: Option<usize>) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM.nonblocking(),
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(Self {
            socket: TcpListener::from_std(socket.into())?,
            name: name.into(),
        })
    }

    /// The address really bound, with the port that the system chose for port 0.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The socket, for who serves something else than Kafka's clients.
    pub(crate) fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// Serves until the broker stops.
    pub(crate) async fn serve(self, broker: Arc<Broker>) {
        let mut rate = Rate::default();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = broker.stop.requested() => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    self.admit(stream, address, &broker);
                    // Who comes too fast waits in the system's queue.
                    let pause = rate.pause(broker.connection_creation_rate(), Instant::now());
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(listener = %self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr, broker: &Arc<Broker>) {
        let ip = address.ip().to_canonical();
        if let Err(full) = broker.admission.enter(ip, &broker.connection_limits(ip)) {
            broker.metrics.connection_refused(full);
            broker.log_limits.too_many_connections(address, full);
            return;
        }
        broker.metrics.connection_accepted();
        let guard = ConnectionGuard(broker.clone(), ip);
        if let Err(error) = set_up(&stream, broker.config.socket_buffers.send_bytes) {
            tracing::debug!(client = %address, %error, "the connection is gone");
            return;
        }
        let connection = Connection::new(
            stream,
            broker.clone(),
            Peer {
                address,
                listener: self.name.clone(),
                metrics: broker.metrics.clone(),
            },
        );
        tokio::spawn(async move {
            let guard = guard;
            let closed = connection.serve().await;
            guard.0.metrics.connection_closed(&closed);
            if closed.is_worth_telling() {
                guard.0.log_limits.refused_connection(address, &closed);
            }
        });
    }
}

fn set_up(stream: &TcpStream, send_bytes: Option<usize>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match send_bytes {
        Some(bytes) => SockRef::from(stream).set_send_buffer_size(bytes),
        None => Ok(()),
    }
}

/// Counts a connection as long as it lives.
struct ConnectionGuard(Arc<Broker>, IpAddr);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.admission.leave(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn buffers_have_the_sizes_that_are_given() -> io::Result<()> {
        let listener = Listener::bind("PLAINTEXT", ([127, 0, 0, 1], 0).into(), Some(30_000))?;
        let client = TcpStream::connect(listener.local_address()?).await?;
        let (accepted, _) = listener.socket.accept().await?;
        set_up(&accepted, Some(20_000))?;
        // Linux takes as much again for its own books.
        let buffers = SockRef::from(&accepted);
        assert_eq!(
            (buffers.recv_buffer_size()?, buffers.send_buffer_size()?),
            (60_000, 40_000)
        );
        // What is not given is the system's.
        let before = SockRef::from(&client).send_buffer_size()?;
        set_up(&client, None)?;
        assert_eq!(SockRef::from(&client).send_buffer_size()?, before);
        Ok(())
    }
}
