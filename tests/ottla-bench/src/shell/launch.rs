//! Brokers as processes of ours, each with its data in a folder of its own, on a free port of the loopback interface,
//! with its default durability.

use super::process::Process;
use anyhow::{Context, bail, ensure};
use ottla_tests::client::Client;
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a broker may take to serve or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What Kafka's own start script gives the JVM, and a heap of one gigabyte.
pub const JVM_OPTIONS: [&str; 8] = [
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// What both brokers are told, besides where they listen and keep their files.
pub const SETTINGS: [(&str, &str); 9] = [
    ("node.id", "1"),
    ("num.partitions", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    // What a run has produced is to be gone when the next one begins.
    ("log.segment.delete.delay.ms", "1000"),
];

/// Which broker, and where its program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The binary.
    Ottla(PathBuf),
    /// Apache Kafka: a class path with ApacheBroker, and the folder that it is from.
    Kafka {
        /// For `java -cp`.
        class_path: String,
        /// tests/lib.
        lib: PathBuf,
    },
}

/// A broker that runs; it is killed when this goes.
#[derive(Debug)]
pub struct LocalBroker {
    program: Program,
    folder: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl LocalBroker {
    /// Starts it on an empty folder and waits until it serves.
    ///
    /// # Errors
    /// It does not serve; its log is told.
    pub fn start(program: Program, folder: &Path) -> anyhow::Result<Self> {
        let mut broker = Self::spawn(program, folder)?;
        broker.await_ready()?;
        Ok(broker)
    }

    /// Starts it on an empty folder and does not wait.
    ///
    /// # Errors
    /// There is no such program, or the folder cannot be made.
    pub fn spawn(program: Program, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let address = free_address()?;
        fs::write(folder.join("server.properties"), properties(&program, folder, address)?)?;
        let child = launch(&program, folder)?;
        Ok(Self {
            program,
            folder: folder.to_owned(),
            address,
            child,
        })
    }

    /// Starts it once more on the same files, after [`LocalBroker::kill`], and does not wait.
    ///
    /// # Errors
    /// The program is gone.
    pub fn spawn_again(&mut self) -> anyhow::Result<()> {
        self.child = launch(&self.program, &self.folder)?;
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Where its logs are.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// An error that tells its last words, if it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        bail!(
            "the broker ended with {status}: {}",
            last.into_iter().rev().collect::<Vec<_>>().join(" | ")
        )
    }

    fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Client::connect(self.address)
            .and_then(|mut client| client.api_versions())
            .is_err()
        {
            self.ensure_running()?;
            ensure!(
                Instant::now() < deadline,
                "the broker does not serve after {PATIENCE:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for LocalBroker {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The class path of Apache Kafka's jars, which Maven brings on first use.
///
/// # Errors
/// bash, Java or Maven is missing, or Maven has failed.
pub fn kafka(lib: &Path, class_path: Option<String>) -> anyhow::Result<Program> {
    let lib = lib
        .canonicalize()
        .with_context(|| format!("there is no {}: --lib names tests/lib", lib.display()))?;
    let class_path = match class_path {
        Some(given) => given,
        None => {
            let script = r#". "$0/common.sh" && java_path "$0/ApacheBroker.java""#;
            let output = Command::new("bash")
                .args(["-c", script])
                .arg(&lib)
                .stderr(Stdio::inherit())
                .output()?;
            ensure!(output.status.success(), "Apache Kafka's jars are not to be had");
            String::from_utf8(output.stdout)?.trim().to_owned()
        }
    };
    Ok(Program::Kafka { class_path, lib })
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn properties(program: &Program, folder: &Path, address: SocketAddr) -> anyhow::Result<String> {
    let mut lines: Vec<String> = SETTINGS.map(|(key, value)| format!("{key}={value}")).to_vec();
    lines.push(format!("log.dirs={}", folder.join("data").display()));
    lines.push(format!("advertised.listeners=PLAINTEXT://{address}"));
    match program {
        Program::Ottla(_) => {
            lines.push(format!("listeners=PLAINTEXT://{address}"));
            lines.push("http.listener=".to_owned());
        }
        Program::Kafka { .. } => {
            let controller = free_address()?;
            lines.push(format!("listeners=PLAINTEXT://{address},CONTROLLER://{controller}"));
            lines.push("process.roles=broker,controller".to_owned());
            lines.push("controller.listener.names=CONTROLLER".to_owned());
            lines.push(format!("controller.quorum.bootstrap.servers={controller}"));
            lines.push("listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned());
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn launch(program: &Program, folder: &Path) -> anyhow::Result<Child> {
    let settings = folder.join("server.properties");
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("broker.log"))?;
    let mut command = match program {
        Program::Ottla(binary) => {
            let mut command = Command::new(binary);
            command.arg("serve").arg(&settings);
            command
        }
        Program::Kafka { class_path, lib } => {
            let mut command = Command::new("java");
            command.args(JVM_OPTIONS);
            command.arg(format!(
                "-Dlog4j2.configurationFile={}",
                lib.join("log4j2.properties").display()
            ));
            command.args(["-cp", class_path, "ApacheBroker"]).arg(&settings);
            command
        }
    };
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}
