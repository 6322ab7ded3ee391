//! What a process demands of memory that it has received: pure functions of what the kernel says
//! about the file, and of what the sender says about the contents.

use std::io::{self, ErrorKind};

use crate::sys::MemoryFile;

/// Returns how many bytes `length` elements of `element` bytes have.
///
/// # Errors
///
/// Returns an error if a slice cannot have this many bytes.
pub(crate) fn bytes_of(length: usize, element: usize) -> io::Result<usize> {
    length
        .checked_mul(element)
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or_else(|| {
            let what =
                format!("{length} elements of {element} bytes are more than a process can have");
            io::Error::new(ErrorKind::InvalidInput, what)
        })
}

/// Returns how many elements of `element` bytes there are in as many `bytes`.
///
/// # Errors
///
/// Returns an error if `bytes` is no multiple.
pub(crate) fn elements_in(bytes: u64, element: usize) -> io::Result<u64> {
    if !bytes.is_multiple_of(element as u64) {
        return Err(refused(&format!(
            "it has {bytes} bytes, which are no multiple of the {element} bytes of an element"
        )));
    }
    Ok(bytes / element as u64)
}

/// Checks a file whose contents are to be a slice of `length` elements that never change, and
/// returns the length.
///
/// # Errors
///
/// Returns an error if the contents can change, or are not exactly this slice.
pub(crate) fn contents(found: &MemoryFile, length: u64, element: usize) -> io::Result<usize> {
    if !found.has_fixed_contents {
        return Err(refused(
            "its contents are not sealed, so another process could change them",
        ));
    }
    let (length, bytes) = demanded(length, element)?;
    let size = found.size;
    elements_in(size, element)?;
    if size != bytes {
        return Err(wrong_size(size, length, bytes));
    }
    if found.allocated < bytes {
        return Err(refused(
            "its memory is not allocated, or its descriptor only reads, so that an access could fail",
        ));
    }
    Ok(length)
}

/// Checks a file that is to hold `length` elements for ever, whatever other processes write to
/// it, and returns the length.
///
/// # Errors
///
/// Returns an error if the file can shrink or has another size.
pub(crate) fn size(found: &MemoryFile, length: u64, element: usize) -> io::Result<usize> {
    if !found.has_fixed_size {
        return Err(refused(
            "its size is not sealed, so another process could take the memory away",
        ));
    }
    let (length, bytes) = demanded(length, element)?;
    let size = found.size;
    if size < bytes || size > bytes && !found.is_rounded {
        return Err(wrong_size(size, length, bytes));
    }
    Ok(length)
}

fn wrong_size(size: u64, length: usize, bytes: u64) -> io::Error {
    refused(&format!(
        "it has {size} bytes, and {length} elements have {bytes}"
    ))
}

/// Returns the length and the number of bytes that the sender has announced.
fn demanded(length: u64, element: usize) -> io::Result<(usize, u64)> {
    if length == 0 {
        return Err(refused("it is announced as empty"));
    }
    let too_long = || {
        refused(&format!(
            "{length} elements are more than a process can have"
        ))
    };
    let length = usize::try_from(length).map_err(|_| too_long())?;
    let bytes = bytes_of(length, element).map_err(|_| too_long())?;
    Ok((length, bytes as u64))
}

fn refused(why: &str) -> io::Error {
    let what = format!("the received shared memory cannot be used: {why}");
    io::Error::new(ErrorKind::InvalidData, what)
}
