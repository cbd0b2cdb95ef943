//! The page in a real browser, fed by the real program.

use std::process::Command;

use crate::support::stage::Stage;

#[test]
fn a_published_reading_is_on_the_page_within_two_seconds() {
    let streamgauge = Stage::new().argument("--simulate").argument("12").start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/live.mjs");
    let ended = Command::new("node")
        .arg(script)
        .arg(streamgauge.url("/"))
        .arg(streamgauge.mqtt().port().to_string())
        .output()
        .expect("node is missing");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stdout));
}
