//! A server that does nothing: what the kernel takes for a request and its answer over the loopback interface, whoever
//! answers.

use crate::Options;
use anyhow::Context;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener as Listener, TcpStream},
    runtime::Builder,
    task::LocalSet,
};

/// No shorter than an OffsetCommit of one partition, and than its answer.
const REQUEST: [u8; 120] = [0; 120];
const ANSWER: [u8; 50] = [0; 50];
/// Microseconds of a clock tick of /proc.
const TICK_US: f64 = 10_000.0;

pub(crate) async fn floor(options: &Options) -> anyhow::Result<Value> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (sender, server) = mpsc::channel();
    // It ends with the process.
    thread::spawn(move || {
        // Whoever started it may have ended.
        let _ = sender.send(rustix::thread::gettid());
        serve(listener)
    });
    let server = server.recv().context("the server has not started")?.as_raw_nonzero();
    let answered = Rc::<Cell<u64>>::default();
    LocalSet::new()
        .run_until(async {
            let mut clients = tokio::task::JoinSet::new();
            for _ in 0..options.members {
                clients.spawn_local(ask(address, answered.clone()));
            }
            let (before, begin) = (ticks(server.get())?, answered.get());
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs_f64(options.seconds)) => {}
                Some(ended) = clients.join_next() => ended??,
            }
            let (after, requests) = (ticks(server.get())?, answered.get() - begin);
            let each = |ticks: u64| ticks as f64 * TICK_US / requests.max(1) as f64;
            let (user_us, system_us) = (each(after.0 - before.0), each(after.1 - before.1));
            Ok(json!({ "requests": requests, "user_us": user_us, "system_us": system_us }))
        })
        .await
}

async fn ask(address: SocketAddr, answered: Rc<Cell<u64>>) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut answer = ANSWER;
    loop {
        socket.write_all(&REQUEST).await?;
        socket.read_exact(&mut answer).await?;
        answered.set(answered.get() + 1);
    }
}

fn serve(listener: TcpListener) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = Listener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::task::spawn_local(answer(socket));
        }
    })
}

async fn answer(mut socket: TcpStream) -> anyhow::Result<()> {
    let mut request = REQUEST;
    loop {
        socket.read_exact(&mut request).await?;
        socket.write_all(&ANSWER).await?;
    }
}

/// Clock ticks that a thread of this process has used in user mode and in the kernel.
fn ticks(thread: i32) -> anyhow::Result<(u64, u64)> {
    crate::ticks_of(&format!("/proc/self/task/{thread}/stat"))
}
