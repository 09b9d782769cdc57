//! An Ottla broker as a process of its own.

use crate::client::Client;
use anyhow::{Context, bail, ensure};
use std::{
    env,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a broker may take to start or stop before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running broker; killed when this is dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    /// By name of the listener; the first is the one that tests use by default.
    listeners: Vec<(String, SocketAddr)>,
    data: PathBuf,
    overrides: Vec<String>,
}

/// The binary under test: `OTTLA_BIN`, or the one that Cargo has built beside this test.
///
/// # Panics
/// There is none: build it first (`cargo build`).
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("OTTLA_BIN") {
        return path.into();
    }
    let test = env::current_exe().expect("a process knows its program");
    let profile = test.ancestors().find(|folder| folder.join("ottla").is_file());
    profile
        .map(|folder| folder.join("ottla"))
        .expect("the binary `ottla` is not built; run `cargo build` first")
}

/// Runs the binary to its end, for commands that end by themselves and for brokers that must not start.
///
/// # Errors
/// It is still running when the patience is over.
pub fn run(arguments: &[&str]) -> crate::Result<Output> {
    let mut child = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("`ottla {}` goes on after {PATIENCE:?}", arguments.join(" "));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(child.wait_with_output()?)
}

/// A port that is free now.
fn free_port() -> crate::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Broker {
    /// Starts a broker with its data below `folder` and waits until it answers.
    ///
    /// `overrides`: `KEY=VALUE`, besides listeners and log.dirs.
    pub fn start(folder: &Path, overrides: &[&str]) -> crate::Result<Self> {
        Self::start_with_listeners(folder, &["PLAINTEXT"], overrides)
    }

    /// As [`Broker::start`], with listeners of these names. Security protocols of other names than PLAINTEXT are among
    /// the overrides.
    pub fn start_with_listeners(folder: &Path, names: &[&str], overrides: &[&str]) -> crate::Result<Self> {
        let mut listeners = Vec::new();
        for name in names {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            listeners.push(((*name).to_owned(), address));
        }
        let overrides: Vec<String> = overrides.iter().map(|each| (*each).to_owned()).collect();
        let data = folder.join("data");
        let mut broker = Self {
            child: Self::spawn(&listeners, &data, &overrides)?,
            listeners,
            data,
            overrides,
        };
        broker.await_ready()?;
        Ok(broker)
    }

    fn spawn(listeners: &[(String, SocketAddr)], data: &Path, overrides: &[String]) -> crate::Result<Child> {
        let folder = data.parent().context("the data folder has a parent")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("ottla.log"))?;
        let mut command = Command::new(binary());
        command.arg("serve");
        let listeners: Vec<String> = listeners.iter().map(|(name, at)| format!("{name}://{at}")).collect();
        command.args(["--override", &format!("listeners={}", listeners.join(","))]);
        command.args(["--override", &format!("log.dirs={}", data.display())]);
        for each in overrides {
            command.args(["--override", each]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command
            .spawn()
            .with_context(|| format!("cannot start {}", binary().display()))
    }

    fn await_ready(&mut self) -> crate::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Client::connect(self.address())
            .and_then(|mut client| client.api_versions())
            .is_err()
        {
            if let Some(status) = self.child.try_wait()? {
                bail!("the broker ended with {status}: {}", self.log());
            }
            if Instant::now() > deadline {
                bail!("the broker does not answer after {PATIENCE:?}: {}", self.log());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].1
    }

    /// Where its listener of this number is.
    pub fn listener(&self, number: usize) -> SocketAddr {
        self.listeners[number].1
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder (`log.dirs`).
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        let file = self.data.parent().map(|folder| folder.join("ottla.log"));
        file.and_then(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_default()
    }

    /// Bytes of memory that are its own and of no file (RssAnon).
    pub fn anonymous_bytes(&self) -> crate::Result<usize> {
        Ok(self.status_number("RssAnon:")? * 1024)
    }

    /// The most memory that it had at once, files it maps included (VmHWM).
    pub fn peak_bytes(&self) -> crate::Result<usize> {
        Ok(self.status_number("VmHWM:")? * 1024)
    }

    /// How many threads it runs.
    pub fn thread_count(&self) -> crate::Result<usize> {
        self.status_number("Threads:")
    }

    fn status_number(&self, field: &str) -> crate::Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        let number = value.and_then(|value| value.split_whitespace().next());
        Ok(number.with_context(|| format!("no {field} in the status"))?.parse()?)
    }

    /// Fails unless it is the process that was started, alive, and never panicked.
    pub fn assert_sound(&mut self) -> crate::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the broker ended with {status}: {}", self.log());
        }
        let log = self.log();
        ensure!(!log.contains("panicked"), "{log}");
        Ok(())
    }

    /// A new connection to it.
    pub fn connect(&self) -> crate::Result<Client> {
        Client::connect(self.address())
    }

    /// Kills it, as a crash would, and starts it again on the same data and port.
    pub fn kill_and_restart(&mut self) -> crate::Result<()> {
        self.kill()?;
        self.restart()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) -> crate::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again after [`Broker::kill`] or [`Broker::stop`].
    pub fn restart(&mut self) -> crate::Result<()> {
        self.child = Self::spawn(&self.listeners, &self.data, &self.overrides)?;
        self.await_ready()
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub fn stop(&mut self) -> crate::Result<ExitStatus> {
        self.signal("TERM")?;
        self.await_end()
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) -> crate::Result<()> {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()?;
        if !status.success() {
            bail!("kill -{name} failed: {status}");
        }
        Ok(())
    }

    /// Waits until the process has ended by itself.
    pub fn await_end(&mut self) -> crate::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the broker has not ended after {PATIENCE:?}: {}", self.log());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Asks until it is so.
///
/// # Errors
/// It has not come to be so after 30 s, or asking failed.
pub fn eventually(mut is_so: impl FnMut() -> crate::Result<bool>) -> crate::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "it never came to be so");
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
