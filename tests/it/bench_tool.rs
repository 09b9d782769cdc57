//! `ottla bench` finds `ottla-bench` and hands everything on, or says how to get it.

use anyhow::Context;
use ottla_tests::{process::binary, scratch::Scratch};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

type Outcome = ottla_tests::Result<()>;

/// The binary under test in a folder of its own, with nothing beside it.
fn moved(scratch: &Scratch) -> ottla_tests::Result<PathBuf> {
    fs::create_dir_all(scratch.path())?;
    let moved = scratch.path().join("ottla");
    fs::hard_link(binary(), &moved).or_else(|_| fs::copy(binary(), &moved).map(drop))?;
    Ok(moved)
}

/// A program that tells what it was given, and ends with 7.
fn speaking(path: &Path) -> Outcome {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, "#!/bin/sh\necho \"$0\" \"$OTTLA_BIN\" \"$@\"\nexit 7\n")?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

fn bench(ottla: &Path, path: &Path) -> ottla_tests::Result<Output> {
    let mut command = Command::new(ottla);
    command.args(["bench", "--target", "kafka", "--help"]);
    Ok(command.env("PATH", path).env_remove("OTTLA_BIN").output()?)
}

#[test]
fn the_program_beside_ottla_comes_before_that_in_the_path_and_gets_all_arguments() -> Outcome {
    let scratch = Scratch::new("bench-tool");
    let ottla = moved(&scratch)?;
    let folder = scratch.path().join("bin");
    for program in [folder.join("ottla-bench"), scratch.path().join("ottla-bench")] {
        speaking(&program)?;
        let output = bench(&ottla, &folder)?;
        let expected = format!("{} {} --target kafka --help\n", program.display(), ottla.display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert_eq!(output.status.code(), Some(7));
    }
    Ok(())
}

#[test]
fn without_the_program_it_says_how_to_build_it() -> Outcome {
    let scratch = Scratch::new("bench-tool-missing");
    let output = bench(&moved(&scratch)?, &scratch.path().join("bin"))?;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cargo build --release --manifest-path tests/ottla-bench/Cargo.toml"),
        "{said}"
    );
    Ok(())
}
