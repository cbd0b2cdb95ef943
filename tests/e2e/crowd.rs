//! Many browsers at once: each is shown what it looks at, in order, and nothing else.

use clap::Parser;
use loadtest::live;
use loadtest::options::{Options, Scenario};
use loadtest::report::Run;

use crate::support::ports::alone_with;

/// A few seconds of the load test's crowd against this build.
fn crowd(arguments: &str) -> Run {
    let binary = env!("CARGO_BIN_EXE_streamgauge");
    let words = format!(
        "loadtest crowd --clients 60 --subscriptions 6 --sensors 5 --threads 1 --connections 2 \
         --settle 1 --seconds 2 --streamgauge {binary} {arguments}"
    );
    match Options::parse_from(words.split_whitespace()).scenario {
        Scenario::Crowd(options) => live::gather::crowd(&options).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn number(run: &Run, name: &str) -> f64 {
    let found = run.measured.iter().find(|(other, _)| other == name);
    found.unwrap_or_else(|| panic!("no {name:?} in {:?}", run.measured)).1
}

#[test]
fn every_browser_of_a_crowd_is_shown_its_sensors_in_order() {
    let _machine = alone_with("machine");
    let run = crowd("--max-hz 10 --single");
    assert_eq!(run.failures, Vec::<String>::new());
    // Sixty clients of five sensors, each of which speaks five times a second.
    let readings = number(&run, "plain: readings/s");
    assert!((1_000.0..2_000.0).contains(&readings), "{readings} readings/s");
}

#[test]
fn a_crowd_that_is_cut_comes_back() {
    let _machine = alone_with("machine");
    let run = crowd("--max-hz 10 --single --reconnect");
    assert_eq!(run.failures, Vec::<String>::new());
    assert!(number(&run, "return: all served again s") < 10.0);
}
