//! The bodies of the two frames of a chunk: its items, and their results.
//!
//! An item is the length of its encoded arguments, in four bytes, and the arguments. A result
//! is its kind, in two bytes, the length of its body, in four, and the body.

use std::io;
use std::ops::Range;

use super::{Kind, garbled};

/// The length of what precedes the arguments of an item.
pub(crate) const ITEM_HEADER: usize = 4;

/// The length of what precedes the body of a result.
pub(crate) const RESULT_HEADER: usize = 6;

/// Appends an item, whose arguments `encode` appends. If `encode` fails, nothing is appended.
///
/// The arguments must be shorter than 4 GiB.
pub(crate) fn push_item<E>(
    body: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = body.len();
    body.resize(start + ITEM_HEADER, 0);
    if let Err(error) = encode(body) {
        body.truncate(start);
        return Err(error);
    }
    let length = body.len() - start - ITEM_HEADER;
    let length = u32::try_from(length).expect("the arguments of an item are shorter than 4 GiB");
    body[start..start + ITEM_HEADER].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Takes the arguments of the next item. Returns `None` if there is no further item.
///
/// # Errors
///
/// Returns an error if the bytes of an item are missing.
pub(crate) fn take_item<'a>(rest: &mut &'a [u8]) -> io::Result<Option<&'a [u8]>> {
    let Some((length, after)) = rest.split_first_chunk::<ITEM_HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    let (arguments, after) = after
        .split_at_checked(length)
        .ok_or_else(|| garbled("an item of a chunk is incomplete"))?;
    *rest = after;
    Ok(Some(arguments))
}

/// Returns the part of a body that holds some of its items.
pub(crate) fn items(body: &[u8], range: Range<usize>) -> &[u8] {
    let start = skip(body, range.start);
    &start[..start.len() - skip(start, range.len()).len()]
}

fn skip(mut body: &[u8], items: usize) -> &[u8] {
    for _ in 0..items {
        // The master has encoded the items itself.
        if !matches!(take_item(&mut body), Ok(Some(_))) {
            return &[];
        }
    }
    body
}

/// Completes the result that begins at `start` and whose body was appended after
/// [`RESULT_HEADER`] bytes.
///
/// # Errors
///
/// Returns an error if the body is longer than 4 GiB.
pub(crate) fn finish_result(results: &mut [u8], start: usize, kind: Kind) -> io::Result<()> {
    let length = results.len() - start - RESULT_HEADER;
    let length = u32::try_from(length).map_err(|_| garbled("a result is too long"))?;
    results[start..start + 2].copy_from_slice(&u16::from(kind as u8).to_le_bytes());
    results[start + 2..start + RESULT_HEADER].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Takes the next result. Returns `None` if it is missing or incomplete.
pub(crate) fn take_result<'a>(rest: &mut &'a [u8]) -> Option<(Kind, &'a [u8])> {
    let (header, after) = rest.split_first_chunk::<RESULT_HEADER>()?;
    let [kind, _, l0, l1, l2, l3] = *header;
    let kind = Kind::from_bits(kind)?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (body, after) = after.split_at_checked(length)?;
    *rest = after;
    Some((kind, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Vec<u8> {
        let mut body = Vec::new();
        for item in ["", "a", "bcd", "ef"] {
            let pushed = push_item(&mut body, |body| {
                body.extend_from_slice(item.as_bytes());
                Ok::<_, ()>(())
            });
            assert_eq!(pushed, Ok(()));
        }
        body
    }

    #[test]
    fn items_are_taken_as_they_were_pushed() {
        let body = body();
        let mut rest = &*body;
        for item in ["", "a", "bcd", "ef"] {
            assert_eq!(take_item(&mut rest).unwrap(), Some(item.as_bytes()));
        }
        assert_eq!(take_item(&mut rest).unwrap(), None);
    }

    #[test]
    fn an_item_that_does_not_encode_leaves_nothing() {
        let mut body = body();
        let before = body.clone();
        let pushed = push_item(&mut body, |body| {
            body.push(1);
            Err("does not encode")
        });
        assert_eq!((pushed, body), (Err("does not encode"), before));
    }

    #[test]
    fn an_incomplete_item_is_an_error() {
        let body = body();
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
        let body = body();
        assert_eq!(items(&body, 0..4), body);
        assert_eq!(items(&body, 1..2), b"\x01\0\0\0a");
        assert_eq!(items(&body, 2..4), b"\x03\0\0\0bcd\x02\0\0\0ef");
        assert_eq!(items(&body, 2..2), b"");
    }

    #[test]
    fn results_are_taken_as_they_were_pushed() {
        let mut results = Vec::new();
        let sent = [(Kind::Done, "ab"), (Kind::Panicked, ""), (Kind::Codec, "c")];
        for (kind, text) in sent {
            let start = results.len();
            results.resize(start + RESULT_HEADER, 0);
            results.extend_from_slice(text.as_bytes());
            finish_result(&mut results, start, kind).unwrap();
        }
        let mut rest = &*results;
        for (kind, text) in sent {
            assert_eq!(take_result(&mut rest), Some((kind, text.as_bytes())));
        }
        assert_eq!(take_result(&mut rest), None);
        let mut rest = &results[..results.len() - 1];
        assert_eq!(std::iter::from_fn(|| take_result(&mut rest)).count(), 2);
    }
}
