//! Producers and consumers that are killed at random and started again. All consumers write to one
//! log, whose lines are in the order of what happened. Each producer has a log of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
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

/// The logs of a worker.
struct Logs {
    folder: PathBuf,
    file: RefCell<Option<File>>,
}

#[coreloop::job(initializer)]
fn open_logs(folder: PathBuf) -> Logs {
    Logs {
        folder,
        file: RefCell::new(None),
    }
}

/// Opens the log of this job.
fn open_log(name: &str) {
    let logs = job::worker_state::<Logs>();
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .append(true)
        .open(logs.folder.join(name));
    logs.file.replace(Some(file.unwrap()));
}

/// Writes a line, in one write.
fn log(what: char, name: Name) {
    let logs = job::worker_state::<Logs>();
    let Name {
        producer,
        attempt,
        number,
    } = name;
    let pid = std::process::id();
    let line = format!("{what} {producer} {attempt} {number} {pid}\n");
    let mut file = logs.file.borrow_mut();
    file.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
}

/// The name of the log of a producer.
fn log_of(producer: u64) -> String {
    format!("producer-{producer}")
}

/// The name of the log of all consumers.
const CONSUMERS: &str = "consumers";

/// Sends the items from `first` to `end`. What it logs as sent must not be lost.
#[coreloop::job]
async fn produce(queue: Queue<Item>, producer: u64, attempt: u64, first: u64, end: u64) {
    open_log(&log_of(producer));
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
    open_log(CONSUMERS);
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

/// Reads a line of a log.
fn read(line: &str) -> (char, Name, u32) {
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
    (what.chars().next().unwrap(), name, pid.try_into().unwrap())
}

fn stories(folder: &Path) -> BTreeMap<Name, Story> {
    let mut stories = BTreeMap::<Name, Story>::new();
    let logs = (0..EACH).map(log_of).chain([CONSUMERS.to_owned()]);
    for log in logs {
        for line in lines(&folder.join(log)) {
            let (what, name, pid) = read(&line);
            stories.entry(name).or_default().push((what, pid));
        }
    }
    stories
}

/// The first number that a producer has not sent, as far as it could say.
fn next_of(folder: &Path, producer: u64) -> u64 {
    let Ok(mut log) = File::open(folder.join(log_of(producer))) else {
        return 0;
    };
    // Only the end, because the log is long.
    let length = log.metadata().unwrap().len();
    log.seek(SeekFrom::Start(length.saturating_sub(1_000)))
        .unwrap();
    let mut end = String::new();
    log.read_to_string(&mut end).unwrap();
    let lines = end.lines().skip(usize::from(length > 1_000)).map(read);
    let sent = lines.filter(|(what, _, _)| *what == 'p').last();
    // Several attempts may have been killed before they have sent anything.
    let begun = end.lines().next_back().map(read);
    let begun = begun.map_or(0, |(_, name, _)| name.number);
    sent.map_or(begun, |(_, name, _)| name.number + 1)
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
    assert!(
        is_ended || (!is_sent && leases == 0),
        "it is lost: {}",
        context()
    );
    leases
}

struct Storm {
    pool: Pool,
    queue: Queue<Item>,
    folder: Folder,
    killed: Rc<RefCell<HashSet<u32>>>,
}

impl Storm {
    /// Starts a producer again and again, until it has sent everything.
    async fn producer(self: Rc<Self>, producer: u64, end: u64) {
        for attempt in 0.. {
            let first = next_of(self.folder.as_path(), producer);
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
        .initializer(open_logs, folder.as_path().to_owned())
        .build()
        .unwrap();
    let storm = Rc::new(Storm {
        pool,
        queue: Queue::new(100).unwrap(),
        folder,
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
    for (name, story) in &stories(storm.folder.as_path()) {
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
