//! Storing jobs, and ending their attempts.

use std::time::Duration;

use super::Redis;
use super::entry::Lease;
use super::link::Lost;
use super::names::{self, Place};
use super::outcomes::{DEAD, DONE};
use super::reader::Reader;
use super::reply;
use super::script::Call;
use super::shared::{A_DAY, Shared, fence};
use crate::engine::{Failure, Fence, JobId, Leased, NewJob};
use crate::error::{Error, Kind};

/// How many jobs, and how many bytes of them, one script handles: the server does nothing else
/// meanwhile.
const JOBS: usize = 128;
const BYTES: usize = 1 << 20;

/// The longest payload or result. The server's own limit is 512 MB.
const LONGEST: usize = 256 << 20;

impl Redis {
    pub(super) async fn push_all(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, Error> {
        let shared = &self.shared;
        for job in &jobs {
            check_length("the arguments of a job", &job.payload)?;
        }
        let mut ids = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter().peekable();
        let mut soonest: Option<Duration> = None;
        while let Some(first) = jobs.next() {
            let place = shared.place(&first.function);
            let mut batch = Batch::new(shared, &place);
            let mut next = Some(first);
            while let Some(job) = next.take() {
                if !job.delay.is_zero() {
                    soonest = Some(soonest.map_or(job.delay, |delay| delay.min(job.delay)));
                }
                batch.add(shared, &job);
                if !batch.is_full() {
                    next = jobs.next_if(|job| job.function == place.function);
                }
            }
            ids.extend(batch.push(shared).await?);
        }
        if let Some(delay) = soonest {
            self.look_in(delay);
        }
        Ok(ids)
    }

    pub(super) async fn finish_all(
        &self,
        jobs: Vec<(&Leased, &[u8])>,
    ) -> Result<Vec<Fence>, Error> {
        for (_, result) in &jobs {
            check_length("the result of a job", result)?;
        }
        let mut fences = Vec::with_capacity(jobs.len());
        let mut rest = jobs.as_slice();
        while let Some((first, _)) = rest.first() {
            let mut bytes = 0;
            let count = rest
                .iter()
                .take(JOBS)
                .take_while(|(job, result)| {
                    let fits = bytes <= BYTES;
                    bytes += result.len();
                    fits && job.function == first.function
                })
                .count();
            let (batch, others) = rest.split_at(count);
            fences.extend(self.finish(batch).await?);
            rest = others;
        }
        Ok(fences)
    }

    async fn finish(&self, jobs: &[(&Leased, &[u8])]) -> Result<Vec<Fence>, Error> {
        let shared = &self.shared;
        let Some((first, _)) = jobs.first() else {
            return Ok(Vec::new());
        };
        let place = shared.place(&first.function);
        let mut call = place
            .call()
            .of_lease(self.length_of(first))
            .text(&shared.worker)
            .number(A_DAY)
            .text(&shared.names.channel(""));
        for (job, result) in jobs {
            call.add_key(&shared.names.result(&job.id.0));
            call.add_number(lease_of(job)?.entry);
            call.add(job.id.0.as_bytes());
            call.add_both(DONE, result);
        }
        let script = &shared.scripts.finish;
        // A worker that repeats it gets `Gone` if the first one was carried out.
        let answer = shared.link.run(script, &call, Lost::Report).await?;
        let fences = fences(answer, jobs.len())?;
        for (job, _) in jobs {
            self.forget(job);
        }
        Ok(fences)
    }

    pub(super) async fn renew_all(
        &self,
        jobs: Vec<&Leased>,
        lease: Duration,
    ) -> Result<Vec<Fence>, Error> {
        let shared = &self.shared;
        let mut fences = Vec::with_capacity(jobs.len());
        let same = |one: &&Leased, other: &&Leased| one.function == other.function;
        for jobs in jobs.chunk_by(same).flat_map(|jobs| jobs.chunks(JOBS)) {
            let place = shared.place(&jobs[0].function);
            let mut call = place.call().of_lease(lease).text(&shared.worker);
            for job in jobs {
                let held = lease_of(job)?;
                call.add_key(&shared.names.result(&job.id.0));
                call.add_number(held.entry);
                call.add(names::consumer(&shared.worker, held.reader, lease).as_bytes());
            }
            let script = &shared.scripts.renew;
            let answer = shared.link.run(script, &call, Lost::Repeat).await?;
            for (job, fence) in jobs.iter().zip(self::fences(answer, jobs.len())?) {
                match fence {
                    Fence::Held => self.renewed(job),
                    Fence::Taken | Fence::Gone => self.forget(job),
                }
                fences.push(fence);
            }
        }
        Ok(fences)
    }

    pub(super) async fn fail_one(&self, job: &Leased, failure: Failure) -> Result<Fence, Error> {
        let shared = &self.shared;
        let place = shared.place(&job.function);
        let entry = lease_of(job)?.entry;
        let result = shared.names.result(&job.id.0);
        let call = place.call().of_lease(self.length_of(job)).key(&result);
        let answer = match failure {
            Failure::Retry { delay, .. } => {
                let call = call
                    .key(&place.delayed)
                    .key(&place.bodies)
                    .text(&shared.worker)
                    .number(entry)
                    .number(job.attempt)
                    .number(milliseconds(delay));
                let retry = &shared.scripts.retry;
                let answer = shared.link.run(retry, &call, Lost::Report).await?;
                self.look_in(delay);
                answer
            }
            Failure::Unstarted => {
                let call = call.text(&shared.worker).number(entry);
                let give_back = &shared.scripts.give_back;
                shared.link.run(give_back, &call, Lost::Report).await?
            }
            Failure::Dead { error } => {
                let mut call = call
                    .key(&shared.names.dead())
                    .key(&shared.names.letters())
                    .text(&shared.worker)
                    .number(entry)
                    .number(job.attempt)
                    .text(&place.text)
                    .text(&error)
                    .number(A_DAY)
                    .text(&shared.names.channel(""));
                call.add_both(DEAD, error.as_bytes());
                let bury = &shared.scripts.bury;
                shared.link.run(bury, &call, Lost::Report).await?
            }
        };
        self.forget(job);
        fences(answer, 1).map(|fences| fences[0])
    }

    fn forget(&self, job: &Leased) {
        self.with_reader(job, |reader, known| reader.desk.borrow_mut().forget(known));
    }

    fn renewed(&self, job: &Leased) {
        let now = std::time::Instant::now();
        self.with_reader(job, |reader, known| {
            reader.desk.borrow_mut().renewed(known, now);
        });
    }

    /// Returns the length of the lease with which a job was leased.
    fn length_of(&self, job: &Leased) -> Duration {
        let mut length = Duration::MAX;
        self.with_reader(job, |reader, _| length = reader.lease);
        length
    }

    fn with_reader(&self, job: &Leased, then: impl FnOnce(&Reader, super::desk::Known)) {
        let Ok(lease) = lease_of(job) else {
            return;
        };
        let readers = self.readers.borrow();
        let reader = readers.iter().find(|one| one.number == lease.reader);
        if let Some(reader) = reader {
            let mut places = reader.places.iter();
            let place = places.position(|place| place.function == job.function);
            if let Some(place) = place {
                then(reader, (place, lease.entry));
            }
        }
    }

    /// Makes the keepers look when a job that was just delayed is due.
    fn look_in(&self, delay: Duration) {
        for reader in self.readers.borrow().iter() {
            reader.look_in(delay);
        }
    }
}

/// Jobs of one function that are stored together.
struct Batch {
    call: Call,
    ids: Vec<JobId>,
    bytes: usize,
    /// Whether the script may run twice: all of its jobs have keys.
    is_repeatable: bool,
}

impl Batch {
    fn new(shared: &Shared, place: &Place) -> Self {
        let call = Call::default()
            .key(&shared.names.functions())
            .key(&place.streams[0])
            .key(&place.delayed)
            .key(&place.bodies)
            .text(&place.text)
            .number(A_DAY);
        Self {
            call,
            ids: Vec::new(),
            bytes: 0,
            is_repeatable: true,
        }
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= JOBS || self.bytes >= BYTES
    }

    fn add(&mut self, shared: &Shared, job: &NewJob) {
        let id = shared.new_id();
        self.call.add(id.0.as_bytes());
        match &job.key {
            Some(key) => {
                self.call.add_key(&shared.names.key(key));
                self.call.add_number(self.call.keys());
            }
            None => {
                self.is_repeatable = false;
                self.call.add_number(0);
            }
        }
        self.call.add_number(milliseconds(job.delay));
        self.call.add(&job.payload);
        self.bytes += job.payload.len();
        self.ids.push(id);
    }

    async fn push(mut self, shared: &Shared) -> Result<Vec<JobId>, Error> {
        let lost = if self.is_repeatable {
            Lost::Repeat
        } else {
            Lost::Report
        };
        let script = &shared.scripts.push;
        let answer = shared.link.run(script, &self.call, lost).await?;
        for (place, first) in reply::pairs(answer)? {
            let place: usize = reply::number(place)?;
            if let Some(id) = self.ids.get_mut(place) {
                *id = JobId(reply::text(first)?);
            }
        }
        Ok(self.ids)
    }
}

fn lease_of(job: &Leased) -> Result<Lease, Error> {
    let lease = job.lease.parse();
    lease.map_err(|()| Error::new(Kind::Engine, "Redis: the lease is of another engine"))
}

/// Reads the letters that a script has returned.
fn fences(answer: redis::Value, count: usize) -> Result<Vec<Fence>, Error> {
    let letters = reply::text(answer)?;
    if letters.len() != count {
        let text = "Redis: a script has not answered for each job";
        return Err(Error::new(Kind::Engine, text));
    }
    letters.bytes().map(fence).collect()
}

fn check_length(what: &str, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() <= LONGEST {
        return Ok(());
    }
    let text = format!(
        "Redis: {what} has {} bytes, and at most {LONGEST} are possible: store large data \
         elsewhere, and pass its name",
        bytes.len()
    );
    Err(Error::new(Kind::Codec, text))
}

/// Returns whole milliseconds, rounded up: a job is never early.
fn milliseconds(delay: Duration) -> u64 {
    let nanoseconds = delay.as_nanos().div_ceil(1_000_000);
    // A century is long enough, and a number that Lua counts with exactly.
    u64::try_from(nanoseconds)
        .unwrap_or(u64::MAX)
        .min(100 * 365 * 24 * 3600 * 1000)
}
