use std::io::Write;
use std::os::unix::net::UnixStream;

use fastrand::Rng;

use super::*;
use crate::frame::{HEADER, Header, Kind, Ticket};

const LIMIT: usize = 64 << 20;

/// A frame whose body depends on `job`, so that a body in the wrong place is noticed.
fn frame(job: u64, length: usize) -> Vec<u8> {
    let header = Header {
        length: u32::try_from(length).unwrap(),
        kind: Kind::Job,
        descriptors: 0,
        function: 3,
        ticket: Ticket::new(job, 5),
        job,
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(body(job, length));
    bytes
}

fn body(job: u64, length: usize) -> impl Iterator<Item = u8> {
    (0..length).map(move |at| (at as u64 * 7 + job).to_le_bytes()[0])
}

/// Gives the reader at most `most` of the bytes, and returns the rest.
fn give<'a>(frames: &mut Frames<Header>, bytes: &'a [u8], most: usize) -> &'a [u8] {
    let space = frames.space();
    let count = bytes.len().min(space.len()).min(most);
    let (now, later) = bytes.split_at(count);
    space[..count].copy_from_slice(now);
    frames.filled(count);
    later
}

/// Takes all complete frames, and checks that they follow on `job`.
fn take_all(frames: &mut Frames<Header>, job: &mut u64) {
    while let Some((header, received)) = frames.next().unwrap() {
        assert_eq!(header.job, *job);
        assert!(received.iter().copied().eq(body(*job, received.len())));
        assert_eq!(received.len(), header.length as usize);
        *job += 1;
    }
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let lengths = [0, 1, 2, 100, 0, 24, 23, 25, 300];
    let sent: Vec<u8> = (0..)
        .zip(lengths)
        .flat_map(|(job, length)| frame(job, length))
        .collect();
    // Miri takes a second for each size.
    for most in (1..=sent.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
        let (mut frames, mut job, mut rest) = (Frames::new(LIMIT), 0, sent.as_slice());
        while !rest.is_empty() {
            rest = give(&mut frames, rest, most);
            take_all(&mut frames, &mut job);
        }
        assert_eq!(job, lengths.len() as u64);
        assert!(!frames.is_in_frame());
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many bytes")]
fn the_buffer_grows_with_the_bytes_and_not_with_the_header() {
    for length in [SMALL - HEADER, SMALL, 1 << 20, (5 << 20) + 3] {
        let mut random = Rng::with_seed(length as u64);
        let sent = [frame(0, 10), frame(1, length), frame(2, 7)].concat();
        let (mut frames, mut job, mut rest) = (Frames::new(LIMIT), 0, sent.as_slice());
        while !rest.is_empty() {
            rest = give(&mut frames, rest, random.usize(1..200_000));
            let came = sent.len() - rest.len();
            assert!(frames.buffer.len() <= SMALL.max(2 * came));
            assert!(frames.buffer.capacity() <= SMALL + 2 * came);
            take_all(&mut frames, &mut job);
        }
        assert_eq!(job, 3);
    }
}

#[test]
fn the_claim_of_a_header_alone_allocates_nothing() {
    let mut frames = Frames::new(u32::MAX as usize);
    let mut claim = frame(0, 0);
    claim[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    give(&mut frames, &claim, usize::MAX);
    for _ in 0..10 {
        assert!(frames.next().unwrap().is_none());
        assert_eq!(frames.space().len(), SMALL - HEADER);
        assert_eq!(frames.buffer.capacity(), SMALL);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many bytes")]
fn large_frames_one_after_another_use_one_buffer() {
    let mut frames = Frames::new(LIMIT);
    let (mut job, mut kept) = (0, None);
    for _ in 0..20 {
        let sent = [frame(job, 1 << 20), frame(job + 1, 10)].concat();
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            rest = give(&mut frames, rest, usize::MAX);
            take_all(&mut frames, &mut job);
        }
        let now = (frames.buffer.as_ptr(), frames.buffer.len());
        assert_eq!(*kept.get_or_insert(now), now);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many bytes")]
fn a_large_buffer_is_given_back_after_some_small_frames() {
    let mut frames = Frames::new(LIMIT);
    let mut job = 0;
    for (length, reads) in [(1 << 20, READS_KEPT), (LARGEST_KEPT + 1, 1)] {
        let sent = frame(job, length);
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            rest = give(&mut frames, rest, usize::MAX);
            take_all(&mut frames, &mut job);
        }
        assert!(frames.buffer.len() > length);
        for _ in 0..=reads {
            assert!(give(&mut frames, &frame(job, 50), usize::MAX).is_empty());
            take_all(&mut frames, &mut job);
        }
        assert_eq!(frames.buffer.len(), SMALL);
        assert_eq!(frames.buffer.capacity(), SMALL);
    }
}

#[test]
fn a_garbled_header_is_an_error_each_time() {
    let mut frames = Frames::new(100);
    give(
        &mut frames,
        &[frame(0, 100), frame(1, 101)].concat(),
        usize::MAX,
    );
    assert!(frames.next().unwrap().is_some());
    for _ in 0..3 {
        let error = frames.next().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(!frames.space().is_empty());
    }
    let mut frames = Frames::new(100);
    give(&mut frames, &[0xff; HEADER - 1], usize::MAX);
    assert!(frames.next().unwrap().is_none() && frames.is_in_frame());
    give(&mut frames, &[0xff], usize::MAX);
    assert!(frames.next().is_err());
}

#[test]
#[cfg_attr(miri, ignore = "too many bytes")]
fn frames_that_are_left_in_the_buffer_are_kept() {
    let mut frames = Frames::new(LIMIT);
    let sent: Vec<u8> = (0..3).flat_map(|job| frame(job, 40_000)).collect();
    let mut rest = sent.as_slice();
    while !rest.is_empty() {
        rest = give(&mut frames, rest, usize::MAX);
    }
    let mut job = 0;
    take_all(&mut frames, &mut job);
    assert_eq!(job, 3);
}

#[test]
#[cfg_attr(miri, ignore = "too many bytes")]
fn bytes_that_were_read_before_are_the_first() {
    let sent: Vec<u8> = (0..2).flat_map(|job| frame(job, 70_000)).collect();
    let (before, after) = sent.split_at(100_000);
    let mut frames = Frames::starting_with(before, LIMIT);
    let mut job = 0;
    take_all(&mut frames, &mut job);
    assert_eq!(job, 1);
    let mut rest = after;
    while !rest.is_empty() {
        rest = give(&mut frames, rest, usize::MAX);
    }
    take_all(&mut frames, &mut job);
    assert_eq!(job, 2);
}

#[test]
#[cfg_attr(miri, ignore = "it knows no send to a socket")]
fn a_socket_is_read_to_its_end() {
    let (mut one, other) = UnixStream::pair().unwrap();
    one.write_all(&[frame(0, 300), frame(1, 0)].concat())
        .unwrap();
    one.write_all(&frame(2, 40)[..30]).unwrap();
    drop(one);
    let (mut frames, mut job) = (Frames::new(LIMIT), 0);
    while frames.fill(&other).unwrap() > 0 {
        take_all(&mut frames, &mut job);
    }
    assert_eq!(job, 2);
    assert!(frames.is_in_frame(), "the last frame was cut");
}
