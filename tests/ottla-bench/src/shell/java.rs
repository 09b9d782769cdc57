//! Apache Kafka's tools as processes.

use anyhow::{Context, ensure};
use std::process::{Child, Command, Stdio};

/// What their JVM is given.
pub const HEAP: [&str; 2] = ["-Xms512m", "-Xmx512m"];

/// A tool that runs; it is killed when this goes: without its broker it would try for ever.
#[derive(Debug)]
pub struct Tool {
    name: String,
    child: Option<Child>,
}

impl Tool {
    /// Starts `org.apache.kafka.tools.NAME`.
    ///
    /// # Errors
    /// There is no Java.
    pub fn start(class_path: &str, name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let child = Command::new("java")
            .args(HEAP)
            .args(["-cp", class_path, &format!("org.apache.kafka.tools.{name}")])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start java")?;
        Ok(Self {
            name: name.to_owned(),
            child: Some(child),
        })
    }

    /// Whether it has ended, and well.
    ///
    /// # Errors
    /// It has failed.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        let child = self.child.as_mut().context("it has been waited for")?;
        let Some(status) = child.try_wait()? else {
            return Ok(false);
        };
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(true)
    }

    /// Waits for its end; returns what it has printed.
    ///
    /// # Errors
    /// It has failed.
    pub fn output(mut self) -> anyhow::Result<String> {
        let child = self.child.take().context("it has been waited for")?;
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{} ended with {}: {}",
            self.name,
            output.status,
            printed.lines().last().unwrap_or_default()
        );
        Ok(printed)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only where it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
