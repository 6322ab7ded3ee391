//! Descriptors and ends of pipes in the arguments, the results and the progress of jobs.

use std::cell::RefCell;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use coreloop::ipc::{self, Fd, Pipe, PipeReceiver, Receiver};
use coreloop::pool::{Executor, Pool, job};
use coreloop::{block_on, task::yield_now};
use coreloop_test_support::meeting::{Meeting, meet};
use coreloop_test_support::rerun::{is_rerun, rerun};
use futures_lite::StreamExt;
use rustix::process::{Resource, getrlimit, setrlimit};

fn one_worker() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

/// The reading end of a pipe, and the writing end as a value.
fn output() -> (PipeReader, Fd) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, writer.into())
}

/// Everything that was written to a pipe, whose other end must be closed everywhere.
fn all(mut pipe: PipeReader) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

fn open_descriptors() -> usize {
    fs::read_dir("/dev/fd").unwrap().count()
}

#[coreloop::job]
fn say(output: Fd, text: String) {
    PipeWriter::from(output).write_all(text.as_bytes()).unwrap();
}

#[coreloop::job]
fn give(text: String) -> (String, Fd) {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    (text, reader.into())
}

#[coreloop::job]
fn ignore(_descriptors: Vec<Fd>) -> usize {
    open_descriptors()
}

#[coreloop::job]
fn give_many(count: usize) -> Vec<Fd> {
    let (reader, _) = io::pipe().unwrap();
    (0..count)
        .map(|_| reader.try_clone().unwrap().into())
        .collect()
}

#[coreloop::job]
fn meeting(path: PathBuf, name: String) {
    meet(&path, &name);
}

/// Meets the test, and then writes.
#[coreloop::job(idempotent)]
fn meet_and_say(path: PathBuf, output: Fd) -> u32 {
    meet(&path, "second");
    write!(PipeWriter::from(output), "{:?}", job::attempt()).unwrap();
    job::attempt().unwrap()
}

fn many(count: usize) -> Vec<Fd> {
    let (reader, _) = io::pipe().unwrap();
    let clone = || reader.try_clone().unwrap().into();
    (0..count).map(|_| clone()).collect()
}

#[test]
fn a_descriptor_is_an_argument_and_a_result() {
    block_on(async {
        let pool = one_worker();
        // The body of the last one is written without a copy.
        for text in ["x".to_owned(), "y".repeat(100), "z".repeat(20_000)] {
            let (reader, writer) = output();
            pool.run(say, (writer, text.clone())).await.unwrap();
            assert_eq!(all(reader), text);
            let (said, reader) = pool.run(give, text.clone()).await.unwrap();
            assert_eq!((said, all(PipeReader::from(reader))), (text.clone(), text));
        }
    });
}

#[test]
fn each_item_of_a_chunk_has_its_own_descriptors() {
    block_on(async {
        let pool = Pool::builder().workers(2).build().unwrap();
        let (readers, writers): (Vec<_>, Vec<_>) = (0..100).map(|_| output()).unzip();
        let inputs = writers.into_iter().zip((0..).map(|n: usize| n.to_string()));
        let results: Vec<_> = pool.map(say, inputs).chunks(9).collect().await;
        assert!(results.iter().all(Result::is_ok));
        for (number, reader) in readers.into_iter().enumerate() {
            assert_eq!(all(reader), number.to_string());
        }

        let texts = (0..100).map(|number: usize| number.to_string());
        let mut given = pool.map(give, texts).chunks(9);
        let mut number = 0_usize;
        while let Some(result) = given.next().await {
            let (text, reader) = result.unwrap();
            assert_eq!(text, number.to_string());
            assert_eq!(all(PipeReader::from(reader)), text);
            number += 1;
        }
        assert_eq!(number, 100);
    });
}

#[test]
fn a_chunk_has_fewer_items_if_their_descriptors_are_too_many() {
    block_on(async {
        let pool = one_worker();
        let inputs = (0..20).map(|_| (many(50),));
        let results: Vec<_> = pool.map(ignore, inputs).chunks(20).collect().await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 20);
    });
}

#[test]
fn the_results_of_a_chunk_that_have_too_many_descriptors_are_errors() {
    block_on(async {
        let pool = one_worker();
        let inputs = [100_usize, 100, 100, 1];
        let results: Vec<_> = pool.map(give_many, inputs).chunks(4).collect().await;
        let counts: Vec<_> = results
            .iter()
            .map(|result| result.as_ref().map(Vec::len).ok())
            .collect();
        assert_eq!(counts, [Some(100), Some(100), None, Some(1)]);
        let error = results[2].as_ref().unwrap_err();
        assert!(error.is_codec(), "{error}");
        assert!(error.to_string().contains("253 descriptors"), "{error}");
    });
}

#[test]
fn a_message_has_at_most_253_descriptors() {
    block_on(async {
        let pool = one_worker();
        pool.run(ignore, (Vec::new(),)).await.unwrap();
        pool.run(ignore, (many(253),)).await.unwrap();
        let error = pool.run(ignore, (many(254),)).await.unwrap_err();
        assert!(error.is_codec() && !error.has_started(), "{error}");
        assert!(error.to_string().contains("253 descriptors"), "{error}");
        assert_eq!(pool.run(give_many, 0).await.unwrap().len(), 0);
        assert_eq!(pool.run(give_many, 253).await.unwrap().len(), 253);
        let error = pool.run(give_many, 254).await.unwrap_err();
        assert!(error.is_codec() && error.has_started(), "{error}");
        assert!(error.to_string().contains("253 descriptors"), "{error}");
        assert_eq!(pool.run(give_many, 1).await.unwrap().len(), 1);
    });
}

#[test]
fn a_worker_keeps_no_descriptors_of_its_jobs() {
    block_on(async {
        let pool = one_worker();
        pool.run(ignore, (many(3),)).await.unwrap();
        let before = pool.run(ignore, (Vec::new(),)).await.unwrap();
        for count in 0..50 {
            pool.run(ignore, (many(count),)).await.unwrap();
            pool.run(give_many, count).await.unwrap();
        }
        let (_, writer) = output();
        pool.run(say, (writer, String::new())).await.unwrap();
        assert_eq!(pool.run(ignore, (Vec::new(),)).await.unwrap(), before);
    });
}

#[test]
fn the_descriptors_of_a_job_that_never_runs_are_closed() {
    block_on(async {
        let pool = one_worker();
        let at = Meeting::new();
        let running = pool.submit(meeting, (at.path(), "first".to_owned()));
        let running = running.await.unwrap();
        let busy = at.arrival().await;
        let (mut readers, mut jobs) = (Vec::new(), Vec::new());
        // Some of them are in the socket, and others in the queue.
        for _ in 0..10 {
            let (reader, writer) = output();
            readers.push(reader);
            let job = pool.submit(say, (writer, "ran".to_owned()));
            jobs.push(job.await.unwrap());
        }
        yield_now().await;
        for job in &jobs {
            job.abort();
        }
        for job in jobs {
            assert!(job.await.unwrap_err().is_cancelled());
        }
        busy.release().await;
        running.await.unwrap();
        for reader in readers {
            assert_eq!(all(reader), "");
        }
    });
}

#[test]
fn a_job_that_runs_again_gets_its_descriptors_again() {
    block_on(async {
        let pool = one_worker();
        let at = Meeting::new();
        let (reader, writer) = output();
        let running = pool.submit(meet_and_say, (at.path(), writer));
        let running = running.await.unwrap();
        let first = at.arrival().await;
        let worker = running.worker().unwrap();
        let worker = rustix::process::Pid::from_raw(worker.try_into().unwrap()).unwrap();
        rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
        first.end().await;
        at.arrival().await.release().await;
        assert_eq!(running.await.unwrap(), 2);
        assert_eq!(all(reader), "Some(2)");
    });
}

#[coreloop::job]
fn report(path: PathBuf) {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"half").unwrap();
    job::progress(&("half".to_owned(), Fd::from(reader))).unwrap();
    drop(writer);
    meet(&path, "reported");
}

#[test]
fn a_descriptor_is_in_the_progress_of_a_job() {
    block_on(async {
        let executors = [
            Executor::processes(1).unwrap(),
            Executor::threads(1).unwrap(),
        ];
        for executor in executors {
            let at = Meeting::new();
            let job = executor.submit(report, at.path()).await.unwrap();
            let mut progress = job.progress::<(String, Fd)>();
            let (text, reader) = progress.changed().await.unwrap().unwrap();
            // A value may be decoded again.
            let (again, _) = progress.latest().unwrap().unwrap();
            assert_eq!((&*text, &*again), ("half", "half"));
            let mut bytes = [0; 4];
            PipeReader::from(reader).read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"half");
            at.arrival().await.release().await;
            job.await.unwrap();
        }
    });
}

#[coreloop::job(initializer)]
fn keep(output: Fd) -> RefCell<PipeWriter> {
    RefCell::new(output.into())
}

#[coreloop::job]
fn say_to_kept(text: String) {
    let output = job::worker_state::<RefCell<PipeWriter>>();
    output.borrow_mut().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_descriptor_is_an_argument_of_an_initializer() {
    block_on(async {
        for kind in 0..3 {
            let (reader, writer) = output();
            let builder = Executor::builder().initializer(keep, writer);
            let executor = match kind {
                0 => builder.processes(2).unwrap(),
                1 => builder.threads(2).unwrap(),
                _ => builder.inline().unwrap(),
            };
            let jobs: Vec<_> = executor
                .map(say_to_kept, (0..20).map(|_| "x".to_owned()))
                .collect()
                .await;
            assert!(jobs.iter().all(Result::is_ok));
            executor.close();
            executor.join().await;
            drop(executor);
            assert_eq!(all(reader), "x".repeat(20));
        }
    });
}

#[test]
fn executors_pass_descriptors_on() {
    block_on(async {
        let executors = [
            Executor::processes(1).unwrap(),
            Executor::threads(1).unwrap(),
            Executor::inline().unwrap(),
        ];
        for executor in executors {
            let (reader, writer) = output();
            let text = || "x".to_owned();
            executor.run(say, (writer, text())).await.unwrap();
            assert_eq!(all(reader), "x");
            let (_, reader) = executor.run(give, text()).await.unwrap();
            assert_eq!(all(PipeReader::from(reader)), "x");
            let given: Vec<_> = executor.map(give, [text(), text()]).collect().await;
            for result in given {
                assert_eq!(all(PipeReader::from(result.unwrap().1)), "x");
            }
        }
    });
}

#[coreloop::job]
fn limit(descriptors: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(descriptors);
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn a_worker_without_room_for_the_descriptors_of_a_job_runs_the_next_one() {
    block_on(async {
        let pool = one_worker();
        let before = pool.run(ignore, (Vec::new(),)).await.unwrap();
        let room = before as u64 + 20;
        pool.run(limit, room).await.unwrap();
        let error = pool.run(ignore, (many(50),)).await.unwrap_err();
        assert!(error.is_codec() && error.has_started(), "{error}");
        assert!(error.to_string().contains("were lost"), "{error}");
        // None of them was left open.
        assert_eq!(pool.run(ignore, (Vec::new(),)).await.unwrap(), before);
        pool.run(ignore, (many(5),)).await.unwrap();
    });
}

#[test]
fn a_master_without_room_for_the_descriptors_of_a_result_gets_the_next_one() {
    const TEST: &str = "a_master_without_room_for_the_descriptors_of_a_result_gets_the_next_one";
    if !is_rerun(TEST) {
        let output = rerun(module_path!(), TEST);
        assert!(output.status.success(), "{output:?}");
        return;
    }
    block_on(async {
        let pool = one_worker();
        pool.run(give_many, 100).await.unwrap();
        let before = open_descriptors();
        limit(before as u64 + 20);
        let error = pool.run(give_many, 100).await.unwrap_err();
        assert!(error.is_codec() && error.has_started(), "{error}");
        assert!(error.to_string().contains("were lost"), "{error}");
        assert_eq!(open_descriptors(), before);
        assert_eq!(pool.run(give_many, 5).await.unwrap().len(), 5);
        let (text, reader) = pool.run(give, "x".to_owned()).await.unwrap();
        assert_eq!(all(PipeReader::from(reader)), text);
        // The arguments cannot be duplicated.
        let error = pool.run(ignore, (many_of(15),)).await.unwrap_err();
        assert!(error.is_codec() && !error.has_started(), "{error}");
    });
}

/// Values that own one descriptor each, and need as many for their encoding.
fn many_of(count: usize) -> Vec<Fd> {
    (0..count)
        .map(|_| OwnedFd::from(fs::File::open("/dev/null").unwrap()).into())
        .collect()
}

#[coreloop::job]
fn echo(mut numbers: Pipe<u64, u64>) -> u64 {
    let mut count = 0;
    while let Some(number) = numbers.blocking_recv().unwrap() {
        numbers.blocking_send(number + 1).unwrap();
        count += 1;
    }
    count
}

#[coreloop::job]
async fn echo_async(mut numbers: Pipe<u64, u64>) -> u64 {
    let mut count = 0;
    while let Some(number) = numbers.recv().await.unwrap() {
        numbers.send(number + 1).await.unwrap();
        count += 1;
    }
    count
}

#[test]
fn an_end_of_a_pipe_is_an_argument() {
    block_on(async {
        let pool = Pool::builder().workers(2).build().unwrap();
        let (mut here, there) = ipc::pipe::<u64, u64>().unwrap();
        let (mut here2, there2) = ipc::pipe::<u64, u64>().unwrap();
        let plain = pool.submit(echo, (there,)).await.unwrap();
        let asynchronous = pool.submit(echo_async, (there2,)).await.unwrap();
        for number in 0..1_000 {
            here.send(number).await.unwrap();
            here2.send(number).await.unwrap();
            assert_eq!(here.recv().await.unwrap(), Some(number + 1));
            assert_eq!(here2.recv().await.unwrap(), Some(number + 1));
        }
        drop((here, here2));
        assert_eq!(plain.await.unwrap(), 1_000);
        assert_eq!(asynchronous.await.unwrap(), 1_000);
    });
}

/// Receives through a pipe and a channel with little room for descriptors.
#[coreloop::job]
fn receive_with_little_room(
    mut pipe: PipeReceiver<Vec<Fd>>,
    mut channel: Receiver<Vec<Fd>>,
) -> Vec<Result<usize, String>> {
    limit(open_descriptors() as u64 + 20);
    let mut results = Vec::new();
    while let Some(came) = pipe.blocking_recv().transpose() {
        results.push(
            came.map(|came| came.len())
                .map_err(|error| error.to_string()),
        );
    }
    while let Some(came) = channel.blocking_recv().transpose() {
        results.push(
            came.map(|came| came.len())
                .map_err(|error| error.to_string()),
        );
    }
    results
}

#[test]
fn a_receiver_without_room_for_descriptors_gets_the_next_message() {
    block_on(async {
        let pool = one_worker();
        let (mut to_pipe, pipe) = ipc::simplex().unwrap();
        let (to_channel, channel) = ipc::channel().unwrap();
        for count in [3, 100, 253, 0, 5] {
            to_pipe.send(many(count)).await.unwrap();
            to_channel.send(many(count)).await.unwrap();
        }
        drop((to_pipe, to_channel));
        let results = pool.run(receive_with_little_room, (pipe, channel));
        let results = results.await.unwrap();
        assert_eq!(results.len(), 10);
        for came in results.chunks(5) {
            let counts: Vec<_> = came.iter().map(|came| came.as_ref().ok()).collect();
            assert_eq!(counts, [Some(&3), None, None, Some(&0), Some(&5)]);
            for lost in &came[1..3] {
                let text = lost.as_ref().unwrap_err();
                assert!(text.contains("were lost"), "{text}");
            }
        }
    });
}

thread_local! {
    static KEPT: RefCell<Option<Pipe<u64, u64>>> = const { RefCell::new(None) };
}

#[coreloop::job]
async fn keep_end(end: Pipe<u64, u64>) {
    KEPT.set(Some(end));
}

#[coreloop::job]
async fn echo_once() {
    let mut end = KEPT.take().unwrap();
    let number = end.recv().await.unwrap().unwrap();
    end.send(number + 1).await.unwrap();
    KEPT.set(Some(end));
}

/// Uses the end without the loop, and on a loop of its own.
#[coreloop::job]
fn echo_twice() {
    let mut end = KEPT.take().unwrap();
    let number = end.blocking_recv().unwrap().unwrap();
    end.blocking_send(number + 1).unwrap();
    block_on(async {
        let number = end.recv().await.unwrap().unwrap();
        end.send(number + 1).await.unwrap();
    });
    KEPT.set(Some(end));
}

#[test]
fn an_end_that_a_worker_keeps_is_used_by_later_jobs() {
    block_on(async {
        let pool = one_worker();
        let (mut here, there) = ipc::pipe::<u64, u64>().unwrap();
        pool.run(keep_end, (there,)).await.unwrap();
        for _ in 0..3 {
            let once = pool.submit(echo_once, ()).await.unwrap();
            let twice = pool.submit(echo_twice, ()).await.unwrap();
            for number in 0..3 {
                here.send(number).await.unwrap();
                assert_eq!(here.recv().await.unwrap(), Some(number + 1));
            }
            once.await.unwrap();
            twice.await.unwrap();
        }
        pool.shutdown(std::time::Duration::from_secs(60)).await;
        assert_eq!(here.recv().await.unwrap(), None);
    });
}
