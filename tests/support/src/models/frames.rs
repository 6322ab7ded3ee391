//! The frames of a pool, whatever the other process sends and however the bytes are cut.
//!
//! The reader finds the frames that a search of all the bytes finds, and no header makes it
//! allocate more than has come.

use coreloop::pool::__fuzz::{Reader, is_kind};

const HEADER: usize = 24;
const KINDS: u16 = 32;
const SMALL: usize = 64 << 10;

pub fn check(bytes: &[u8]) {
    let Some((&[limit, seed], script)) = bytes.split_first_chunk() else {
        return;
    };
    let max_length = [0, 300, 70_000, 1 << 30][usize::from(limit % 4)];
    let mut random = fastrand::Rng::with_seed(u64::from(seed));
    let sent = stream(script, max_length, &mut random);
    let mut expected = frames(&sent, max_length);

    let mut reader = Reader::new(max_length);
    let mut came = 0;
    loop {
        // Sometimes frames are left for later.
        while came == sent.len() || random.u8(..) < 200 {
            match (reader.take_frame(), expected.next()) {
                (Ok(Some((header, body))), Some(Found::Frame(start, end))) if end <= came => {
                    assert_eq!(header, sent[start..start + HEADER]);
                    assert_eq!(body, &sent[start + HEADER..end]);
                }
                (Ok(None), found) => {
                    let complete = match found {
                        Some(Found::Frame(_, end)) => end,
                        Some(Found::Error(end)) => end,
                        None => usize::MAX,
                    };
                    assert!(complete > came, "a frame is missing");
                    expected.back = found;
                    break;
                }
                (Err(_), Some(Found::Error(end))) if end <= came => {
                    assert!(reader.take_frame().is_err());
                    return;
                }
                (next, found) => panic!("{next:?} is not {found:?}"),
            }
        }
        if came == sent.len() {
            assert_eq!(reader.is_in_frame(), expected.at < sent.len());
            return;
        }
        let most = [1, 30, 5_000, 300_000][random.usize(..4)];
        let end = sent.len().min(came + random.usize(1..=most));
        let count = reader.fill(&sent[came..end]);
        assert!(count > 0, "there is no space");
        came += count;
        assert!(reader.allocated() <= 2 * came + SMALL);
    }
}

/// Writes what a script says: frames, frames that are too long, headers without their bodies,
/// and other bytes.
fn stream(script: &[u8], max_length: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut block = [0; 1 << 10];
    random.fill(&mut block);
    let mut sent = Vec::new();
    for step in script.chunks_exact(4) {
        let &[what, a, b, c] = step else { continue };
        let (a, b, c) = (u16::from(a), usize::from(b), usize::from(c));
        let (length, has_body) = match what % 16 {
            0..8 => (b, true),
            8..12 => (b * c, true),
            12 => (b << 10, true),
            13 => (max_length + b, false),
            14 => (b << 24 | c, false),
            _ => {
                sent.extend_from_slice(&step[1..]);
                continue;
            }
        };
        let length = if has_body {
            length.min(max_length)
        } else {
            length
        };
        let known: Vec<_> = (0..KINDS).filter(|&kind| is_kind(kind)).collect();
        // Seldom another kind.
        let kind = known.get(usize::from(a) % (known.len() + 1)).unwrap_or(&a);
        let start = sent.len();
        let length_field = u32::try_from(length).expect("no step claims more than 32 bits");
        sent.extend(length_field.to_le_bytes());
        sent.extend(kind.to_le_bytes());
        sent.extend_from_slice(&block[b..b + HEADER - 6]);
        assert_eq!(sent.len(), start + HEADER);
        if has_body {
            sent.extend(block.iter().cycle().skip(c).take(length));
        }
    }
    sent
}

/// What a search finds in a stream.
#[derive(Debug)]
enum Found {
    /// A frame from its start to its end.
    Frame(usize, usize),
    /// A header that ends here, and is none.
    Error(usize),
}

struct Search<'a> {
    sent: &'a [u8],
    max_length: usize,
    at: usize,
    back: Option<Found>,
}

fn frames(sent: &[u8], max_length: usize) -> Search<'_> {
    Search {
        sent,
        max_length,
        at: 0,
        back: None,
    }
}

impl Iterator for Search<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(found) = self.back.take() {
            return Some(found);
        }
        let (start, body) = (self.at, self.at + HEADER);
        let header = self.sent.get(start..body)?;
        let length = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        let kind = u16::from_le_bytes(header[4..6].try_into().unwrap());
        if length > self.max_length || !is_kind(kind) {
            return Some(Found::Error(body));
        }
        self.sent.get(body..)?.get(..length)?;
        self.at = body + length;
        Some(Found::Frame(start, self.at))
    }
}
