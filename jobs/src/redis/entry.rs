//! [`Entry`], the id of an entry of a stream, and the leases that are made of it.

use std::fmt;
use std::str::FromStr;

/// The id of an entry, with an `f` before it if the entry is in the second one of the two streams
/// of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    is_early: bool,
    milliseconds: u64,
    sequence: u64,
}

impl Entry {
    /// Parses the id of an entry in one of the two streams of its function.
    pub(super) fn of_stream(stream: usize, id: &str) -> Option<Self> {
        let entry = id.parse().ok()?;
        Some(Self {
            is_early: stream == 1,
            ..entry
        })
    }
}

impl FromStr for Entry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id = text.strip_prefix('f');
        let (milliseconds, sequence) = id.unwrap_or(text).split_once('-').ok_or(())?;
        Ok(Self {
            is_early: id.is_some(),
            milliseconds: milliseconds.parse().map_err(drop)?,
            sequence: sequence.parse().map_err(drop)?,
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_early { "f" } else { "" };
        write!(f, "{mark}{}-{}", self.milliseconds, self.sequence)
    }
}

/// A lease: the entry of the job, and the number of the reader that has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) entry: Entry,
    pub(super) reader: u64,
}

impl FromStr for Lease {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (entry, reader) = text.split_once('/').ok_or(())?;
        Ok(Self {
            entry: entry.parse()?,
            reader: reader.parse().map_err(drop)?,
        })
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entry, self.reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_parsed_as_it_was_written() {
        for text in ["0-0/1", "1764662400123-7/0", "f3-2/1"] {
            assert_eq!(text.parse::<Lease>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_leases() {
        for text in [
            "",
            "1-2",
            "1/2",
            "1-/2",
            "-1-1/2",
            "1-2/x",
            "18446744073709551616-0/1",
        ] {
            assert!(text.parse::<Lease>().is_err(), "{text}");
        }
    }
}
