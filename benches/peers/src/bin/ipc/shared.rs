//! A slice of 64 MB that four processes share.

use std::fs;
use std::io;

use coreloop::ipc::{Pipe, SharedSlice};
use serde::{Deserialize, Serialize};

use crate::child::{self, Child};

/// The name of the case of the children.
pub(crate) const CASE: &str = "shared";
/// How many children get the slice.
pub(crate) const CHILDREN: usize = 4;

const LENGTH: usize = (64 << 20) / size_of::<u64>();

/// A message to a child, which answers with a number.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// Returns the last value, and drops the slice.
    Take(SharedSlice<u64>),
    /// Adds up all values, and keeps the slice until the next request.
    Keep(SharedSlice<u64>),
}

/// The slice and the children.
#[derive(Debug)]
pub(crate) struct Sharing {
    slice: SharedSlice<u64>,
    children: Vec<Child<Request, u64>>,
}

impl Sharing {
    pub(crate) fn start() -> io::Result<Sharing> {
        let slice = SharedSlice::from_values(0..LENGTH as u64)?;
        let children = (0..CHILDREN).map(|_| Child::start(CASE));
        Ok(Sharing {
            slice,
            children: children.collect::<io::Result<_>>()?,
        })
    }

    /// Hands the slice to all children, and waits until each has read a value of it.
    pub(crate) async fn hand_over(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let last = self.ask(Request::Take).await?;
            assert_eq!(last, [LENGTH as u64 - 1; CHILDREN]);
        }
        Ok(())
    }

    /// Lets all children read the whole slice, and returns how often its memory is resident:
    /// the sum of the proportional shares of all processes, per byte of the slice.
    pub(crate) async fn residence(&mut self) -> io::Result<f64> {
        let sums = self.ask(Request::Keep).await?;
        let sum: u64 = self.slice.iter().sum();
        assert_eq!(sums, [sum; CHILDREN]);
        let mut shares = share_of(std::process::id())?;
        for child in &self.children {
            shares += share_of(child.id())?;
        }
        Ok(shares as f64 / size_of_val(&*self.slice) as f64)
    }

    async fn ask(&mut self, request: fn(SharedSlice<u64>) -> Request) -> io::Result<Vec<u64>> {
        for child in &mut self.children {
            child.pipe.send(request(self.slice.clone())).await?;
        }
        let mut answers = Vec::with_capacity(CHILDREN);
        for child in &mut self.children {
            let answer = child.pipe.recv().await?;
            answers.push(answer.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        Ok(answers)
    }
}

/// Returns the proportional share of a process in the memory of shared slices, in bytes: a page
/// that several processes have counts in each for its part (`Pss` in proc(5)).
fn share_of(process: u32) -> io::Result<u64> {
    let mappings = fs::read_to_string(format!("/proc/{process}/smaps"))?;
    let mut is_slice = false;
    let mut share = 0;
    for line in mappings.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first.contains('-') {
            is_slice = line.contains("/memfd:");
        } else if first == "Pss:" && is_slice {
            let kibibytes: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            share += kibibytes << 10;
        }
    }
    Ok(share)
}

/// Runs a child.
pub(crate) fn read() -> io::Result<()> {
    let mut requests: Pipe<u64, Request> = child::end()?;
    coreloop::block_on(async {
        let mut _kept = None;
        while let Some(request) = requests.recv().await? {
            _kept = None;
            let answer = match request {
                Request::Take(slice) => slice.last().copied().unwrap_or_default(),
                Request::Keep(slice) => {
                    let sum = slice.iter().sum();
                    _kept = Some(slice);
                    sum
                }
            };
            requests.send(answer).await?;
        }
        Ok(())
    })
}
