//! Counts system calls of a process with `perf`, where it is there and allowed.

use super::process::Process;
use std::process::Command;

/// Calls per second over so many seconds; `None` where perf cannot tell.
pub fn system_calls_per_second(process: Process, seconds: f64) -> Option<f64> {
    let mut command = Command::new("perf");
    command.args([
        "stat",
        "-x",
        ",",
        "-e",
        "raw_syscalls:sys_enter",
        "-p",
        &process.0.to_string(),
    ]);
    let output = command.args(["--", "sleep", &seconds.to_string()]).output().ok()?;
    counted(&String::from_utf8_lossy(&output.stderr)).map(|calls| calls / seconds)
}

fn counted(csv: &str) -> Option<f64> {
    let line = csv.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_stands_in_the_first_field_unless_it_is_not_supported() {
        assert_eq!(counted("1234,,raw_syscalls:sys_enter,100,100.00,,\n"), Some(1234.0));
        assert_eq!(counted("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(counted("perf: not found"), None);
    }
}
