//! A sensor's series one after another: few rows of each, or percentiles of all its values.

use std::collections::BTreeMap;

use tokio::sync::Semaphore;

use super::found::Found;
use super::grain::Grain;
use super::merge::positions;
use super::percentiles::{OfSeries, Percentile, compute};
use super::points::Peaks;
use super::reach;
use super::store::{self, Source};
use super::wanted::{Points, Wanted};
use crate::serve::error::Fault;
use crate::serve::service::Service;

/// Percentiles by type.
pub(in crate::serve) type PercentilesByType = BTreeMap<String, OfSeries>;

/// Rows read at a time: some 3 MB. A guess at what makes the round trips small.
const PAGE: usize = 25_000;
/// Rows of one series behind one picture: a month of ten a second, some seconds of work.
const ROWS_MAX: usize = 26_000_000;
/// Values of one series behind its percentiles: 40 MB.
const VALUES_MAX: usize = 5_000_000;
const TOO_MANY_ROWS: &str =
    "rows of one type; allowed: a later `from`, or `resolution` `1m` or `1h`";
const TOO_MANY_VALUES: &str = "readings of one type; allowed: a later `from`, or no `percentiles`";
/// Requests whose percentiles are computed at a time; others wait.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Few rows of each series, with the peaks.
///
/// When nobody said of what grain, and the finest has too much for one picture, of a coarser one.
pub(super) async fn picture(
    service: &Service,
    wanted: &Wanted,
    grain: Grain,
    points: Points,
) -> Result<Found, Fault> {
    let mut grain = grain;
    loop {
        let found = of_grain(service, wanted, grain, points).await;
        match coarser(wanted.grain, grain, &found) {
            Some(coarser) => grain = coarser,
            None => return found,
        }
    }
}

/// The grain to go on with when this one had too much; `None` when what was found stands.
fn coarser<T>(asked: Option<Grain>, grain: Grain, found: &Result<T, Fault>) -> Option<Grain> {
    let mut coarser = Grain::ALL.into_iter().skip_while(|it| *it != grain).skip(1);
    match found {
        Err(Fault::TooMuch(_)) if asked.is_none() => coarser.next(),
        _ => None,
    }
}

async fn of_grain(
    service: &Service,
    wanted: &Wanted,
    grain: Grain,
    points: Points,
) -> Result<Found, Fault> {
    let all = store::sources(service, wanted, grain).await?;
    let most = points.of_each(all.len())?;
    let (mut rows, mut sources) = (Vec::new(), Vec::new());
    for mut source in all {
        let mut peaks = Peaks::new(most);
        let mut passed = 0;
        while source.more {
            let page = source.page(service, PAGE).await?;
            passed += page.len();
            check(passed, ROWS_MAX, TOO_MANY_ROWS)?;
            page.into_iter().for_each(|row| peaks.push(row));
            source.keep_only(peaks.held());
        }
        if source.position.is_some() {
            rows.extend(peaks.finish().into_iter().map(|row| (sources.len(), row)));
            sources.push(source);
        }
    }
    if sources.is_empty() {
        return Err(store::unknown(service, wanted).await);
    }
    rows.sort_by_key(|(place, row)| (row.place, *place));
    let sheets = sources.iter().map(|source| source.sheet.clone()).collect();
    Ok(Found { grain, rows, sheets, position: positions(&sources), next: None })
}

impl Wanted {
    /// The percentiles that are wanted; `None` when none are.
    ///
    /// # Errors
    /// [`Fault::BadRequest`] when not all readings of the range are kept; [`Fault::TooMuch`] when
    /// they are too many; [`Fault::Damaged`] when some cannot be decoded;
    /// [`Fault::Unavailable`] when Redis does not answer.
    pub(in crate::serve) async fn percentiles(
        &self,
        service: &Service,
    ) -> Result<Option<PercentilesByType>, Fault> {
        if self.percentiles.is_empty() {
            return Ok(None);
        }
        reach::check_readings(service, self).await?;
        // Nobody closes the semaphore.
        let _place = PLACES.acquire().await;
        let mut all = PercentilesByType::new();
        for mut source in store::sources(service, self, Grain::Readings).await? {
            let values = values(service, &mut source).await?;
            if source.position.is_some() {
                let of_series = beside(self.percentiles.clone(), values).await;
                all.insert(source.series().sensor_type.to_string(), of_series);
            }
        }
        Ok(Some(all))
    }
}

async fn values(service: &Service, source: &mut Source) -> Result<Vec<f64>, Fault> {
    let mut values = Vec::new();
    while source.more {
        let page = source.page(service, PAGE).await?;
        check(values.len() + page.len(), VALUES_MAX, TOO_MANY_VALUES)?;
        values.extend(page.iter().map(|row| row.value));
        if source.is_damaged {
            return Err(Fault::Damaged);
        }
        source.forget();
    }
    Ok(values)
}

/// Beside the runtime: sorting takes a while.
async fn beside(percentiles: Vec<Percentile>, values: Vec<f64>) -> OfSeries {
    match tokio::task::spawn_blocking(move || compute(&percentiles, values)).await {
        Ok(computed) => computed,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn check(count: usize, most: usize, what: &str) -> Result<(), Fault> {
    let said = || Fault::TooMuch(format!("the range has more than {most} {what}"));
    if count > most { Err(said()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Resolution;

    const MINUTES: Grain = Grain::Windows(Resolution::Minute);
    const HOURS: Grain = Grain::Windows(Resolution::Hour);

    /// A month of a hundred readings a second was refused, although its windows would have done.
    #[test]
    fn what_has_too_much_gives_way_to_the_next_coarser_grain() {
        let expect = |asked, grain, count, expected: Option<Grain>| {
            let found = check(count, 8, TOO_MANY_ROWS);
            assert_eq!(coarser(asked, grain, &found), expected, "{asked:?} {grain:?} {count}");
        };
        expect(None, Grain::Readings, 9, Some(MINUTES));
        expect(None, MINUTES, 9, Some(HOURS));
        expect(None, HOURS, 9, None);
        expect(None, Grain::Readings, 8, None);
        expect(Some(Grain::Readings), Grain::Readings, 9, None);
        assert_eq!(coarser(None, Grain::Readings, &Err::<(), _>(Fault::Damaged)), None);
    }
}
