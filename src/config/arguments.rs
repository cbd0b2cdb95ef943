//! The command line: commands by derive, settings from the table.

use clap::{Arg, ArgMatches, Args, Command as Parser, FromArgMatches, Parser as _, Subcommand};

use super::sources::Flags;
use super::table::VARIABLES;

/// MQTT sensor readings, counted exactly once, live in a browser.
///
/// Every setting is an environment variable; all but secrets are flags too, which win.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "streamgauge", version, max_term_width = 100)]
pub struct Cli {
    /// What to do; run, unless told.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Publish this many simulated sensors to the own listener.
    #[arg(long, global = true, value_name = "SENSORS")]
    pub simulate: Option<u32>,
    /// Values for the variables of the table.
    #[command(flatten)]
    pub settings: SettingFlags,
}

impl Cli {
    /// Reads the command line; `--help`, `--version` and wrong usage end the process here.
    #[must_use]
    pub fn from_arguments() -> Self {
        Self::parse()
    }
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Take, count and show readings (what happens without a command).
    Run,
    /// Publish simulated sensors to an MQTT address.
    Simulate(SimulateArguments),
    /// Print the effective settings, secrets masked, and where each came from.
    Config,
    /// Ask a running Streamgauge whether it is alive; exit 0 or 1.
    Health(HealthArguments),
}

/// What `simulate` needs to know.
#[derive(Clone, Debug, Args)]
pub struct SimulateArguments {
    /// How many sensors.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub sensors: u32,
    /// Where to publish: host:port.
    #[arg(long, default_value = "127.0.0.1:1883", value_parser = target)]
    pub to: (String, u16),
}

/// What `health` needs to know.
#[derive(Clone, Copy, Debug, Args)]
pub struct HealthArguments {
    /// Ask whether it is ready for work, not only alive.
    #[arg(long)]
    pub ready: bool,
}

fn target(text: &str) -> Result<(String, u16), String> {
    match super::value::broker(text, 1883) {
        Ok(broker) => Ok((broker.host, broker.port)),
        Err(impossible) => Err(format!("{}; allowed: {}", impossible.why, impossible.allowed)),
    }
}

/// A flag for every variable of the table that is not a secret.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags {
    /// What was given.
    pub given: Flags,
}

impl Args for SettingFlags {
    fn augment_args(mut parser: Parser) -> Parser {
        for variable in VARIABLES {
            let Some(flag) = variable.flag() else { continue };
            let help = format!(
                "{} [env: {}] [default: {}]",
                variable.meaning, variable.name, variable.default
            );
            let argument = Arg::new(variable.name)
                .long(flag)
                .value_name("VALUE")
                .help_heading("Settings")
                .allow_hyphen_values(true)
                .global(true)
                .help(help);
            parser = parser.arg(argument);
        }
        parser.after_help(
            "Secrets come from the environment or from the file that <NAME>_FILE names:\n\
             MQTT_PASSWORD, SECRET_KEY, STREAMGAUGE_API_TOKEN.",
        )
    }

    fn augment_args_for_update(parser: Parser) -> Parser {
        Self::augment_args(parser)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for variable in VARIABLES.iter().filter(|variable| variable.flag().is_some()) {
            if let Some(value) = matches.get_one::<String>(variable.name) {
                self.given.insert(variable.name, value.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_read_before_and_after_the_command() {
        for line in [
            &["streamgauge", "--port", "1", "--data-dir=/d", "config"][..],
            &["streamgauge", "config", "--port", "1", "--data-dir=/d"][..],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.settings.given["PORT"], "1");
            assert_eq!(cli.settings.given["STREAMGAUGE_DATA_DIR"], "/d");
            assert!(matches!(cli.command, Some(Command::Config)));
        }
        Cli::command().debug_assert();
    }

    #[test]
    fn the_simulator_is_a_flag_and_a_command() {
        let cli = Cli::try_parse_from(["streamgauge", "--simulate", "12"]).unwrap();
        assert_eq!((cli.simulate, cli.command.is_none()), (Some(12), true));
        let line = ["streamgauge", "simulate", "--to", "[::1]:1884"];
        let Some(Command::Simulate(arguments)) = Cli::try_parse_from(line).unwrap().command else {
            panic!("not the command");
        };
        assert_eq!((arguments.sensors, arguments.to), (12, ("::1".to_owned(), 1884)));
    }

    #[test]
    fn a_secret_is_not_a_flag() {
        assert!(Cli::try_parse_from(["streamgauge", "--secret-key", "x"]).is_err());
    }
}
