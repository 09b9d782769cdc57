//! One connection, one request after another, without a thread of its own.

use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::{
    Message, Request,
    frame::{self, split_response},
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// The longest answer that is taken for one.
const ANSWER_BYTES: usize = 100 << 20;

#[derive(Debug)]
pub(crate) struct Connection {
    socket: BufReader<TcpStream>,
    correlation_id: i32,
}

impl Connection {
    pub(crate) async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket: BufReader::with_capacity(1024, socket),
            correlation_id: 0,
        })
    }

    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        self.correlation_id += 1;
        let bytes = frame::request(request, version, self.correlation_id, "groups")?.into_bytes();
        self.socket.write_all(&bytes).await?;
        let (answered, mut reader) = split_response(self.frame().await?, R::KEY, version)?;
        ensure!(answered == self.correlation_id, "an answer to another request");
        Ok(R::Response::decode(&mut reader, version)?)
    }

    async fn frame(&mut self) -> anyhow::Result<Bytes> {
        let length = self.socket.read_i32().await.context("no answer")?;
        let length = usize::try_from(length).context("an answer of negative length")?;
        ensure!(length <= ANSWER_BYTES, "an answer of {length} bytes");
        let mut frame = vec![0; length];
        self.socket.read_exact(&mut frame).await.context("a cut answer")?;
        Ok(frame.into())
    }
}
