//! `ottla bench`: hands over to `ottla-bench`, a program of its own, so that no client's code is in the broker.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

const PROGRAM: &str = "ottla-bench";

/// What `ottla bench` takes is for `ottla-bench` to say.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct BenchArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Becomes `ottla-bench`: the one beside this program, else the first in PATH. Returns only if there is none.
pub(super) fn run(bench: BenchArguments) -> anyhow::Result<ExitCode> {
    let own = env::current_exe()?;
    let beside = own.with_file_name(PROGRAM);
    for program in [beside.clone(), PathBuf::from(PROGRAM)] {
        let mut command = Command::new(program);
        command.args(&bench.arguments);
        if env::var_os("OTTLA_BIN").is_none() {
            command.env("OTTLA_BIN", &own);
        }
        let error = command.exec();
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error.into());
        }
    }
    eprintln!(
        "ottla bench: there is no {PROGRAM} at {} nor in PATH. It is built from Ottla's source:\n    \
         cargo build --release --manifest-path tests/ottla-bench/Cargo.toml\n    \
         cp tests/ottla-bench/target/release/{PROGRAM} {}",
        beside.display(),
        beside.display()
    );
    Ok(ExitCode::from(2))
}
