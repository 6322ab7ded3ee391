//! The life of a worker, from the first message to the end.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use coreloop_runtime::task::{consume_budget, yield_now};
use coreloop_runtime::{spawn, time};
use coreloop_test_support::folder::Folder;

use super::super::master_link::run as run_master_link;
use super::*;

const DRAIN: ToWorker = ToWorker::Drain;

/// Sets a flag when it is dropped.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn echo_until_the_end(worker: Worker) -> io::Result<()> {
    let listener = worker.listener(0)?;
    while let Some((mut stream, _)) = listener.accept().await? {
        spawn(async move {
            let mut byte = [0; 1];
            while let Ok(1) = stream.read(&mut byte).await {
                stream.write_all(&byte).await.unwrap();
            }
        });
    }
    Ok(())
}

fn exchange(client: &mut TcpStream) {
    client.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    client.write_all(b"?").unwrap();
    client.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn a_worker_is_ready_when_it_first_waits_for_a_connection() {
    let (socket, _) = bind();
    let prepared = Arc::new(AtomicBool::new(false));
    let is_prepared = Arc::clone(&prepared);
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&socket], async move |worker: Worker| {
        assert_eq!((worker.slot(), worker.workers()), (0, 2));
        assert_eq!((worker.generation(), worker.is_process()), (7, false));
        let listener = worker.listener(0)?;
        for _ in 0..10 {
            yield_now().await;
        }
        is_prepared.store(true, Ordering::SeqCst);
        while listener.accept().await?.is_some() {}
        Ok(())
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    assert!(prepared.load(Ordering::SeqCst));
    master.send(&DRAIN, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
}

#[test]
fn without_a_listener_a_worker_is_ready_when_its_function_waits() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for kinds in [&[][..], &[SocketKind::Udp][..]] {
        let sockets: [&dyn AsFd; 1] = [&udp];
        let sockets = &sockets[..kinds.len()];
        let (mut master, thread) = thread(start(kinds), sockets, async |worker: Worker| {
            let _socket = worker.udp_socket(0).ok();
            worker.draining().await;
            Ok(())
        });
        assert_eq!(master.receive(), Some(ToMaster::Ready));
        master.send(&DRAIN, &[]);
        assert_eq!(master.receive(), Some(ToMaster::Draining));
        assert_eq!(master.receive(), None);
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_worker_can_report_itself_that_it_is_ready() {
    let (socket, _) = bind();
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&socket], async |worker: Worker| {
        worker.ready();
        worker.ready();
        worker.draining().await;
        worker.ready();
        Ok(())
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    master.send(&DRAIN, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
}

#[test]
fn connections_stay_open_during_the_drain() {
    let (socket, address) = bind();
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&socket], echo_until_the_end);
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    let mut client = TcpStream::connect(address).unwrap();
    exchange(&mut client);
    master.send(&DRAIN, &[]);
    master.send(&DRAIN, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    // Its drain has no deadline.
    exchange(&mut client);
    assert!(!thread.is_finished());
    drop(client);
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
}

/// A function that never waits spends the whole budget of each poll.
#[test]
fn a_function_that_spends_the_budget_is_dropped_in_time_too() {
    let start = Start {
        drain: Duration::from_millis(10),
        ..start(&[])
    };
    let (mut master, thread) = thread(start, &[], async |worker: Worker| {
        worker.ready();
        loop {
            consume_budget().await;
        }
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    master.send(&DRAIN, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
    let reports = master.reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].ends_with("too short for the function of the worker"));
}

#[test]
fn tasks_that_take_longer_than_the_time_to_drain_are_dropped() {
    let ended = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let [task_ended, function_ended] = ended.clone();
    let start = Start {
        drain: Duration::from_millis(10),
        ..start(&[])
    };
    let (mut master, thread) = thread(start, &[], async move |_worker: Worker| {
        let dropped = SetOnDrop(Arc::clone(&task_ended));
        spawn(async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        });
        let _dropped = SetOnDrop(Arc::clone(&function_ended));
        std::future::pending().await
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    assert!(ended.iter().all(|ended| !ended.load(Ordering::SeqCst)));
    master.send(&DRAIN, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
    assert!(ended.iter().all(|ended| ended.load(Ordering::SeqCst)));
    let reports = master.reports();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].ends_with("too short for the function of the worker"));
    let (first, tasks) = reports[1].split_once('\n').unwrap();
    assert!(first.ends_with("too short for"), "{reports:?}");
    assert!(tasks.contains("abandoned task "), "{reports:?}");
    assert!(tasks.contains(file!()), "{reports:?}");
}

#[test]
fn the_drain_may_begin_before_the_listener_is_taken() {
    let (socket, address) = bind();
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&socket], async move |worker: Worker| {
        worker.draining().await;
        gate.lock().unwrap().recv().unwrap();
        assert!(worker.listener(0)?.accept().await?.is_none());
        Ok(())
    });
    master.send(&DRAIN, &[]);
    // It was never ready, and does not become ready any more.
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    let client = TcpStream::connect(address).unwrap();
    go.send(()).unwrap();
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
    socket.set_nonblocking(false).unwrap();
    assert_eq!(socket.accept().unwrap().1, client.local_addr().unwrap());
}

#[test]
fn the_tasks_of_a_function_that_returns_can_finish() {
    let (socket, address) = bind();
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&socket], async |worker: Worker| {
        let (mut stream, _) = worker.listener(0)?.accept().await?.unwrap();
        spawn(async move { stream.read(&mut [0; 1]).await.unwrap() });
        Ok(())
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    let mut client = TcpStream::connect(address).unwrap();
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    client.write_all(b"!").unwrap();
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_function_that_fails_ends_the_worker_at_once() {
    let (mut master, thread) = thread(start(&[]), &[], async |_worker: Worker| {
        spawn(std::future::pending::<()>());
        yield_now().await;
        Err(io::Error::other("no database"))
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    let error = "no database".to_owned();
    assert_eq!(master.receive(), Some(ToMaster::Failed { error }));
    assert_eq!(master.receive(), None);
    let error = thread.join().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no database");
}

/// The message was too long to be sent, and the master reported no reason.
#[test]
fn a_long_error_is_reported_by_its_beginning() {
    let (mut master, thread) = thread(start(&[]), &[], async |_worker: Worker| {
        Err(io::Error::other("é".repeat(100_000)))
    });
    match master.receive() {
        Some(ToMaster::Failed { error }) => {
            assert!((2000..5000).contains(&error.len()), "{}", error.len());
            assert!(error.ends_with("é…"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(master.receive(), None);
    assert!(thread.join().unwrap().is_err());
}

#[test]
fn a_panic_is_reported_and_propagated() {
    let (mut master, thread) = thread(start(&[]), &[], async |worker: Worker| {
        panic!("a bug in slot {}", worker.slot())
    });
    let error = "panicked: a bug in slot 0".to_owned();
    assert_eq!(master.receive(), Some(ToMaster::Failed { error }));
    assert_eq!(master.receive(), None);
    let panic = thread.join().unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "a bug in slot 0");
}

#[test]
fn a_worker_ends_at_once_when_its_master_ends() {
    let (socket, address) = bind();
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&socket], echo_until_the_end);
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    let mut client = TcpStream::connect(address).unwrap();
    exchange(&mut client);
    drop(master);
    thread.join().unwrap().unwrap();
    assert!(!matches!(client.read(&mut [0; 1]), Ok(1)));
}

#[test]
fn a_thread_whose_master_ends_before_the_first_message_ends() {
    let (master, channel) = channel();
    let function = Arc::new(async |_worker: Worker| Ok(()));
    let reporter = master.reporter();
    let thread = spawn_thread(
        "worker".to_owned(),
        Builder::new,
        function,
        channel,
        reporter,
    );
    drop(master);
    let error = thread.unwrap().join().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn adopted_sockets_are_served_until_they_are_released() {
    let ((own, address), (other, other_address)) = (bind(), bind());
    let start = start(&[SocketKind::Tcp]);
    let (mut master, thread) = thread(start, &[&own], echo_until_the_end);
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    master.send(&ToWorker::Adopt { slot: 1 }, &[&other]);
    // A slot without descriptors, for which there was no room, is not served. The worker
    // continues.
    master.send(&ToWorker::Adopt { slot: 2 }, &[]);
    exchange(&mut TcpStream::connect(other_address).unwrap());
    exchange(&mut TcpStream::connect(address).unwrap());
    master.send(&ToWorker::Release { slot: 1 }, &[]);
    master.send(&DRAIN, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
    let report = "the sockets of another worker cannot be served: \
                  there is no room for their descriptors";
    assert_eq!(master.reports(), [report]);
}

/// One client at a time, because a further connection would wake a worker that then also
/// accepts one that was not reported.
#[test]
fn clients_of_a_shared_socket_are_served_while_a_worker_ends() {
    let folder = Folder::new();
    let path = folder.path("shared");
    let socket = UnixListener::bind(&path).unwrap();
    let work = || {
        let start = start(&[SocketKind::SharedUnix]);
        let (mut master, thread) = thread(start, &[&socket], async |worker: Worker| {
            let listener = worker.unix_listener(0)?;
            while let Some((mut stream, _)) = listener.accept().await? {
                stream.write_all(b"!").await?;
            }
            Ok(())
        });
        assert_eq!(master.receive(), Some(ToMaster::Ready));
        (master, thread)
    };
    let mut workers = VecDeque::from([work(), work()]);
    for _ in 0..100 {
        workers.push_back(work());
        let (mut master, thread) = workers.pop_front().unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        master.send(&DRAIN, &[]);
        client.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        client.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(master.receive(), Some(ToMaster::Draining));
        assert_eq!(master.receive(), None);
        thread.join().unwrap().unwrap();
    }
    for (master, thread) in workers {
        drop(master);
        thread.join().unwrap().unwrap();
    }
}

/// The worker may be silent for eight seconds, so it sends a heartbeat every two.
#[coreloop::test(start_paused = true)]
async fn heartbeats_come_four_times_as_often_as_required() {
    let (mut master, channel) = channel();
    let start = Start {
        heartbeat: Some(Duration::from_secs(8)),
        ..start(&[])
    };
    let channel = channel.into_async().unwrap();
    let (sender, reporter) = (channel.sender().unwrap(), master.reporter());
    let shared = WorkerShared::new(start, Vec::new(), sender, false, reporter).unwrap();
    let shared = Rc::new(shared);
    let link = spawn(run_master_link(Rc::clone(&shared), channel, None));
    time::sleep(Duration::from_secs(9)).await;
    link.abort();
    assert!(link.await.unwrap_err().is_cancelled());
    drop(shared);
    for _ in 0..4 {
        let received = master.receive();
        assert!(
            matches!(received, Some(ToMaster::Heartbeat(_))),
            "{received:?}"
        );
    }
    assert_eq!(master.receive(), None);
}

#[test]
fn a_worker_reports_that_it_has_served_enough_requests_unless_it_drains() {
    let mut limited = start(&[]);
    limited.max_requests = Some(2);
    let (mut master, worker) = coreloop_runtime::block_on(async { here(limited, &[]) });
    for _ in 0..4 {
        worker.count_request();
    }
    // The replacement may have failed, so the report is repeated.
    assert_eq!(master.receive(), Some(ToMaster::Retire));
    assert_eq!(master.receive(), Some(ToMaster::Retire));
    worker.shared.drain();
    for _ in 0..4 {
        worker.count_request();
    }
    drop(worker);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    assert_eq!(master.receive(), None);
}

#[test]
fn the_given_builder_creates_the_runtime_of_a_worker() {
    let (mut master, channel) = channel();
    // On a paused clock an hour passes at once.
    let runtime = || Builder::new().start_paused(true);
    let function = Arc::new(async |_| {
        time::sleep(Duration::from_secs(3600)).await;
        Ok(())
    });
    let reporter = master.reporter();
    let thread = spawn_thread("worker".to_owned(), runtime, function, channel, reporter);
    master.send(&ToWorker::Start(Box::new(start(&[]))), &[]);
    while master.receive().is_some() {}
    thread.unwrap().join().unwrap().unwrap();
}

/// Streams are counted by the worker's listener until they are dropped or leave the loop, also
/// if they are split.
#[test]
fn a_worker_reports_its_connections_on_request() {
    let (listener, address) = bind();
    let (mut master, thread) = thread(start(&[SocketKind::Tcp]), &[&listener], async |worker| {
        let listener = worker.listener(0)?;
        let mut split = Vec::new();
        let mut taken_off = Vec::new();
        while let Some((stream, _)) = listener.accept().await? {
            if split.is_empty() {
                split.push(stream.into_split());
            } else if taken_off.is_empty() {
                taken_off.push(stream.into_std()?);
            }
        }
        split.clear();
        Ok(())
    });
    assert_eq!(master.receive(), Some(ToMaster::Ready));
    let mut report = || {
        master.send(&ToWorker::Report, &[]);
        match master.channel.receive().unwrap() {
            Some((ToMaster::Report(report), _)) => report,
            other => panic!("{other:?}"),
        }
    };
    let before = report();
    assert_eq!((before.accepted, before.open), (0, 0));
    let streams = [(); 3].map(|()| TcpStream::connect(address).unwrap());
    let mut last = report();
    while last.accepted < 3 {
        last = report();
    }
    assert_eq!((last.accepted, last.open), (3, 1));
    assert!(last.cpu > Duration::ZERO && last.polls > before.polls);
    drop(streams);
    master.send(&ToWorker::Drain, &[]);
    assert_eq!(master.receive(), Some(ToMaster::Draining));
    // The last report comes at the end, after the function has dropped its streams.
    let Some((ToMaster::Report(at_end), _)) = master.channel.receive().unwrap() else {
        panic!("no last report");
    };
    assert_eq!((at_end.accepted, at_end.open), (3, 0));
    assert_eq!(master.receive(), None);
    thread.join().unwrap().unwrap();
}
