//! Where everything that is counted is kept.

use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// From here on everything that is counted is kept.
pub(super) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    // From a tenth of a millisecond, less than one fsync, to ten seconds, when replies time out.
    let seconds = [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
    let all_times = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(all_times, &seconds)?;
    builder.install_recorder().context("cannot keep metrics")
}

/// Histograms gather samples until somebody does their upkeep.
pub(super) async fn keep_metrics(prometheus: PrometheusHandle, stop: CancellationToken) {
    let process = metrics_process::Collector::default();
    process.describe();
    loop {
        process.collect();
        prometheus.run_upkeep();
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(Duration::from_secs(5)) => {}
        }
    }
}
