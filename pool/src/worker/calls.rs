//! [`Calls`], which calls the functions of jobs, and turns each outcome into a frame.

use std::io;

use coreloop_process::__pool::beginning;

use super::panic_hook;
use crate::frame::chunk::{self, Division, RESULT_HEADER};
use crate::frame::{Header, Kind};
use crate::ipc::MAX_DESCRIPTORS;
use crate::job::call::{Encoding, Failure};
use crate::job::encoded::{Encoded, Input, Mark};
use crate::job::registry::Registry;

/// Calls the functions of jobs.
pub(super) struct Calls {
    registry: &'static Registry,
    max_length: usize,
}

impl Calls {
    pub(super) fn new(registry: &'static Registry, max_length: usize) -> Self {
        Self {
            registry,
            max_length,
        }
    }

    /// Calls the initializer. Returns the text of its failure.
    pub(super) fn initialize(&self, header: Header, body: Input<'_>) -> Result<(), String> {
        let function = self
            .registry
            .get(header.function)
            .filter(|_| header.kind == Kind::Initialize)
            .ok_or("the first frame is no call of an initializer")?;
        let called = panic_hook::catch(|| function.initialize(body));
        let result =
            called.unwrap_or_else(|message| Err(format!("the initializer panicked: {message}")));
        result.map_err(|text| beginning(&text, MAX_TEXT).to_owned())
    }

    /// Calls a function, and appends its result or the text of its failure to `frame`. Returns
    /// the kind of what it has appended.
    pub(super) fn call(
        &self,
        function: u16,
        encoding: Encoding,
        arguments: Input<'_>,
        frame: &mut Encoded,
    ) -> Kind {
        let start = frame.mark();
        let Some(function) = self.registry.get(function) else {
            frame
                .bytes
                .extend_from_slice(b"the worker knows no such function");
            return Kind::Codec;
        };
        let called = panic_hook::catch(|| function.run(encoding, arguments, frame));
        conclude(called, start, self.max_length, frame)
    }

    /// Calls a function for each item of a chunk, and appends all results. Before each call
    /// it calls `started` with the number of items that were started.
    ///
    /// A result that makes the results longer than a message may be is replaced by a failure
    /// without a text, and one with too many descriptors by a failure.
    pub(super) fn call_chunk(
        &self,
        function: u16,
        items: Input<'_>,
        frame: &mut Encoded,
        started: impl Fn(u64),
    ) -> io::Result<Kind> {
        let begin = frame.bytes.len();
        let mut rest = items.bytes;
        let mut division = Division::new(items.descriptors);
        let mut count = 0;
        while let Some(item) = chunk::take_item(&mut rest)? {
            count += 1;
            started(count);
            let start = frame.mark();
            frame.bytes.resize(start.bytes + RESULT_HEADER, 0);
            let body = frame.mark();
            let arguments = division.next(item);
            let mut kind = self.call(function, Encoding::Local, arguments, frame);
            if frame.descriptors.len() > MAX_DESCRIPTORS {
                let text =
                    format!("the results of a chunk have at most {MAX_DESCRIPTORS} descriptors");
                frame.truncate(body);
                frame.bytes.extend_from_slice(text.as_bytes());
                kind = Kind::Codec;
            }
            if frame.bytes.len() - begin > self.max_length {
                // Without a text, which would need room too.
                frame.truncate(body);
                if kind == Kind::Done {
                    kind = Kind::Codec;
                }
            }
            chunk::finish_result(frame, start, kind)?;
        }
        Ok(Kind::ChunkDone)
    }
}

/// Completes what a call has appended to `frame` at `start`: keeps the result, or replaces it
/// by the text of the failure. Returns the kind. An `Err` in `called` is the message of a panic.
pub(crate) fn conclude(
    called: Result<Result<(), Failure>, String>,
    start: Mark,
    max_length: usize,
    frame: &mut Encoded,
) -> Kind {
    let done = match &called {
        Ok(Ok(())) => Some(Kind::Done),
        #[cfg(feature = "portable")]
        Ok(Err(Failure::Returned)) => Some(Kind::Returned),
        _ => None,
    };
    let length = frame.bytes.len() - start.bytes;
    if let Some(done) = done.filter(|_| length <= max_length) {
        return done;
    }
    let (kind, text) = match called {
        Ok(Err(Failure::Arguments(error))) => {
            let text = format!("the arguments do not decode: {error}");
            (Kind::Codec, text)
        }
        Ok(Err(Failure::Output(error))) => {
            let text = format!("the result does not encode: {error}");
            (Kind::Codec, text)
        }
        Err(message) => (Kind::Panicked, message),
        _ => {
            let text = format!("the result has {length} bytes, and the pool allows {max_length}");
            (Kind::Codec, text)
        }
    };
    frame.truncate(start);
    frame
        .bytes
        .extend_from_slice(beginning(&text, MAX_TEXT).as_bytes());
    kind
}

/// The maximum length of the text of a failure.
pub(crate) const MAX_TEXT: usize = 64 << 10;
