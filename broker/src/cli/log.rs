//! `ottla log`: looking at the files of a node, whether or not it starts.

mod accept_loss;
mod decoded;
mod dump;
mod line;
mod verify;

use clap::Subcommand;
use std::{path::PathBuf, process::ExitCode};

/// What to do with the files.
#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Check every file of the logs; change nothing.
    ///
    /// Reads each batch and its checksum, and holds the indexes, the leader epochs, the producer snapshots and the
    /// checkpoints against them. A line a finding: the file, the byte, the offset, and what is wrong. Lines that begin
    /// with "repaired" are of what the next start puts right without a loss. Exit code 0: no damage; 1: damage, or it
    /// could not be looked for. A broker may run meanwhile, but what it is just writing can look torn.
    Verify(Verify),
    /// Print what files contain: batches, index entries, snapshots, checkpoints.
    ///
    /// The kind of a file follows from its name: .log, .checkpoint (snapshots of the metadata), .index, .timeindex,
    /// .txnindex, .snapshot, and every other file as its lines. Records of __cluster_metadata, __consumer_offsets
    /// and __transaction_state are decoded: as JSON, with the names that the fields have in Kafka's schemas. Exit code 1 if a file cannot be read to its end; what is before that is printed.
    Dump(Dump),
    /// Go on without the records that a damaged log has lost.
    ///
    /// Says which offsets and how many bytes would be lost. Then, with --yes or when the partition's name is typed (each
    /// by itself), cuts
    /// the log at the first damage and lowers what the checkpoints promise of it, so that the next start takes the
    /// log as far as it is whole. What is cut off is kept beside it in files that end with .lost, unless --no-copy
    /// is given. Does nothing while a broker has the directory, nor to a log that is not damaged.
    AcceptLoss(AcceptLoss),
}

impl LogCommand {
    /// Whether it changes nothing: it may be ended at any time.
    pub(super) fn only_looks(&self) -> bool {
        match self {
            Self::Verify(_) | Self::Dump(_) => true,
            Self::AcceptLoss(_) => false,
        }
    }
}

/// `ottla log verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// A directory of log.dirs; may be given several times. Without it that of a broker without configuration.
    #[arg(long = "log-dir", value_name = "DIR")]
    log_dirs: Vec<PathBuf>,
    /// Inflate each batch as well, and check its records.
    #[arg(long)]
    records: bool,
    /// Only these, as their directories are called: orders-0. Without them all.
    partitions: Vec<String>,
}

/// `ottla log dump`.
#[derive(Debug, clap::Args)]
pub(super) struct Dump {
    /// Print the records of each batch too.
    #[arg(long)]
    records: bool,
    /// One JSON object a line; keys and values that are no UTF-8 are in hexadecimal digits, behind "0x".
    #[arg(long)]
    json: bool,
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// `ottla log accept-loss`.
#[derive(Debug, clap::Args)]
pub(super) struct AcceptLoss {
    /// The directory of log.dirs.
    dir: PathBuf,
    /// The partitions, as their directories are called: orders-0.
    #[arg(required_unless_present = "all")]
    partitions: Vec<String>,
    /// Every damaged log of the directory.
    #[arg(long, conflicts_with = "partitions")]
    all: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Keep no copy of what is cut off.
    #[arg(long)]
    no_copy: bool,
}

/// Does so.
///
/// # Errors
/// What a person should read; a damage that was found is no error but an exit code.
pub(super) fn run(command: LogCommand) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Verify(arguments) => verify::verify(&arguments),
        LogCommand::Dump(arguments) => dump::dump(&arguments),
        LogCommand::AcceptLoss(arguments) => accept_loss::accept_loss(&arguments),
    }
}
