//! The page in a real browser, fed by the real program.

use std::path::Path;
use std::process::Command;

use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;

#[test]
fn a_published_reading_is_on_the_page_within_two_seconds() {
    let streamgauge = Stage::new().argument("--simulate").argument("12").start();
    browse("live.mjs", &streamgauge, &[]);
}

#[test]
fn a_network_that_was_pulled_leaves_no_hole_and_no_double() {
    let streamgauge = Stage::new().start();
    browse("pull.mjs", &streamgauge, &[streamgauge.redis_pid().to_string()]);
}

/// Runs a script of `tests/browser` against a Streamgauge; it must end well.
fn browse(script: &str, streamgauge: &Streamgauge, more: &[String]) {
    let ended = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script))
        .arg(streamgauge.url("/"))
        .arg(streamgauge.mqtt().port().to_string())
        .args(more)
        .output()
        .expect("node is missing");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stdout));
}
