//! How far back what is asked for is kept, and what follows from that.

use super::grain::Grain;
use super::store;
use super::wanted::Wanted;
use crate::history::Share;
use crate::serve::error::Fault;
use crate::serve::service::Service;
use crate::serve::view::Moment;

/// What the rows of the answer are.
pub(super) async fn choose(service: &Service, wanted: &Wanted) -> Result<Grain, Fault> {
    match wanted.grain {
        Some(grain) => Ok(grain),
        None => Ok(Grain::choose(&store::since(service, wanted).await?, wanted.from)),
    }
}

/// Refuses a range that begins before all of its readings are kept: percentiles of what happens
/// to be left would be wrong without saying so.
pub(super) async fn check_readings(service: &Service, wanted: &Wanted) -> Result<(), Fault> {
    let since = store::since(service, wanted).await?[Share::Readings.index()];
    match since.filter(|since| *since > wanted.from) {
        None => Ok(()),
        Some(since) => Err(Fault::BadRequest(format!(
            "parameter `percentiles` needs every reading of the range, and they are kept since \
             {}; allowed: a `from` that is not before",
            Moment(since)
        ))),
    }
}
