//! A user name and its password.

use std::fmt;

use subtle::ConstantTimeEq;

/// What the listener asks of devices, or the subscriber shows to a broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; not a secret.
    pub username: String,
    /// The password; never logged.
    pub password: String,
}

impl Credentials {
    /// Whether these are the ones, in a time that does not depend on where they differ. (It does
    /// depend on whether the lengths are equal.)
    #[must_use]
    pub fn admit(&self, username: &str, password: &str) -> bool {
        let name = self.username.as_bytes().ct_eq(username.as_bytes());
        let word = self.password.as_bytes().ct_eq(password.as_bytes());
        (name & word).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &"***")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_both_together_are_admitted() {
        let device = Credentials { username: "device".into(), password: "s3cret".into() };
        let check = |name, word, expected| assert_eq!(device.admit(name, word), expected);
        check("device", "s3cret", true);
        check("device", "s3creT", false);
        check("Device", "s3cret", false);
        check("device", "", false);
        check("", "s3cret", false);
        check("device", "s3cret ", false);
    }

    #[test]
    fn the_password_is_not_shown() {
        let device = Credentials { username: "device".into(), password: "s3cret".into() };
        let shown = format!("{device:?}");
        assert!(shown.contains("device") && !shown.contains("s3cret"), "{shown}");
    }
}
