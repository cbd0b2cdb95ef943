use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as Wire, FrameHeader};

use super::*;

const TEXT: OpCode = OpCode::Data(Data::Text);
const GO_ON: OpCode = OpCode::Data(Data::Continue);

fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mask = Some([1, 2, 3, 4]);
    let header = FrameHeader { opcode, is_final, mask, ..FrameHeader::default() };
    let mut bytes = Vec::new();
    Wire::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes
}

fn text(text: &str) -> Vec<u8> {
    frame(TEXT, true, text.as_bytes())
}

/// What a guard says, however the bytes come; and how many of them it lets pass.
fn judge(bytes: &[u8]) -> Result<(), (usize, Ending, String)> {
    let judged = [1, 2, 3, 7, 1000, bytes.len()].map(|step| {
        let (mut guard, mut passed) = (Guard::default(), 0);
        for chunk in bytes.chunks(step) {
            let judged = guard.pass(chunk);
            judged.map_err(|(more, refusal)| (passed + more, refusal.ending, refusal.said))?;
            passed += chunk.len();
        }
        Ok(())
    });
    assert!(judged.windows(2).all(|pair| pair[0] == pair[1]), "{judged:?}");
    judged[0].clone()
}

#[test]
fn events_within_the_limit_pass() {
    let largest = format!("42[\"{}\"]", "x".repeat(EVENT_BYTES_MAX - 6));
    for (name, bytes) in [
        ("small ones", [text("2probe"), text("5"), text(""), text("40"), text("42[\"a\"]")]),
        ("the largest, twice", [text(&largest), text(&largest), text("3"), text("4"), text("41")]),
        (
            "one in parts, with a pong between",
            [
                frame(TEXT, false, b"4"),
                frame(OpCode::Control(Control::Pong), true, b"45"),
                frame(GO_ON, false, b""),
                frame(GO_ON, true, b"2[\"45\"]"),
                text("3"),
            ],
        ),
    ] {
        assert_eq!(judge(&bytes.concat()), Ok(()), "{name}");
    }
}

#[test]
fn an_event_over_the_limit_is_named_with_its_size() {
    let check = |before: Vec<u8>, large: Vec<u8>, header_bytes: usize, expected: u64| {
        let (passed, ending, said) = judge(&[&before[..], &large].concat()).unwrap_err();
        assert_eq!(ending, Ending::TooLarge);
        let sentence = "an event has {} bytes as it is sent; allowed: 16384";
        assert_eq!(said, sentence.replace("{}", &expected.to_string()));
        // Up to the last byte of the header, so that nothing of it can reach the library.
        assert_eq!(passed, before.len() + header_bytes - 1);
    };
    let large = "x".repeat(EVENT_BYTES_MAX + 1);
    check(text("42[\"a\"]"), text(&large), 8, 16385);
    check(vec![], text(&"x".repeat(70_000)), 14, 70_000);
    let half = "x".repeat(EVENT_BYTES_MAX);
    check(frame(TEXT, false, half.as_bytes()), frame(GO_ON, true, b"x"), 6, 16385);
    // The longest that a header can say.
    let endless = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    check(vec![], endless, 14, u64::MAX);
}

#[test]
fn attachments_are_refused_when_they_are_announced() {
    let check = |bytes: &[u8]| {
        let (_, ending, said) = judge(bytes).unwrap_err();
        assert_eq!(ending, Ending::NotText);
        assert!(said.contains("binary; allowed: JSON"), "{said}");
    };
    check(&text(r#"451-["subscribe",{"_placeholder":true,"num":0}]"#));
    check(&text(r#"461-1[{"_placeholder":true,"num":0}]"#));
    check(&[frame(TEXT, false, b"4"), frame(GO_ON, true, b"51-[]")].concat());
    check(&frame(OpCode::Data(Data::Binary), true, b"x"));
    check(&[text("40"), frame(OpCode::Data(Data::Binary), true, b"")].concat());
}

#[test]
fn bodies_of_polling_requests_have_no_attachments() {
    for good in ["", "3", "40", "42[\"a\"]\u{1e}42[\"45\"]\u{1e}3", "4", "x"] {
        assert!(judge_body(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in ["451-[]", "46", "42[\"a\"]\u{1e}451-[]\u{1e}bAAAA", "bAAAA", "3\u{1e}b"] {
        assert_eq!(judge_body(bad.as_bytes()).unwrap_err().ending, Ending::NotText, "{bad}");
    }
}
