//! The bodies of the two frames of a chunk: its items, and their results.
//!
//! An item is the number of its descriptors, in one byte, the length of its encoded arguments, in
//! four, and the arguments. A result is its kind and the number of its descriptors, in one byte
//! each, the length of its body, in four, and the body. The frame has the descriptors of all items or
//! results, in this order.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::vec;

use super::{Kind, garbled};
use crate::ipc::wire::rights::Lost;
use crate::job::encoded::{Attachment, Encoded, Input, Mark};

/// The length of what precedes the arguments of an item.
pub(crate) const ITEM_HEADER: usize = 5;

/// The length of what precedes the body of a result.
pub(crate) const RESULT_HEADER: usize = 6;

/// An item or a result without the descriptors that came with the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) bytes: &'a [u8],
    /// The number of its descriptors.
    pub(crate) descriptors: u8,
}

/// Appends an item, whose arguments `encode` appends. If `encode` fails, nothing is appended.
///
/// The arguments must be shorter than 4 GiB, and have at most 253 descriptors.
pub(crate) fn push_item<E>(
    body: &mut Encoded,
    encode: impl FnOnce(&mut Encoded) -> Result<(), E>,
) -> Result<(), E> {
    let start = body.mark();
    body.bytes.resize(start.bytes + ITEM_HEADER, 0);
    if let Err(error) = encode(body) {
        body.truncate(start);
        return Err(error);
    }
    let length = body.bytes.len() - start.bytes - ITEM_HEADER;
    let length = u32::try_from(length).expect("the arguments of an item are shorter than 4 GiB");
    let header = &mut body.bytes[start.bytes..start.bytes + ITEM_HEADER];
    header[0] = count(body.descriptors.len() - start.descriptors);
    header[1..].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn count(descriptors: usize) -> u8 {
    u8::try_from(descriptors).expect("a value has at most 253 descriptors")
}

/// Takes the arguments of the next item. Returns `None` if there is no further item.
///
/// # Errors
///
/// Returns an error if the bytes of an item are missing.
pub(crate) fn take_item<'a>(rest: &mut &'a [u8]) -> io::Result<Option<Part<'a>>> {
    let Some((&[descriptors, l0, l1, l2, l3], after)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (bytes, after) = after
        .split_at_checked(length)
        .ok_or_else(|| garbled("an item of a chunk is incomplete"))?;
    *rest = after;
    Ok(Some(Part { bytes, descriptors }))
}

/// Returns the part of a body that holds some of its items.
pub(crate) fn items(body: &[u8], range: Range<usize>) -> &[u8] {
    let start = skip(body, range.start).0;
    &start[..start.len() - skip(start, range.len()).0.len()]
}

/// Returns the range of the descriptors of some of the items of a body.
pub(crate) fn descriptors(body: &[u8], range: Range<usize>) -> Range<usize> {
    skip(body, range.start).1..skip(body, range.end).1
}

/// Returns what follows after some items, and how many descriptors these have.
fn skip(mut body: &[u8], items: usize) -> (&[u8], usize) {
    let mut descriptors = 0;
    for _ in 0..items {
        // The master has encoded the items itself.
        let Ok(Some(item)) = take_item(&mut body) else {
            return (&[], descriptors);
        };
        descriptors += usize::from(item.descriptors);
    }
    (body, descriptors)
}

/// Completes the result that begins at `start` and whose body was appended after
/// [`RESULT_HEADER`] bytes.
///
/// # Errors
///
/// Returns an error if the body is longer than 4 GiB.
pub(crate) fn finish_result(results: &mut Encoded, start: Mark, kind: Kind) -> io::Result<()> {
    let length = results.bytes.len() - start.bytes - RESULT_HEADER;
    let length = u32::try_from(length).map_err(|_| garbled("a result is too long"))?;
    let header = &mut results.bytes[start.bytes..start.bytes + RESULT_HEADER];
    header[0] = kind as u8;
    header[1] = count(results.descriptors.len() - start.descriptors);
    header[2..].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Takes the next result. Returns `None` if it is missing or incomplete.
pub(crate) fn take_result<'a>(rest: &mut &'a [u8]) -> Option<(Kind, Part<'a>)> {
    let (&[kind, descriptors, l0, l1, l2, l3], after) = rest.split_first_chunk()?;
    let kind = Kind::from_bits(kind)?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some((kind, Part { bytes, descriptors }))
}

/// Divides the descriptors of a frame among its parts.
pub(crate) struct Division(Result<vec::IntoIter<OwnedFd>, Lost>);

impl Division {
    pub(crate) fn new(descriptors: Attachment) -> Self {
        Self(descriptors.into_descriptors().map(Vec::into_iter))
    }

    /// Returns the next part together with its descriptors. If a peer has sent fewer, they are
    /// missing where the value is decoded.
    pub(crate) fn next<'a>(&mut self, part: Part<'a>) -> Input<'a> {
        let descriptors = match &mut self.0 {
            _ if part.descriptors == 0 => Ok(Vec::new()),
            Ok(rest) => Ok(rest.by_ref().take(usize::from(part.descriptors)).collect()),
            Err(Lost) => Err(Lost),
        };
        Input {
            bytes: part.bytes,
            descriptors: descriptors.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Encoded {
        let mut body = Encoded::default();
        for item in ["", "a", "bcd", "ef"] {
            let pushed = push_item(&mut body, |body| {
                body.bytes.extend_from_slice(item.as_bytes());
                Ok::<_, ()>(())
            });
            assert_eq!(pushed, Ok(()));
        }
        body
    }

    fn part(text: &str) -> Part<'_> {
        Part {
            bytes: text.as_bytes(),
            descriptors: 0,
        }
    }

    #[test]
    fn items_are_taken_as_they_were_pushed() {
        let body = body();
        let mut rest = &*body.bytes;
        for item in ["", "a", "bcd", "ef"] {
            assert_eq!(take_item(&mut rest).unwrap(), Some(part(item)));
        }
        assert_eq!(take_item(&mut rest).unwrap(), None);
    }

    #[test]
    fn an_item_that_does_not_encode_leaves_nothing() {
        let mut body = body();
        let before = body.bytes.clone();
        let pushed = push_item(&mut body, |body| {
            body.bytes.push(1);
            Err("does not encode")
        });
        assert_eq!((pushed, body.bytes), (Err("does not encode"), before));
    }

    #[test]
    fn an_incomplete_item_is_an_error() {
        let body = body().bytes;
        let mut rest = &body[..body.len() - 1];
        for _ in 0..3 {
            assert!(take_item(&mut rest).unwrap().is_some());
        }
        assert_eq!(
            take_item(&mut rest).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn items_are_cut_out_of_a_body() {
        let body = body().bytes;
        assert_eq!(items(&body, 0..4), body);
        assert_eq!(items(&body, 1..2), b"\0\x01\0\0\0a");
        assert_eq!(items(&body, 2..4), b"\0\x03\0\0\0bcd\0\x02\0\0\0ef");
        assert_eq!(items(&body, 2..2), b"");
    }

    #[test]
    fn results_are_taken_as_they_were_pushed() {
        let mut results = Encoded::default();
        let sent = [(Kind::Done, "ab"), (Kind::Panicked, ""), (Kind::Codec, "c")];
        for (kind, text) in sent {
            let start = results.mark();
            results.bytes.resize(start.bytes + RESULT_HEADER, 0);
            results.bytes.extend_from_slice(text.as_bytes());
            finish_result(&mut results, start, kind).unwrap();
        }
        let mut rest = &*results.bytes;
        for (kind, text) in sent {
            assert_eq!(take_result(&mut rest), Some((kind, part(text))));
        }
        assert_eq!(take_result(&mut rest), None);
        let mut rest = &results.bytes[..results.bytes.len() - 1];
        assert_eq!(std::iter::from_fn(|| take_result(&mut rest)).count(), 2);
    }

    #[test]
    #[cfg(not(miri))] // The descriptors are real ones.
    fn the_descriptors_of_a_frame_are_divided_among_its_items() {
        use std::os::fd::AsRawFd;

        let mut body = Encoded::default();
        let counts = [0, 2, 0, 1];
        for count in counts {
            let pushed = push_item(&mut body, |body| {
                let pipe = || io::pipe().unwrap().0.into();
                let more: Vec<OwnedFd> = (0..count).map(|_| pipe()).collect();
                body.descriptors.extend(more.into());
                Ok::<_, ()>(())
            });
            pushed.unwrap();
        }
        let bytes = &*body.bytes;
        assert_eq!(descriptors(bytes, 0..1), 0..0);
        assert_eq!(descriptors(bytes, 1..3), 0..2);
        assert_eq!(descriptors(bytes, 2..4), 2..3);

        let all = body.descriptors.into_vec();
        let mut numbers: Vec<_> = all.iter().map(AsRawFd::as_raw_fd).collect();
        let mut division = Division::new(Ok(all).into());
        let mut rest = bytes;
        for count in counts {
            let item = take_item(&mut rest).unwrap().unwrap();
            let came = division.next(item).descriptors;
            let came = came.into_descriptors().unwrap();
            let came: Vec<_> = came.iter().map(AsRawFd::as_raw_fd).collect();
            assert_eq!(came, numbers.drain(..count).collect::<Vec<_>>());
        }

        // If they were lost, the items without descriptors are not affected.
        let mut division = Division::new(Err(Lost).into());
        let mut rest = bytes;
        for count in counts {
            let item = take_item(&mut rest).unwrap().unwrap();
            let came = division.next(item).descriptors.into_descriptors();
            assert_eq!(came.is_err(), count > 0);
        }
    }
}
