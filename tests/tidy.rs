//! Rules of the house that a machine can check: walls, sizes, words, lists that must agree.

#![expect(clippy::unwrap_used, reason = "a rule that cannot look has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use streamgauge::config::VARIABLES;

const LINE_COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 400;

/// The rooms in the order of a reading's way; a room may use those before it. The first entry is
/// the domain, which no room is before. `config` reads the rooms' own types; `app` joins all.
const ROOMS: &[&str] = &[
    "backoff",
    "clock",
    "reading",
    "message",
    "refusal",
    "shard",
    "ingest",
    "stream",
    "payload",
    "statistic",
    "history",
    "aggregate",
    "serve",
    "embedded",
    "config",
    "commands",
    "app",
    "main",
    "lib",
];
/// The domain: words that every room uses.
const DOMAIN: usize = 6;

/// Which files may name a crate. A path that ends in `/` means everything below it.
const WALLS: &[(&str, &[&str])] = &[
    ("rumqttc", &["ingest/", "embedded/simulator.rs", "commands/"]),
    ("redis", &["stream/", "history/", "embedded/"]),
    ("hyper", &["serve/", "commands/"]),
    ("hyper_util", &["serve/", "commands/"]),
    ("hyper::server", &["serve/"]),
    ("hyper::client", &["commands/"]),
    ("tokio_tungstenite", &["serve/"]),
    ("socketioxide", &["serve/socketio/"]),
    ("utoipa", &["serve/"]),
    ("simd_json", &["payload/"]),
    ("clap", &["config/"]),
    ("anyhow", &["main.rs", "app.rs", "app/"]),
];

/// Where neither a runtime nor a clock nor I/O belongs, beside every file whose first lines say
/// so: payload formats, and the state machines (*event in → actions out*).
const PURE: &[&str] = &[
    "payload/",
    "statistic/",
    "stream/entry.rs",
    "stream/producer.rs",
    "aggregate/owner.rs",
    "aggregate/plan.rs",
    "aggregate/fold.rs",
    "aggregate/state.rs",
    "history/codec/",
    "serve/live/backlog.rs",
    "serve/live/conflate.rs",
    "serve/live/follow.rs",
    "serve/live/hub.rs",
    "embedded/simulator/fleet.rs",
];
const SAYS_PURE: &str = "No I/O, no clock";
const IMPURE: &[&str] =
    &["tokio", "hyper", "std::net", "std::fs", "std::thread", "crate::clock", "Instant"];

/// Names that say what a thing is made of instead of what it is for.
const BANNED_NAMES: &[&str] =
    &["utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "types"];

struct Source {
    /// Below the root of the repository, such as `src/ingest/ack.rs`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for directory in ["src", "tests", "benches", "loadtest/src"] {
        collect(&root().join(directory), &mut sources);
    }
    let build = root().join("build.rs");
    if build.is_file() {
        sources.push(Source { path: "build.rs".into(), text: fs::read_to_string(build).unwrap() });
    }
    assert!(sources.len() > 20, "the rules look at nothing");
    sources
}

fn collect(directory: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            sources.push(Source { path: below, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// The lines that are code: without comments, and without unit tests, which may start anything.
/// Unit tests stand at the foot of a file, or in files named for it.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let is_test = is_test_file(&source.path);
    let lines: Vec<_> = source.text.lines().collect();
    let is_foot = |index: usize| {
        let below = lines[index + 1..].iter().find(|line| !line.starts_with("#["));
        lines[index] == "#[cfg(test)]" && below.is_some_and(|line| line.starts_with("mod tests"))
    };
    let end = (0..lines.len()).find(|&index| is_foot(index)).unwrap_or(lines.len());
    let code = lines.into_iter().enumerate().take(if is_test { 0 } else { end });
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.split(" // ").next().unwrap_or(line)))
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.ends_with("/testing.rs") || path.contains("/tests/")
}

/// Whether a line names a crate or path, as a whole word at its beginning.
fn names(line: &str, wanted: &str) -> bool {
    let followed = format!("{wanted}::");
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    line.match_indices(&followed).any(|(at, _)| !line[..at].ends_with(is_part))
        || line.trim() == format!("use {wanted};")
}

fn fail_with(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_crate_stays_within_its_walls() {
    let mut complaints = Vec::new();
    for source in sources() {
        let Some(below) = source.path.strip_prefix("src/") else { continue };
        for (number, line) in code(&source) {
            for (wanted, allowed) in WALLS {
                let inside = |place: &&str| {
                    below == *place
                        || (place.ends_with('/') && below.starts_with(*place))
                        // A room's file beside its folder: embedded/simulator.rs and below.
                        || below.starts_with(&format!("{}/", place.trim_end_matches(".rs")))
                        || (*place == "config/" && below == "config.rs")
                };
                if names(line, wanted) && !allowed.iter().any(inside) {
                    let at = format!("{}:{number}", source.path);
                    complaints.push(format!("{at}: {wanted} belongs in {}", allowed.join(", ")));
                }
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn the_rules_see_what_they_look_for() {
    for (line, wanted, expected) in [
        ("use redis::Cmd;", "redis", true),
        ("    let x = redis::cmd(\"GET\");", "redis", true),
        ("use redis;", "redis", true),
        ("use fred_redis::Cmd;", "redis", false),
        ("use crate::redis::Cmd;", "redis", false),
        ("use hyper::server::conn;", "hyper::server", true),
        ("Instant::now()", "Instant", true),
    ] {
        assert_eq!(names(line, wanted), expected, "{wanted} in {line}");
    }
    assert_eq!(rooms_named("use crate::{ingest::Intake, stream};"), ["ingest", "stream"]);
    assert_eq!(rooms_named("fn f(a: crate::serve::A, b: crate::clock::B)"), ["serve", "clock"]);
    let table = "x\n| variable | meaning |\n| --- | --- |\n| `A`, `B` | c `D` |\n\n| `E` | |";
    assert_eq!(table_of_settings(table), ["A", "B"]);
    let text = "//! x\nuse a;\n#[cfg(test)]\nmod other;\n#[cfg(test)]\nmod tests {\nuse b;\n";
    let source = Source { path: "src/x.rs".into(), text: text.into() };
    let lines: Vec<_> = code(&source).map(|(number, _)| number).collect();
    assert_eq!(lines, [2, 3, 4]);
}

#[test]
fn what_is_pure_has_no_runtime_clock_or_network() {
    let mut complaints = Vec::new();
    for source in sources() {
        let below = source.path.strip_prefix("src/").unwrap_or_default();
        let opening = source.text.lines().take_while(|line| line.starts_with("//!"));
        let says_so = opening.collect::<String>().contains(SAYS_PURE);
        if !says_so && !PURE.iter().any(|place| below.starts_with(place)) {
            continue;
        }
        for (number, line) in code(&source) {
            for wanted in IMPURE.iter().filter(|wanted| names(line, wanted)) {
                complaints.push(format!("{}:{number}: {wanted} in a pure file", source.path));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn a_room_knows_only_the_rooms_before_it() {
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut complaints = Vec::new();
    for source in sources() {
        let Some(below) = source.path.strip_prefix("src/") else { continue };
        let room = below.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = place(room) else {
            complaints.push(format!("{}: {room} is not in the order of the rooms", source.path));
            continue;
        };
        for (number, line) in code(&source) {
            for used in rooms_named(line) {
                let at = format!("{}:{number}", source.path);
                match place(&used) {
                    // Within the domain the words may use each other.
                    Some(other) if other <= own || (own < DOMAIN && other < DOMAIN) => {}
                    Some(_) => complaints.push(format!("{at}: {room} knows {used}")),
                    None => {}
                }
            }
        }
    }
    fail_with(&complaints);
}

/// The rooms that a line reaches through `crate::`, also in braces.
fn rooms_named(line: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let named = line.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(list) => list.split(',').map(word).collect(),
        None => vec![word(rest)],
    });
    named.filter(|room| !room.is_empty()).collect()
}

#[test]
fn files_and_lines_are_short_and_owe_nothing() {
    let mut complaints = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{}: {lines} lines", source.path));
        }
        for (index, line) in source.text.lines().enumerate() {
            let at = format!("{}:{}", source.path, index + 1);
            let columns = line.chars().count();
            if columns > LINE_COLUMNS_MAX {
                complaints.push(format!("{at}: {columns} columns"));
            }
            for debt in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")] {
                if line.contains(debt) {
                    complaints.push(format!("{at}: {debt}"));
                }
            }
            if line.trim_start().starts_with("#[ignore") {
                complaints.push(format!("{at}: an ignored test"));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn files_are_named_for_what_they_are_for() {
    let mut complaints = Vec::new();
    for source in sources() {
        let mut parts = source.path.split(['/', '.']);
        if let Some(name) = parts.find(|part| BANNED_NAMES.contains(part)) {
            complaints.push(format!("{}: {name} says nothing", source.path));
        }
    }
    fail_with(&complaints);
}

#[test]
fn tests_are_named_as_statements() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            if line.trim_start().contains(concat!("fn te", "st_")) {
                complaints.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn every_room_opens_with_four_facts_and_holds_no_logic() {
    let mut complaints = Vec::new();
    let rooms = sources().into_iter().filter(|source| {
        source.path.matches('/').count() == 2
            && source.path.starts_with("src/")
            && source.path.ends_with("/mod.rs")
    });
    for room in rooms {
        let opening: Vec<_> =
            room.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let opening = opening.join("\n");
        for fact in ["In: ", "Out: ", "Refused: ", "Knows nothing of: "] {
            if !opening.contains(fact) {
                complaints.push(format!("{}: does not say \"{}\"", room.path, fact.trim()));
            }
        }
        for (number, line) in code(&room) {
            if line.contains("fn ") || line.starts_with("impl") {
                complaints.push(format!("{}:{number}: logic in mod.rs", room.path));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn the_readme_lists_exactly_the_settings_there_are() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rows = table_of_settings(&readme);
    let listed: BTreeSet<_> = rows.iter().map(String::as_str).collect();
    let known: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    let complaints: Vec<_> = known
        .symmetric_difference(&listed)
        .map(|name| match known.contains(name) {
            true => format!("README.md: {name} is not in the table of settings"),
            false => format!("README.md: {name} is not a setting"),
        })
        .collect();
    fail_with(&complaints);
}

/// The names in the first column of the table that begins with `| variable |`. A cell may hold
/// several names, each in backticks.
fn table_of_settings(readme: &str) -> Vec<String> {
    let is_head = |line: &&str| line.to_lowercase().replace(' ', "").starts_with("|variable|");
    let rows = readme.lines().skip_while(|line| !is_head(line)).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .flat_map(|row| {
            let cell = row.split('|').nth(1).unwrap_or_default();
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_example_environment_names_every_setting_and_sets_none() {
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    let mut complaints = Vec::new();
    for line in example.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        complaints.push(format!(".env.example sets something: {line}"));
    }
    let named: BTreeSet<_> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .map(|(name, _)| name.to_owned())
        .collect();
    let known: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    for name in named.symmetric_difference(&known) {
        complaints.push(format!(".env.example and the settings differ in {name}"));
    }
    fail_with(&complaints);
}
