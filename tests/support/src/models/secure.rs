//! The frames and the handshake of a manager, whatever a peer without the key sends.
//!
//! Frames come with changes: bytes flipped, left out, put in, and frames repeated or exchanged. The
//! reader accepts those before the first change, and no other. No length makes it allocate more
//! than has come.

use coreloop::jobs::__fuzz::{Channel, handshake, messages};

const MAX: usize = 70_000;
const SMALL: usize = 64 << 10;

pub fn check(bytes: &[u8]) {
    handshake(bytes);
    messages(bytes);
    let Some((&seed, script)) = bytes.split_first() else {
        return;
    };
    let mut random = fastrand::Rng::with_seed(u64::from(seed));
    let mut channel = Channel::new(MAX);
    let bodies = bodies(script, &mut random);
    let frames: Vec<_> = bodies.iter().map(|body| channel.seal(body)).collect();
    let sent = change(&frames, script, &mut random);
    let intact = intact(&frames, &sent);

    let mut came = 0;
    let mut accepted = 0;
    loop {
        match channel.next_body() {
            Ok(Some(body)) => {
                assert!(accepted < intact, "frame {accepted} was changed");
                assert_eq!(body, bodies[accepted]);
                accepted += 1;
            }
            Ok(None) if came == sent.len() => {
                // What is left is a part of a frame.
                assert_eq!(accepted, intact, "a frame is missing");
                return;
            }
            Ok(None) => {
                let most = [1, 30, 5_000, 300_000][random.usize(..4)];
                let end = sent.len().min(came + random.usize(1..=most));
                let count = channel.fill(&sent[came..end]);
                assert!(count > 0, "there is no space");
                came += count;
                assert!(channel.allocated() <= 2 * came + SMALL);
            }
            Err(_) => {
                assert_eq!(accepted, intact, "an error before the first change");
                assert!(channel.next_body().is_err());
                assert!(!channel.is_in_frame());
                return;
            }
        }
    }
}

/// Returns the bodies of some frames.
fn bodies(script: &[u8], random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let lengths = script.iter().take(8).map(|&byte| match byte {
        255 => MAX,
        250..255 => random.usize(..MAX),
        length => usize::from(length),
    });
    let lengths: Vec<_> = lengths.collect();
    lengths
        .into_iter()
        .map(|length| (0..length).map(|_| random.u8(..)).collect())
        .collect()
}

/// Returns how many frames come as they were sent, before the first change.
fn intact(frames: &[Vec<u8>], sent: &[u8]) -> usize {
    let original = frames.concat();
    let same = original
        .iter()
        .zip(sent)
        .take_while(|(one, other)| one == other);
    let same = same.count();
    let mut end = 0;
    let ends = frames.iter().take_while(|frame| {
        end += frame.len();
        end <= same
    });
    ends.count()
}

/// Returns the bytes of the frames, which may be changed.
fn change(frames: &[Vec<u8>], script: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut frames = frames.to_vec();
    let Some(&what) = script.get(8) else {
        return frames.concat();
    };
    let at = random.usize(..frames.len());
    let byte = random.usize(..frames[at].len());
    match what % 6 {
        0 => frames[at][byte] ^= random.u8(1..),
        1 => drop(frames[at].remove(byte)),
        2 => frames[at].insert(byte, random.u8(..)),
        3 => frames.insert(at, frames[at].clone()),
        4 => frames.swap(0, at),
        _ => drop(frames.remove(at)),
    }
    frames.concat()
}
