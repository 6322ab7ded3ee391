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
//! 4. The encoding drops the text of an error, so it is kept beside the list.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::LocalKey;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::job::call;

/// The kernel accepts no more descriptors in one message (`SCM_MAX_FD`, unix(7)).
pub(crate) const MAX_DESCRIPTORS: usize = coreloop_net::unix::MAX_FDS;

thread_local! {
    /// The descriptors of the value that is being encoded.
    static OUT: RefCell<Option<List<OwnedFd>>> = const { RefCell::new(None) };
    /// The descriptors of the value that is being decoded.
    static IN: RefCell<Option<List<Option<OwnedFd>>>> = const { RefCell::new(None) };
}

/// The descriptors of one value.
struct List<D> {
    descriptors: Vec<D>,
    /// Why a descriptor could not be encoded or decoded.
    failure: Option<String>,
}

impl<D> List<D> {
    fn new(descriptors: Vec<D>) -> Self {
        Self {
            descriptors,
            failure: None,
        }
    }
}

/// Appends the encoded `value` to `output`, and returns duplicates of the descriptors in it. If
/// that fails, `output` is as it was.
pub(crate) fn encode<T: Serialize>(
    value: &T,
    output: &mut Vec<u8>,
) -> Result<Vec<OwnedFd>, String> {
    let _restore = Restore {
        list: &OUT,
        outer: OUT.replace(Some(List::new(Vec::new()))),
    };
    let encoded = call::encode(value, output);
    let list = OUT.take().unwrap_or_else(|| List::new(Vec::new()));
    match encoded {
        Ok(()) => Ok(list.descriptors),
        Err(text) => Err(list.failure.unwrap_or(text)),
    }
}

/// Decodes a value from all of `bytes`, and gives it the descriptors that came with them.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, String> {
    let came = descriptors.into_iter().map(Some).collect();
    let _restore = Restore {
        list: &IN,
        outer: IN.replace(Some(List::new(came))),
    };
    call::decode(bytes).map_err(|text| {
        let failure = IN.with_borrow_mut(|list| list.as_mut()?.failure.take());
        failure.unwrap_or(text)
    })
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
        let added = add(&mut out.descriptors, descriptor.as_fd());
        added.inspect_err(|text| out.failure = Some(text.clone()))
    })
}

/// Keeps the text of an error of a value that is being encoded on this thread, because the
/// encoding drops it.
pub(crate) fn fail(text: &str) {
    OUT.with_borrow_mut(|out| {
        if let Some(out) = out {
            out.failure = Some(text.to_owned());
        }
    });
}

fn add(list: &mut Vec<OwnedFd>, descriptor: BorrowedFd<'_>) -> Result<u32, String> {
    if list.len() == MAX_DESCRIPTORS {
        return Err(format!(
            "a message holds at most {MAX_DESCRIPTORS} descriptors"
        ));
    }
    let duplicate = descriptor
        .try_clone_to_owned()
        .map_err(|error| format!("a descriptor could not be duplicated: {error}"))?;
    let position = u32::try_from(list.len()).map_err(|error| error.to_string())?;
    list.push(duplicate);
    Ok(position)
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
        let taken = came.descriptors.get_mut(at).and_then(Option::take);
        taken.ok_or_else(|| {
            let text = "the message has no such descriptor, or another value has taken it";
            came.failure = Some(text.to_owned());
            text.to_owned()
        })
    })
}

/// Keeps the text of why a value refuses the descriptor that it has taken. Returns the text.
pub(crate) fn refuse(text: String) -> String {
    IN.with_borrow_mut(|came| {
        if let Some(came) = came {
            came.failure = Some(text.clone());
        }
    });
    text
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
