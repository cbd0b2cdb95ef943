//! Blocks of history that could not be decoded: how many since the start, and which was the last.

use std::sync::{Mutex, PoisonError};

use metrics::{Counter, counter, describe_counter};

const FAULTS: &str = "streamgauge_history_block_faults_total";
/// What is kept of a text; enough for a key, a field and a reason.
const TEXT_CHARS_MAX: usize = 256;

/// The count of this process; all who read history share it.
pub(super) struct BlockFaults {
    /// Guards the count and the text of the last one, which belong together.
    seen: Mutex<(u64, Option<String>)>,
    counter: Counter,
}

impl BlockFaults {
    /// Resolves the counter with the recorder that is installed now.
    pub(super) fn new() -> Self {
        describe_counter!(FAULTS, "Blocks of history that could not be decoded, by each reading");
        Self { seen: Mutex::default(), counter: counter!(FAULTS) }
    }

    /// So many blocks could not be decoded, the last one for the reason in `text`, which names it
    /// and holds nothing secret. A block that is read twice counts twice; 0 changes nothing.
    pub(super) fn note(&self, count: u64, text: &str) {
        if count == 0 {
            return;
        }
        self.counter.increment(count);
        let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 == 0 {
            tracing::warn!(block = text, "history cannot be decoded; /api/stats counts the rest");
        }
        *seen = (seen.0 + count, Some(text));
    }

    /// The count, and the text of the last one; `None` when there was none.
    pub(super) fn seen(&self) -> (u64, Option<String>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn faults_add_up_and_the_last_one_is_named_in_bounds() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let faults = metrics::with_local_recorder(&recorder, BlockFaults::new);
        faults.note(0, "nothing");
        assert_eq!(faults.seen(), (0, None));
        faults.note(2, "first");
        faults.note(1, &"é".repeat(1000));
        assert_eq!(faults.seen(), (3, Some("é".repeat(TEXT_CHARS_MAX))));
        let shown = recorder.handle().render();
        assert!(shown.lines().any(|line| line == format!("{FAULTS} 3")), "{shown}");
    }
}
