//! Metrics of the whole program, and what is said of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::device::Device;
use crate::support::stage::Stage;

fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let of = |line: &str| Some(line.strip_prefix(prefix)?.split(' ').next()?.to_owned());
    text.lines().filter_map(of).collect()
}

#[test]
fn every_metric_is_explained_here_and_in_the_readme() {
    let streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    device.publish("sensors/kitchen/temperature", r#"{"value":21.5}"#);
    streamgauge.wait_count("kitchen", "temperature", 1);
    let shown = streamgauge.try_get("/metrics").unwrap().text;
    let (types, helps) = (names(&shown, "# TYPE "), names(&shown, "# HELP "));
    assert!(types.len() > 40, "{shown}");
    let silent: Vec<_> = types.difference(&helps).collect();
    assert!(silent.is_empty(), "without HELP: {silent:?}");

    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `streamgauge_"));
    let listed: BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split(", "))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect();
    let ours = types.iter().filter(|name| name.starts_with("streamgauge_"));
    let unlisted: Vec<_> = ours.filter(|name| !listed.contains(*name)).collect();
    assert!(unlisted.is_empty(), "not in the README: {unlisted:?}");
    let gone: Vec<_> = listed.difference(&types).collect();
    assert!(gone.is_empty(), "in the README only: {gone:?}");
}
