//! The face of the room: one decoder per task that decodes, its buffers reused.

use crate::reading::{Reading, UnixMillis};
use crate::refusal::Refusal;

use super::naive_time::{NaiveTime, Zone};
use super::{FORMATS, json};

/// How many readings one message may yield (design §6).
pub const READINGS_PER_MESSAGE_MAX: usize = 256;

/// What is to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Its second level names the sensor and its third the type where the payload does not.
    pub topic: &'a str,
    /// The bytes as they came.
    pub payload: &'a [u8],
    /// Our clock: stands in for a missing timestamp and for one too far in the future.
    pub received_at: UnixMillis,
}

/// What came of a message, beside its readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The name of the format that was recognised.
    pub format: &'static str,
    /// How many readings were emitted, 1–256.
    pub readings: u16,
    /// How many units, locations and metadata were left out, over all readings.
    pub attributes_left_out: u16,
    /// How many timestamps were more than five minutes ahead and gave way to the time of receipt.
    pub future_replaced: u16,
    /// Whether one of those was ahead by what a zone error makes: worth a hint to the user.
    pub zone_suspected: bool,
    /// How many elements of an array were refused, by [`Refusal::index`].
    pub refused_elements: [u16; Refusal::ALL.len()],
}

/// A payload format: its name, and how it is read.
///
/// Formats are tried in the order of [`FORMATS`]. One that does not recognise a payload answers
/// [`Refusal::BadJson`] and the next is asked; any other answer is final.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// The name of its `testdata` folder.
    pub name: &'static str,
    pub(super) decode: Decode,
}

/// Reads one message; emits nothing when it refuses.
pub(super) type Decode =
    fn(&mut Decoder, &Input<'_>, &mut dyn FnMut(Reading<'_>)) -> Result<Decoded, Refusal>;

/// Turns payloads into readings. Not shared: every task that decodes has its own.
#[derive(Debug)]
pub struct Decoder {
    pub(super) json: json::Scratch,
    pub(super) zone: Zone,
}

impl Decoder {
    /// `naive_time` says what a timestamp without zone means.
    #[must_use]
    pub fn new(naive_time: NaiveTime) -> Self {
        Self { json: json::Scratch::default(), zone: naive_time.into() }
    }

    /// Calls `emit` for each reading of a message, in order, at least once and at most
    /// [`READINGS_PER_MESSAGE_MAX`] times.
    ///
    /// Elements of an array that cannot be read are skipped and counted, as long as one can.
    ///
    /// # Errors
    /// The reason when no reading came of it (of an array: its first element's); `emit` was not
    /// called then.
    pub fn decode(
        &mut self,
        input: &Input<'_>,
        emit: &mut dyn FnMut(Reading<'_>),
    ) -> Result<Decoded, Refusal> {
        let mut answer = Err(Refusal::BadJson);
        for format in FORMATS {
            let decoded = (format.decode)(self, input, emit);
            answer = decoded.map(|decoded| Decoded { format: format.name, ..decoded });
            if answer != Err(Refusal::BadJson) {
                break;
            }
        }
        answer
    }
}
