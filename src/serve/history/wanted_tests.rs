//! What parameters mean, and what is said of those that make no sense.

use super::*;
use crate::history::{self, answer};
use crate::shard::ShardId;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn wanted_at(query: &str, now: UnixMillis) -> Result<Wanted, String> {
    let query = Query::parse(query).unwrap();
    Wanted::parse("a".to_owned(), &query, Format::Json, (now, &NaiveTime::Utc))
        .map_err(|fault| fault.to_string())
}

fn wanted(query: &str) -> Result<Wanted, String> {
    wanted_at(query, NOW)
}

fn after(at: i64) -> After {
    let place = answer::Cursor { measured_at: UnixMillis(at), shard: ShardId(1), offset: 3 };
    After { place, sensor_type: "t".to_owned() }
}

#[test]
fn the_range_is_told_by_hours_or_by_times() {
    let check = |query, from, to| {
        let wanted = wanted(query).unwrap();
        assert_eq!((wanted.from.0, wanted.to.0), (from, to), "{query}");
    };
    check("", NOW.0 - 24 * HOUR_MS, i64::MAX);
    check("hours=1000000", NOW.0 - 1_000_000 * HOUR_MS, i64::MAX);
    check("from=2024-01-01T12:00:00Z", 1_704_110_400_000, i64::MAX);
    check("from=2024-01-01T12:00:00", 1_704_110_400_000, i64::MAX);
    check("from=0&to=1970-01-01T02:00:00%2B01:00", 0, HOUR_MS);
    check("from=-1.5&to=99999999999", -1500, 99_999_999_999_000);
    check("from=100000000000", 100_000_000_000, i64::MAX);
    check("from=1700000000000000", NOW.0, i64::MAX);
    check("from=1700000000000000000", NOW.0, i64::MAX);
    // Hours count back from the end that is given, never from one still to come.
    check("hours=1&to=1000000", 1_000_000_000 - HOUR_MS, 1_000_000_000);
    check("hours=1&to=2100-01-01", NOW.0 - HOUR_MS, 4_102_444_800_000);
}

#[test]
fn impossible_parameters_are_named_with_what_is_allowed() {
    let check = |query, said: &str| {
        let answer = wanted(query).unwrap_err();
        assert!(answer.contains(said), "{query}: {answer}");
    };
    check("hours=0", "`hours` is \"0\"");
    check("hours=1000001", "`hours` is \"1000001\"; allowed: a whole number from 1 to 1000000");
    check("hours=1.5", "`hours`");
    check("hours=-1", "`hours`");
    check("hours=1&from=0", "`hours` and `from` exclude each other");
    check("from=yesterday", "`from` is \"yesterday\"; allowed: a time as 2024-01-01T12:00:00Z");
    check("to=9e99", "`to` is \"9e99\"");
    check("from=10&to=10", "`from` is \"10\" and parameter `to` is \"10\"; allowed: a `to` after");
    check("from=11&to=10", "a `to` after");
    check("limit=0", "`limit`");
    check("limit=100001", "`limit` is \"100001\"; allowed: a whole number from 1 to 100000");
    check("points=1", "`points` is \"1\"; allowed: a whole number from 2 to 10000");
    check("points=10001", "`points` is \"10001\"");
    check("resolution=5m", "`resolution` is \"5m\"; allowed: raw, 1m, 1h, auto");
    check("format=xml", "`format` is \"xml\"; allowed: json, csv, ndjson");
    check("cursor=xyz", "`cursor` is \"xyz\"; allowed: the `next` of the page before");
    check("percentiles=50,50", "`percentiles` is \"50,50\"; allowed: at most 16 different");
}

#[test]
fn what_makes_no_sense_together_is_told_apart() {
    let cursor = wanted("").unwrap().next(Grain::Readings, after(NOW.0 - 5));
    let check = |query: &str, one: &str, other: &str| {
        let answer = wanted(query).unwrap_err();
        let said = format!("`{one}` and `{other}` exclude each other");
        assert!(answer.contains(&said), "{query}: {answer}");
    };
    check("points=5&limit=5", "points", "limit");
    check(&format!("points=5&cursor={cursor}"), "points", "cursor");
    check(&format!("format=csv&cursor={cursor}"), "cursor", "format");
    check("format=ndjson&percentiles=50", "percentiles", "format");
    check(&format!("percentiles=50&cursor={cursor}"), "percentiles", "cursor");
    for query in ["points=5&percentiles=50", "limit=5&percentiles=50", "points=5&format=csv"] {
        assert!(wanted(query).is_ok(), "{query}");
    }
}

#[test]
fn the_resolution_is_raw_unless_told_and_auto_for_a_picture() {
    let check = |query, expected| assert_eq!(wanted(query).unwrap().grain, expected, "{query}");
    check("", Some(Grain::Readings));
    check("format=csv", Some(Grain::Readings));
    check("points=100", None);
    check("resolution=auto", None);
    check("points=100&resolution=raw", Some(Grain::Readings));
    check("resolution=1m", Some(Grain::Windows(history::Resolution::Minute)));
    check("points=9&resolution=1h", Some(Grain::Windows(history::Resolution::Hour)));
}

#[test]
fn the_shape_follows_from_points_and_format() {
    let check = |query, expected| assert_eq!(wanted(query).unwrap().shape, expected, "{query}");
    check("", Shape::Page { limit: LIMIT_DEFAULT, after: None });
    check("limit=7", Shape::Page { limit: 7, after: None });
    check("points=800", Shape::Picture(Points::Each(800)));
    check("points=800&format=csv", Shape::Picture(Points::Each(800)));
    check("format=csv", Shape::Stream { limit: None });
    check("format=ndjson&limit=9", Shape::Stream { limit: Some(9) });
}

/// `hours` counts back from a now that goes on: the second page must not begin later.
#[test]
fn a_cursor_goes_on_in_the_range_of_its_first_page() {
    let first = wanted("hours=2&limit=10").unwrap();
    let next = first.next(Grain::Windows(history::Resolution::Hour), after(NOW.0 - 5));
    let later = UnixMillis(NOW.0 + HOUR_MS);
    let second = wanted_at(&format!("hours=2&limit=20&cursor={next}"), later).unwrap();
    assert_eq!((second.from, second.to), (first.from, first.to));
    assert_eq!(second.grain, Some(Grain::Windows(history::Resolution::Hour)));
    assert_eq!(second.shape, Shape::Page { limit: 20, after: Some(after(NOW.0 - 5)) });
}

#[test]
fn a_cursor_of_another_query_is_refused() {
    let next = wanted("hours=2&type=t").unwrap().next(Grain::Readings, after(NOW.0 - 5));
    for other in ["hours=2", "type=t", "hours=3&type=t", "hours=2&type=u", "from=5&type=t"] {
        let answer = wanted(&format!("{other}&cursor={next}")).unwrap_err();
        assert!(answer.contains(&next) && answer.contains("another query"), "{other}: {answer}");
    }
    let resolution = wanted(&format!("hours=2&type=t&resolution=auto&cursor={next}"));
    assert!(resolution.is_err());
    let query = Query::parse(&format!("hours=2&type=t&cursor={next}")).unwrap();
    let clock = (NOW, &NaiveTime::Utc);
    assert!(Wanted::parse("b".to_owned(), &query, Format::Json, clock).is_err());
    assert!(Wanted::parse("a".to_owned(), &query, Format::Json, clock).is_ok());
}

/// A default that is written out on the next page was taken for another query.
#[test]
fn a_cursor_belongs_to_its_query_however_that_is_written() {
    let check = |first: &str, second: &str| {
        let next = wanted(first).unwrap().next(Grain::Readings, after(NOW.0 - 5));
        let answer = wanted(&format!("{second}&cursor={next}"));
        assert!(answer.is_ok(), "{first}, then {second}: {answer:?}");
    };
    check("hours=2", "hours=2&resolution=raw");
    check("hours=2&resolution=raw", "hours=2");
    check("", "hours=24");
    check("from=1600000000", "from=1600000000000");
    check("from=2020-09-13T12:26:40Z", "from=1600000000");
}

#[test]
fn the_format_is_what_the_client_likes_best() {
    let check = |accept, expected| assert_eq!(Format::accepted(accept), expected, "{accept}");
    check("", Format::Json);
    check("*/*", Format::Json);
    check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Json);
    check("text/csv", Format::Csv);
    check("Text/CSV; header=present", Format::Csv);
    check("application/json;q=0.5, text/csv;q=0.9", Format::Csv);
    check("application/json, text/csv", Format::Json);
    check("application/x-ndjson", Format::Ndjson);
    check("text/csv;q=0", Format::Json);
}

#[test]
fn points_are_shared_among_types() {
    assert_eq!(Points::Together(2000).of_each(3).unwrap(), 666);
    assert_eq!(Points::Together(2000).of_each(5000).unwrap(), 2);
    assert_eq!(Points::Together(2000).of_each(0).unwrap(), 2000);
    assert_eq!(Points::Each(10_000).of_each(10).unwrap(), 10_000);
    let said = Points::Each(10_000).of_each(11).unwrap_err().to_string();
    assert!(said.contains("allowed: at most 9090, or one `type`"), "{said}");
}
