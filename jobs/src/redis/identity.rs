//! [`Identity`], by which a client notices that the server was restarted or has lost the queue.

use std::cell::RefCell;
use std::time::Duration;

use redis::Value;

use super::failure::Failure;
use super::names;
use super::reply;
use super::socket::Open;

/// What a client knows of the server and of the queue there.
#[derive(Debug)]
pub(super) struct Identity {
    /// The key of the marker, a random text that the first client stores. It is gone when the
    /// server has lost the keys of the queue.
    key: String,
    marker: RefCell<Option<String>>,
    /// The random text that the server has chosen at its start.
    run: RefCell<Option<String>>,
}

/// What a new connection has shown.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    /// Whether the server is another process than before, or was not known before.
    pub(super) is_new: bool,
    /// Whether the marker that was there before is gone.
    pub(super) has_lost: bool,
}

impl Identity {
    pub(super) fn new(key: String) -> Self {
        Self {
            key,
            marker: RefCell::default(),
            run: RefCell::default(),
        }
    }

    /// Compares the server of a new connection with the one before. What the user may not read is
    /// not compared.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails, or if the server does not answer yet.
    pub(super) async fn compare(&self, open: &Open, limit: Duration) -> Result<Change, Failure> {
        let mut change = Change::default();
        let command = redis::cmd("INFO").arg("server").to_owned();
        let info = known(open.send(&command, limit).await)?;
        let run = info.and_then(|info| run_of(&reply::text(info).ok()?));
        // A server that does not say which run it is may be another one.
        if run.is_none() || run != *self.run.borrow() {
            change.is_new = true;
            self.run.replace(run);
        }
        let get = redis::cmd("GET").arg(&self.key).to_owned();
        let Some(found) = known(open.send(&get, limit).await)? else {
            return Ok(change);
        };
        let mut found = reply::text(found).ok();
        change.has_lost = self.marker.borrow().is_some() && found != *self.marker.borrow();
        if found.is_none() {
            found = self.create(open, limit).await?;
        }
        self.marker.replace(found);
        Ok(change)
    }

    /// Stores a marker, unless another client does so at the same time. Returns the one that is
    /// there then. A server that is full stores none.
    async fn create(&self, open: &Open, limit: Duration) -> Result<Option<String>, Failure> {
        let Ok(marker) = names::random() else {
            return Ok(None);
        };
        let mut set = redis::cmd("SET");
        set.arg(&self.key).arg(&marker).arg("NX").arg("GET");
        match open.send(&set, limit).await {
            Ok(Value::Nil) => Ok(Some(marker)),
            Ok(other) => Ok(reply::text(other).ok()),
            Err(Failure::Connection(error)) => Err(Failure::Connection(error)),
            Err(_) => Ok(None),
        }
    }
}

/// Returns `None` if the server refuses a command.
fn known(answer: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.is_passing() => Err(failure),
        Err(_) => Ok(None),
    }
}

fn run_of(info: &str) -> Option<String> {
    let mut lines = info.lines();
    let run = lines.find_map(|line| line.strip_prefix("run_id:"))?;
    Some(run.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_of_a_server_is_found_in_its_information() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:12ab\r\ntcp_port:6379\r\n";
        assert_eq!(run_of(info).as_deref(), Some("12ab"));
        assert_eq!(run_of("# Server\r\n"), None);
    }
}
