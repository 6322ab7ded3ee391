//! Producers and consumers that are killed at random and started again. All of them write to one
//! log, whose lines are in the order of what happened.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use coreloop::ipc::Queue;
use coreloop::pool::{Pool, job};
use coreloop::process::Restarts;
use coreloop::spawn;
use coreloop::time::sleep;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{lines, soon};
use coreloop_test_support::size;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The numbers of producers and of consumers.
const EACH: u64 = 4;

/// An item. No two have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Name {
    producer: u64,
    /// How often the producer was started before.
    attempt: u64,
    number: u64,
}

/// An item that shows whether its bytes are its own.
#[derive(Serialize, Deserialize)]
struct Item {
    name: Name,
    bytes: ByteBuf,
}

impl Item {
    fn new(name: Name) -> Self {
        let seed = name.producer ^ name.attempt << 20 ^ name.number << 40;
        let mut random = fastrand::Rng::with_seed(seed);
        // Most are small, and a few need several reads.
        let length = match random.u8(..) {
            0 => random.usize(..300_000),
            _ => random.usize(..100),
        };
        let bytes = (0..length).map(|_| random.u8(..)).collect::<Vec<_>>();
        let bytes = ByteBuf::from(bytes);
        Self { name, bytes }
    }
}

#[coreloop::job(initializer)]
fn open_log(path: PathBuf) -> File {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).unwrap()
}

/// Writes a line, in one write.
fn log(what: char, name: Name) {
    let file = job::worker_state::<File>();
    let Name {
        producer,
        attempt,
        number,
    } = name;
    let pid = std::process::id();
    let line = format!("{what} {producer} {attempt} {number} {pid}\n");
    (&*file).write_all(line.as_bytes()).unwrap();
}

/// Sends the items from `first` to `end`. What it logs as sent must not be lost.
#[coreloop::job]
async fn produce(queue: Queue<Item>, producer: u64, attempt: u64, first: u64, end: u64) {
    for number in first..end {
        let name = Name {
            producer,
            attempt,
            number,
        };
        log('b', name);
        match number % 5 {
            0 => queue.blocking_send(Item::new(name)).unwrap(),
            _ => queue.send(Item::new(name)).await.unwrap(),
        }
        log('p', name);
    }
}

/// Works on items until there are no more.
#[coreloop::job]
async fn consume(queue: Queue<Item>) {
    let mut random = fastrand::Rng::new();
    loop {
        let lease = match random.u8(..4) {
            0 => queue.blocking_lease().unwrap(),
            _ => queue.lease().await.unwrap(),
        };
        let Some(lease) = lease else {
            return;
        };
        let name = lease.name;
        log('s', name);
        assert!(lease.bytes == Item::new(name).bytes, "{name:?} is garbled");
        if random.u8(..100) == 0 {
            // It says so before it happens: another consumer may be faster with its line.
            log('n', name);
            lease.nack();
        } else {
            lease.ack();
            log('a', name);
        }
    }
}

/// What happens to one item, in order: the letter and the process.
type Story = Vec<(char, u32)>;

fn stories(path: &Path) -> BTreeMap<Name, Story> {
    let mut stories = BTreeMap::<Name, Story>::new();
    for line in lines(path) {
        let (what, rest) = line.split_once(' ').unwrap();
        let numbers: Vec<u64> = rest.split(' ').map(|word| word.parse().unwrap()).collect();
        let [producer, attempt, number, pid] = numbers[..] else {
            panic!("{line}");
        };
        let name = Name {
            producer,
            attempt,
            number,
        };
        let what = what.chars().next().unwrap();
        let pid = pid.try_into().unwrap();
        stories.entry(name).or_default().push((what, pid));
    }
    stories
}

/// The first number that a producer has not sent, as far as it could say.
fn next_of(path: &Path, producer: u64) -> u64 {
    let sent = stories(path).into_iter().filter(|(name, story)| {
        name.producer == producer && story.iter().any(|(what, _)| *what == 'p')
    });
    sent.map(|(name, _)| name.number + 1).max().unwrap_or(0)
}

/// Judges the story of an item. Returns how often it was leased.
fn judge(name: Name, story: &Story, killed: &HashSet<u32>) -> usize {
    let context = || format!("{name:?}: {story:?}");
    let (mut holder, mut is_acked, mut leases) = (None, false, 0);
    for (what, pid) in story {
        match what {
            's' => {
                assert!(!is_acked, "it came again: {}", context());
                // Another process had it, which must be dead.
                let other: Option<u32> = holder.replace(*pid);
                assert!(
                    other.is_none_or(|pid| killed.contains(&pid)),
                    "{}",
                    context()
                );
                leases += 1;
            }
            'n' => {
                assert_eq!(holder.take(), Some(*pid), "{}", context());
            }
            'a' => {
                assert_eq!(holder, Some(*pid), "{}", context());
                is_acked = true;
            }
            _ => {}
        }
    }
    // The last one may have been killed between `ack` and its line.
    let is_ended = is_acked || holder.is_some_and(|pid| killed.contains(&pid));
    let is_sent = story.iter().any(|(what, _)| *what == 'p');
    // It may also have been killed between `s` and `nack`, and the next one before its line `s`.
    let was_killed = story.iter().any(|(_, pid)| killed.contains(pid));
    assert!(
        is_ended || !is_sent || (leases > 0 && was_killed),
        "it is lost: {}",
        context()
    );
    leases
}

struct Storm {
    pool: Pool,
    queue: Queue<Item>,
    path: PathBuf,
    killed: Rc<RefCell<HashSet<u32>>>,
}

impl Storm {
    /// Starts a producer again and again, until it has sent everything.
    async fn producer(self: Rc<Self>, producer: u64, end: u64) {
        for attempt in 0.. {
            let first = next_of(&self.path, producer);
            let arguments = (self.queue.clone(), producer, attempt, first, end);
            match self.pool.run(produce, arguments).await {
                Ok(()) => return,
                Err(error) => assert!(error.is_broken_worker(), "{error}"),
            }
        }
    }

    async fn consumer(self: Rc<Self>) {
        while let Err(error) = self.pool.run(consume, self.queue.clone()).await {
            assert!(error.is_broken_worker(), "{error}");
        }
    }

    /// Kills a worker now and then.
    async fn kill(self: Rc<Self>, must_stop: Rc<Cell<bool>>) {
        let mut random = fastrand::Rng::with_seed(3);
        while !must_stop.get() {
            sleep(Duration::from_micros(random.u64(20_000..60_000))).await;
            let workers = self.pool.metrics().workers;
            if !workers.is_empty() {
                let pid = workers[random.usize(..workers.len())].pid;
                self.killed.borrow_mut().insert(pid);
                let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
                kill_process(pid, Signal::KILL).unwrap();
            }
        }
    }
}

#[coreloop::test]
async fn every_item_is_worked_on_once_while_producers_and_consumers_are_killed() {
    let count = size::pick(2_500, 250_000);
    let folder = Folder::new();
    let path = folder.path("log");
    let wait = Duration::from_millis(1);
    let restarts = Restarts::new()
        .max_immediate(u32::MAX)
        .max_failed_starts(u32::MAX)
        .min_wait(wait)
        .max_wait(wait);
    let pool = Pool::builder()
        .workers(u32::try_from(2 * EACH).unwrap())
        .restarts(restarts)
        .prefetch(1)
        .initializer(open_log, path.clone())
        .build()
        .unwrap();
    let storm = Rc::new(Storm {
        pool,
        queue: Queue::new(100).unwrap(),
        path,
        killed: Rc::default(),
    });
    let must_stop = Rc::new(Cell::new(false));
    let killer = spawn(Rc::clone(&storm).kill(Rc::clone(&must_stop)));
    let consumers: Vec<_> = (0..EACH)
        .map(|_| spawn(Rc::clone(&storm).consumer()))
        .collect();
    let producers: Vec<_> = (0..EACH)
        .map(|producer| spawn(Rc::clone(&storm).producer(producer, count)))
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    storm.queue.close().await.unwrap();
    for consumer in consumers {
        consumer.await.unwrap();
    }
    soon(storm.queue.join()).await.unwrap();
    must_stop.set(true);
    killer.await.unwrap();
    assert_eq!(storm.queue.unconfirmed().await.unwrap(), 0);
    soon(storm.pool.shutdown(Duration::MAX)).await;

    let killed = storm.killed.borrow();
    let mut sent = BTreeSet::new();
    let mut again = 0;
    for (name, story) in &stories(&storm.path) {
        again += judge(*name, story, &killed).saturating_sub(1);
        if story.iter().any(|(what, _)| *what == 'p') {
            sent.insert((name.producer, name.number));
        }
    }
    assert_eq!(sent.len() as u64, EACH * count);
    println!(
        "{} items, {} kills, {again} items were leased again",
        sent.len(),
        killed.len()
    );
}
