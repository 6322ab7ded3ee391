//! The dead letters, and the counts of jobs.

use super::Redis;
use super::link::Lost;
use super::names;
use super::reply;
use super::script::Call;
use crate::engine::{Counts, Dead, JobId};
use crate::error::Error;

impl Redis {
    /// Returns the oldest dead letters.
    pub(super) async fn letters(&self, max: usize) -> Result<Vec<Dead>, Error> {
        let shared = &self.shared;
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("ZRANGE");
        command.arg(shared.names.dead()).arg(0).arg(max - 1);
        let mut ids = Vec::new();
        for id in reply::array(shared.link.send(&command, Lost::Repeat).await?)? {
            ids.push(reply::text(id)?);
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(shared.names.letters());
        for id in &ids {
            for field in ["f", "a", "e"] {
                command.arg(format!("{id}:{field}"));
            }
        }
        let mut fields = reply::array(shared.link.send(&command, Lost::Repeat).await?)?.into_iter();
        let mut letters = Vec::new();
        for id in ids {
            let mut field = || fields.next().and_then(reply::bytes);
            // A letter that was put back meanwhile has no fields.
            let (Some(function), Some(attempts), Some(error)) = (field(), field(), field()) else {
                continue;
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            letters.extend(names::function(&text(&function)).map(|function| Dead {
                id: JobId(id),
                function,
                attempts: text(&attempts).parse().unwrap_or(u32::MAX),
                error: text(&error),
            }));
        }
        Ok(letters)
    }

    /// Puts a dead letter back in the queue.
    pub(super) async fn put_back(&self, id: &JobId) -> Result<bool, Error> {
        let shared = &self.shared;
        let mut command = redis::cmd("HGET");
        command.arg(shared.names.letters());
        command.arg(format!("{id}:f"));
        let function = shared.link.send(&command, Lost::Repeat).await?;
        let Some(function) = reply::bytes(function) else {
            return Ok(false);
        };
        let Some(function) = names::function(&String::from_utf8_lossy(&function)) else {
            return Ok(false);
        };
        let place = shared.place(&function);
        let call = Call::default()
            .key(&shared.names.functions())
            .key(&place.streams[0])
            .key(&shared.names.dead())
            .key(&shared.names.letters())
            .key(&shared.names.result(&id.0))
            .text(&id.0)
            .text(&place.text);
        let script = &shared.scripts.requeue;
        // A lost answer is not repeated: the second one would say that there is no such letter.
        let answer = shared.link.run(script, &call, Lost::Report).await?;
        Ok(reply::number::<u32>(answer)? == 1)
    }

    /// Removes a dead letter.
    pub(super) async fn remove_letter(&self, id: &JobId) -> Result<bool, Error> {
        let shared = &self.shared;
        let call = Call::default()
            .key(&shared.names.dead())
            .key(&shared.names.letters())
            .text(&id.0);
        let script = &shared.scripts.discard;
        // A lost answer is not repeated: the second one would say that there is no such letter.
        let answer = shared.link.run(script, &call, Lost::Report).await?;
        Ok(reply::number::<u32>(answer)? == 1)
    }

    /// Counts the jobs.
    pub(super) async fn count(&self) -> Result<Counts, Error> {
        let shared = &self.shared;
        let mut command = redis::cmd("SMEMBERS");
        command.arg(shared.names.functions());
        let functions = shared.link.send(&command, Lost::Repeat).await?;
        let mut call = Call::default().key(&shared.names.dead());
        for function in reply::array(functions)? {
            if let Some(function) = names::function(&reply::text(function)?) {
                let place = shared.place(&function);
                for stream in &place.streams {
                    call.add_key(stream);
                }
                call.add_key(&place.delayed);
            }
        }
        let script = &shared.scripts.counts;
        let answer = shared.link.run(script, &call, Lost::Repeat).await?;
        let mut numbers = reply::array(answer)?.into_iter().map(reply::number::<u64>);
        let mut number = || numbers.next().unwrap_or(Ok(0));
        let (waiting, leased, delayed, dead) = (number()?, number()?, number()?, number()?);
        Ok(Counts {
            waiting,
            delayed,
            leased,
            dead,
        })
    }
}
