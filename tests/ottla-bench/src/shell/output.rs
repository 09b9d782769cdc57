//! The files of a report.

use crate::core::{html, markdown, report::Report};
use anyhow::Context;
use std::{fs, path::Path};

/// Writes report.json, report.md and report.html into the folder, which is made if needed.
///
/// # Errors
/// They cannot be written.
pub fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let json = serde_json::to_string_pretty(report)? + "\n";
    let files = [
        ("report.json", json),
        ("report.md", markdown::page(report)),
        ("report.html", html::page(report)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
