//! [`Warnings`], what a user should know of the server.
//!
//! They are found at connect, because a queue on a server that forgets jobs works well until the
//! day on which they are needed. A server that was restarted is inspected again, and the settings
//! are read again now and then while a worker waits for jobs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};

use super::failure::Failure;
use super::identity::Identity;
use super::link::{Link, Lost};
use super::reply;
use super::socket::Open;

/// The settings that matter.
const SETTINGS: [&str; 5] = [
    "appendfsync",
    "appendonly",
    "maxmemory",
    "maxmemory-policy",
    "save",
];

/// What a user should know of the server.
#[derive(Debug)]
pub(super) struct Warnings {
    /// Whether a job that is confirmed should be on disk.
    durable: bool,
    identity: Identity,
    texts: RefCell<Vec<String>>,
    has_lost_group: Cell<bool>,
}

impl Warnings {
    pub(super) fn new(durable: bool, marker: String) -> Self {
        Self {
            durable,
            identity: Identity::new(marker),
            texts: RefCell::default(),
            has_lost_group: Cell::new(false),
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.texts.borrow().clone()
    }

    /// Notes that the server has lost a group of workers. This is reported once.
    pub(super) fn lost_group(&self) {
        if !self.has_lost_group.replace(true) {
            self.add(
                "Redis has lost the group of workers, and probably jobs too: it was emptied, or \
                 restarted without persistence. The group was created again",
            );
        }
    }

    /// Adds a warning, unless it is there.
    fn add(&self, text: &str) {
        if self.texts.borrow().iter().any(|known| known == text) {
            return;
        }
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "coreloop", "{text}");
        self.texts.borrow_mut().push(text.to_owned());
    }

    /// Finds out on a new connection whether the server was restarted or has lost the queue. Reads
    /// the settings of a server that is new.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails, or if the server does not answer yet.
    pub(super) async fn inspect(&self, open: &Open, limit: Duration) -> Result<(), Failure> {
        let change = self.identity.compare(open, limit).await?;
        if change.has_lost {
            self.add(if change.is_new {
                "Redis was restarted and has lost the jobs of this queue"
            } else {
                "Redis was emptied and has lost the jobs of this queue"
            });
        }
        if change.is_new {
            self.judge(open.send(&settings_command(), limit).await)?;
        }
        Ok(())
    }

    /// Reads the settings of the server again: they may be changed while it runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails.
    pub(super) async fn check(&self, link: &Link) -> Result<(), Failure> {
        self.judge(link.send(&settings_command(), Lost::Repeat).await)
    }

    fn judge(&self, answer: Result<Value, Failure>) -> Result<(), Failure> {
        let settings = match answer {
            Ok(answer) => settings(answer),
            // A server of a provider, or a user with few rights.
            Err(Failure::Server(_)) => HashMap::new(),
            Err(failure) => return Err(failure),
        };
        for text in judge(&settings, self.durable) {
            self.add(text);
        }
        Ok(())
    }
}

fn settings_command() -> Cmd {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET");
    for setting in SETTINGS {
        command.arg(setting);
    }
    command
}

fn settings(answer: Value) -> HashMap<String, String> {
    let pairs = reply::pairs(answer).unwrap_or_default();
    let texts = pairs
        .into_iter()
        .map(|(name, value)| Some((reply::text(name).ok()?, reply::text(value).ok()?)));
    texts.flatten().collect()
}

/// Returns what is wrong with the settings of a server.
fn judge(settings: &HashMap<String, String>, durable: bool) -> Vec<&'static str> {
    let is = |name: &str, value: &str| settings.get(name).is_some_and(|set| set == value);
    let is_known = |name: &str| settings.contains_key(name);
    let mut texts = Vec::new();
    if !SETTINGS.into_iter().all(is_known) {
        texts.push(
            "Redis does not say how it is set up (CONFIG GET is refused), so whether it keeps \
             jobs when it ends, or evicts them, is not known",
        );
    }
    if is("appendonly", "no") {
        if is("save", "") {
            texts.push(
                "Redis keeps nothing on disk: all jobs are lost when it ends. Set `appendonly yes`",
            );
        } else {
            texts.push(
                "Redis writes only snapshots to disk: when it ends, the jobs since the last one \
                 are lost. Set `appendonly yes`",
            );
        }
    }
    let evicts = is_known("maxmemory-policy") && !is("maxmemory-policy", "noeviction");
    if evicts && is_known("maxmemory") && !is("maxmemory", "0") {
        texts.push(
            "Redis may evict jobs, results and keys when its memory is full. Set \
             `maxmemory-policy noeviction`",
        );
    }
    if durable && is_known("appendfsync") && !is("appendfsync", "always") {
        texts.push(
            "Redis confirms jobs before they are on disk, so that a power failure loses up to a \
             second of them, and the queue is to be durable. Set `appendfsync always`",
        );
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(values: [&str; 5], durable: bool) -> Vec<&'static str> {
        let pairs = SETTINGS.into_iter().zip(values);
        let settings = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        judge(&settings, durable)
    }

    #[test]
    fn a_good_server_is_not_warned_of() {
        let none: [&str; 0] = [];
        assert_eq!(
            judged(["always", "yes", "1000", "noeviction", ""], true),
            none
        );
        // Without a limit, there is nothing to evict for.
        assert_eq!(
            judged(["everysec", "yes", "0", "allkeys-lru", ""], false),
            none
        );
    }

    #[test]
    fn each_bad_setting_is_warned_of() {
        let one = |values, durable, part: &str| {
            let texts = judged(values, durable);
            assert_eq!(texts.len(), 1, "{texts:?}");
            assert!(texts[0].contains(part), "{texts:?}");
        };
        let policy = "noeviction";
        one(["always", "no", "0", policy, ""], true, "nothing on disk");
        one(["always", "no", "0", policy, "60 1"], true, "snapshots");
        one(["everysec", "yes", "0", policy, ""], true, "power failure");
        one(["always", "yes", "1", "volatile-ttl", ""], true, "evict");
    }

    #[test]
    fn a_server_that_does_not_show_its_settings_is_warned_of() {
        let texts = judge(&HashMap::new(), true);
        assert_eq!(texts.len(), 1);
        assert!(texts[0].contains("CONFIG GET"));
    }
}
