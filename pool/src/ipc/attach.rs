//! Values with descriptors inside: while a value is encoded, the descriptors in it are
//! collected, and the encoded value holds their positions.
//!
//! # Invariants
//!
//! 1. A list of descriptors is open on a thread only while [`encode`] or [`decode`] runs, so a
//!    value with a descriptor inside does not encode with another serializer: it gets an error.
//! 2. Each call has a list of its own: encoding a message inside the `Serialize` of a value
//!    does not mix the descriptors of the two.
//! 3. A descriptor of a received message is taken once, and one that no value takes is closed.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::LocalKey;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::job::call;

/// The kernel accepts no more descriptors in one message (`SCM_MAX_FD`, unix(7)).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

thread_local! {
    /// The descriptors of the value that is being encoded.
    static OUT: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    /// The descriptors of the value that is being decoded.
    static IN: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
}

/// Appends the encoded `value` to `output`, and returns duplicates of the descriptors in it. If
/// that fails, `output` is as it was.
pub(crate) fn encode<T: Serialize>(
    value: &T,
    output: &mut Vec<u8>,
) -> Result<Vec<OwnedFd>, String> {
    let _restore = Restore {
        list: &OUT,
        outer: OUT.replace(Some(Vec::new())),
    };
    call::encode(value, output)?;
    Ok(OUT.take().unwrap_or_default())
}

/// Decodes a value from all of `bytes`, and gives it the descriptors that came with them.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, String> {
    let came = descriptors.into_iter().map(Some).collect();
    let _restore = Restore {
        list: &IN,
        outer: IN.replace(Some(came)),
    };
    call::decode(bytes)
}

/// Adds a duplicate of a descriptor to the message that is being encoded on this thread.
/// Returns its position, which the encoded value holds.
///
/// # Errors
///
/// Returns the text of the error if no message is being encoded, if the message has 253
/// descriptors, or if the process has too many.
pub(crate) fn attach(descriptor: impl AsFd) -> Result<u32, String> {
    OUT.with_borrow_mut(|out| {
        let out = out.as_mut().ok_or(
            "a descriptor can be encoded only in an argument or a result of a job, or in a \
             message of `coreloop::ipc`",
        )?;
        if out.len() == MAX_DESCRIPTORS {
            return Err(format!(
                "a message holds at most {MAX_DESCRIPTORS} descriptors"
            ));
        }
        let duplicate = descriptor
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| format!("a descriptor could not be duplicated: {error}"))?;
        let position = u32::try_from(out.len()).map_err(|error| error.to_string())?;
        out.push(duplicate);
        Ok(position)
    })
}

/// Takes a descriptor of the message that is being decoded on this thread.
///
/// # Errors
///
/// Returns the text of the error if no message is being decoded, or if the message has no
/// descriptor at this position, or if it was taken already.
pub(crate) fn detach(position: u32) -> Result<OwnedFd, String> {
    IN.with_borrow_mut(|came| {
        let came = came.as_mut().ok_or(
            "a descriptor can be decoded only in an argument or a result of a job, or in a \
             message of `coreloop::ipc`",
        )?;
        let at = usize::try_from(position).map_err(|error| error.to_string())?;
        came.get_mut(at)
            .and_then(Option::take)
            .ok_or_else(|| "the message has no such descriptor".to_owned())
    })
}

/// Puts the list of the outer call back, even if user code panics.
struct Restore<T: 'static> {
    list: &'static LocalKey<RefCell<Option<T>>>,
    outer: Option<T>,
}

impl<T> Drop for Restore<T> {
    fn drop(&mut self) {
        // The descriptors that are left are closed outside the borrow.
        drop(self.list.replace(self.outer.take()));
    }
}
