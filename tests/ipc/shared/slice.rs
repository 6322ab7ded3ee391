//! Slices that several processes read, and that a hostile process has or has made.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use coreloop::ipc::{Fd, Pipe, SharedSlice};
use coreloop::pool::{Pool, job};
use coreloop_test_support::meeting::soon;
use coreloop_test_support::size;
use futures_lite::StreamExt;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::{Door, connect};

/// Sums the values of slices that come by a pipe.
#[coreloop::job]
fn sum(path: PathBuf) {
    let mut pipe = connect::<u64, SharedSlice<u64>>(&path);
    let mut kept = Vec::new();
    while let Some(slice) = pipe.blocking_recv().unwrap() {
        pipe.blocking_send(slice.iter().sum()).unwrap();
        kept.push(slice);
    }
}

/// Returns how many bytes of the memory of a process are in mappings of this library: all of
/// them, and the part of the process if each byte is divided among those that have it.
fn mapped(process: &str) -> (usize, usize) {
    let text = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let (mut rss, mut pss, mut is_ours) = (0, 0, false);
    for line in text.lines() {
        let kilobytes = |name: &str| -> Option<usize> {
            let number = line.strip_prefix(name)?.trim().strip_suffix(" kB")?;
            Some(number.trim().parse().unwrap())
        };
        if line
            .split_once(' ')
            .is_some_and(|(range, _)| range.contains('-'))
        {
            is_ours = line.contains("/memfd:coreloop") && line.contains(" r--p ");
        } else if is_ours {
            rss += kilobytes("Rss:").unwrap_or(0) << 10;
            pss += kilobytes("Pss:").unwrap_or(0) << 10;
        }
    }
    (rss, pss)
}

/// Other tests of this process may have slices too, but only for a moment and small ones.
#[coreloop::test]
async fn four_processes_have_a_slice_in_memory_once() {
    let bytes = size::pick(16 << 20, 64 << 20);
    let slice = SharedSlice::from_values(0..bytes as u64 / 8).unwrap();
    let expected: u64 = slice.iter().sum();
    let pool = Pool::builder().workers(4).build().unwrap();
    let door = Door::new();
    let mut pipes = Vec::new();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(pool.submit(sum, door.path()).await.unwrap());
        let mut pipe = door.open::<SharedSlice<u64>, u64>().await;
        pipe.send(slice.clone()).await.unwrap();
        assert_eq!(soon(pipe.recv()).await.unwrap(), Some(expected));
        pipes.push(pipe);
    }
    let workers = pool.metrics().workers;
    let workers = workers.iter().map(|worker| worker.pid.to_string());
    let processes: Vec<_> = workers
        .chain(["self".to_owned()])
        .map(|pid| mapped(&pid))
        .collect();
    assert_eq!(processes.len(), 5);
    for (rss, _) in &processes {
        assert!(*rss >= bytes, "{processes:?}");
    }
    let once: usize = processes.iter().map(|(_, pss)| pss).sum();
    assert!(
        once >= bytes - (1 << 20) && once < bytes + (4 << 20),
        "{processes:?}"
    );
    drop(pipes);
    for job in jobs {
        soon(job).await.unwrap();
    }
}

/// Keeps the slice for the jobs of a worker.
#[coreloop::job(initializer)]
fn keep(slice: SharedSlice<u64>) -> SharedSlice<u64> {
    slice
}

#[coreloop::job]
fn value_at(position: usize) -> u64 {
    job::worker_state::<SharedSlice<u64>>()[position]
}

/// Returns a slice of its own.
#[coreloop::job]
fn doubled(slice: SharedSlice<u64>) -> Result<SharedSlice<u64>, String> {
    let values = slice.iter().map(|value| value * 2);
    SharedSlice::from_values(values).map_err(|error| error.to_string())
}

#[coreloop::test]
async fn a_slice_is_an_argument_a_result_and_the_state_of_a_worker() {
    let slice = SharedSlice::from_values(0..1_000_u64).unwrap();
    let pool = Pool::builder().workers(2).initializer(keep, slice.clone());
    let pool = pool.build().unwrap();
    let result = soon(pool.run(doubled, slice.clone()))
        .await
        .unwrap()
        .unwrap();
    assert!(result.iter().copied().eq((0..1_000).map(|value| value * 2)));
    let inputs = (0..20).map(|_| slice.clone());
    let mut results = pool.map(doubled, inputs).chunks(3);
    while let Some(other) = soon(results.next()).await {
        assert_eq!(*other.unwrap().unwrap(), *result);
    }
    for position in 0..20 {
        let value = soon(pool.run(value_at, position)).await.unwrap();
        assert_eq!(value, position as u64);
    }
    let none = SharedSlice::from_slice(&[]).unwrap();
    assert!(
        soon(pool.run(doubled, none))
            .await
            .unwrap()
            .unwrap()
            .is_empty()
    );
}

/// Gets the file of a slice, and tries to change it in each way that there is. Returns how many
/// ways have failed.
fn attack(file: &OwnedFd, size: u64) -> usize {
    let mut failed = 0;
    let mut refused = |is_refused: bool| {
        assert!(is_refused);
        failed += 1;
    };
    let mut writer = File::from(file.try_clone().unwrap());
    refused(writer.write(&[1]).is_err());
    refused(writer.write_at(&[1], 0).is_err());
    for length in [0, size - 1, size + 1] {
        refused(rustix::fs::ftruncate(file, length) == Err(Errno::PERM));
    }
    let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    refused(rustix::fs::fallocate(file, holes, 0, size) == Err(Errno::PERM));
    refused(rustix::fs::fcntl_add_seals(file, SealFlags::empty()) == Err(Errno::PERM));
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let opened = OpenOptions::new().read(true).write(true).open(path);
    refused(opened.is_err() || opened.is_ok_and(|opened| opened.write_at(&[1], 0).is_err()));
    failed
}

/// Takes the message with a slice apart, as a process that does not use this library could.
#[coreloop::job]
fn attack_slice(path: PathBuf) {
    let mut pipe = connect::<usize, (u32, Fd, u64)>(&path);
    let (_, file, length) = pipe.blocking_recv().unwrap().unwrap();
    let failed = attack(&OwnedFd::from(file), length * 8);
    pipe.blocking_send(failed).unwrap();
}

#[coreloop::test]
async fn another_process_cannot_change_a_slice() {
    let slice = SharedSlice::from_values(0..10_000_u64).unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    let door = Door::new();
    let job = pool.submit(attack_slice, door.path()).await.unwrap();
    let mut pipe = door.open::<SharedSlice<u64>, usize>().await;
    pipe.send(slice.clone()).await.unwrap();
    assert_eq!(soon(pipe.recv()).await.unwrap(), Some(8));
    soon(job).await.unwrap();
    assert!((0..10_000).eq(slice.iter().copied()));
}

/// The seals of a slice.
const ALL: SealFlags = SealFlags::WRITE
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

fn memory(size: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create(c"hostile", flags).unwrap();
    if size > 0 {
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size).unwrap();
    }
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}

/// Sends what is no slice of two numbers, then one that is.
#[coreloop::job]
fn send_wrong_slices(path: PathBuf) -> usize {
    let mut pipe = connect::<(u32, Fd, u64), ()>(&path);
    let plain = tempfile_of(16);
    let sparse = memory(0, SealFlags::empty());
    rustix::fs::ftruncate(&sparse, 16).unwrap();
    rustix::fs::fcntl_add_seals(&sparse, ALL).unwrap();
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let wrong = [
        (plain, 2),
        (socket.into(), 2),
        (sparse, 2),
        (memory(16, SealFlags::empty()), 2),
        (memory(16, ALL.difference(SealFlags::WRITE)), 2),
        (memory(16, ALL.difference(SealFlags::SHRINK)), 2),
        (memory(16, ALL.difference(SealFlags::GROW)), 2),
        (memory(16, ALL.difference(SealFlags::SEAL)), 2),
        (
            memory(
                16,
                ALL.difference(SealFlags::WRITE) | SealFlags::FUTURE_WRITE,
            ),
            2,
        ),
        (memory(15, ALL), 2),
        (memory(17, ALL), 2),
        (memory(16, ALL), 0),
        (memory(16, ALL), 1),
        (memory(16, ALL), 3),
        (memory(16, ALL), u64::MAX),
        (memory(16, ALL), 1 << 61),
    ];
    let count = wrong.len();
    for (file, length) in wrong {
        pipe.blocking_send((0, Fd::from(file), length)).unwrap();
    }
    // It cannot grow or shrink later, although this process has the file.
    let right = memory(16, ALL);
    let kept = right.try_clone().unwrap();
    pipe.blocking_send((0, Fd::from(right), 2)).unwrap();
    for length in [0, 4096] {
        assert_eq!(
            rustix::fs::ftruncate(kept.as_fd(), length),
            Err(Errno::PERM)
        );
    }
    // Waits for the end.
    assert!(pipe.blocking_recv().unwrap().is_none());
    count
}

fn tempfile_of(size: u64) -> OwnedFd {
    let folder = coreloop_test_support::folder::Folder::new();
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(true).read(true).write(true);
    let file = options.open(folder.path("plain")).unwrap();
    file.set_len(size).unwrap();
    file.into()
}

#[coreloop::test]
async fn memory_that_could_change_is_refused() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let door = Door::new();
    let job = pool.submit(send_wrong_slices, door.path()).await.unwrap();
    let mut pipe: Pipe<(), SharedSlice<u64>> = door.open().await;
    let mut refused = 0;
    let slice = loop {
        match soon(pipe.recv()).await {
            Ok(slice) => break slice.unwrap(),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("shared memory cannot be used"), "{text}");
                refused += 1;
            }
        }
    };
    assert_eq!(*slice, [0, 0]);
    drop(pipe);
    assert_eq!(soon(job).await.unwrap(), refused);
    assert_eq!(*slice, [0, 0]);
}
