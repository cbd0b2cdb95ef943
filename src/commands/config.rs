//! `streamgauge config`: what took effect, and who said so.

use std::io::{self, Write};

use crate::config::Settings;

/// Prints every variable, its value (secrets masked) and its origin, in columns.
///
/// # Errors
/// When the standard output takes no more.
pub fn print_settings(settings: &Settings) -> io::Result<()> {
    write_settings(settings, &mut io::stdout().lock())
}

fn write_settings(settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    let width = |of: fn(&crate::config::Effective) -> usize| {
        settings.effective.iter().map(of).max().unwrap_or_default()
    };
    let names = width(|effective| effective.name.len());
    let values = width(|effective| effective.value.chars().count());
    for effective in &settings.effective {
        let (name, value, origin) = (effective.name, &effective.value, effective.origin);
        writeln!(out, "{name:names$}  {value:values$}  {origin}")?;
    }
    for warning in &settings.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Environment, VARIABLES, read_file};

    #[test]
    fn every_variable_has_a_line_and_secrets_are_masked() {
        let environment: Environment = [("SECRET_KEY", "hunter2"), ("PORT", "6000")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let settings = Settings::from(&BTreeMap::new(), None, &environment, &read_file).unwrap();
        let mut out = Vec::new();
        write_settings(&settings, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words = |name: &str| -> Vec<&str> {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no line for {name}")).split_whitespace().collect()
        };
        assert_eq!(words("PORT"), ["PORT", "6000", "environment"]);
        assert_eq!(words("SECRET_KEY"), ["SECRET_KEY", "***", "environment"]);
        assert_eq!(words("STREAMGAUGE_AUTH"), ["STREAMGAUGE_AUTH", "token", "default"]);
        assert!(VARIABLES.iter().all(|variable| !words(variable.name).is_empty()));
        assert!(text.contains("warning: SECRET_KEY is short") && !text.contains("hunter2"));
    }
}
