//! RFC 6455 as far as a client that asks for one thing and then listens needs it.
//!
//! Thousands of clients live in one process, so a client owns no buffer: a thread reads into one
//! scratch buffer, whole frames are looked at where they lie, and only the beginning of a frame
//! whose end has not arrived is kept, until it has.

use anyhow::{Result, bail, ensure};

/// Longest payload taken: a page of 10,000 statistics stays far below.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// A mask hides what is sent from careless proxies (§10.3); there are none here, so that one that
/// is always the same does. It is not zero, for then an end that forgets to unmask would not show.
const MASK: [u8; 4] = [0x5A, 0xC3, 0x0F, 0x96];

/// What a frame is for (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A whole message of text.
    Text,
    /// The end: a code and a reason.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    const fn code(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn of(code: u8) -> Result<Self> {
        Ok(match code {
            1 => Self::Text,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => bail!("a frame of opcode {other} was not expected"),
        })
    }
}

/// A whole frame of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is for.
    pub opcode: Opcode,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The first frame of `bytes` and the bytes it takes; nothing when its end is missing.
///
/// # Errors
/// A server must not send this: masked, in fragments, with reserved bits, a longer form of its
/// length than needed, or a long control frame.
pub fn first_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    ensure!(first & RESERVED == 0, "a frame has reserved bits: {first:#04x}");
    ensure!(first & FIN != 0, "a message came in fragments");
    ensure!(second & MASKED == 0, "a frame of the server is masked");
    let opcode = Opcode::of(first & 0x0F)?;
    let (length, head) = match (second & !MASKED, rest) {
        (126, [high, low, ..]) => (u64::from(u16::from_be_bytes([*high, *low])), 4),
        (127, rest) => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (length, _) => (u64::from(length), 2),
    };
    let least = [0, 126, 1 << 16][usize::from(head > 2) + usize::from(head > 4)];
    ensure!(length >= least, "{length} bytes are announced in {head} bytes of head");
    ensure!(opcode == Opcode::Text || length <= 125, "a control frame of {length} bytes");
    ensure!(length <= PAYLOAD_BYTES_MAX, "a frame of {length} bytes");
    let end = head + length as usize;
    Ok(bytes.get(head..end).map(|payload| (Frame { opcode, payload }, end)))
}

/// What arrived of a frame whose end has not.
#[derive(Debug, Default)]
pub struct Inbound {
    rest: Vec<u8>,
}

impl Inbound {
    /// Takes what was read and gives every whole frame to `each`.
    ///
    /// # Errors
    /// As [`first_frame`], and what `each` says.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.rest.is_empty() {
            let used = each_frame(bytes, &mut each)?;
            self.rest.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        self.rest.extend_from_slice(bytes);
        let used = each_frame(&self.rest, &mut each)?;
        if used == self.rest.len() {
            // The memory goes too: most clients have nothing to keep most of the time.
            self.rest = Vec::new();
        } else {
            self.rest.drain(..used);
        }
        Ok(())
    }

    /// Bytes kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.rest.capacity()
    }
}

fn each_frame(bytes: &[u8], each: &mut impl FnMut(Frame<'_>) -> Result<()>) -> Result<usize> {
    let mut used = 0;
    while let Some((frame, length)) = first_frame(&bytes[used..])? {
        each(frame)?;
        used += length;
    }
    Ok(used)
}

/// Appends a masked frame, as a client must send it.
pub fn append(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(FIN | opcode.code());
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xFFFF => {
            out.push(MASKED | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server sends it.
    fn sent(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![FIN | opcode];
        match payload.len() {
            length @ 0..=125 => out.push(length as u8),
            length @ 126..=0xFFFF => {
                out.push(126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(payload);
        out
    }

    #[test]
    fn frames_of_all_lengths_arrive_however_they_are_cut() {
        let payloads: Vec<Vec<u8>> = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
            .into_iter()
            .map(|length| (0..length).map(|byte| (byte % 251) as u8).collect())
            .collect();
        let wire: Vec<u8> = payloads.iter().flat_map(|payload| sent(1, payload)).collect();
        for piece in [1, 2, 3, 7, 1_000, 65_536, wire.len()] {
            let mut inbound = Inbound::default();
            let mut found = Vec::new();
            for bytes in wire.chunks(piece) {
                let each = |frame: Frame<'_>| {
                    assert_eq!(frame.opcode, Opcode::Text);
                    found.push(frame.payload.to_vec());
                    Ok(())
                };
                inbound.feed(bytes, each).unwrap();
            }
            assert!(found == payloads, "in pieces of {piece} bytes");
            assert_eq!(inbound.kept(), 0, "nothing is kept after the last");
        }
    }

    #[test]
    fn what_no_server_may_send_is_named() {
        for (bytes, said) in [
            (&[0x01, 0][..], "fragments"),
            (&[0x80, 0], "opcode 0"),
            (&[0xC1, 0], "reserved"),
            (&[0x82, 0], "opcode 2"),
            (&[0x81, 0x80], "masked"),
            (&[0x81, 126, 0, 125], "125 bytes are announced"),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "65535 bytes are announced"),
            (&[0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0], "a frame of"),
            (&[0x89, 126, 0, 126], "control frame"),
        ] {
            let error = first_frame(bytes).unwrap_err().to_string();
            assert!(error.contains(said), "{bytes:02x?}: {error}");
        }
    }

    #[test]
    fn a_head_without_its_length_is_waited_for() {
        for bytes in [&[][..], &[0x81], &[0x81, 126], &[0x81, 126, 1], &[0x81, 127, 0, 0, 0]] {
            assert_eq!(first_frame(bytes).unwrap(), None);
        }
    }

    #[test]
    fn what_is_sent_is_masked() {
        // The masked "Hello" of RFC 6455 §5.7, with our mask.
        let mut out = Vec::new();
        append(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out[..2], [0x81, 0x85]);
        let unmasked: Vec<u8> =
            out[6..].iter().zip(out[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(unmasked, b"Hello");
        let mut long = Vec::new();
        append(&mut long, Opcode::Text, &[0; 300]);
        assert_eq!(long[..4], [0x81, 0xFE, 1, 44]);
        assert_eq!(long.len(), 8 + 300);
    }
}
