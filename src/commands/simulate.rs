//! `streamgauge simulate`: made-up sensors for a Streamgauge or a broker that runs elsewhere.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Settings, SimulateArguments};
use crate::embedded::Simulator;

/// Publishes until SIGINT or SIGTERM.
///
/// # Errors
/// When the system gives no signals.
pub async fn simulate(arguments: &SimulateArguments, settings: &Settings) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let simulator =
        Simulator::new(arguments.sensors, arguments.to.clone(), settings.mqtt_credentials.clone());
    let running = simulator.run(stop.clone());
    tokio::pin!(running);
    tokio::select! {
        () = &mut running => return Ok(()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    running.await;
    Ok(())
}
