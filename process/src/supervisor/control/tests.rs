//! Clients of all kinds, with a task as the master.

use super::clients::MAX_CLIENTS;
use super::*;
use crate::metrics::Text;
use coreloop_runtime::time::sleep;
use coreloop_runtime::{Runtime, runtime, spawn};
use coreloop_test_support::deadline::{Deadline, yield_until};
use coreloop_test_support::folder::Folder;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Barrier;
use std::thread;

use super::super::status::{LastEnd, Status, WorkerNumbers, WorkerState, WorkerStatus};

#[test]
fn each_command_sends_a_request_and_returns_its_answer() {
    run("commands", async |path| {
        let mut control = Control::connect(path).await.unwrap();
        assert_eq!(
            control.status().await.unwrap(),
            "master pid=7 uptime=2.0s workers=2 connections=3 accepted=9 lost_lines=4\n\
             worker 0 pid=- state=backoff uptime=0.0s restarts=3 connections=- accepted=- \
             memory=- cpu=- beat_age=- last_end_age=1.500s last_end=failed: a \"b\"; c\n\
             worker 1 pid=8 state=ready uptime=1.0s restarts=0 connections=3 accepted=7 \
             memory=4096 cpu=0.250s beat_age=0.001s last_end_age=- last_end=-\n"
        );
        assert_eq!(
            control.status_json().await.unwrap(),
            "{\"master\":{\"pid\":7,\"uptime\":2.0,\"workers\":2,\"connections\":3,\"accepted\":9,\"lost_lines\":4},\
             \"workers\":[{\"slot\":0,\"pid\":null,\"state\":\"backoff\",\"uptime\":0.0,\"restarts\":3,\
             \"connections\":null,\"accepted\":null,\"memory\":null,\"cpu\":null,\"beat_age\":null,\
             \"last_end\":{\"cause\":\"failed: a \\\"b\\\"\\nc\",\"age\":1.5}},\
             {\"slot\":1,\"pid\":8,\"state\":\"ready\",\"uptime\":1.0,\"restarts\":0,\
             \"connections\":3,\"accepted\":7,\"memory\":4096,\"cpu\":0.25,\"beat_age\":0.001,\
             \"last_end\":null}]}\n"
        );
        assert_eq!(control.metrics().await.unwrap(), "# EOF\n");
        control.live().await.unwrap();
        let error = control.ready().await.unwrap_err();
        assert_eq!(error.to_string(), "no worker serves");
        control.reload().await.unwrap();
        control.scale(3).await.unwrap();
        control.restart(2).await.unwrap();
        // The master's error has two lines; the protocol has one for an error.
        let error = control.upgrade().await.unwrap_err();
        assert_eq!(error.to_string(), "it ended; with status 3");
        let error = control.scale(0).await.unwrap_err();
        assert_eq!(error.to_string(), "there must be at least one worker");
        // The connection can still be used.
        control.stop().await.unwrap();
        let error = control.status().await.unwrap_err();
        assert_eq!(error.to_string(), "the master is ending");
    });
}

#[test]
fn each_invalid_line_gets_an_error() {
    run("bad", async |path| {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream
            .write_all(b"\nscale x\r\n\xff\x00\nhelp\nstop")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let mut answers = String::new();
        read_to_end(&mut stream, &mut answers).await;
        let errors = "error: no command was given: try `help`\n\
                      error: `x` is not a number\n\
                      error: the command is not text\n";
        assert_eq!(
            answers,
            format!("{errors}{HELP}ok\nerror: the command has no line end\n")
        );
    });
}

#[test]
fn a_client_with_a_line_without_end_is_disconnected() {
    run("long", async |path| {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // More than the socket holds, so the write fails too.
        let written = stream.write_all(&[b'a'; 4 << 20]).await;
        assert!(written.is_err());
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).await.unwrap();
        assert_eq!(&answer[..count], b"error: the command is too long\n");
    });
}

/// Each piece of the answer was searched again with all before it, for minutes.
#[test]
fn an_answer_without_a_line_end_is_refused_after_the_longest_line() {
    let error = error_of_an_endless_answer(&[b'a'; 64 << 10], None);
    assert_eq!(error.to_string(), "the answer does not end");
}

/// The answer is far from its longest length when the time has passed.
#[test]
fn an_answer_that_does_not_end_is_given_up_after_the_limit() {
    let error = error_of_an_endless_answer(b"\n", Some(Duration::from_millis(1)));
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

/// Returns the error of a request that is answered by these bytes again and again.
fn error_of_an_endless_answer(piece: &'static [u8], limit: Option<Duration>) -> io::Error {
    let folder = Folder::new();
    let path = folder.path("endless");
    let listener = net::UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(piece).is_ok() {}
    });
    let error = Runtime::new().unwrap().block_on(async {
        let mut control = Control::connect(&path).await.unwrap();
        control.set_timeout(limit);
        control.status().await.unwrap_err()
    });
    server.join().unwrap();
    error
}

#[test]
fn a_silent_client_is_disconnected_after_a_while() {
    run("silent", async |path| {
        let mut silent = UnixStream::connect(path).await.unwrap();
        let mut answer = String::new();
        read_to_end(&mut silent, &mut answer).await;
        assert_eq!(answer, "error: no command came in time\n");
    });
}

#[test]
fn a_client_that_does_not_read_does_not_block_others() {
    run("unread", async |path| {
        let deaf = UnixStream::connect(path).await.unwrap();
        let ask = || deaf.try_write(b"help\n").map_err(|error| error.kind());
        // Until the master, whose answers are not read, stops reading too.
        yield_until(|| ask() == Err(ErrorKind::WouldBlock)).await;
        let mut control = Control::connect(path).await.unwrap();
        control.status().await.unwrap();
        // At last the client is disconnected.
        let deadline = Deadline::new();
        while ask() != Err(ErrorKind::BrokenPipe) {
            deadline.check();
            sleep(CLIENT_TIMEOUT / 8).await;
        }
    });
}

/// The operator could not connect for 30 seconds.
#[test]
fn idle_clients_make_room_and_the_others_are_served() {
    run("hundred", async |path| {
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(Control::connect(path).await.unwrap());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            match client.status().await {
                Ok(status) => {
                    assert!(status.starts_with("master "));
                    assert!(number >= 100 - MAX_CLIENTS, "{number}");
                }
                Err(error) => {
                    assert_eq!(error.to_string(), "another client took this place");
                    assert!(number < 100 - MAX_CLIENTS, "{number}");
                }
            }
        }
        // The client that has been idle for the longest time is the first of those left.
        let mut control = Control::connect(path).await.unwrap();
        control.status().await.unwrap();
        assert!(clients[100 - MAX_CLIENTS].status().await.is_err());
        clients[101 - MAX_CLIENTS].status().await.unwrap();
    });
}

#[test]
fn clients_that_wait_for_an_answer_keep_their_place() {
    let folder = Folder::new();
    let path = folder.path("busy");
    coreloop_runtime::block_on(async {
        let (sender, mut requests) = mpsc::channel(1);
        let socket = ControlSocket::bind(&path).unwrap();
        let ending = CancellationToken::new();
        let serving = socket.serve(sender, CancellationToken::new(), ending.clone());
        let serving = spawn(serving.unwrap());
        let mut clients = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..MAX_CLIENTS {
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(b"reload\n").await.unwrap();
            clients.push(client);
            waiting.push(requests.recv().await.unwrap());
        }
        let mut late = Control::connect(&path).await.unwrap();
        let error = late.status().await.unwrap_err();
        assert_eq!(error.to_string(), "too many clients");

        // The master ends, and each request is answered.
        clients[0].write_all(b"status\nstop\n").await.unwrap();
        drop((waiting, requests));
        ending.cancel();
        for (number, client) in clients.iter_mut().enumerate() {
            let mut answer = String::new();
            read_to_end(client, &mut answer).await;
            let lines = if number == 0 { 3 } else { 1 };
            assert_eq!(answer, gone().repeat(lines));
        }
        serving.await.unwrap().unwrap();
    });
    assert_eq!(entries(&folder), 0);
}

/// 32 clients that were interrupted during a long reload kept the operator out until its end.
#[test]
fn clients_that_have_gone_make_room_though_their_requests_go_on() {
    let folder = Folder::new();
    let path = folder.path("gone");
    coreloop_runtime::block_on(async {
        let (sender, mut requests) = mpsc::channel(1);
        let socket = ControlSocket::bind(&path).unwrap();
        let (replaced, ending) = (CancellationToken::new(), CancellationToken::new());
        let serving = spawn(socket.serve(sender, replaced, ending.clone()).unwrap());
        let mut clients = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..MAX_CLIENTS {
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(b"reload\n").await.unwrap();
            clients.push(client);
            match requests.recv().await.unwrap() {
                Request::Reload(reply) => waiting.push(reply),
                other => panic!("{other:?}"),
            }
        }
        // This one has nothing more to send, and waits for its answer.
        clients[0].shutdown().await.unwrap();
        drop(clients.remove(1));
        let master = async {
            match requests.recv().await.unwrap() {
                Request::Live(reply) => reply.send(Ok(())).unwrap(),
                other => panic!("{other:?}"),
            }
            std::future::pending::<()>().await;
        };
        let mut late = Control::connect(&path).await.unwrap();
        coreloop_runtime::select! {
            alive = late.live() => alive.unwrap(),
            () = master => {}
        }

        ending.cancel();
        for reply in waiting {
            drop(reply.send(Ok(())));
        }
        for client in &mut clients {
            let mut answer = String::new();
            read_to_end(client, &mut answer).await;
            assert_eq!(answer, "ok\n");
        }
        drop(late);
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn a_dropped_request_spoils_only_its_own_connection() {
    run("given-up", async |path| {
        let mut control = Control::connect(path).await.unwrap();
        let given_up = timeout(Duration::ZERO, control.status()).await;
        assert!(given_up.is_err());
        let error = control.status().await.unwrap_err();
        assert!(error.to_string().contains("connect again"), "{error}");
        let mut control = Control::connect(path).await.unwrap();
        control.status().await.unwrap();
    });
}

#[test]
fn a_request_that_exceeds_its_limit_spoils_its_connection() {
    let folder = Folder::new();
    let path = folder.path("stopped");
    // Connections are completed by the kernel, and answered by no master.
    let _listener = net::UnixListener::bind(&path).unwrap();
    let runtime: Runtime = runtime::Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(5);
        let mut control = Control::connect_timeout(&path, limit).await.unwrap();
        control.set_timeout(Some(limit));
        let error = control.reload().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "no answer after 5s");
        let error = control.status().await.unwrap_err();
        assert!(error.to_string().contains("connect again"), "{error}");
        for endless in [None, Some(Duration::MAX)] {
            let mut control = Control::connect_timeout(&path, Duration::MAX)
                .await
                .unwrap();
            control.set_timeout(endless);
            let day = Duration::from_secs(86_400);
            assert!(timeout(day, control.status()).await.is_err());
        }
    });
}

#[test]
fn any_line_can_be_sent_as_a_command() {
    run("any", async |path| {
        let mut control = Control::connect(path).await.unwrap();
        assert_eq!(control.command("help").await.unwrap(), HELP);
        let error = control.command("frobnicate 1").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown command `frobnicate`: try `help`"
        );
        let error = control.command("status\nstop").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        control.status().await.unwrap();
    });
}

#[test]
fn only_the_owner_may_connect_and_the_file_is_removed() {
    let folder = Folder::new();
    let path = folder.path("mode");
    let socket = ControlSocket::bind(&path).unwrap();
    let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    drop(socket);
    assert!(!path.exists());
    assert_eq!(entries(&folder), 0);
}

/// The private directory had the longer path, and the longest paths were refused.
#[test]
fn each_path_that_can_be_bound_can_be_used() {
    let folder = Folder::new();
    let start = folder.path("").as_os_str().len();
    for name in ["c".to_owned(), "c".repeat(12)] {
        for length in start + 16..=200 {
            let middle = "d".repeat(length - start - 1 - name.len());
            let path = folder.path(&middle).join(&name);
            fs::create_dir(path.parent().unwrap()).unwrap();
            let is_legal = net::UnixListener::bind(&path).is_ok();
            let _ = fs::remove_file(&path);
            // Only Linux has paths that lead through a descriptor.
            if is_legal && (sys::SOCKET_PER_SLOT || name.len() > 6) {
                drop(ControlSocket::bind(&path).unwrap());
            } else if !is_legal {
                ControlSocket::bind(&path).unwrap_err();
            }
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
    }
}

#[test]
fn a_stale_socket_is_replaced_but_not_one_in_use() {
    let folder = Folder::new();
    let path = folder.path("stale");
    drop(net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = ControlSocket::bind(&path).unwrap();

    let error = ControlSocket::bind(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(path.exists());

    // A successor replaces it; then dropping the old socket does not remove the file.
    let successor = ControlSocket::take_over(&path).unwrap();
    drop(socket);
    assert!(is_served(&path).unwrap());
    drop(successor);
    assert!(!path.exists());
    assert_eq!(entries(&folder), 0);
}

/// Each replaced the socket that it had found, and all but the last listened at a socket
/// without a name.
#[test]
fn of_several_masters_that_find_a_stale_socket_one_replaces_it() {
    let folder = Folder::new();
    let path = folder.path("race");
    for _ in 0..50 {
        drop(net::UnixListener::bind(&path).unwrap());
        let start = Barrier::new(4);
        let bind = || {
            start.wait();
            ControlSocket::bind(&path)
        };
        let bound = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(bind));
            threads.map(|thread| thread.join().unwrap())
        });
        let errors = bound.iter().filter_map(|bound| bound.as_ref().err());
        let kinds: Vec<_> = errors.map(io::Error::kind).collect();
        assert_eq!(kinds, [ErrorKind::AddrInUse; 3]);
        assert!(is_served(&path).unwrap());
    }
    assert_eq!(entries(&folder), 0);
}

/// A client that waits for the result of an upgrade gets it from the old master.
#[test]
fn a_replaced_socket_keeps_its_clients() {
    let folder = Folder::new();
    let path = folder.path("replaced");
    coreloop_runtime::block_on(async {
        let (sender, requests) = mpsc::channel(1);
        let socket = ControlSocket::bind(&path).unwrap();
        let replaced = CancellationToken::new();
        let file = socket.file().clone();
        let serving = spawn(
            socket
                .serve(sender, replaced.clone(), CancellationToken::new())
                .unwrap(),
        );
        spawn(master(requests));
        let mut client = Control::connect(&path).await.unwrap();
        client.status().await.unwrap();

        let next = ControlSocket::take_over(&path).unwrap();
        assert!(!file.is_held() && next.file().is_held());
        replaced.cancel();
        client.status().await.unwrap();
        drop(client);
        serving.await.unwrap().unwrap();
        assert!(next.file().is_held());
    });
    assert_eq!(entries(&folder), 0);
}

#[test]
fn a_file_that_is_not_a_socket_stays() {
    let folder = Folder::new();
    let path = folder.path("file");
    fs::write(&path, "precious").unwrap();
    for socket in [ControlSocket::bind(&path), ControlSocket::take_over(&path)] {
        let error = socket.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();

    let error = ControlSocket::bind(Path::new("/")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = ControlSocket::bind(&path.join("missing/c")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let begin = format!(
        "cannot create the control socket {}/missing/c: ",
        path.display()
    );
    assert!(error.to_string().starts_with(&begin), "{error}");
    let long = path.with_file_name("x".repeat(200));
    let error = ControlSocket::bind(&long).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(entries(&folder), 0);
}

/// Runs clients against a master that answers, on a paused clock.
fn run(name: &str, clients: impl AsyncFnOnce(&Path)) {
    let folder = Folder::new();
    let path = folder.path(name);
    let runtime: Runtime = runtime::Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let socket = ControlSocket::bind(&path).unwrap();
        let (sender, requests) = mpsc::channel(1);
        let serving = socket.serve(sender, CancellationToken::new(), CancellationToken::new());
        let serving = spawn(serving.unwrap());
        spawn(master(requests));
        clients(&path).await;
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    });
    assert_eq!(entries(&folder), 0);
}

async fn master(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Status(answer) => drop(answer.send(status())),
            Request::Metrics(format, answer) => {
                drop(answer.send(Text::new(format).finish()));
            }
            Request::Ready(answer) => drop(answer.send(Err("no worker serves".to_owned()))),
            Request::Live(answer) | Request::Reload(answer) | Request::Reopen(answer) => {
                drop(answer.send(Ok(())));
            }
            Request::Upgrade(answer) => {
                drop(answer.send(Err("it ended\nwith status 3".to_owned())));
            }
            Request::Scale(count, answer) => {
                assert_eq!(count, Count::Exactly(3));
                drop(answer.send(Ok(())));
            }
            Request::Restart(slot, answer) => {
                assert_eq!(slot, 2);
                drop(answer.send(Ok(())));
            }
            Request::Stop => break,
            Request::Signalled(..) => panic!("no client sends a signal"),
        }
    }
}

fn status() -> Status {
    Status {
        master: 7,
        uptime: Duration::from_secs(2),
        connections: 3,
        accepted: 9,
        lost_lines: 4,
        workers: vec![
            WorkerStatus {
                slot: 0,
                pid: None,
                state: WorkerState::Backoff,
                uptime: Duration::ZERO,
                restarts: 3,
                numbers: WorkerNumbers::default(),
                last_end: Some(LastEnd {
                    cause: "failed: a \"b\"\nc".to_owned(),
                    age: Duration::from_millis(1500),
                }),
            },
            WorkerStatus {
                slot: 1,
                pid: Some(8),
                state: WorkerState::Ready,
                uptime: Duration::from_secs(1),
                restarts: 0,
                numbers: WorkerNumbers {
                    connections: Some(3),
                    accepted: Some(7),
                    memory: Some(4096),
                    cpu: Some(Duration::from_millis(250)),
                    beat_age: Some(Duration::from_millis(1)),
                },
                last_end: None,
            },
        ],
    }
}

async fn read_to_end(stream: &mut UnixStream, text: &mut String) {
    let mut chunk = [0; 256];
    loop {
        match stream.read(&mut chunk).await.unwrap() {
            0 => return,
            count => text.push_str(str::from_utf8(&chunk[..count]).unwrap()),
        }
    }
}

/// Returns how many files are left in the directory of a test.
fn entries(folder: &Folder) -> usize {
    fs::read_dir(folder.as_path()).unwrap().count()
}

#[test]
fn help_and_the_documentation_list_the_same_commands() {
    let name = |line: &'static str| line.split_ascii_whitespace().next();
    let of_help: BTreeSet<_> = HELP.lines().filter_map(name).collect();
    let (_, table) = include_str!("client.rs").split_once("| request |").unwrap();
    let (table, _) = table.split_once("# Status").unwrap();
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("/// | `"));
    let documented = rows.filter_map(|row| name(row.split('`').next()?));
    assert_eq!(documented.collect::<BTreeSet<_>>(), of_help);
}
