//! Arguments and environment → settings → application → exit code.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use streamgauge::config::{self, Cli, Command, EXIT_SETTINGS, LogFormat, Settings};
use streamgauge::{app, commands};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is still blocked after everything was waited for is not waited for any longer.
const LAST_GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::from_arguments();
    let environment = config::environment();
    let given = &cli.settings.given;
    let settings = match Settings::from(given, cli.simulate, &environment, &config::read_file) {
        Ok(settings) => settings,
        Err(errors) => {
            errors.iter().for_each(|error| say(&format!("streamgauge: {error}")));
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    if let Some(Command::Config) = cli.command {
        return exit_code(commands::print_settings(&settings).map_err(Into::into));
    }
    open_log(&settings);
    // As many as the cgroup's quota allows, not as many as the machine has.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit_code(Err(error.into())),
    };
    let outcome = runtime.block_on(dispatch(cli.command.unwrap_or(Command::Run), settings));
    runtime.shutdown_timeout(LAST_GRACE);
    exit_code(outcome)
}

async fn dispatch(command: Command, settings: Settings) -> anyhow::Result<()> {
    match command {
        Command::Run => {
            settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            app::run(settings).await
        }
        Command::Simulate(arguments) => Ok(commands::simulate(&arguments, &settings).await?),
        Command::Config => Ok(commands::print_settings(&settings)?),
        Command::Health(arguments) => {
            let asked = commands::ask_health(settings.bind, settings.port, arguments.ready);
            let (well, line) = asked.await;
            anyhow::ensure!(well, line);
            Ok(writeln!(io::stdout(), "{line}")?)
        }
    }
}

fn exit_code(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("streamgauge: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr; stdout is for what was asked for.
fn open_log(settings: &Settings) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&settings.log))
        .with_writer(io::stderr)
        // A log that nobody reads any more is no reason to fail.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// To a person who may have closed the pipe: then nobody misses it.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}
