//! [`Registry`], which gives each function of the program a number.
//!
//! The functions are the entries of the program, which the linker has collected, and the
//! [`Jobs`] with which the process has entered. A worker is the same program, started
//! again, and enters by the same call, so its registry has the same functions in the same
//! order: what a master and a worker send to each other is the number. The master sends the
//! hash of its registry first, and a worker whose registry has another hash reports that and
//! ends.
//!
//! # Invariants
//!
//! 1. The entries are sorted by name, then by version, and no two have the same of both. The
//!    number of an entry is its index.
//! 2. A function is found by the type of its function item. If it is registered under
//!    several names, the first one is found.

#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::OnceLock;

use crate::enter;
use crate::job::call::{self, Encoding, Failure};
use crate::job::encoded::{Encoded, Input};
#[cfg(feature = "portable")]
use crate::job::entry::NO_JOB;
use crate::job::entry::{Entry, FIRST_VERSION, Place, Run};
use crate::job::initialize::{Initialize, Installed};
use crate::job::list::{Jobs, Listed};
use crate::linked::ENTRIES;

/// The version of the protocol between a master and a worker, a part of the hash.
const PROTOCOL: u64 = 2;

/// The functions that this program can call as jobs.
#[derive(Debug)]
pub(crate) struct Registry {
    entries: Vec<Registered>,
    numbers: HashMap<TypeId, u16, BuildHasherDefault<TypeIdHasher>>,
    hash: u64,
}

/// A function in a registry.
pub(crate) struct Registered {
    name: &'static str,
    version: u32,
    place: Place,
    function: TypeId,
    call: Call,
    is_idempotent: bool,
}

/// Decodes the arguments of a job, calls its function, and appends the encoded result.
enum Call {
    Entry(Run, Initialize),
    Listed(Listed),
}

impl Registry {
    /// Returns the registry of this program. The first call builds it, and has to come after
    /// the process has entered.
    ///
    /// # Errors
    ///
    /// Returns an error if two functions have the same name and version, or if there are too many
    /// functions.
    pub(crate) fn of_program() -> io::Result<&'static Self> {
        static REGISTRY: OnceLock<Result<Registry, String>> = OnceLock::new();
        REGISTRY
            .get_or_init(|| Self::new(&ENTRIES, enter::jobs()))
            .as_ref()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.as_str()))
    }

    /// Creates a registry of `entries` and `jobs`.
    ///
    /// # Errors
    ///
    /// Returns an error if two functions have the same name and version, or if there are too many
    /// functions.
    fn new(entries: &[Entry], jobs: &Jobs) -> Result<Self, String> {
        let entries = entries.iter().map(Registered::from);
        let listed = jobs.iter().map(Registered::from);
        let mut entries: Vec<_> = entries.chain(listed).collect();
        entries.sort_by_key(Registered::key);
        // Two crates may register the same instance of a generic function.
        entries.dedup_by(|later, first| {
            later.key() == first.key() && later.function == first.function
        });
        let mut pairs = entries.iter().zip(entries.iter().skip(1));
        if let Some((one, other)) = pairs.find(|(one, other)| one.key() == other.key()) {
            return Err(format!(
                "two jobs have the name `{}`, one at {} and one at {}: give one of them \
                 another name by `#[coreloop::job(name = \"…\")]`, or another version",
                one.name, one.place, other.place
            ));
        }
        let mut numbers = HashMap::default();
        for (index, entry) in entries.iter().enumerate() {
            let number = u16::try_from(index).map_err(|_| {
                format!(
                    "the program has {} jobs, and there can be at most 65,536",
                    entries.len()
                )
            })?;
            numbers.entry(entry.function).or_insert(number);
        }
        let hash = hash(&entries);
        Ok(Self {
            entries,
            numbers,
            hash,
        })
    }

    /// Returns the number of a function, by the type of its function item.
    #[inline]
    pub(crate) fn find(&self, function: TypeId) -> Option<u16> {
        self.numbers.get(&function).copied()
    }

    /// Returns the function with this number.
    #[inline]
    pub(crate) fn get(&self, number: u16) -> Option<&Registered> {
        self.entries.get(usize::from(number))
    }

    /// Returns the number of a function, by its name and its version.
    #[cfg(feature = "portable")]
    pub(crate) fn find_portable(&self, name: &str, version: u32) -> Option<u16> {
        let found = self
            .entries
            .binary_search_by(|entry| entry.key().cmp(&(name, version)));
        found.ok().and_then(|index| u16::try_from(index).ok())
    }

    /// Returns the names and versions of the functions that are jobs.
    #[cfg(feature = "portable")]
    pub(crate) fn portable(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let keys = self.entries.iter().map(Registered::key);
        keys.filter(|(_, version)| *version != NO_JOB)
    }

    /// Returns a hash of the protocol and of all names and versions, which is the same in each process of
    /// this program.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Checks that workers will know the jobs of a builder.
    ///
    /// # Errors
    ///
    /// Returns an error if a job is not in this registry.
    pub(crate) fn check(&self, jobs: &Jobs) -> io::Result<()> {
        for job in jobs.iter() {
            if self.find(job.function).is_none() {
                let message = format!(
                    "workers would not know the job `{}` ({}), because this process has \
                     entered without it: call `Builder::enter_worker` or \
                     `pool::enter_worker_with` at the start of `main`, in place of \
                     `#[coreloop::main]`, or register the job by `pool::register!`",
                    job.name, job.place
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        Ok(())
    }
}

/// Returns the message about a function that is not registered, by the name of its type.
pub(crate) fn not_registered(function: &str) -> String {
    format!(
        "`{function}` is not registered as a job: write `#[coreloop::job]` above the function, \
         or `coreloop::pool::register!(…)` for an instance of a generic function. Functions of \
         a dynamic library need `pool::enter_worker_with`"
    )
}

impl Registered {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What identifies the function on other machines.
    pub(crate) fn key(&self) -> (&'static str, u32) {
        (self.name, self.version)
    }

    /// Whether the function may run again if its worker died while it ran.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.is_idempotent
    }

    /// Decodes `arguments`, calls the function and appends its encoded result to `output`.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments cannot be decoded or the result cannot be encoded.
    ///
    /// # Panics
    ///
    /// Panics if the function does, or the code that decodes or encodes.
    pub(crate) fn run(
        &self,
        encoding: Encoding,
        arguments: Input<'_>,
        output: &mut Encoded,
    ) -> Result<(), Failure> {
        match &self.call {
            Call::Entry(run, _) => run(encoding, arguments, output),
            Call::Listed(job) => (job.run)(encoding, arguments, output),
        }
    }
}

impl Registered {
    /// Calls the function as the initializer of this worker. Runs the future of an async
    /// function to its end.
    ///
    /// # Errors
    ///
    /// Returns the text of its failure.
    pub(crate) fn initialize(&self, arguments: Input<'_>) -> Result<(), String> {
        match self.begin_initialize(arguments)? {
            Installed::Now => Ok(()),
            Installed::Later(future) => call::block_on(future),
        }
    }

    /// Calls the function as the initializer of this thread.
    ///
    /// # Errors
    ///
    /// Returns the text of its failure.
    pub(crate) fn begin_initialize(&self, arguments: Input<'_>) -> Result<Installed, String> {
        match &self.call {
            Call::Entry(_, initialize) => initialize(arguments),
            Call::Listed(_) => Err(format!(
                "`{}` cannot initialize a worker, because no macro registers it",
                self.name
            )),
        }
    }
}

impl From<&Entry> for Registered {
    fn from(entry: &Entry) -> Self {
        Self {
            name: entry.name(),
            version: entry.version,
            place: entry.place,
            function: (entry.function)(),
            call: Call::Entry(entry.run, entry.initialize),
            is_idempotent: entry.is_idempotent,
        }
    }
}

impl From<&Listed> for Registered {
    fn from(job: &Listed) -> Self {
        Self {
            name: job.name,
            version: FIRST_VERSION,
            place: job.place,
            function: job.function,
            call: Call::Listed(job.clone()),
            is_idempotent: false,
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("name", &self.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Hashes the protocol, the names and the versions by FNV-1a.
fn hash(entries: &[Registered]) -> u64 {
    let names = entries.iter().flat_map(|entry| {
        let end = [0xff]; // No name contains this byte.
        let version = entry.version.to_le_bytes();
        entry.name.bytes().chain(end).chain(version)
    });
    PROTOCOL
        .to_le_bytes()
        .into_iter()
        .chain(names)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// A hasher of [`TypeId`], which is a hash already.
#[derive(Default)]
struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
