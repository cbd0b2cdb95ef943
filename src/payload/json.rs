//! The documented format: a JSON object, or an array of up to 256 of them.
//!
//! simd-json parses in place, so it works on a copy in a buffer that is reused; the tape it
//! leaves (all nodes in a row) is walked once, and readings borrow their text from that copy.
//! Where the text as it was sent matters, it is found again through the positions of the
//! parser's first stage: a numeric `sensor_id` keeps all its digits, and metadata are not taken
//! apart and put together again.
//!
//! More liberal than RFC 8259 in one thing: a byte order mark at the start is skipped.

mod document;
mod object;

use crate::reading::{Reading, TimeSource};
use crate::refusal::Refusal;

use super::decoder::{Decoded, Decoder, Input, READINGS_PER_MESSAGE_MAX};
use document::{Document, Shape};

pub(super) use document::Scratch;

/// Reads one message.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &Input<'_>,
    emit: &mut dyn FnMut(Reading<'_>),
) -> Result<Decoded, Refusal> {
    let zone = &decoder.zone;
    decoder.json.parse(input.payload, |document| {
        let mut decoded = Decoded::default();
        match document.shape(Document::ROOT) {
            Shape::Object => {
                let (reading, zone_suspected) =
                    object::read(document, Document::ROOT, input, zone)?;
                decoded.count(&reading, zone_suspected);
                emit(reading);
            }
            Shape::Array { elements } if elements > READINGS_PER_MESSAGE_MAX => {
                return Err(Refusal::TooManyReadings);
            }
            Shape::Array { .. } => {
                let mut first_refusal = None;
                for element in document.elements(Document::ROOT) {
                    match object::read(document, element, input, zone) {
                        Ok((reading, zone_suspected)) => {
                            decoded.count(&reading, zone_suspected);
                            emit(reading);
                        }
                        Err(refusal) => {
                            first_refusal.get_or_insert(refusal);
                            decoded.refused_elements[refusal.index()] += 1;
                        }
                    }
                }
                if decoded.readings == 0 {
                    return Err(first_refusal.unwrap_or(Refusal::MissingValue));
                }
            }
            Shape::Scalar => return Err(Refusal::WrongType),
        }
        Ok(decoded)
    })
}

impl Decoded {
    fn count(&mut self, reading: &Reading<'_>, zone_suspected: bool) {
        self.readings += 1;
        self.attributes_left_out += u16::from(reading.attributes_left_out);
        self.future_replaced += u16::from(reading.time_source == TimeSource::ReceiptForFuture);
        self.zone_suspected |= zone_suspected;
    }
}
