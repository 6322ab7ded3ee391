//! [`Service`], and the adapter that makes one of a handler.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Peer, Serve};
use crate::error::{Error, Kind};

/// A service that a manager offers: a name, and the types of its requests and answers.
///
/// The manager and its clients share the definition, usually in a crate that both depend on. An
/// enum of requests and one of answers make a service with several operations. Values are
/// encoded with the names of their fields, so a field that is added with `#[serde(default)]` is
/// understood by both the old and the new program.
///
/// # Examples
///
/// ```
/// use coreloop::jobs::{Client, Key, Manager, Service};
///
/// struct Square;
///
/// impl Service for Square {
///     const NAME: &'static str = "square";
///     type Request = i64;
///     type Response = i64;
/// }
///
/// # fn main() -> Result<(), coreloop::jobs::Error> {
/// # coreloop::block_on(async {
/// let key = Key::random()?;
/// let manager = Manager::bind("127.0.0.1:0")
///     .key(&key)
///     .service::<Square, _>(async |number: i64, _peer| {
///         number.checked_mul(number).ok_or("the square is too large")
///     })
///     .start()
///     .await?;
///
/// let client = Client::connect(manager.address(), &key).await?;
/// assert_eq!(client.call::<Square>(&12).await?, 144);
/// let error = client.call::<Square>(&i64::MAX).await.unwrap_err();
/// assert_eq!(error.to_string(), "the square is too large");
/// # Ok(()) })
/// # }
/// ```
pub trait Service: 'static {
    /// The name, by which a client requests the service. It must not begin with `coreloop.`, and
    /// may have at most 255 bytes.
    const NAME: &'static str;

    /// The requests of a client.
    type Request: Serialize + DeserializeOwned + 'static;

    /// The answers of the manager.
    type Response: Serialize + DeserializeOwned + 'static;
}

/// A service with its handler, whose errors are of the type `E`.
pub(crate) struct Typed<S, F, E> {
    handler: Rc<F>,
    types: PhantomData<fn(S) -> E>,
}

impl<S, F, E> Typed<S, F, E> {
    pub(crate) fn new(handler: F) -> Self {
        Self {
            handler: Rc::new(handler),
            types: PhantomData,
        }
    }
}

impl<S, F, E> Serve for Typed<S, F, E>
where
    S: Service,
    F: AsyncFn(S::Request, Peer) -> Result<S::Response, E> + 'static,
    E: fmt::Display + 'static,
{
    fn request(self: Rc<Self>, peer: &Peer, body: &[u8]) -> Answer {
        let request = match decode::<S::Request>(body) {
            Ok(request) => request,
            Err(error) => return Answer::Now(Err(error)),
        };
        let handler = Rc::clone(&self.handler);
        let peer = peer.clone();
        Answer::Later(Box::pin(async move {
            match handler(request, peer).await {
                Ok(response) => encode(&response),
                Err(error) => Err(Error::new(Kind::Service, error.to_string())),
            }
        }))
    }
}

/// Encodes a value with the names of its fields.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(value).map_err(|error| {
        let text = format!("cannot encode a {}: {error}", std::any::type_name::<T>());
        Error::new(Kind::Codec, text)
    })
}

/// Decodes a value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        let text = format!("cannot decode a {}: {error}", std::any::type_name::<T>());
        Error::new(Kind::Codec, text)
    })
}
