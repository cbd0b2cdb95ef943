//! Result files: what was run, where, what came of it. `results/README.md` tells the layout.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::Machine;
use crate::report::Summary;

/// Writes a summary as JSON to one file.
///
/// # Errors
/// The file cannot be written.
pub fn json(summary: &Summary, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(summary)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes machine, raw data and a readable summary below `results`; returns the directory.
///
/// # Errors
/// A file or directory cannot be written.
pub fn record(summary: &Summary, machine: &Machine, results: &Path) -> Result<PathBuf> {
    let directory = results.join(machine.directory_name());
    let written = || -> Result<()> {
        fs::create_dir_all(&directory)?;
        let name = free_name(&directory, &summary.scenario);
        let machine_text = serde_json::to_string_pretty(machine)? + "\n";
        fs::write(directory.join(format!("{name}.machine.json")), machine_text)?;
        json(summary, &directory.join(format!("{name}.json")))?;
        Ok(fs::write(directory.join(format!("{name}.md")), page(summary, machine))?)
    };
    written().with_context(|| format!("cannot write to {}", directory.display()))?;
    Ok(directory)
}

/// A recorded run is never written over: `listener`, `listener-2`, …
fn free_name(directory: &Path, scenario: &str) -> String {
    let mut name = scenario.to_owned();
    let mut number = 1;
    while directory.join(format!("{name}.json")).exists() {
        number += 1;
        name = format!("{scenario}-{number}");
    }
    name
}

fn page(summary: &Summary, machine: &Machine) -> String {
    let verdict = if summary.is_good() { "every check passed" } else { "CHECKS FAILED" };
    let mut text = format!(
        "# {}: {verdict}\n\n    {}\n\n- commit {}, {}\n\
         - {}, {} cores, {:.1} GiB, load before {}, fsync {:.0} µs\n\
         - {}\n- {}\n- {}\n\n",
        summary.scenario,
        summary.command,
        machine.commit,
        machine.recorded_at,
        machine.processor,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.load,
        machine.fsync_us.unwrap_or(f64::NAN),
        machine.system,
        machine.redis,
        machine.mosquitto
    );
    text += &format!("```text\n{}", summary.text());
    for (index, run) in summary.runs.iter().enumerate() {
        text += &run.text(index + 1);
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Run;

    #[test]
    fn two_recordings_stand_side_by_side() {
        let results = tempfile::tempdir().unwrap();
        let machine = Machine::here(None);
        let run = Run { messages: 7, acknowledged_per_second: 123.5, ..Run::default() };
        let summary = Summary::new("listener", vec![run]);
        let directory = record(&summary, &machine, results.path()).unwrap();
        assert_eq!(record(&summary, &machine, results.path()).unwrap(), directory);
        for name in ["listener", "listener-2"] {
            let text = fs::read(directory.join(format!("{name}.json"))).unwrap();
            let raw: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(raw["runs"][0]["messages"], 7);
            let page = fs::read_to_string(directory.join(format!("{name}.md"))).unwrap();
            assert!(page.contains("123.500") && page.contains(&machine.commit), "{page}");
            assert!(directory.join(format!("{name}.machine.json")).exists());
        }
    }
}
