//! Values with descriptors inside: while a value is encoded, the descriptors in it are
//! collected, and the encoded value holds their positions.
//!
//! # Invariants
//!
//! 1. A call of [`encode`] or [`decode`] is under way on a thread only while it runs, so a value
//!    with a descriptor inside does not encode with another serializer: it gets an error.
//! 2. Each call has a list of its own, by its depth: encoding a message inside the `Serialize` of
//!    a value does not mix the descriptors of the two. It ends with the call, even if user code
//!    panics.
//! 3. A descriptor of a received message is taken once, and one that no value takes is closed.
//! 4. The encoding drops the text of an error, so it is kept in the list.
//! 5. A value without descriptors needs no list: its call only counts the depth. While a list is
//!    borrowed, no descriptor is closed and no user code runs.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::job::call;

/// The kernel accepts no more descriptors in one message (`SCM_MAX_FD`, unix(7)).
pub(crate) const MAX_DESCRIPTORS: usize = coreloop_net::unix::MAX_FDS;

thread_local! {
    static CALLS: Calls = const { Calls { encoding: Depth::new(), decoding: Depth::new() } };
    /// The descriptors of the values that are being encoded.
    static OUT: Lists<OwnedFd> = const { RefCell::new(Vec::new()) };
    /// The descriptors of the values that are being decoded.
    static IN: Lists<Option<OwnedFd>> = const { RefCell::new(Vec::new()) };
}

/// The calls that are under way on a thread. It has no destructor, so that reading it costs
/// little.
struct Calls {
    encoding: Depth,
    decoding: Depth,
}

/// The calls of one kind, one inside the other.
struct Depth {
    /// The number of calls.
    calls: Cell<u32>,
    /// The number of the innermost call that has a list; 0 if none has.
    listed: Cell<u32>,
}

type Lists<D> = RefCell<Vec<List<D>>>;

/// The descriptors of one value.
struct List<D> {
    /// The number of the call.
    call: u32,
    descriptors: Vec<D>,
    /// Why a descriptor could not be encoded or decoded.
    failure: Option<String>,
}

/// Descriptors, in little space if there are none.
#[derive(Debug, Default)]
pub(crate) struct Fds(Option<Box<AtLeastOne>>);

#[derive(Debug)]
struct AtLeastOne {
    all: Vec<OwnedFd>,
}

/// Appends the encoded `value` to `output`, and returns duplicates of the descriptors in it. If
/// that fails, `output` is as it was.
pub(crate) fn encode<T: Serialize>(
    value: &T,
    output: &mut Vec<u8>,
) -> Result<Vec<OwnedFd>, String> {
    let mut descriptors = Fds::default();
    append(value, output, &mut descriptors)?;
    Ok(descriptors.into_vec())
}

/// Appends the encoded `value` to `output`, and duplicates of the descriptors in it to
/// `descriptors`. If that fails, both are as they were.
#[inline]
pub(crate) fn append<T: Serialize>(
    value: &T,
    output: &mut Vec<u8>,
    descriptors: &mut Fds,
) -> Result<(), String> {
    let call = Call::<Encoding>::begin();
    let encoded = call::encode(value, output);
    if call.end() {
        return attached(encoded, descriptors);
    }
    encoded
}

#[cold]
fn attached(encoded: Result<(), String>, descriptors: &mut Fds) -> Result<(), String> {
    let Some(list) = take_list::<Encoding>() else {
        return encoded;
    };
    match encoded {
        Ok(()) => {
            descriptors.extend(list.descriptors.into());
            Ok(())
        }
        Err(text) => Err(list.failure.unwrap_or(text)),
    }
}

/// Decodes a value from all of `bytes`, and gives it the descriptors that came with them.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, String> {
    if descriptors.is_empty() {
        return decode_plain(bytes);
    }
    let call = Call::<Decoding>::begin();
    let came = descriptors.into_iter().map(Some).collect();
    with_list::<Decoding, _>(|list| list.descriptors = came);
    let decoded = call::decode(bytes);
    match call.end() {
        true => detached(decoded),
        false => decoded,
    }
}

/// Decodes a value that came without descriptors.
#[inline]
pub(crate) fn decode_plain<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let call = Call::<Decoding>::begin();
    let decoded = call::decode(bytes);
    if call.end() {
        return detached(decoded);
    }
    decoded
}

#[cold]
fn detached<T>(decoded: Result<T, String>) -> Result<T, String> {
    let list = take_list::<Decoding>();
    let failure = list.and_then(|list| list.failure);
    decoded.map_err(|text| failure.unwrap_or(text))
}

/// Adds a duplicate of a descriptor to the message that is being encoded on this thread.
/// Returns its position, which the encoded value holds.
///
/// # Errors
///
/// Returns the text of the error if no message is being encoded, if the message has 253
/// descriptors, or if the process has too many.
pub(crate) fn attach(descriptor: impl AsFd) -> Result<u32, String> {
    let descriptor = descriptor.as_fd();
    let added = with_list::<Encoding, _>(|list| {
        let added = add(&mut list.descriptors, descriptor);
        added.inspect_err(|text| list.failure = Some(text.clone()))
    });
    added.unwrap_or_else(|| {
        let text = "a descriptor can be encoded only in an argument or a result of a job, or in \
                    a message of `coreloop::ipc`";
        Err(text.to_owned())
    })
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

/// Keeps the text of an error of a value that is being encoded on this thread, because the
/// encoding drops it.
pub(crate) fn fail(text: &str) {
    with_list::<Encoding, _>(|list| list.failure = Some(text.to_owned()));
}

/// Takes a descriptor of the message that is being decoded on this thread.
///
/// # Errors
///
/// Returns the text of the error if no message is being decoded, or if the message has no
/// descriptor at this position, or if it was taken already.
pub(crate) fn detach(position: u32) -> Result<OwnedFd, String> {
    let taken = with_list::<Decoding, _>(|list| {
        let at = usize::try_from(position).map_err(|error| error.to_string())?;
        let taken = list.descriptors.get_mut(at).and_then(Option::take);
        taken.ok_or_else(|| {
            let text = "the message has no such descriptor, or another value has taken it";
            list.failure = Some(text.to_owned());
            text.to_owned()
        })
    });
    taken.unwrap_or_else(|| {
        let text = "a descriptor can be decoded only in an argument or a result of a job, or in \
                    a message of `coreloop::ipc`";
        Err(text.to_owned())
    })
}

/// Keeps the text of why a value refuses the descriptor that it has taken. Returns the text.
pub(crate) fn refuse(text: String) -> String {
    with_list::<Decoding, _>(|list| list.failure = Some(text.clone()));
    text
}

/// Encoding or decoding.
trait Way {
    type Descriptor: 'static;

    fn depth<R>(read: impl FnOnce(&Depth) -> R) -> R;

    fn lists<R>(change: impl FnOnce(&mut Vec<List<Self::Descriptor>>) -> R) -> R;
}

enum Encoding {}

enum Decoding {}

impl Way for Encoding {
    type Descriptor = OwnedFd;

    #[inline]
    fn depth<R>(read: impl FnOnce(&Depth) -> R) -> R {
        CALLS.with(|calls| read(&calls.encoding))
    }

    fn lists<R>(change: impl FnOnce(&mut Vec<List<OwnedFd>>) -> R) -> R {
        OUT.with_borrow_mut(change)
    }
}

impl Way for Decoding {
    type Descriptor = Option<OwnedFd>;

    #[inline]
    fn depth<R>(read: impl FnOnce(&Depth) -> R) -> R {
        CALLS.with(|calls| read(&calls.decoding))
    }

    fn lists<R>(change: impl FnOnce(&mut Vec<List<Option<OwnedFd>>>) -> R) -> R {
        IN.with_borrow_mut(change)
    }
}

/// Calls `change` with the list of the innermost call, which must not close a descriptor.
/// Returns `None` if there is no call.
fn with_list<W: Way, R>(change: impl FnOnce(&mut List<W::Descriptor>) -> R) -> Option<R> {
    let number = W::depth(|depth| depth.calls.get());
    if number == 0 {
        return None;
    }
    W::lists(|lists| {
        if W::depth(|depth| depth.listed.replace(number)) != number {
            lists.push(List {
                call: number,
                descriptors: Vec::new(),
                failure: None,
            });
        }
        lists.last_mut().map(change)
    })
}

impl Depth {
    const fn new() -> Self {
        Self {
            calls: Cell::new(0),
            listed: Cell::new(0),
        }
    }
}

/// A call that is under way. When it is dropped, its list is closed.
struct Call<W: Way>(PhantomData<W>);

impl<W: Way> Call<W> {
    #[inline]
    fn begin() -> Self {
        W::depth(|depth| depth.calls.set(depth.calls.get() + 1));
        Self(PhantomData)
    }

    /// Ends the call. Returns whether it has a list, which is to be taken then.
    #[inline]
    fn end(self) -> bool {
        mem::forget(self);
        end::<W>()
    }
}

impl<W: Way> Drop for Call<W> {
    fn drop(&mut self) {
        // User code has panicked.
        if end::<W>() {
            drop(take_list::<W>());
        }
    }
}

/// Ends the innermost call. Returns whether it has a list.
#[inline]
fn end<W: Way>() -> bool {
    W::depth(|depth| {
        let number = depth.calls.get();
        depth.calls.set(number - 1);
        depth.listed.get() == number
    })
}

/// Takes the list of the call that has ended. The descriptors that no value has taken are closed
/// with it, outside the borrow.
#[cold]
fn take_list<W: Way>() -> Option<List<W::Descriptor>> {
    W::lists(|lists| {
        let list = lists.pop();
        let listed = lists.last().map_or(0, |list| list.call);
        W::depth(|depth| depth.listed.set(listed));
        list
    })
}

impl Fds {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |list| list.all.len())
    }

    #[inline]
    pub(crate) fn into_vec(self) -> Vec<OwnedFd> {
        self.0.map_or(Vec::new(), |list| list.all)
    }

    pub(crate) fn extend(&mut self, more: Self) {
        let mut all = mem::take(self).into_vec();
        all.extend(more.into_vec());
        *self = all.into();
    }

    /// Removes and returns all but the first `count` descriptors.
    pub(crate) fn split_off(&mut self, count: usize) -> Self {
        if self.len() <= count {
            return Self::default();
        }
        let mut all = mem::take(self).into_vec();
        let rest = all.split_off(count);
        *self = all.into();
        rest.into()
    }
}

impl From<Vec<OwnedFd>> for Fds {
    fn from(all: Vec<OwnedFd>) -> Self {
        Self((!all.is_empty()).then(|| Box::new(AtLeastOne { all })))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::*;

    /// A value that encodes another one inside, and may fail or panic.
    struct Nested(u8);

    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            fail("outer");
            let inner = encode(&(1_u8, Failing), &mut Vec::new());
            assert_eq!(inner.unwrap_err(), "inner");
            assert_eq!(encode(&1_u8, &mut Vec::new()).unwrap().len(), 0);
            match self.0 {
                0 => serializer.serialize_u8(7),
                1 => Err(S::Error::custom("lost")),
                _ => std::panic::resume_unwind(Box::new("encoding")),
            }
        }
    }

    struct Failing;

    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            fail("inner");
            Err(S::Error::custom("lost"))
        }
    }

    /// A value that decodes another one inside.
    struct Decoded(u8);

    impl<'de> Deserialize<'de> for Decoded {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            refuse("outer".to_owned());
            assert_eq!(decode::<u8>(&[3], Vec::new()), Ok(3));
            u8::deserialize(deserializer).map(Self)
        }
    }

    #[test]
    fn a_call_inside_another_has_a_list_of_its_own() {
        let mut bytes = Vec::new();
        for _ in 0..2 {
            assert_eq!(encode(&Nested(0), &mut bytes).unwrap().len(), 0);
            assert_eq!(encode(&Nested(1), &mut bytes).unwrap_err(), "outer");
            let caught = catch_unwind(AssertUnwindSafe(|| encode(&Nested(2), &mut Vec::new())));
            assert!(caught.is_err());
            assert_eq!(Encoding::depth(|depth| depth.calls.get()), 0);
            assert_eq!(Encoding::depth(|depth| depth.listed.get()), 0);
            assert!(OUT.with_borrow(Vec::is_empty));
        }
        assert_eq!(bytes, [7, 7]);
        assert_eq!(decode::<Decoded>(&[5], Vec::new()).unwrap().0, 5);
        let error = decode::<Decoded>(&[], Vec::new()).err();
        assert_eq!(error.unwrap(), "outer");
        assert!(IN.with_borrow(Vec::is_empty));
    }

    #[test]
    fn nothing_is_encoded_or_decoded_outside_a_call() {
        assert!(detach(0).unwrap_err().contains("only in an argument"));
        fail("nothing");
        refuse("nothing".to_owned());
        assert!(OUT.with_borrow(Vec::is_empty) && IN.with_borrow(Vec::is_empty));
    }
}
