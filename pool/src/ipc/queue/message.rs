//! The bodies of the messages between a queue and its clients. All numbers are little-endian.

use crate::ipc::broker::protocol::Body;

/// What comes before the bytes of an item, in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The item is not confirmed yet.
    pub(super) is_held: bool,
    pub(super) has_lost_descriptors: bool,
    pub(super) deliveries: u32,
    /// The word of the item, if it was offered to a consumer.
    pub(super) slot: usize,
    pub(super) sequence: u64,
}

/// The length of a [`Head`].
pub(super) const HEAD: usize = 16;

const HELD: u8 = 1;
const LOST: u8 = 2;

impl Head {
    /// Returns the body of an answer.
    pub(super) fn with(self, bytes: &[u8]) -> Vec<u8> {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(self.is_held, HELD) | flag(self.has_lost_descriptors, LOST);
        let mut body = Vec::with_capacity(HEAD + bytes.len());
        body.push(flags);
        body.push(0);
        // There are not that many slots.
        let slot = u16::try_from(self.slot).unwrap_or(u16::MAX);
        body.extend_from_slice(&slot.to_le_bytes());
        body.extend_from_slice(&self.deliveries.to_le_bytes());
        body.extend_from_slice(&self.sequence.to_le_bytes());
        body.extend_from_slice(bytes);
        body
    }

    /// Reads the start of the body of an answer. The bytes of the item follow.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut body = Body(body);
        let (flags, _) = (body.u8()?, body.u8()?);
        let slot = [body.u8()?, body.u8()?];
        Some(Self {
            is_held: flags & HELD != 0,
            has_lost_descriptors: flags & LOST != 0,
            slot: u16::from_le_bytes(slot).into(),
            deliveries: body.u32()?,
            sequence: body.u64()?,
        })
    }
}

/// The body of a notice.
pub(super) fn notice(seen: u64, waiting: u64) -> [u8; 16] {
    let mut body = [0; 16];
    body[..8].copy_from_slice(&seen.to_le_bytes());
    body[8..].copy_from_slice(&waiting.to_le_bytes());
    body
}

/// The body of the answer with the numbers of items.
pub(super) fn lengths(len: usize, unconfirmed: usize) -> Vec<u8> {
    [
        (len as u64).to_le_bytes(),
        (unconfirmed as u64).to_le_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for number in 0..4 {
            let head = Head {
                is_held: number & 1 != 0,
                has_lost_descriptors: number & 2 != 0,
                deliveries: number,
                slot: 511,
                sequence: u64::MAX >> number,
            };
            let body = head.with(b"item");
            assert_eq!(Head::read(&body), Some(head));
            assert_eq!(&body[HEAD..], b"item");
            assert_eq!(Head::read(&body[..HEAD - 1]), None);
        }
    }
}
