//! The scripts, by which every operation of several steps runs on the server as one.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use redis::Cmd;

use super::names::Place;
use super::silence::{ANSWER, answer_for};

/// A script, which the server knows by the hash of its text after its first run.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

/// A call of a script: its keys and arguments.
#[derive(Debug, Default)]
pub(super) struct Call {
    keys: Texts,
    arguments: Texts,
    limit: Option<Duration>,
}

/// Texts in one allocation.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let hash = redis::Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }

    /// Returns the command that runs the script if the server knows it.
    pub(super) fn by_hash(&self, call: &Call) -> Cmd {
        call.command("EVALSHA", &self.hash)
    }

    /// Returns the command that runs the script, and after which the server knows it.
    pub(super) fn by_text(&self, call: &Call) -> Cmd {
        call.command("EVAL", self.text)
    }
}

impl Place {
    /// Begins a call whose first keys are the streams of this function.
    pub(super) fn call(&self) -> Call {
        Call::default().key(&self.streams[0]).key(&self.streams[1])
    }
}

impl Call {
    pub(super) fn key(mut self, key: &str) -> Self {
        self.add_key(key);
        self
    }

    pub(super) fn argument(mut self, argument: &[u8]) -> Self {
        self.add(argument);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.argument(text.as_bytes())
    }

    pub(super) fn number(mut self, number: impl Display + Copy) -> Self {
        self.add_number(number);
        self
    }

    pub(super) fn add_key(&mut self, key: &str) {
        self.keys.add(key.as_bytes());
    }

    pub(super) fn add(&mut self, argument: &[u8]) {
        self.arguments.add(argument);
    }

    /// Adds an argument that consists of two parts.
    pub(super) fn add_both(&mut self, first: &[u8], second: &[u8]) {
        self.arguments.bytes.extend_from_slice(first);
        self.add(second);
    }

    pub(super) fn add_number(&mut self, number: impl Display + Copy) {
        // Writing to a vector does not fail.
        let _ = write!(self.arguments.bytes, "{number}");
        self.arguments.end();
    }

    /// The call is at stake for leases of this length.
    pub(super) fn of_lease(mut self, lease: Duration) -> Self {
        self.limit = Some(answer_for(lease));
        self
    }

    /// Returns for how long the server may be silent.
    pub(super) fn limit(&self) -> Duration {
        self.limit.unwrap_or(ANSWER)
    }

    /// Returns the length of the keys and arguments.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes.len() + self.arguments.bytes.len()
    }

    /// The number of keys so far, which is the place of the last one.
    pub(super) fn keys(&self) -> usize {
        self.keys.ends.len()
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let count = 3 + self.keys() + self.arguments.ends.len();
        let size = self.bytes() + script.len() + 32;
        let mut command = Cmd::with_capacity(count, size);
        command.arg(name).arg(script).arg(self.keys());
        for text in self.keys.iter().chain(self.arguments.iter()) {
            command.arg(text);
        }
        command
    }
}

impl Texts {
    fn add(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.bytes[start..*end];
            start = *end;
            text
        })
    }
}

macro_rules! scripts {
    ($($name:ident)*) => {
        /// All scripts.
        #[derive(Debug)]
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)*
        }

        impl Scripts {
            pub(super) fn new() -> Self {
                Self {
                    $($name: Script::new(concat!(
                        include_str!("scripts/common.lua"),
                        include_str!(concat!("scripts/", stringify!($name), ".lua")),
                    )),)*
                }
            }
        }
    };
}

scripts! {
    push take finish renew retry bury requeue discard keep give_back leave counts rights
}
