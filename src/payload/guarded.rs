//! A decoder that no panic gets past: one message must not take its neighbours with it, nor stop
//! whoever follows the messages.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::decoder::{Decoded, Decoder, Input};
use super::naive_time::NaiveTime;
use crate::reading::Reading;
use crate::refusal::Refusal;

/// A [`Decoder`] for messages of strangers.
#[derive(Debug)]
pub struct Guarded {
    decoder: Decoder,
    naive_time: NaiveTime,
}

impl Guarded {
    /// `naive_time` says what a timestamp without zone means.
    #[must_use]
    pub fn new(naive_time: NaiveTime) -> Self {
        Self { decoder: Decoder::new(naive_time.clone()), naive_time }
    }

    /// As [`Decoder::decode`].
    ///
    /// # Errors
    /// As there, and [`Refusal::DecoderFailed`] when the decoder or `emit` panicked; `emit` may
    /// have been called before, and what it did is to be taken back.
    pub fn decode(
        &mut self,
        input: &Input<'_>,
        emit: &mut dyn FnMut(Reading<'_>),
    ) -> Result<Decoded, Refusal> {
        let Self { decoder, naive_time } = self;
        let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(input, emit)));
        decoded.unwrap_or_else(|_panic| {
            // Its buffers may be in any state.
            *decoder = Decoder::new(naive_time.clone());
            Err(Refusal::DecoderFailed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::UnixMillis;

    #[test]
    fn a_panic_is_a_refusal_and_the_next_message_is_read() {
        let mut guarded = Guarded::new(NaiveTime::Utc);
        let payload = br#"[{"value":1},{"value":2}]"#;
        let input = Input { topic: "sensors/a/t", payload, received_at: UnixMillis(1) };
        let mut seen = Vec::new();
        let answer = guarded.decode(&input, &mut |reading| {
            assert!(reading.value < 2.0, "asked to panic");
            seen.push(reading.value);
        });
        assert_eq!((answer, seen.len()), (Err(Refusal::DecoderFailed), 1));
        let answer = guarded.decode(&input, &mut |_| {});
        assert_eq!(answer.map(|decoded| decoded.readings), Ok(2));
    }
}
