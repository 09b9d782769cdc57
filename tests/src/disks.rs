//! Disks that are full, read-only or broken. Root only, and Linux only: a test that lacks one of them fails.

use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a program to its end.
fn run(program: &str, arguments: &[&str]) -> crate::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} is needed"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(())
}

/// A file system of its own in a folder; unmounted when this is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// In memory, of so many bytes.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn tmpfs(folder: &Path, size_bytes: u64) -> crate::Result<Self> {
        fs::create_dir_all(folder)?;
        let size = format!("size={size_bytes}");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &text(folder)])?;
        Ok(Self(folder.into()))
    }

    /// An ext4 in a file beside the folder, of so many bytes.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn ext4(folder: &Path, size_bytes: u64) -> crate::Result<Self> {
        fs::create_dir_all(folder)?;
        let image = folder.with_extension("ext4");
        fs::File::create(&image)?.set_len(size_bytes)?;
        run("mkfs.ext4", &["-q", "-F", &text(&image)])?;
        run("mount", &["-o", "loop", &text(&image), &text(folder)])?;
        Ok(Self(folder.into()))
    }

    /// From now on nothing can be written, as after an error of the file system.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn make_read_only(&self) -> crate::Result<()> {
        // Files are open for writing: only the emergency remount of an ext4 does not mind.
        run("mount", &["-o", "remount,abort", &text(&self.0)])
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a broker that is still there keeps its files, and nobody the mount.
        if let Err(error) = run("umount", &["-l", &text(&self.0)]) {
            eprintln!("{error:#}");
        }
    }
}

/// System calls of a process that fail, until this is dropped.
#[derive(Debug)]
pub struct Injection(Child);

impl Injection {
    /// From now on `call` fails with `error` wherever the process `pid` does it to one of `paths`, which are full paths of
    /// files or directories.
    ///
    /// # Errors
    /// strace cannot be attached.
    pub fn start(pid: u32, call: &str, error: &str, paths: &[&Path]) -> crate::Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-p", &pid.to_string()]);
        command.args([
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:error={error}"),
        ]);
        for path in paths {
            command.args(["-P", &text(path)]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let mut tracer = command.spawn().context("strace is needed")?;
        let deadline = Instant::now() + PATIENCE;
        // Every thread has to be traced: those that come later are by themselves.
        while !all_are_traced_by(pid, tracer.id())? {
            let ended = tracer.try_wait()?;
            ensure!(ended.is_none(), "strace cannot be attached: {ended:?}");
            ensure!(Instant::now() < deadline, "strace is not attached after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(2));
        }
        Ok(Self(tracer))
    }
}

fn all_are_traced_by(pid: u32, tracer: u32) -> crate::Result<bool> {
    let wanted = format!("TracerPid:\t{tracer}");
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that has ended meanwhile need not be traced.
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_else(|_| wanted.clone());
        if !status.lines().any(|line| line == wanted) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Injection {
    fn drop(&mut self) {
        // TERM has it let go of the process between two calls. It has been seen to wait for ever for a process that ended
        // in the middle of one: then there is nothing to let go of.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
