//! Rows as CSV or NDJSON, of any number: read, written and sent page by page.
//!
//! The next page is read when the socket has taken the one before, so a slow client holds one
//! page, and one that has gone holds nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{once, unfold};

use super::found::Found;
use super::lines::Lines;
use super::merge::Merge;
use super::reach;
use super::rows::ShownRows;
use super::wanted::{Shape, Wanted};
use crate::serve::answer::Encodings;
use crate::serve::body::{BrokenOff, Pages};
use crate::serve::error::Fault;
use crate::serve::metrics::Held;
use crate::serve::service::Service;
use crate::serve::table::Table;

/// Rows in a page: a megabyte of text. A guess at what makes the round trips small.
const PAGE: usize = 10_000;

/// Files that are sent at a time: each holds 2 to 4 MB of rows and text while its client takes
/// them (measured), so 64 MB together. Far more than people download at once.
const FILES_MAX: u64 = 16;

/// Text that is made while it is sent.
pub(in crate::serve) struct Stream {
    pub(in crate::serve) pages: Pages,
    /// Whether it is gzip.
    pub(in crate::serve) is_packed: bool,
}

impl Stream {
    /// Begins; the first page is read before, so that what is wrong is still told by a status.
    ///
    /// # Errors
    /// As [`Found::read`]; [`Fault::Unavailable`] also when too many are being sent.
    pub(in crate::serve) async fn begin(
        service: &Arc<Service>,
        wanted: &Wanted,
        encodings: Encodings,
    ) -> Result<Self, Fault> {
        let limit = match wanted.shape {
            Shape::Stream { limit } => limit.unwrap_or(usize::MAX),
            Shape::Picture(_) | Shape::Page { .. } => {
                return whole(service, wanted, encodings).await;
            }
        };
        let place = service.metrics.file_begun(FILES_MAX).ok_or(Fault::Unavailable {
            outside: "as many files are being sent as may be at a time; try again in a moment",
            inside: String::new(),
        })?;
        let grain = reach::choose(service, wanted).await?;
        let lines = Lines::new(wanted.format, grain, encodings);
        let is_packed = lines.is_packed();
        let merge = Merge::open(service, wanted, grain, PAGE.min(limit)).await?;
        let flow = Flow { service: service.clone(), merge, lines, left: limit, _place: place };
        let pages = unfold(Some(flow), |flow| async {
            match flow?.next().await {
                Ok((page, flow)) => Some((Ok(page), flow)),
                Err(error) => {
                    tracing::debug!(%error, "an answer was not finished");
                    Some((Err(error), None))
                }
            }
        });
        Ok(Self { pages: Box::pin(pages), is_packed })
    }
}

/// A picture is small: it is made at once.
async fn whole(
    service: &Arc<Service>,
    wanted: &Wanted,
    encodings: Encodings,
) -> Result<Stream, Fault> {
    let found = Found::read(service, wanted).await?;
    let mut lines = Lines::new(wanted.format, found.grain, encodings);
    let is_packed = lines.is_packed();
    let look = move |table: &Table| {
        let mut text = lines.page(&found.shown(&table.read()));
        text.append(&mut lines.end());
        text
    };
    let text = service.table.at_length(look).await;
    let pages = Box::pin(once(std::future::ready(Ok(Bytes::from(text)))));
    Ok(Stream { pages, is_packed })
}

/// A stream on its way.
struct Flow {
    service: Arc<Service>,
    merge: Merge,
    lines: Lines,
    /// Rows that may still come.
    left: usize,
    /// One of those that may be sent at a time, until it ends or its client has gone.
    _place: Held,
}

impl Flow {
    /// The next page, and the flow when there is more.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), BrokenOff> {
        if self.service.stop.is_cancelled() {
            return Err(BrokenOff("the service stops".to_owned()));
        }
        let mut rows = self.merge.next(&self.service).await.map_err(broken_off)?;
        rows.truncate(self.left);
        self.left -= rows.len();
        if rows.is_empty() {
            return Ok((self.lines.end().into(), None));
        }
        let sheets = self.merge.sheets();
        self.merge.forget();
        let mut lines = self.lines;
        let look = move |table: &Table| {
            let page = lines.page(&ShownRows::new(&rows, &sheets, &table.read()));
            (lines, page)
        };
        let (lines, page) = self.service.table.at_length(look).await;
        Ok((page.into(), Some(Self { lines, ..self })))
    }
}

fn broken_off(fault: Fault) -> BrokenOff {
    match fault {
        Fault::Unavailable { outside, inside } => BrokenOff(format!("{outside}: {inside}")),
        other => BrokenOff(other.to_string()),
    }
}
