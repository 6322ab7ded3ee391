//! Messages between two ends, and bytes that no peer of this crate sends.

use super::*;
use coreloop_test_support::folder::Folder;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::fs::File;
use std::io::{Read, Seek, Write};

#[test]
fn messages_keep_their_boundaries_and_their_descriptors() {
    let (one, mut other) = Channel::pair().unwrap();
    let mut file = tempfile();
    file.write_all(b"shared").unwrap();
    one.send(&"first".to_owned(), &[]).unwrap();
    one.send(&"second".to_owned(), &[file.as_fd(), one.socket.as_fd()])
        .unwrap();
    one.send(&"third".to_owned(), &[file.as_fd()]).unwrap();
    drop(one);

    let (message, descriptors) = other.receive::<String>().unwrap().unwrap();
    assert_eq!((message.as_str(), descriptors.len()), ("first", 0));
    let (message, mut descriptors) = other.receive::<String>().unwrap().unwrap();
    assert_eq!((message.as_str(), descriptors.len()), ("second", 2));
    let mut same = File::from(descriptors.remove(0));
    same.rewind().unwrap();
    let mut text = String::new();
    same.read_to_string(&mut text).unwrap();
    assert_eq!(text, "shared");
    drop(descriptors);
    let (message, descriptors) = other.receive::<String>().unwrap().unwrap();
    assert_eq!((message.as_str(), descriptors.len()), ("third", 1));
    assert!(other.receive::<String>().unwrap().is_none());
}

/// The kernel resets a socket whose other end was closed before it had read everything.
#[test]
fn an_end_that_was_closed_unread_is_closed_as_any_other() {
    let closed_unread = || {
        let (mut one, other) = Channel::pair().unwrap();
        one.send(&"unread".to_owned(), &[]).unwrap();
        other.send(&"last".to_owned(), &[]).unwrap();
        drop(other);
        let (last, _) = one.receive::<String>().unwrap().unwrap();
        assert_eq!(last, "last");
        one
    };
    assert!(closed_unread().receive::<String>().unwrap().is_none());
    let error = closed_unread().send(&"late".to_owned(), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn sending_to_a_peer_that_does_not_read_fails_and_does_not_block() {
    let (one, _other) = Channel::pair().unwrap();
    let long = "x".repeat(1000);
    let refused = (0..100_000).find_map(|_| one.send(&long, &[]).err());
    let refused = refused.expect("a socket that is full");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
}

/// Frames that were sent after a part of a frame were taken for the rest of it.
#[test]
fn nothing_is_sent_after_a_part_of_a_frame() {
    let (one, mut other) = Channel::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&one.socket, 4096).unwrap();
    one.send(&"whole".to_owned(), &[]).unwrap();
    let refused = one.send(&"x".repeat(60_000), &[]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    let (message, _) = other.receive::<String>().unwrap().unwrap();
    assert_eq!(message, "whole");
    let end = other.receive::<String>().unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    // There is room again, and still nothing is sent.
    let behind = one.send(&"behind".to_owned(), &[]).unwrap_err();
    assert_eq!(behind.kind(), ErrorKind::BrokenPipe);
}

/// A frame whose descriptors were lost must not get the descriptors of the next.
#[test]
fn a_frame_without_room_for_its_descriptors_has_none() {
    let frame = |text: &str, count| {
        let body = postcard::to_stdvec(text).unwrap();
        let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        bytes.push(count);
        bytes.extend(body);
        bytes
    };
    let mut received = Received::default();
    received.bytes.extend(frame("lost", 2));
    received.bytes.extend(frame("none", 0));
    received.bytes.extend(frame("next", 1));
    received.descriptors.push_back(None);
    received
        .descriptors
        .push_back(Some(vec![tempfile().into()]));
    let mut next = || {
        let (message, descriptors) = received.frame::<String>().unwrap().unwrap();
        (message, descriptors.len())
    };
    assert_eq!(next(), ("lost".to_owned(), 0));
    assert_eq!(next(), ("none".to_owned(), 0));
    assert_eq!(next(), ("next".to_owned(), 1));
}

#[test]
fn half_a_message_is_an_error() {
    let (one, mut other) = Channel::pair().unwrap();
    rustix::io::write(&one.socket, &[200, 0, 0, 0, 0, 1, 2]).unwrap();
    drop(one);
    let error = other.receive::<String>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn invalid_frames_are_refused() {
    for bytes in [&[255; 16][..], &[1, 0, 0, 0, 9, 0], &[1, 0, 0, 0, 0, 255]] {
        let (one, mut other) = Channel::pair().unwrap();
        rustix::io::write(&one.socket, bytes).unwrap();
        let error = other.receive::<String>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}

proptest! {
    /// A stream has no message boundaries, so a frame may come in any parts.
    #[test]
    fn frames_are_received_whole_however_they_are_cut(
        slots in vec(any::<u32>(), 0..20),
        cuts in vec(1..40_usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        for &slot in &slots {
            let body = postcard::to_stdvec(&ToWorker::Adopt { slot }).unwrap();
            bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&body);
        }
        let mut received = Received::default();
        let mut seen: Vec<ToWorker> = Vec::new();
        let mut rest = &bytes[..];
        for &cut in cuts.iter().cycle() {
            let (part, later) = rest.split_at(cut.min(rest.len()));
            received.bytes.extend_from_slice(part);
            rest = later;
            while let Some((message, _)) = received.frame().unwrap() {
                seen.push(message);
            }
            if rest.is_empty() {
                break;
            }
        }
        let sent: Vec<_> = slots.iter().map(|&slot| ToWorker::Adopt { slot }).collect();
        prop_assert_eq!(seen, sent);
        prop_assert!(received.end::<()>().is_ok());
    }

    /// Whatever bytes are received, reading a frame returns an error or waits for more. It
    /// never panics or loops endlessly.
    #[test]
    fn any_bytes_are_refused_or_waited_for(bytes in vec(any::<u8>(), 0..200)) {
        let mut received = Received::default();
        received.bytes.extend_from_slice(&bytes);
        let mut left = bytes.len();
        while let Ok(Some((_, descriptors))) = received.frame::<ToWorker>() {
            prop_assert!(descriptors.is_empty(), "there were none");
            prop_assert!(received.bytes.len() < left, "a frame takes bytes");
            left = received.bytes.len();
        }
    }
}

/// Creates a file that is removed from its directory at once.
fn tempfile() -> File {
    let folder = Folder::new();
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(folder.path("file"))
        .unwrap()
}
