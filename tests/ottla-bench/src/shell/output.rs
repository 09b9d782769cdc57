//! The files of a report.

use crate::core::{html, report::Report};
use anyhow::Context;
use std::{fs, path::Path};

/// Writes report.json and report.html into the folder, which is made if needed.
///
/// # Errors
/// They cannot be written.
pub fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let json = serde_json::to_string_pretty(report)? + "\n";
    for (name, text) in [("report.json", json), ("report.html", html::page(report))] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
