//! The command line.

mod bench;
mod group;
mod log;
mod quickstart;
mod serve;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// A message broker that speaks the Kafka protocol.
///
/// Without a command it serves on 127.0.0.1:9092 and keeps its data in a folder of its own.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker until SIGTERM or SIGINT.
    Serve(Settings),
    /// Run a broker, send one message through it as a client would, and go on serving.
    Quickstart(Settings),
    /// Look at the files of a node: check them, print them, give up what is damaged.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Look at the groups of a cluster: who they are, where they are, how far behind.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Compare brokers: the same work for each, side by side; `ottla bench --help` tells more.
    Bench(bench::BenchArguments),
}

#[derive(Debug, Default, clap::Args)]
struct Settings {
    /// A properties file with Kafka's own keys (server.properties).
    file: Option<PathBuf>,
    /// A value that wins over the file; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Does what the command line says. What is printed may be piped into `head`: whoever only looks ends then without a word.
///
/// # Errors
/// What a person should read.
pub fn run() -> anyhow::Result<ExitCode> {
    keep_memory_small();
    raise_file_limit();
    start_logging();
    match Arguments::parse()
        .command
        .unwrap_or(Command::Serve(Settings::default()))
    {
        Command::Serve(settings) => on_runtime(serve::serve(settings))?,
        Command::Quickstart(settings) => on_runtime(quickstart::quickstart(settings))?,
        Command::Log(command) => {
            if command.only_looks() {
                sigpipe::reset();
            }
            return log::run(command);
        }
        Command::Group(command) => {
            sigpipe::reset();
            return group::run(&command);
        }
        Command::Bench(arguments) => return bench::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// Anonymous memory comes in pages of 4 KiB: an idle broker touches little of each arena, and with huge pages would hold
/// 2 MiB for each (1.0 instead of 8 MiB in all). Mapped logs are not concerned.
fn keep_memory_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        // An old kernel; it costs memory, nothing else.
        tracing::debug!(%error, "huge pages stay on");
    }
}

/// Connections and logs take descriptors: the process may have as many as it is allowed to ask for.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused the limit stays as it is, and a connection too many is a line in the log.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(512 * 1024)
        .thread_name("ottla-io")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(work)
}

/// Logs go to standard error; `OTTLA_LOG` sets what is logged, in the notation of tracing-subscriber's EnvFilter.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OTTLA_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}
