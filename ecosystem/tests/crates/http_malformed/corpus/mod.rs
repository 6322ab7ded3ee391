//! Requests that are malformed, ambiguous or hostile, each with a name.

mod framing;
mod heads;
mod long;
mod sequences;

/// The allowed behaviour of a server that receives the bytes of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// The server answers with a status of 400 or more, or not at all, and closes.
    Refused,
    /// The server serves the requests with these paths, each once, and closes.
    Served(&'static [&'static str]),
    /// The server serves the requests with these paths, and refuses the bytes after them.
    ThenRefused(&'static [&'static str]),
}

/// A name, the bytes that are sent, and the allowed behaviour of the server.
type Entry<Bytes> = (&'static str, Bytes, Outcome);

/// Returns all entries.
pub(crate) fn corpus() -> impl Iterator<Item = Entry<Vec<u8>>> {
    [framing::FRAMING, heads::HEADS, sequences::SEQUENCES]
        .into_iter()
        .flatten()
        .map(|&(name, bytes, outcome)| (name, bytes.to_vec(), outcome))
        .chain(long::long())
}
