//! What a master and a worker send to each other: frames, each a [`Header`] and a body.

pub(crate) mod chunk;
pub(crate) mod reader;
pub(crate) mod side;

use std::io;

use reader::FrameHeader;

/// The length of a header.
pub(crate) const HEADER: usize = 24;

/// In place of the number of descriptors: the sender has lost them.
pub(crate) const LOST: u8 = u8::MAX;

/// The start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The length of the body.
    pub(crate) length: u32,
    pub(crate) kind: Kind,
    /// The number of descriptors that were sent before the frame; see [`side`].
    pub(crate) descriptors: u8,
    /// In a frame to a worker: the number of the function in the registry. In a frame to the
    /// master: 0.
    pub(crate) function: u16,
    /// The ticket of the send, whose sequence is in the word of its slot.
    pub(crate) ticket: Ticket,
    /// The id of the job, which the job can ask for. The upper 16 bits are the attempt.
    pub(crate) job: u64,
}

/// One send of a job to a worker: a sequence number, different for each send of a pool, and
/// the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// The number of a slot of a worker.
pub(crate) type Slot = usize;

/// The number of slots of a worker.
pub(crate) const SLOTS: usize = 64;

impl Ticket {
    /// The ticket of a frame that concerns no job. Sequences begin with 1.
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn new(sequence: u64, slot: Slot) -> Self {
        debug_assert!(slot < SLOTS, "a slot is a number below 64");
        Self(sequence << 6 | slot as u64 & 63)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// The sequence number, below 2^58.
    pub(crate) fn sequence(self) -> u64 {
        self.0 >> 6
    }

    pub(crate) fn slot(self) -> Slot {
        (self.0 & 63) as Slot
    }
}

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To a worker: call a function. The body is its encoded arguments.
    Job = 1,
    /// To a worker: call a function for each of several items. The body is, for each item,
    /// its length and its encoded arguments.
    Chunk = 2,
    /// To a worker, as its first frame if the pool has an initializer: call it. The body is
    /// its encoded arguments.
    Initialize = 3,
    /// To a worker: call a function. The body is its arguments, in the portable encoding, in
    /// which the result is encoded too.
    Portable = 4,
    /// To the master: the worker takes jobs. The body is empty.
    Ready = 16,
    /// To the master: the initializer has failed; the worker ends. The body is a text.
    InitializerFailed = 17,
    /// To the master: the encoded result of a job.
    Done = 18,
    /// To the master: the results of a chunk, each its kind, its length and its body.
    ChunkDone = 19,
    /// To the master: the function has panicked. The body is the message.
    Panicked = 20,
    /// To the master: the arguments could not be decoded, or the result could not be encoded
    /// or is too long. The body is a text.
    Codec = 21,
    /// To the master: the encoded value that a job passed to `job::progress`.
    Progress = 22,
    /// To the master: the result of a job, in the portable encoding, which is an `Err`.
    Returned = 23,
}

impl Kind {
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Job,
            2 => Self::Chunk,
            3 => Self::Initialize,
            4 => Self::Portable,
            16 => Self::Ready,
            17 => Self::InitializerFailed,
            18 => Self::Done,
            19 => Self::ChunkDone,
            20 => Self::Panicked,
            21 => Self::Codec,
            22 => Self::Progress,
            23 => Self::Returned,
            _ => return None,
        })
    }
}

impl Header {
    /// Joins the id of a job, of which 48 bits are sent, and the number of the attempt.
    pub(crate) fn join_job(id: u64, attempt: u32) -> u64 {
        let attempt = u64::from(attempt.min(u32::from(u16::MAX)));
        attempt << 48 | id & ((1 << 48) - 1)
    }

    /// Returns the id of a job and the number of the attempt.
    pub(crate) fn split_job(job: u64) -> (u64, u32) {
        let [.., high, low] = (job >> 48).to_be_bytes();
        (
            job & ((1 << 48) - 1),
            u32::from(u16::from_be_bytes([high, low])),
        )
    }

    /// Marks the frame whose header is at the start of `bytes` as one whose descriptors are lost.
    pub(crate) fn lose_descriptors(bytes: &mut [u8]) {
        bytes[5] = LOST;
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.descriptors;
        bytes[6..8].copy_from_slice(&self.function.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ticket.bits().to_le_bytes());
        bytes[16..].copy_from_slice(&self.job.to_le_bytes());
        bytes
    }

    /// Parses a header.
    ///
    /// # Errors
    ///
    /// Returns an error if the kind is unknown or the body longer than `max_length`.
    pub(crate) fn from_bytes(bytes: &[u8; HEADER], max_length: usize) -> io::Result<Self> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u64_at = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let kind = Kind::from_bits(bytes[4]).ok_or_else(|| garbled("an unknown kind of frame"))?;
        if length as usize > max_length {
            return Err(garbled("a frame is too long"));
        }
        Ok(Self {
            length,
            kind,
            descriptors: bytes[5],
            function: u16_at(6),
            ticket: Ticket::from_bits(u64_at(8)),
            job: u64_at(16),
        })
    }
}

impl FrameHeader for Header {
    const LENGTH: usize = HEADER;

    fn read(bytes: &[u8], max_length: usize) -> Option<io::Result<Self>> {
        let bytes = bytes.first_chunk()?;
        Some(Self::from_bytes(bytes, max_length))
    }

    fn body_length(&self) -> usize {
        self.length as usize
    }
}

pub(crate) fn garbled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> impl Iterator<Item = (u8, Kind)> {
        (0..=255).filter_map(|number| Some((number, Kind::from_bits(number)?)))
    }

    fn header(kind: Kind) -> Header {
        Header {
            length: 0x0102_0304,
            kind,
            descriptors: 253,
            function: 0x0506,
            ticket: Ticket::new(0x0007_0809_0a0b_0c0d, 63),
            job: u64::MAX - 1,
        }
    }

    fn parse(bytes: &[u8; HEADER], max_length: usize) -> String {
        Header::from_bytes(bytes, max_length)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert!(kinds().count() >= 12);
        for (number, kind) in kinds() {
            assert_eq!(kind as u8, number);
            let sent = header(kind);
            let received = Header::from_bytes(&sent.to_bytes(), usize::MAX).unwrap();
            assert_eq!(received, sent);
        }
    }

    #[test]
    fn an_unknown_kind_is_an_error() {
        let mut bytes = header(Kind::Job).to_bytes();
        for kind in [0, 5, 15, 24, u8::MAX] {
            bytes[4] = kind;
            assert!(parse(&bytes, usize::MAX).contains("unknown kind"));
        }
    }

    #[test]
    fn a_body_above_the_limit_is_an_error() {
        let bytes = header(Kind::Done).to_bytes();
        let length = 0x0102_0304;
        assert!(Header::from_bytes(&bytes, length).is_ok());
        assert!(parse(&bytes, length - 1).contains("too long"));
    }

    #[test]
    fn a_ticket_holds_a_sequence_and_a_slot() {
        for sequence in [0, 1, 77, u64::MAX >> 6] {
            for slot in [0, 1, 62, 63] {
                let ticket = Ticket::new(sequence, slot);
                assert_eq!((ticket.sequence(), ticket.slot()), (sequence, slot));
                assert_eq!(Ticket::from_bits(ticket.bits()), ticket);
            }
        }
    }
}
