mod session;

use proptest::prelude::*;

use super::{ClientFrame, Malformed, ManagerFrame, OVERHEAD, Response};
use crate::error::{Error, Kind};

fn bytes_of_client(frame: &ClientFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.write(&mut bytes);
    bytes
}

fn bytes_of_manager(frame: &ManagerFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.write(&mut bytes);
    bytes
}

#[test]
fn frames_of_clients_are_parsed_as_they_were_written() {
    let long = "x".repeat(255);
    let request = |service, is_notice| ClientFrame::Request {
        received: 3,
        id: 9,
        is_notice,
        service,
        body: b"body",
    };
    for frame in [
        ClientFrame::Hello {
            session: [1; 16],
            max: 5,
            unanswered: vec![1, 2, u64::MAX],
        },
        request("", false),
        request(&long, true),
        ClientFrame::Cancel {
            received: 0,
            id: u64::MAX,
        },
        ClientFrame::Ping {
            received: 2,
            reply: true,
        },
        ClientFrame::Bye { received: 7 },
    ] {
        assert_eq!(ClientFrame::parse(&bytes_of_client(&frame)), Ok(frame));
    }
}

#[test]
fn frames_of_managers_are_parsed_as_they_were_written() {
    let response = Response::new(Ok(vec![1, 2]), 2);
    for frame in [
        ManagerFrame::Welcome {
            record: 3,
            last: 4,
            max: 5,
            heartbeat: 6,
        },
        ManagerFrame::Refusal { reason: "too many" },
        ManagerFrame::Response {
            last: 1,
            id: 2,
            response: response.as_ref(),
        },
        ManagerFrame::Pong { last: 8 },
    ] {
        assert_eq!(ManagerFrame::parse(&bytes_of_manager(&frame)), Ok(frame));
    }
}

#[test]
fn frames_with_a_byte_too_many_are_refused() {
    let mut bytes = bytes_of_client(&ClientFrame::Bye { received: 7 });
    bytes.push(0);
    assert_eq!(ClientFrame::parse(&bytes), Err(Malformed));
    let mut bytes = bytes_of_manager(&ManagerFrame::Pong { last: 7 });
    bytes.push(0);
    assert_eq!(ManagerFrame::parse(&bytes), Err(Malformed));
}

#[test]
fn errors_keep_their_kind_and_their_text() {
    for kind in [
        Kind::Service,
        Kind::Panicked,
        Kind::Closed,
        Kind::Codec,
        Kind::Unknown,
    ] {
        let response = Response::new(Err(Error::new(kind, "the text")), 0);
        let error = response.as_ref().into_result().unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (kind, "the text")
        );
    }
}

#[test]
fn a_long_answer_and_a_long_error_are_bounded() {
    let error = Response::new(Ok(vec![0; 11]), 10).as_ref().into_result();
    let error = error.unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert_eq!(
        error.to_string(),
        "the answer has 11 bytes, and at most 10 are allowed"
    );
    let long = || Err(Error::new(Kind::Service, "ä".repeat(5000)));
    let error = Response::new(long(), usize::MAX).as_ref().into_result();
    assert_eq!(error.unwrap_err().to_string(), "ä".repeat(2048));
    for max in 0..10 {
        let response = Response::new(long(), max);
        let (last, id) = (1, 2);
        let frame = ManagerFrame::Response {
            last,
            id,
            response: response.as_ref(),
        };
        let length = bytes_of_manager(&frame).len();
        assert!(
            length == max + OVERHEAD || length + 1 == max + OVERHEAD,
            "{length}"
        );
        let text = response.as_ref().into_result().unwrap_err().to_string();
        assert!(text.chars().all(|character| character == 'ä'));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(frame) = ClientFrame::parse(&bytes) {
            prop_assert_eq!(bytes_of_client(&frame), bytes.clone());
        }
        if let Ok(frame) = ManagerFrame::parse(&bytes) {
            prop_assert_eq!(bytes_of_manager(&frame), bytes);
        }
    }
}
