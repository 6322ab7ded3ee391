//! [`IntoInputs`], the inputs of a map: an iterator or a stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::Serialize;

use crate::error::JobError;
use crate::frame::chunk;
use crate::job::encoded::Encoded;
use crate::job::function::IntoArguments;
use crate::pool::Pool;
use crate::pool::request::encode_arguments;

/// The inputs of a map, which are encoded as they are taken.
pub(super) trait Inputs {
    /// Appends the next input to `body`, after its length. Returns `None` at the end.
    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pool: &Pool,
        function: u16,
        body: &mut Encoded,
    ) -> Poll<Option<Result<(), JobError>>>;
}

/// A collection of inputs: an iterator or a stream.
///
/// `Kind` is inferred. It only distinguishes iterators from streams.
pub trait IntoInputs<Kind> {
    /// The type of the inputs.
    type Item;

    /// Polls the inputs.
    #[doc(hidden)]
    type Stream: Stream<Item = Self::Item>;

    #[doc(hidden)]
    fn into_inputs(self) -> Self::Stream;
}

/// Marks inputs from an iterator.
#[doc(hidden)]
#[derive(Debug)]
pub enum FromIterator {}

/// Marks inputs from a stream.
#[doc(hidden)]
#[derive(Debug)]
pub enum FromStream {}

impl<I: IntoIterator> IntoInputs<FromIterator> for I {
    type Item = I::Item;
    type Stream = Iterated<I::IntoIter>;

    fn into_inputs(self) -> Iterated<I::IntoIter> {
        Iterated(self.into_iter())
    }
}

impl<I: Stream> IntoInputs<FromStream> for I {
    type Item = I::Item;
    type Stream = I;

    fn into_inputs(self) -> I {
        self
    }
}

/// A stream of an iterator's items.
#[doc(hidden)]
#[derive(Debug)]
pub struct Iterated<I>(I);

// The iterator is never pinned.
impl<I> Unpin for Iterated<I> {}

impl<I: Iterator> Stream for Iterated<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// Inputs that are encoded as the arguments `A`.
pub(super) struct EncodedInputs<I, A> {
    pub(super) inputs: Pin<Box<I>>,
    pub(super) arguments: PhantomData<fn() -> A>,
}

impl<I, A> Inputs for EncodedInputs<I, A>
where
    I: Stream<Item: IntoArguments<A>>,
    A: Serialize,
{
    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pool: &Pool,
        function: u16,
        body: &mut Encoded,
    ) -> Poll<Option<Result<(), JobError>>> {
        let Some(input) = ready!(self.inputs.as_mut().poll_next(cx)) else {
            return Poll::Ready(None);
        };
        let arguments = input.into_arguments();
        Poll::Ready(Some(chunk::push_item(body, |body| {
            encode_arguments(&pool.core, function, arguments, body)
        })))
    }
}
