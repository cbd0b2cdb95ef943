//! Who this process is, and the secrets it goes by: given, or generated and kept.

use crate::config::{Auth, MqttListen, Settings};
use crate::embedded::{self, DataDir, Kept};
use crate::ingest::Credentials;
use crate::serve::AuthMode;
use crate::stream::random_hex;

/// The user name that goes with a generated device password.
const DEVICE: &str = "device";

/// Who this process is, and what others must show it.
pub(super) struct Identity {
    /// Held while the process lives; `None` when nothing is kept on disk.
    pub data_dir: Option<DataDir>,
    /// 16 hex digits: names this node to the other aggregators, and to brokers.
    pub node: String,
    /// Who may use HTTP.
    pub auth: AuthMode,
    /// Whether the token was generated, and so has to be shown.
    pub shows_token: bool,
    /// Keys the HMAC of sessions.
    pub secret_key: Vec<u8>,
    /// What devices must show the listener.
    pub devices: Option<Credentials>,
    /// Whether that password was generated, and so has to be shown.
    pub shows_device_password: bool,
}

impl Identity {
    /// Opens the data directory if one is needed, and takes or makes the secrets.
    pub async fn establish(settings: &Settings) -> Result<Self, embedded::Error> {
        let data_dir = match settings.uses_data_dir() {
            true => Some(DataDir::open(&settings.data_dir).await?),
            false => None,
        };
        let keep = |kept| match &data_dir {
            Some(directory) => directory.secret(kept),
            // Settings were checked: without a directory every secret was given.
            None => Ok(random_hex()),
        };
        let (auth, shows_token) = match (settings.auth, &settings.api_token) {
            (Auth::None, _) => (AuthMode::None, false),
            (Auth::Token, Some(token)) => {
                (AuthMode::Token { token: token.reveal().to_owned() }, false)
            }
            (Auth::Token, None) => (AuthMode::Token { token: keep(Kept::ApiToken)? }, true),
        };
        let secret_key = match &settings.secret_key {
            Some(key) => key.reveal().as_bytes().to_vec(),
            None => keep(Kept::SecretKey)?.into_bytes(),
        };
        let (devices, shows_device_password) =
            if let Some(given) = settings.mqtt_credentials.clone() {
                (Some(given), false)
            } else if needs_device_password(settings) {
                let password = keep(Kept::DevicePassword)?;
                (Some(Credentials { username: DEVICE.to_owned(), password }), true)
            } else {
                (None, false)
            };
        let node = data_dir.as_ref().map_or_else(random_hex, |it| it.node_id().to_owned());
        Ok(Self { data_dir, node, auth, shows_token, secret_key, devices, shows_device_password })
    }
}

/// A listener beyond loopback lets nobody in without credentials, unless told to.
fn needs_device_password(settings: &Settings) -> bool {
    match settings.mqtt_listen {
        MqttListen::Address(address) => !address.ip().is_loopback() && !settings.mqtt_anonymous,
        MqttListen::Unset | MqttListen::Off => false,
    }
}
