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
    let run = crowd("");
    assert_eq!(run.failures, Vec::<String>::new());
    // Sixty clients of five sensors, each of which speaks five times a second.
    let all = number(&run, "plain: readings/s") + number(&run, "plain: conflated/s");
    assert!((1_000.0..2_000.0).contains(&all), "{all} readings/s");
}

#[test]
fn what_is_shown_and_what_is_said_to_be_replaced_are_what_was_published() {
    let _machine = alone_with("machine");
    // Twenty readings a second of each sensor, shown twice a second.
    let run = crowd("--max-hz 2 --rate 600");
    assert_eq!(run.failures, Vec::<String>::new());
    assert_eq!(number(&run, "readings missing"), 0.0);
    assert_eq!(number(&run, "readings beyond what was published"), 0.0);
    let (shown, replaced) = (number(&run, "plain: readings/s"), number(&run, "plain: conflated/s"));
    assert!(replaced > 4.0 * shown, "{shown}/s shown, {replaced}/s replaced");
}

#[test]
fn a_crowd_that_is_cut_comes_back() {
    let _machine = alone_with("machine");
    let run = crowd("--reconnect");
    assert_eq!(run.failures, Vec::<String>::new());
    assert!(number(&run, "return: all served again s") < 10.0);
}

#[test]
fn who_asked_for_every_reading_is_shown_every_reading_in_order() {
    let _machine = alone_with("machine");
    let binary = env!("CARGO_BIN_EXE_streamgauge");
    let words =
        format!("loadtest latency --rate 1000 --sensors 100 --seconds 3 --streamgauge {binary}");
    let Scenario::Latency(options) = Options::parse_from(words.split_whitespace()).scenario else {
        panic!("{words}");
    };
    let run = live::follow::latency(&options).unwrap();
    assert_eq!(run.failures, Vec::<String>::new());
    assert_eq!(number(&run, "readings received"), 3_000.0);
}
