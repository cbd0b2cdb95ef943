//! What was found for one answer that is sent as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grain::Grain;
use super::rows::{Row, Sheet, ShownRows};
use super::wanted::{Shape, Wanted};
use super::{merge, picture, reach};
use crate::history::answer::LIMIT_DEFAULT;
use crate::serve::error::Fault;
use crate::serve::service::Service;
use crate::serve::table::Rows;

/// Rows, and what is said of them.
#[derive(Debug)]
pub(in crate::serve) struct Found {
    pub(super) grain: Grain,
    /// Each with the place of its series; ascending by time.
    pub(super) rows: Vec<(usize, Row)>,
    /// The series.
    pub(super) sheets: Vec<Arc<Sheet>>,
    /// By type: up to where the answer reaches.
    pub(in crate::serve) position: BTreeMap<String, String>,
    /// The cursor of the next page; `None` on the last.
    pub(in crate::serve) next: Option<String>,
}

impl Found {
    /// Reads what is wanted; a stream is cut at the largest page.
    ///
    /// # Errors
    /// [`Fault::UnknownSensor`] or [`Fault::UnknownType`] when nothing is known of the sensor or
    /// of its type; [`Fault::TooMuch`] when the range has too much, [`Fault::Unavailable`] when
    /// Redis does not answer.
    pub(in crate::serve) async fn read(service: &Service, wanted: &Wanted) -> Result<Self, Fault> {
        let grain = reach::choose(service, wanted).await?;
        match wanted.shape {
            Shape::Picture(points) => picture::picture(service, wanted, grain, points).await,
            Shape::Page { limit, .. } => merge::page(service, wanted, grain, limit).await,
            Shape::Stream { limit } => {
                merge::page(service, wanted, grain, limit.unwrap_or(LIMIT_DEFAULT)).await
            }
        }
    }

    /// As the parameter `resolution` says it.
    pub(in crate::serve) const fn resolution(&self) -> &'static str {
        self.grain.name()
    }

    /// The rows as they are sent.
    pub(in crate::serve) fn shown<'a>(&'a self, table: &'a Rows) -> ShownRows<'a> {
        ShownRows::new(&self.rows, &self.sheets, table)
    }
}
