//! The names of keys, and what the server sees of functions, jobs and workers.
//!
//! All keys of a queue have its name in braces, so that a cluster keeps them on one node, where
//! a script can use several of them.

use std::fmt::Write as _;

use crate::engine::Function;
use crate::error::{Error, Kind};

/// The maximum length of the name of a queue, the same for each engine.
const MAX_NAME: usize = 128;

/// The name of the group of consumers of each stream. The scripts have it too.
pub(super) const GROUP: &str = "workers";

/// The names of the keys of a queue.
#[derive(Debug)]
pub(super) struct Names {
    /// What all of them begin with.
    base: String,
}

impl Names {
    /// # Errors
    ///
    /// Returns an error if the name of the queue is empty or longer than 128 bytes.
    pub(super) fn new(queue: &str) -> Result<Self, Error> {
        if queue.is_empty() || queue.len() > MAX_NAME {
            let text = format!("the name of a queue has 1 to {MAX_NAME} bytes");
            return Err(Error::new(Kind::Engine, text));
        }
        let mut base = String::from("coreloop:{");
        for character in queue.chars() {
            match character {
                // A brace would end the part of the name by which a cluster chooses the node.
                '{' | '}' | '%' => drop(write!(base, "%{:02x}", u32::from(character))),
                _ => base.push(character),
            }
        }
        base.push_str("}:");
        Ok(Self { base })
    }

    /// The set of the functions that the queue has had jobs of.
    pub(super) fn functions(&self) -> String {
        self.of("functions", "")
    }

    /// The dead letters, by the time of their end.
    pub(super) fn dead(&self) -> String {
        self.of("dead", "")
    }

    /// The contents of the dead letters.
    pub(super) fn letters(&self) -> String {
        self.of("letters", "")
    }

    /// The marker, which is gone when the server has lost the queue.
    pub(super) fn marker(&self) -> String {
        self.of("marker", "")
    }

    /// A key that does not exist.
    pub(super) fn none(&self) -> String {
        self.of("none", "")
    }

    /// The id of the job that was stored with this key.
    pub(super) fn key(&self, key: &str) -> String {
        self.of("key:", key)
    }

    /// The outcome of a job.
    pub(super) fn result(&self, id: &str) -> String {
        self.of("result:", id)
    }

    /// The channel of a producer, or the beginning of all of them.
    pub(super) fn channel(&self, producer: &str) -> String {
        self.of("done:", producer)
    }

    /// The keys of a function.
    pub(super) fn place(&self, function: &Function) -> Place {
        let text = format!("{}@{}", function.name, function.version);
        Place {
            streams: [self.of("jobs:", &text), self.of("early:", &text)],
            delayed: self.of("delayed:", &text),
            bodies: self.of("bodies:", &text),
            function: function.clone(),
            text,
        }
    }

    fn of(&self, what: &str, rest: &str) -> String {
        let mut name = String::with_capacity(self.base.len() + what.len() + rest.len());
        name.push_str(&self.base);
        name.push_str(what);
        name.push_str(rest);
        name
    }
}

/// The keys of the jobs of a function.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) function: Function,
    /// The function as the server knows it: `name@version`.
    pub(super) text: String,
    /// The jobs, and the jobs that come before them: they were given back by workers while many
    /// others waited.
    pub(super) streams: [String; 2],
    /// The ids of the jobs that wait for their time.
    pub(super) delayed: String,
    /// The contents of the jobs that wait for their time.
    pub(super) bodies: String,
}

/// Returns the function that the server knows by this text.
pub(super) fn function(text: &str) -> Option<Function> {
    let (name, version) = text.rsplit_once('@')?;
    Some(Function {
        name: name.to_owned(),
        version: version.parse().ok()?,
    })
}

/// Returns the producer of a job, which is the first part of its id.
pub(super) fn producer(id: &str) -> &str {
    id.split_once('-').map_or(id, |(producer, _)| producer)
}

/// Returns what the names of the consumers of this process begin with: the host, the process,
/// and 64 random bits of this connection.
///
/// # Errors
///
/// Returns an error if the system has no random numbers.
pub(super) fn worker() -> Result<String, Error> {
    let host: String = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .chars()
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => letter,
            _ => '_',
        })
        .collect();
    Ok(format!("{host}:{}:{}-", std::process::id(), random()?))
}

/// Returns 64 random bits as text.
///
/// # Errors
///
/// Returns an error if the system has no random numbers.
pub(super) fn random() -> Result<String, Error> {
    // Not of `fastrand`: two programs that are started at once could get equal ones.
    let bits = u64::from_be_bytes(crate::secure::random()?);
    Ok(format!("{bits:016x}"))
}

/// Returns the name of a consumer. Its last part is its lease in milliseconds, which differs
/// between workers and which each worker has to respect.
pub(super) fn consumer(worker: &str, reader: u64, lease: std::time::Duration) -> String {
    format!("{worker}{reader}:{}", lease.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_keys_of_a_queue_have_the_same_part_in_braces() {
        let names = Names::new("a}b%").unwrap();
        let function = Function {
            name: "app::send@{x}".to_owned(),
            version: 3,
        };
        let place = names.place(&function);
        assert_eq!(place.streams[0], "coreloop:{a%7db%25}:jobs:app::send@{x}@3");
        assert_eq!(super::function(&place.text), Some(function));
        assert_eq!(
            names.channel(producer("7f-12")),
            "coreloop:{a%7db%25}:done:7f"
        );
    }

    #[test]
    fn different_queues_have_different_keys() {
        let key = |queue| Names::new(queue).unwrap().dead();
        assert_ne!(key("}"), key("%7d"));
    }

    #[test]
    fn a_queue_without_a_name_is_refused() {
        assert!(Names::new("").is_err());
        assert!(Names::new(&"x".repeat(129)).is_err());
    }

    #[test]
    fn the_name_of_a_consumer_ends_with_its_lease() {
        let worker = worker().unwrap();
        assert_ne!(worker, super::worker().unwrap());
        let name = consumer(&worker, 2, Duration::from_secs(30));
        assert!(name.starts_with(&worker));
        assert!(name.ends_with("-2:30000"), "{name}");
        assert!(consumer(&worker, 2, Duration::ZERO).ends_with(":1"));
    }
}
