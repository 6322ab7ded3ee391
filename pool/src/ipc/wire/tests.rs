use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::rights::Lost;
use super::*;
use crate::sys;

const LIMIT: usize = 1 << 20;

fn ends() -> (OwnedFd, OwnedFd, Outgoing, Incoming) {
    let (one, other) = sys::stream_pair().unwrap();
    (one, other, Outgoing::new(LIMIT), Incoming::new(LIMIT))
}

/// The bytes of a header that is written by hand.
fn header(length: u32, descriptors: u16) -> [u8; HEADER] {
    let tag = 0;
    Header {
        length,
        tag,
        descriptors,
    }
    .to_bytes()
}

/// What is compared of a message.
fn parts(frame: &Frame<'_>) -> (u16, Vec<u8>, usize) {
    let descriptors = frame.descriptors.as_ref().unwrap();
    (frame.tag, frame.body.to_vec(), descriptors.len())
}

fn texts(incoming: &mut Incoming) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(frame) = incoming.next().unwrap() {
        texts.push(String::from_utf8(frame.body.to_vec()).unwrap());
    }
    texts
}

fn refusal(incoming: &mut Incoming) -> String {
    let error = incoming.next().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(incoming.next().is_err(), "the error stays");
    error.to_string()
}

/// Says that the descriptor has come, and closes it.
fn answer(descriptor: OwnedFd, byte: u8) {
    PipeWriter::from(descriptor).write_all(&[byte]).unwrap();
}

/// Everything that was written to a pipe whose other end is closed everywhere.
fn all(mut pipe: PipeReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let (one, other, mut outgoing, mut incoming) = ends();
    let (reader, writer) = io::pipe().unwrap();
    outgoing.push(7, b"hello", vec![writer.into()]).unwrap();
    outgoing.push(u16::MAX, b"", Vec::new()).unwrap();
    outgoing.write_all(&one).unwrap();
    incoming.fill(&other).unwrap();
    let first = incoming.next().unwrap().unwrap();
    assert_eq!(parts(&first), (7, b"hello".to_vec(), 1));
    for descriptor in first.descriptors.unwrap() {
        answer(descriptor, 1);
    }
    let second = incoming.next().unwrap().unwrap();
    assert_eq!(parts(&second), (u16::MAX, Vec::new(), 0));
    assert!(incoming.next().unwrap().is_none() && !incoming.is_in_frame());
    // The sender has closed its duplicate.
    assert_eq!(all(reader), [1]);
}

#[test]
fn small_messages_are_sent_in_one_write() {
    let (one, other, mut outgoing, mut incoming) = ends();
    for _ in 0..1_000 {
        outgoing.push(0, b"x", Vec::new()).unwrap();
    }
    assert!(outgoing.write(&one).unwrap());
    incoming.fill(&other).unwrap();
    assert_eq!(texts(&mut incoming).len(), 1_000);
}

#[test]
fn descriptors_come_with_their_own_message_only() {
    let (one, other, mut outgoing, mut incoming) = ends();
    let mut pipes = Vec::new();
    for number in 0..20_u8 {
        let mut descriptors = Vec::new();
        for _ in 0..number % 4 {
            let (reader, writer) = io::pipe().unwrap();
            pipes.push((number, reader));
            descriptors.push(writer.into());
        }
        outgoing.push(0, &[number], descriptors).unwrap();
    }
    outgoing.write_all(&one).unwrap();
    drop(one);
    let mut next = 0;
    while incoming.fill(&other).unwrap() > 0 {
        while let Some(frame) = incoming.next().unwrap() {
            assert_eq!(parts(&frame), (0, vec![next], usize::from(next % 4)));
            for descriptor in frame.descriptors.unwrap() {
                answer(descriptor, next);
            }
            next += 1;
        }
    }
    assert_eq!(next, 20);
    for (number, reader) in pipes {
        assert_eq!(all(reader), [number]);
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_read_returns_bytes_without_descriptors_together_with_the_ones_after_them() {
    let (one, other, mut outgoing, mut incoming) = ends();
    let (_reader, writer) = io::pipe().unwrap();
    outgoing.push(0, b"one", Vec::new()).unwrap();
    outgoing.write_all(&one).unwrap();
    outgoing.push(0, b"two", vec![writer.into()]).unwrap();
    outgoing.push(0, b"three", Vec::new()).unwrap();
    outgoing.write_all(&one).unwrap();
    outgoing.push(0, b"four", Vec::new()).unwrap();
    outgoing.write_all(&one).unwrap();
    incoming.fill(&other).unwrap();
    assert_eq!(texts(&mut incoming), ["one", "two", "three"]);
    incoming.fill(&other).unwrap();
    assert_eq!(texts(&mut incoming), ["four"]);
}

#[test]
fn the_most_descriptors_come_and_one_more_is_refused() {
    let (one, other, mut outgoing, mut incoming) = ends();
    let (_reader, writer) = io::pipe().unwrap();
    let writer = OwnedFd::from(writer);
    let many = |count| (0..count).map(|_| writer.try_clone().unwrap()).collect();
    let error = outgoing.push(0, b"", many(254)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("254 descriptors"), "{error}");
    outgoing.push(0, b"", many(253)).unwrap();
    outgoing.write_all(&one).unwrap();
    incoming.fill(&other).unwrap();
    let frame = incoming.next().unwrap().unwrap();
    assert_eq!(frame.descriptors.unwrap().len(), 253);
}

#[test]
fn a_message_that_is_not_added_leaves_nothing() {
    let (one, other, mut outgoing, mut incoming) = ends();
    outgoing.push(0, b"before", Vec::new()).unwrap();
    let too_long = outgoing.push(0, &vec![0; LIMIT + 1], Vec::new());
    assert_eq!(too_long.unwrap_err().kind(), ErrorKind::InvalidInput);
    let failed = outgoing.push_with(0, |bytes| {
        bytes.push(1);
        Err(io::Error::other("no"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "no");
    coreloop_test_support::panics::recorded(|| {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            outgoing.push_with(0, |bytes| {
                bytes.push(1);
                panic!("encoding")
            })
        }));
    });
    outgoing.push(0, b"after", Vec::new()).unwrap();
    outgoing.write_all(&one).unwrap();
    incoming.fill(&other).unwrap();
    assert_eq!(texts(&mut incoming), ["before", "after"]);
}

#[test]
fn a_message_can_be_withdrawn_until_a_part_was_written() {
    let (one, other, mut outgoing, _) = ends();
    let (reader, writer) = io::pipe().unwrap();
    outgoing.push(0, b"x", vec![writer.into()]).unwrap();
    assert!(outgoing.withdraw() && outgoing.is_empty());
    assert!(all(reader).is_empty());
    outgoing.push(0, &vec![1; LIMIT], Vec::new()).unwrap();
    assert!(!outgoing.write(&one).unwrap());
    let left = outgoing.length();
    assert!(!outgoing.withdraw() && outgoing.length() == left);
    // Also if most of it was written, and the rest was moved.
    outgoing.push(0, b"y", Vec::new()).unwrap();
    let reading = std::thread::spawn(move || {
        let (mut incoming, mut lengths) = (Incoming::new(LIMIT), Vec::new());
        while incoming.fill(&other).unwrap() > 0 {
            while let Some(frame) = incoming.next().unwrap() {
                lengths.push(frame.body.len());
            }
        }
        lengths
    });
    while !outgoing.is_empty() {
        assert!(!outgoing.withdraw());
        match outgoing.write(&one) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    drop(one);
    assert_eq!(reading.join().unwrap(), [LIMIT, 1]);
}

#[test]
fn a_message_whose_sender_lost_the_descriptors_is_an_error_and_the_next_one_is_not() {
    let (one, other, _, mut incoming) = ends();
    let mut one = UnixStream::from(one);
    one.write_all(&[header(0, LOST), header(0, 0)].concat())
        .unwrap();
    incoming.fill(&other).unwrap();
    let first = incoming.next().unwrap().unwrap();
    assert_eq!(first.descriptors.unwrap_err(), Lost);
    assert!(incoming.next().unwrap().unwrap().descriptors.is_ok());
}

#[test]
fn descriptors_that_are_announced_and_do_not_come_are_an_error() {
    let (one, other, mut outgoing, mut incoming) = ends();
    outgoing.push(0, b"", Vec::new()).unwrap();
    outgoing.write_all(&one).unwrap();
    UnixStream::from(one).write_all(&header(5, 1)).unwrap();
    incoming.fill(&other).unwrap();
    assert!(incoming.next().unwrap().is_some());
    // Before the body has come.
    assert!(refusal(&mut incoming).contains("without the descriptors"));
}

/// Sends bytes by hand, with this many descriptors.
fn send_by_hand(socket: &OwnedFd, bytes: &[u8], descriptors: usize) {
    let (reader, _) = io::pipe().unwrap();
    let reader = OwnedFd::from(reader);
    let all: Vec<_> = (0..descriptors)
        .map(|_| reader.try_clone().unwrap())
        .collect();
    let sent = send_slices(
        socket.as_fd(),
        &[io::IoSlice::new(bytes)],
        &all,
        sys::send_flags(),
    )
    .unwrap();
    assert_eq!(sent, bytes.len());
}

#[test]
fn descriptors_that_no_message_announces_are_an_error() {
    for (bytes, count) in [
        // With a whole message that has none, with the start of one, and within one.
        (vec![header(0, 0).to_vec()], 1),
        (vec![header(3, 0).to_vec()], 1),
        (vec![header(3, 0).to_vec(), vec![1]], 0),
        // More than are announced, and fewer.
        (vec![header(0, 1).to_vec()], 2),
        (vec![header(0, 3).to_vec()], 2),
    ] {
        let (one, other, _, mut incoming) = ends();
        let last = bytes.len() - 1;
        for (at, bytes) in bytes.iter().enumerate() {
            let count = if at == last { count.max(1) } else { count };
            match count {
                0 => drop(rustix::io::write(&one, bytes).unwrap()),
                count => send_by_hand(&one, bytes, count),
            }
            incoming.fill(&other).unwrap();
        }
        assert!(refusal(&mut incoming).contains("descriptors"));
    }
}

#[test]
fn a_peer_cannot_gather_descriptors_in_the_middle_of_a_message() {
    let (one, other, _, mut incoming) = ends();
    send_by_hand(&one, &header(100, 2), 2);
    incoming.fill(&other).unwrap();
    assert!(incoming.next().unwrap().is_none());
    send_by_hand(&one, &[0], 2);
    incoming.fill(&other).unwrap();
    assert!(refusal(&mut incoming).contains("no frame"));
}

#[test]
fn a_header_that_claims_too_much_is_an_error_at_once() {
    let (one, other, _, mut incoming) = ends();
    let claim = header(u32::try_from(LIMIT).unwrap() + 1, 0);
    UnixStream::from(one).write_all(&claim).unwrap();
    incoming.fill(&other).unwrap();
    assert!(refusal(&mut incoming).contains("1048577 bytes"));
}

#[test]
fn a_read_that_waits_does_so_on_a_nonblocking_socket_too() {
    let (one, other, mut outgoing, mut incoming) = ends();
    rustix::io::ioctl_fionbio(&other, true).unwrap();
    let error = incoming.try_fill(&other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let writing = std::thread::spawn(move || {
        outgoing.push(0, b"late", Vec::new()).unwrap();
        outgoing.write_all(&one)
    });
    incoming.fill(&other).unwrap();
    assert_eq!(texts(&mut incoming), ["late"]);
    writing.join().unwrap().unwrap();
    assert_eq!(incoming.fill(&other).unwrap(), 0);
}

/// A step of a test with random sizes.
#[derive(Debug, Clone)]
enum Step {
    Push { length: usize, descriptors: usize },
    Write,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![3 => 0..200_usize, 1 => 0..100_000_usize];
    let descriptors = prop_oneof![3 => Just(0_usize), 1 => 0..4_usize];
    let step = prop_oneof![
        3 => (length, descriptors).prop_map(|(length, descriptors)| Step::Push {
            length,
            descriptors
        }),
        2 => Just(Step::Write),
        2 => Just(Step::Read),
    ];
    proptest::collection::vec(step, 0..40)
}

/// The messages that were added, and those that have come.
#[derive(Default)]
struct Model {
    sent: Vec<(usize, usize)>,
    pipes: Vec<(u16, PipeReader)>,
    came: usize,
}

impl Model {
    fn push(&mut self, outgoing: &mut Outgoing, length: usize, descriptors: usize) {
        let tag = u16::try_from(self.sent.len()).unwrap();
        let mut writers = Vec::new();
        for _ in 0..descriptors {
            let (reader, writer) = io::pipe().unwrap();
            self.pipes.push((tag, reader));
            writers.push(writer.into());
        }
        let body: Vec<u8> = (0..length).map(|at| body_byte(tag, at)).collect();
        outgoing.push(tag, &body, writers).unwrap();
        self.sent.push((length, descriptors));
    }

    fn take(&mut self, incoming: &mut Incoming) {
        while let Some(frame) = incoming.next().unwrap() {
            let (length, descriptors) = self.sent[self.came];
            let tag = u16::try_from(self.came).unwrap();
            assert_eq!((frame.tag, frame.body.len()), (tag, length));
            assert!((0..length).all(|at| frame.body[at] == body_byte(tag, at)));
            let came = frame.descriptors.unwrap();
            assert_eq!(came.len(), descriptors);
            for descriptor in came {
                answer(descriptor, tag.to_le_bytes()[0]);
            }
            self.came += 1;
        }
    }
}

fn body_byte(tag: u16, at: usize) -> u8 {
    (usize::from(tag) + at * 3).to_le_bytes()[0]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn messages_come_in_order_however_they_are_written_and_read(steps in steps()) {
        let (one, other, mut outgoing, mut incoming) = ends();
        let mut model = Model::default();
        let would_block = |result: io::Result<()>| {
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
        };
        for step in steps {
            match step {
                Step::Push { length, descriptors } => {
                    model.push(&mut outgoing, length, descriptors);
                }
                Step::Write => would_block(outgoing.write(&one).map(drop)),
                Step::Read => would_block(incoming.try_fill(&other).map(drop)),
            }
            model.take(&mut incoming);
        }
        while !outgoing.is_empty() {
            would_block(outgoing.write(&one).map(drop));
            would_block(incoming.try_fill(&other).map(drop));
            model.take(&mut incoming);
        }
        drop(one);
        while incoming.fill(&other).unwrap() > 0 {
            model.take(&mut incoming);
        }
        prop_assert!(!incoming.is_in_frame());
        prop_assert_eq!(model.came, model.sent.len());
        for (tag, reader) in model.pipes {
            prop_assert_eq!(all(reader), [tag.to_le_bytes()[0]]);
        }
    }
}

#[test]
fn a_lack_of_memory_is_no_end_of_a_connection() {
    for error in [Errno::NOMEM, Errno::NOBUFS] {
        assert!(is_short_of_memory(&error.into()));
    }
    assert!(!is_short_of_memory(&Errno::PIPE.into()));
}
