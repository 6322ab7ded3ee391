//! The requests and answers of a queue, in bytes. An answer begins with the operation, like its
//! request.

use super::state::{Granted, HEADER};
use crate::error::Error;
use crate::wire::{Malformed, Parser};

/// A request to a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op<'a> {
    Put { waits: bool, bodies: Vec<&'a [u8]> },
    Get { waits: bool, max: u32 },
    Ack(Vec<u64>),
    GiveBack(Vec<u64>),
    Len,
    Join,
    Close,
}

const PUT: u8 = 1;
const GET: u8 = 2;
const ACK: u8 = 3;
const GIVE_BACK: u8 = 4;
const LEN: u8 = 5;
const JOIN: u8 = 6;
const CLOSE: u8 = 7;

impl<'a> Op<'a> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Put { waits, bodies } => {
                let length: usize = bodies.iter().map(|body| body.len() + 4).sum();
                out.reserve_exact(2 + length);
                out.extend_from_slice(&[PUT, u8::from(*waits)]);
                for body in bodies {
                    write_body(&mut out, body);
                }
            }
            Self::Get { waits, max } => {
                out.extend_from_slice(&[GET, u8::from(*waits)]);
                out.extend_from_slice(&max.to_be_bytes());
            }
            Self::Ack(leases) => write_leases(&mut out, ACK, leases),
            Self::GiveBack(leases) => write_leases(&mut out, GIVE_BACK, leases),
            Self::Len => out.push(LEN),
            Self::Join => out.push(JOIN),
            Self::Close => out.push(CLOSE),
        }
        out
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut parser = Parser(bytes);
        let op = match parser.u8()? {
            PUT => {
                let waits = parser.flag()?;
                let mut bodies = Vec::new();
                while !parser.0.is_empty() {
                    bodies.push(read_body(&mut parser)?);
                }
                Self::Put { waits, bodies }
            }
            GET => Self::Get {
                waits: parser.flag()?,
                max: parser.u32()?,
            },
            ACK => Self::Ack(read_leases(&mut parser)?),
            GIVE_BACK => Self::GiveBack(read_leases(&mut parser)?),
            LEN => Self::Len,
            JOIN => Self::Join,
            CLOSE => Self::Close,
            _ => return Err(Malformed),
        };
        parser.end()?;
        Ok(op)
    }
}

/// The answer to an operation that has none.
pub(super) fn done() -> Vec<u8> {
    vec![JOIN]
}

/// The answer to a put: whether there was room.
pub(super) fn put(had_room: bool) -> Vec<u8> {
    vec![PUT, u8::from(had_room)]
}

pub(super) fn parse_put(bytes: &[u8]) -> Result<bool, Error> {
    let mut parser = Parser(bytes);
    expect(&mut parser, PUT)?;
    Ok(parser.flag()?)
}

/// The answer with a number.
pub(super) fn number(number: u64) -> Vec<u8> {
    let mut out = vec![LEN];
    out.extend_from_slice(&number.to_be_bytes());
    out
}

pub(super) fn parse_number(bytes: &[u8]) -> Result<u64, Error> {
    let mut parser = Parser(bytes);
    expect(&mut parser, LEN)?;
    Ok(parser.u64()?)
}

/// The answer with items.
pub(super) fn granted(granted: &[Granted]) -> Vec<u8> {
    let length: usize = granted
        .iter()
        .map(|granted| granted.body.len() + HEADER)
        .sum();
    let mut out = Vec::with_capacity(1 + length);
    out.push(GET);
    for granted in granted {
        out.extend_from_slice(&granted.lease.to_be_bytes());
        out.extend_from_slice(&granted.attempt.to_be_bytes());
        write_body(&mut out, &granted.body);
    }
    out
}

/// An item in an answer: its lease, its attempt and its bytes.
pub(super) type Item<'a> = (u64, u32, &'a [u8]);

pub(super) fn parse_granted(bytes: &[u8]) -> Result<Vec<Item<'_>>, Error> {
    let mut parser = Parser(bytes);
    expect(&mut parser, GET)?;
    let mut items = Vec::new();
    while !parser.0.is_empty() {
        let (lease, attempt) = (parser.u64()?, parser.u32()?);
        items.push((lease, attempt, read_body(&mut parser)?));
    }
    Ok(items)
}

/// Returns the request that gives the items of an answer back; `None` if it has none.
pub(crate) fn give_back(answer: &[u8]) -> Option<Vec<u8>> {
    let items = parse_granted(answer).ok()?;
    let leases: Vec<_> = items.into_iter().map(|(lease, ..)| lease).collect();
    (!leases.is_empty()).then(|| Op::GiveBack(leases).to_bytes())
}

fn expect(parser: &mut Parser<'_>, op: u8) -> Result<(), Malformed> {
    if parser.u8()? == op {
        Ok(())
    } else {
        Err(Malformed)
    }
}

fn write_body(out: &mut Vec<u8>, body: &[u8]) {
    // Frames are shorter.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}

fn read_body<'a>(parser: &mut Parser<'a>) -> Result<&'a [u8], Malformed> {
    let length = parser.u32()?;
    parser.bytes(usize::try_from(length).map_err(|_| Malformed)?)
}

fn write_leases(out: &mut Vec<u8>, op: u8, leases: &[u64]) {
    out.push(op);
    for lease in leases {
        out.extend_from_slice(&lease.to_be_bytes());
    }
}

fn read_leases(parser: &mut Parser<'_>) -> Result<Vec<u64>, Malformed> {
    let (leases, rest) = parser.rest().as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Malformed);
    }
    Ok(leases
        .iter()
        .map(|&lease| u64::from_be_bytes(lease))
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Granted, Op, give_back, granted, parse_granted};

    #[test]
    fn requests_are_parsed_as_they_were_written() {
        for op in [
            Op::Put {
                waits: true,
                bodies: vec![b"one", b"", b"three"],
            },
            Op::Get {
                waits: false,
                max: 7,
            },
            Op::Ack(vec![1, u64::MAX]),
            Op::GiveBack(vec![]),
            Op::Len,
            Op::Join,
            Op::Close,
        ] {
            assert_eq!(Op::parse(&op.to_bytes()), Ok(op));
        }
    }

    #[test]
    fn an_answer_with_items_can_be_given_back() {
        let item = Granted {
            lease: 5,
            attempt: 2,
            body: b"body".to_vec(),
        };
        let answer = granted(&[item]);
        assert_eq!(parse_granted(&answer).unwrap(), [(5, 2, &b"body"[..])]);
        assert_eq!(give_back(&answer), Some(Op::GiveBack(vec![5]).to_bytes()));
        assert_eq!(give_back(&granted(&[])), None);
        assert_eq!(give_back(&super::number(3)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_granted(&bytes);
            let _ = give_back(&bytes);
            if let Ok(op) = Op::parse(&bytes) {
                prop_assert_eq!(op.to_bytes(), bytes);
            }
        }
    }
}
