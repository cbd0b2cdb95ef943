//! Where values come from: flags before the environment, the environment before the default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

use super::error::SettingError;
use super::table::{Kind, VARIABLES, Variable};

/// The environment, as it was at the start.
pub type Environment = BTreeMap<OsString, OsString>;

/// Values given as flags, by the name of their variable.
pub type Flags = BTreeMap<&'static str, String>;

/// Who said what a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// The environment variable.
    Environment,
    /// The command line.
    Flag,
    /// The file that `<NAME>_FILE` names.
    File,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::File => "file",
        })
    }
}

/// A value that somebody gave.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub text: String,
    pub origin: Origin,
}

/// Everything that was given, sorted by variable, and what was wrong with the giving.
#[derive(Debug, Default)]
pub(super) struct Sources {
    given: BTreeMap<&'static str, Given>,
    pub errors: Vec<SettingError>,
    pub warnings: Vec<String>,
}

/// What the predecessor knew and Streamgauge does without.
const FORMER: [&str; 2] = ["CELERY_BROKER_URL", "FLASK_ENV"];

impl Sources {
    pub(super) fn collect(
        flags: &Flags,
        environment: &Environment,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let mut sources = Self::default();
        for variable in VARIABLES {
            if let Some(text) = flags.get(variable.name).map(|text| text.trim()) {
                let given = Given { text: text.to_owned(), origin: Origin::Flag };
                sources.given.insert(variable.name, given);
                continue;
            }
            let value = sources.environment(environment, variable.name, variable);
            let file = match variable.has_file() {
                true => sources.file(environment, variable, read),
                false => None,
            };
            if value.is_some() && file.is_some() {
                sources.errors.push(SettingError::new(
                    &format!("{}_FILE", variable.name),
                    None,
                    format!("is set beside {}", variable.name),
                    "only one of the two",
                ));
            }
            if let Some(given) = value.or(file) {
                sources.given.insert(variable.name, given);
            }
        }
        sources.given.retain(|_, given| !given.text.is_empty());
        sources.look_for_strangers(environment);
        sources
    }

    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    fn environment(
        &mut self,
        environment: &Environment,
        name: &str,
        variable: &Variable,
    ) -> Option<Given> {
        let value = environment.get(std::ffi::OsStr::new(name))?;
        let Some(text) = value.to_str() else {
            let why = "is not UTF-8".to_owned();
            self.errors.push(SettingError::new(name, None, why, "UTF-8 text"));
            return None;
        };
        if text.trim().is_empty() || is_container_link(name, text) {
            return None;
        }
        // A password may begin or end with a space.
        let text = if variable.kind == Kind::Secret { text } else { text.trim() };
        Some(Given { text: text.to_owned(), origin: Origin::Environment })
    }

    fn file(
        &mut self,
        environment: &Environment,
        variable: &Variable,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Option<Given> {
        let name = format!("{}_FILE", variable.name);
        let path = environment.get(std::ffi::OsStr::new(&name)).filter(|path| !path.is_empty())?;
        let path = Path::new(path);
        let shown = Some(path.display().to_string());
        match read(path) {
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
                if line.is_empty() {
                    let why = "names an empty file".to_owned();
                    self.errors.push(SettingError::new(&name, shown, why, "a file with a value"));
                }
                Some(Given { text: line, origin: Origin::File })
            }
            Err(error) => {
                let why = format!("cannot be read: {error}");
                self.errors.push(SettingError::new(&name, shown, why, "a readable text file"));
                None
            }
        }
    }

    /// Names that look like ours and are not, and names of the predecessor.
    fn look_for_strangers(&mut self, environment: &Environment) {
        for (name, value) in environment {
            let (Some(name), value) = (name.to_str(), value.to_string_lossy()) else { continue };
            if FORMER.contains(&name) && !value.is_empty() {
                self.warnings.push(format!("{name} is not used any more and was ignored"));
            }
            let ours = |variable: &Variable| {
                variable.name == name
                    || (variable.has_file() && name.strip_suffix("_FILE") == Some(variable.name))
            };
            if name.starts_with("STREAMGAUGE_")
                && !VARIABLES.iter().any(ours)
                && !is_container_link(name, &value)
            {
                self.errors.push(SettingError::unknown_name(name));
            }
        }
    }
}

/// Container engines put the address of every linked service into the environment:
/// `*_SERVICE_HOST`, `*_SERVICE_PORT*`, `*_PORT_<n>_TCP*`, and `*_PORT` holding `tcp://…`. A
/// service named `streamgauge` or `mqtt-broker` makes names that look like ours.
fn is_container_link(name: &str, value: &str) -> bool {
    let port_number_tcp = || {
        name.match_indices("_PORT_").any(|(at, marker)| {
            let rest = &name[at + marker.len()..];
            let digits = rest.chars().take_while(char::is_ascii_digit).count();
            digits > 0 && rest[digits..].starts_with("_TCP")
        })
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.starts_with("tcp://"))
        || port_number_tcp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_container_engines_are_recognised() {
        for (name, value, link) in [
            ("STREAMGAUGE_SERVICE_HOST", "10.0.0.1", true),
            ("STREAMGAUGE_SERVICE_PORT", "5000", true),
            ("STREAMGAUGE_SERVICE_PORT_HTTP", "5000", true),
            ("STREAMGAUGE_PORT", "tcp://10.0.0.1:5000", true),
            ("STREAMGAUGE_PORT", "5000", false),
            ("STREAMGAUGE_PORT_5000_TCP", "tcp://10.0.0.1:5000", true),
            ("STREAMGAUGE_PORT_5000_TCP_ADDR", "10.0.0.1", true),
            ("STREAMGAUGE_PORT_X_TCP", "10.0.0.1", false),
            ("MQTT_BROKER_PORT", "tcp://10.0.0.2:1883", true),
            ("STREAMGAUGE_SHARDS", "8", false),
        ] {
            assert_eq!(is_container_link(name, value), link, "{name}={value}");
        }
    }
}
