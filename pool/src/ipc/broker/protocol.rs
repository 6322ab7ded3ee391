//! What a client and a broker say to each other: the numbers of operations and answers, and how
//! their bodies are laid out.
//!
//! Both sides use the frames of [`wire`](crate::ipc::wire). A frame from a client has the number of
//! the [`Operation`] as its tag, and a body that begins with the number of the object and the
//! number of the request. A frame from a broker has the [`Status`] as its tag, and a body that
//! begins with the number of the request. All numbers are little-endian.
//!
//! The first frame is the broker's: [`CHALLENGE`], with the version, a random number, which the
//! client returns in its first frame, [`Operation::HELLO`], and the number of the client.

use crate::ipc::wire::rights::Descriptors;

/// The version of this protocol. Processes of different builds may meet at a broker.
pub(crate) const VERSION: u32 = 3;

/// The tag of the first frame of a broker.
pub(crate) const CHALLENGE: u16 = u16::MAX;

/// The longest body of a frame.
pub(crate) const MAX_BODY: usize = (64 << 20) + (64 << 10);

/// The number of an operation. Each kind of object has operations of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation(pub(crate) u16);

impl Operation {
    /// The first frame of a client: the version, the number of the challenge, and the process id
    /// as the client knows it.
    pub(crate) const HELLO: Self = Self(0);
    /// Withdraws a request of the client: it waits no more, and what it holds is released. Has no
    /// answer, and no effect if the request is not open.
    pub(crate) const WITHDRAW: Self = Self(1);
    /// Like `WITHDRAW`, by code that panics while it holds the object.
    pub(crate) const WITHDRAW_PANICKING: Self = Self(2);
    /// Removes the object. Whatever waits for it gets [`Status::CLOSED`].
    pub(crate) const CLOSE: Self = Self(3);

    /// Withdraws a request of another client of the same process, whose connection has failed. The
    /// body is the number of that client, and 1 if the code panics while it holds the object,
    /// otherwise 0. Has no answer.
    pub(crate) const WITHDRAW_OF: Self = Self(4);

    /// Set in the operations whose requests may stay open, because they wait or hold something.
    /// They have no effect if the process of the client has ended.
    const ASKS: u16 = 1 << 15;

    /// Asks for a lock. If the request is signed, so is the grant.
    pub(crate) const LOCK: Self = Self(0x10 | Self::ASKS);
    pub(crate) const TRY_LOCK: Self = Self(0x11 | Self::ASKS);
    pub(crate) const IS_POISONED: Self = Self(0x12);
    pub(crate) const CLEAR_POISON: Self = Self(0x13);
    pub(crate) const HOLDER: Self = Self(0x14);
    /// Asks for the memory that a lock protects. The request and the answer are signed.
    pub(crate) const MEMORY: Self = Self(0x15);

    pub(crate) const ACQUIRE: Self = Self(0x20 | Self::ASKS);
    pub(crate) const TRY_ACQUIRE: Self = Self(0x21 | Self::ASKS);
    pub(crate) const ADD_PERMITS: Self = Self(0x22);
    pub(crate) const AVAILABLE_PERMITS: Self = Self(0x23);
    pub(crate) const HOLDERS: Self = Self(0x24);

    pub(crate) const SET: Self = Self(0x30);
    pub(crate) const CLEAR: Self = Self(0x31);
    pub(crate) const IS_SET: Self = Self(0x32);
    pub(crate) const WAIT: Self = Self(0x33 | Self::ASKS);

    pub(crate) const ARRIVE: Self = Self(0x40 | Self::ASKS);

    /// Puts the item in the rest of the body in a queue, and may wait for room.
    pub(crate) const PUT: Self = Self(0x50 | Self::ASKS);
    pub(crate) const TRY_PUT: Self = Self(0x51 | Self::ASKS);
    /// Puts an item for which the producer has taken a credit. Has no answer.
    pub(crate) const PUT_WITH_CREDIT: Self = Self(0x52);
    /// Takes a put back that waits. The body is its request.
    pub(crate) const CANCEL_PUT: Self = Self(0x53);
    /// Makes the client a producer. Its credits come with the request.
    pub(crate) const PRODUCE: Self = Self(0x54 | Self::ASKS);
    /// Makes the client a consumer. Its words come with the request. Each answer is an item, or the
    /// end.
    pub(crate) const CONSUME: Self = Self(0x55 | Self::ASKS);
    /// The notice of a consumer: the last offer that it has read, and how many wait. Has no answer.
    pub(crate) const NOTICE: Self = Self(0x56);
    /// Takes an item and confirms it, or waits for one, and holds it then.
    pub(crate) const TAKE: Self = Self(0x57 | Self::ASKS);
    /// Takes an item and holds it.
    pub(crate) const LEASE: Self = Self(0x58 | Self::ASKS);
    pub(crate) const TRY_LEASE: Self = Self(0x59 | Self::ASKS);
    /// Confirms what a request holds, which is the body. Has no answer.
    pub(crate) const CONFIRM: Self = Self(0x5a);
    /// Gives back what a request holds, which is the body. Has no answer.
    pub(crate) const GIVE_BACK: Self = Self(0x5b);
    pub(crate) const JOIN: Self = Self(0x5c | Self::ASKS);
    pub(crate) const LEN: Self = Self(0x5d);
    /// Lets a queue accept no more items.
    pub(crate) const END: Self = Self(0x5e);

    /// Returns whether this operation never has an answer. A broker handles such an operation even
    /// if the client does not read, because other clients may wait for what it releases.
    pub(crate) fn is_unanswered(self) -> bool {
        matches!(
            self,
            Self::HELLO
                | Self::WITHDRAW
                | Self::WITHDRAW_PANICKING
                | Self::WITHDRAW_OF
                | Self::PUT_WITH_CREDIT
                | Self::NOTICE
                | Self::CONFIRM
                | Self::GIVE_BACK
        )
    }

    /// Returns whether a request with this operation may stay open.
    pub(crate) fn asks(self) -> bool {
        self.0 & Self::ASKS != 0
    }
}

/// How a broker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl Status {
    pub(crate) const DONE: Self = Self(0);
    /// The object was closed, or its owner has dropped it.
    pub(crate) const CLOSED: Self = Self(1);
    /// A request that must not wait cannot be granted now.
    pub(crate) const UNAVAILABLE: Self = Self(2);
    /// The object does not have this operation: it is of another kind.
    pub(crate) const WRONG_KIND: Self = Self(3);
    /// The number in the request is too large.
    pub(crate) const OUT_OF_RANGE: Self = Self(4);
    /// The request is not signed by a process of the family.
    pub(crate) const REFUSED: Self = Self(5);
    /// A queue is closed, and all its items are confirmed.
    pub(crate) const ENDED: Self = Self(6);
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) body: Vec<u8>,
    pub(crate) descriptors: Descriptors,
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn new(status: Status) -> Self {
        Self::with(status, Vec::new())
    }

    pub(crate) fn done() -> Self {
        Self::new(Status::DONE)
    }

    pub(crate) fn with(status: Status, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            descriptors: Ok(Vec::new()),
        }
    }
}

/// Takes numbers from the front of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl<'a> Body<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// Returns the only number of a body.
    pub(crate) fn only_u64(mut self) -> Option<u64> {
        self.u64().filter(|_| self.0.is_empty())
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
