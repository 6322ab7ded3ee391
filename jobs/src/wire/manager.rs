//! [`ManagerFrame`], what a manager says.

use std::io;

use coreloop_pool::__jobs::beginning;

use super::{Malformed, OVERHEAD, Parser};
use crate::error::{Error, Kind};

/// A frame of a manager.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ManagerFrame<'a> {
    /// The answer to the hello of a client.
    Welcome {
        /// A random number of the manager's record of the session. If it is not the one that
        /// the client knows, the manager has lost what it knew of the session.
        record: u64,
        /// The number of the last request that has come in this session.
        last: u64,
        /// The maximum length of a frame that the manager accepts.
        max: u32,
        /// How often the client has to say something, in milliseconds.
        heartbeat: u32,
    },
    /// The manager does not accept the client, for this reason.
    Refusal { reason: &'a str },
    /// An answer.
    Response {
        last: u64,
        id: u64,
        response: Response<&'a [u8]>,
    },
    /// The answer to a ping. A manager also sends it while a long frame comes, because a ping
    /// comes only after the frame.
    Pong { last: u64 },
}

/// An answer: the bytes of a value, or of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response<B> {
    /// Zero for a value, or the kind of the error, whose text follows.
    status: u8,
    body: B,
}

const WELCOME: u8 = 1;
const REFUSAL: u8 = 2;
const RESPONSE: u8 = 3;
const PONG: u8 = 4;

impl<'a> ManagerFrame<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Welcome {
                record,
                last,
                max,
                heartbeat,
            } => {
                out.push(WELCOME);
                out.extend_from_slice(&record.to_be_bytes());
                out.extend_from_slice(&last.to_be_bytes());
                out.extend_from_slice(&max.to_be_bytes());
                out.extend_from_slice(&heartbeat.to_be_bytes());
            }
            Self::Refusal { reason } => {
                out.push(REFUSAL);
                out.extend_from_slice(reason.as_bytes());
            }
            Self::Response { last, id, response } => {
                out.push(RESPONSE);
                out.extend_from_slice(&last.to_be_bytes());
                out.extend_from_slice(&id.to_be_bytes());
                out.push(response.status);
                out.extend_from_slice(response.body);
            }
            Self::Pong { last } => {
                out.push(PONG);
                out.extend_from_slice(&last.to_be_bytes());
            }
        }
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut parser = Parser(bytes);
        let frame = match parser.u8()? {
            WELCOME => Self::Welcome {
                record: parser.u64()?,
                last: parser.u64()?,
                max: parser.u32()?,
                heartbeat: parser.u32()?,
            },
            REFUSAL => Self::Refusal {
                reason: str::from_utf8(parser.rest()).map_err(|_| Malformed)?,
            },
            RESPONSE => Self::Response {
                last: parser.u64()?,
                id: parser.u64()?,
                response: Response {
                    status: parser.u8()?,
                    body: parser.rest(),
                },
            },
            PONG => Self::Pong {
                last: parser.u64()?,
            },
            _ => return Err(Malformed),
        };
        parser.end()?;
        Ok(frame)
    }
}

impl Response<Vec<u8>> {
    /// Makes an answer, whose body has at most `max` bytes. The text of an error may also use the
    /// overhead of the frame, so that a short one fits whatever the maximum is.
    pub(crate) fn new(result: Result<Vec<u8>, Error>, max: usize) -> Self {
        match result {
            Ok(body) if body.len() <= max => Self { status: 0, body },
            Ok(body) => {
                let text = format!(
                    "the answer has {} bytes, and at most {max} are allowed",
                    body.len()
                );
                Self::error(&Error::new(Kind::Codec, text), max)
            }
            Err(error) => Self::error(&error, max),
        }
    }

    fn error(error: &Error, max: usize) -> Self {
        let text = error.to_string();
        let max = max.saturating_add(OVERHEAD - RESPONSE_HEADER);
        Self {
            status: status(error.kind()),
            body: beginning(&text, MAX_TEXT.min(max)).into(),
        }
    }

    pub(crate) fn as_ref(&self) -> Response<&[u8]> {
        Response {
            status: self.status,
            body: &self.body,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

impl Response<&[u8]> {
    /// Returns the value or the error.
    pub(crate) fn into_result(self) -> Result<Vec<u8>, Error> {
        if self.status == 0 {
            return Ok(self.body.to_vec());
        }
        let text = String::from_utf8_lossy(self.body).into_owned();
        Err(Error::new(kind(self.status), text))
    }
}

/// How many bytes of an answer precede its body.
const RESPONSE_HEADER: usize = 18;

/// The maximum length of the text of an error.
const MAX_TEXT: usize = 4096;

/// The kinds of errors that cross the connection, in the order of their numbers. All others
/// arrive as the first.
const KINDS: [Kind; 11] = [
    Kind::Engine,
    Kind::Refused,
    Kind::Codec,
    Kind::TimedOut,
    Kind::Closed,
    Kind::Invalid,
    Kind::Service,
    Kind::Panicked,
    Kind::Io(io::ErrorKind::Other),
    Kind::Unknown,
    Kind::Dead,
];

fn status(kind: Kind) -> u8 {
    let kind = match kind {
        Kind::Io(_) => Kind::Io(io::ErrorKind::Other),
        other => other,
    };
    let position = KINDS.iter().position(|&known| known == kind);
    position
        .and_then(|position| u8::try_from(position + 1).ok())
        .unwrap_or(1)
}

fn kind(status: u8) -> Kind {
    let position = usize::from(status).wrapping_sub(1);
    KINDS.get(position).copied().unwrap_or(Kind::Engine)
}
