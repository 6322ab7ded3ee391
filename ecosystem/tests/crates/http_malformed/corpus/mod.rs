//! Requests that are malformed, ambiguous or hostile, each with a name.

mod framing;
mod heads;
mod long;
mod sequences;

/// What a server may do with what it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It answers with a status of 400 and more, or with nothing, and closes.
    Refused,
    /// It serves the requests with these paths, each once, and closes.
    Served(&'static [&'static str]),
    /// It serves these, and refuses what follows.
    ThenRefused(&'static [&'static str]),
}

/// A name, what is sent, and what may become of it.
type Entry<Bytes> = (&'static str, Bytes, Outcome);

/// All of them.
pub(crate) fn corpus() -> impl Iterator<Item = Entry<Vec<u8>>> {
    [framing::FRAMING, heads::HEADS, sequences::SEQUENCES]
        .into_iter()
        .flatten()
        .map(|&(name, bytes, outcome)| (name, bytes.to_vec(), outcome))
        .chain(long::long())
}
