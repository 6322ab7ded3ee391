//! [`ClientFrame`], what a client says.

use super::{Malformed, Parser};

/// A frame of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientFrame<'a> {
    /// The first frame of each connection.
    Hello {
        session: [u8; 16],
        /// The maximum length of a frame that the client accepts.
        max: u32,
        /// The requests whose answers the client waits for, upwards.
        unanswered: Vec<u64>,
    },
    /// A request.
    Request {
        received: u64,
        id: u64,
        /// Whether an answer is expected.
        is_notice: bool,
        service: &'a str,
        body: &'a [u8],
    },
    /// The answer of a request is not of interest any more. The request is still answered.
    Cancel { received: u64, id: u64 },
    /// The client is alive. The manager answers if `reply` is set.
    Ping { received: u64, reply: bool },
    /// The client leaves, and its session ends.
    Bye { received: u64 },
}

const HELLO: u8 = 1;
const REQUEST: u8 = 2;
const NOTICE: u8 = 3;
const CANCEL: u8 = 4;
const PING: u8 = 5;
const BYE: u8 = 6;

impl<'a> ClientFrame<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut begin = |kind: u8, received: u64| {
            out.push(kind);
            out.extend_from_slice(&received.to_be_bytes());
        };
        match self {
            Self::Hello {
                session,
                max,
                unanswered,
            } => {
                out.push(HELLO);
                out.extend_from_slice(session);
                out.extend_from_slice(&max.to_be_bytes());
                for id in unanswered {
                    out.extend_from_slice(&id.to_be_bytes());
                }
            }
            Self::Request {
                received,
                id,
                is_notice,
                service,
                body,
            } => {
                begin(if *is_notice { NOTICE } else { REQUEST }, *received);
                out.extend_from_slice(&id.to_be_bytes());
                // Longer names are refused before.
                let length = u8::try_from(service.len()).unwrap_or(0);
                out.push(length);
                out.extend_from_slice(&service.as_bytes()[..usize::from(length)]);
                out.extend_from_slice(body);
            }
            Self::Cancel { received, id } => {
                begin(CANCEL, *received);
                out.extend_from_slice(&id.to_be_bytes());
            }
            Self::Ping { received, reply } => {
                begin(PING, *received);
                out.push(u8::from(*reply));
            }
            Self::Bye { received } => begin(BYE, *received),
        }
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut parser = Parser(bytes);
        let kind = parser.u8()?;
        if kind == HELLO {
            return Self::parse_hello(parser);
        }
        let received = parser.u64()?;
        let frame = match kind {
            REQUEST | NOTICE => {
                let id = parser.u64()?;
                let length = usize::from(parser.u8()?);
                let service = parser.bytes(length)?;
                Self::Request {
                    received,
                    id,
                    is_notice: kind == NOTICE,
                    service: str::from_utf8(service).map_err(|_| Malformed)?,
                    body: parser.rest(),
                }
            }
            CANCEL => Self::Cancel {
                received,
                id: parser.u64()?,
            },
            PING => Self::Ping {
                received,
                reply: parser.flag()?,
            },
            BYE => Self::Bye { received },
            _ => return Err(Malformed),
        };
        parser.end()?;
        Ok(frame)
    }

    fn parse_hello(mut parser: Parser<'a>) -> Result<Self, Malformed> {
        let session = parser.array()?;
        let max = parser.u32()?;
        let (ids, rest) = parser.rest().as_chunks::<8>();
        let unanswered: Vec<u64> = ids.iter().map(|&id| u64::from_be_bytes(id)).collect();
        if !rest.is_empty() || !unanswered.is_sorted() {
            return Err(Malformed);
        }
        Ok(Self::Hello {
            session,
            max,
            unanswered,
        })
    }
}
