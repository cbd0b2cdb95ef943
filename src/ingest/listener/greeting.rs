//! Reading the rarer packets: what a CONNECT asks for, and what it gets.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet};

use super::scan::{CONTROL_BYTES_MAX, Violation, remaining_length};
use crate::ingest::Credentials;

/// The protocol level of MQTT 3.1.1 (§3.1.2.2).
const LEVEL: u8 = 4;

/// What is answered to a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// CONNACK 0. There are no sessions to come back to, so session present is always 0; clean
    /// session and will are accepted and mean nothing here.
    Welcome {
        /// Empty when the client has none.
        client_id: String,
        /// How long the client may be silent; `None` when it does not promise to speak.
        silence_max: Option<Duration>,
    },
    /// CONNACK with a reason, and the end.
    Refused(Refused),
}

/// Return codes of a CONNACK (§3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Refused {
    /// Not MQTT 3.1.1.
    ProtocolLevel = 1,
    /// No client id, and the wish to keep a session.
    ClientId = 2,
    /// A wrong user name or password.
    Credentials = 4,
    /// None at all, where they are required.
    NotAuthorized = 5,
}

/// Reads a CONNECT frame and decides.
pub(super) fn greet(
    frame: &[u8],
    credentials: Option<&Credentials>,
) -> Result<Greeting, Violation> {
    let flags = match level_and_flags(frame)? {
        (LEVEL, flags) => flags,
        (_, _) => return Ok(Greeting::Refused(Refused::ProtocolLevel)),
    };
    // The reserved bit is 0, and there is no password without a user name (§3.1.2.3, §3.1.2.9).
    if flags & 1 != 0 || flags & 0b1100_0000 == 0b0100_0000 {
        return Err(Violation::Unreadable);
    }
    let Packet::Connect(connect) = decode(frame)? else { return Err(Violation::Unreadable) };
    if connect.client_id.is_empty() && !connect.clean_session {
        return Ok(Greeting::Refused(Refused::ClientId));
    }
    if let Some(refused) = credentials.and_then(|wanted| refuse(wanted, &connect)) {
        return Ok(Greeting::Refused(refused));
    }
    // One and a half times the keep-alive (§3.1.2.10).
    let silence_max = match connect.keep_alive {
        0 => None,
        seconds => Some(Duration::from_millis(u64::from(seconds) * 1500)),
    };
    Ok(Greeting::Welcome { client_id: connect.client_id, silence_max })
}

fn refuse(wanted: &Credentials, connect: &Connect) -> Option<Refused> {
    match &connect.login {
        None => Some(Refused::NotAuthorized),
        Some(login) if wanted.admit(&login.username, &login.password) => None,
        Some(_) => Some(Refused::Credentials),
    }
}

/// The protocol level and the connect flags. Read before anything else, because a CONNECT of
/// another level has another shape: its names are `MQTT`, and `MQIsdp` before 3.1.1.
fn level_and_flags(frame: &[u8]) -> Result<(u8, u8), Violation> {
    let header = remaining_length(frame)?.map_or(0, |(header, _)| header);
    let rest = frame.get(header..).unwrap_or_default();
    match rest {
        [0, 4, b'M', b'Q', b'T', b'T', level, flags, ..] => Ok((*level, *flags)),
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', level, flags, ..] if *level != LEVEL => {
            Ok((*level, *flags))
        }
        _ => Err(Violation::Unreadable),
    }
}

/// Reads a whole frame with rumqttc's codec.
pub(super) fn decode(frame: &[u8]) -> Result<Packet, Violation> {
    Packet::read(&mut BytesMut::from(frame), CONTROL_BYTES_MAX).map_err(|_| Violation::Unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::mqttbytes::QoS;
    use rumqttc::mqttbytes::v4::LastWill;

    use super::*;

    fn frame(connect: &Connect) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        connect.write(&mut bytes).unwrap();
        bytes.to_vec()
    }

    fn connect(change: impl FnOnce(&mut Connect)) -> Vec<u8> {
        let mut connect = Connect::new("c1");
        change(&mut connect);
        frame(&connect)
    }

    fn welcome(id: &str, silence_ms: u64) -> Result<Greeting, Violation> {
        let silence_max = (silence_ms > 0).then(|| Duration::from_millis(silence_ms));
        Ok(Greeting::Welcome { client_id: id.into(), silence_max })
    }

    #[test]
    fn a_client_is_welcome_with_its_will_and_its_session() {
        assert_eq!(greet(&connect(|c| c.keep_alive = 10), None), welcome("c1", 15_000));
        assert_eq!(greet(&connect(|c| c.keep_alive = 0), None), welcome("c1", 0));
        let with_will = connect(|c| {
            c.last_will = Some(LastWill::new("a/b", "gone", QoS::ExactlyOnce, true));
            c.clean_session = false;
            c.keep_alive = 1;
            c.set_login("anybody", "is welcome");
        });
        assert_eq!(greet(&with_will, None), welcome("c1", 1500));
        let nameless = connect(|c| c.client_id.clear());
        assert_eq!(greet(&nameless, None), welcome("", 15_000));
    }

    #[test]
    fn a_refused_client_learns_why() {
        let wanted = Credentials { username: "device".into(), password: "s3cret".into() };
        let check = |frame: &[u8], refused| {
            assert_eq!(greet(frame, Some(&wanted)), Ok(Greeting::Refused(refused)));
        };
        check(&connect(|_| {}), Refused::NotAuthorized);
        check(&connect(|c| _ = c.set_login("device", "wrong")), Refused::Credentials);
        check(&connect(|c| _ = c.set_login("device", "")), Refused::Credentials);
        let nameless = connect(|c| {
            c.client_id.clear();
            c.clean_session = false;
        });
        check(&nameless, Refused::ClientId);
        // MQTT 5 has properties where 3.1.1 has the client id; MQTT 3.1 has another name.
        let five = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 0];
        check(&five, Refused::ProtocolLevel);
        let three = [0x10, 15, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 60, 0, 1, b'x'];
        check(&three, Refused::ProtocolLevel);
        let right = connect(|c| _ = c.set_login("device", "s3cret"));
        assert_eq!(greet(&right, Some(&wanted)), welcome("c1", 15_000));
    }

    #[test]
    fn a_malformed_connect_gets_no_answer() {
        let check = |frame: &[u8]| assert_eq!(greet(frame, None), Err(Violation::Unreadable));
        check(&[0x10, 0]);
        check(&[0x10, 9, 0, 4, b'H', b'T', b'T', b'P', 4, 2, 0]);
        let mut reserved = connect(|_| {});
        reserved[9] |= 1;
        check(&reserved);
        let mut password_alone = connect(|c| _ = c.set_login("", "x"));
        check(&password_alone);
        password_alone.truncate(12);
        password_alone[1] = 10;
        check(&password_alone);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut frame = vec![0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', 4];
            frame.extend_from_slice(&noise);
            frame[1] = u8::try_from(frame.len() - 2).unwrap();
            // Any answer will do.
            let _answer = greet(&frame, None);
            frame[0] = 0x82;
            let _answer = decode(&frame);
            frame[0] = 0xA2;
            let _answer = decode(&frame);
        }
    }
}
