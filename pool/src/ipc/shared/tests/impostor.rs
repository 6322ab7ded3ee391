//! A process of the same user that listens at the address of a broker that has ended.

use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use coreloop_runtime::{Runtime, block_on};
use rustix::fs::SealFlags;

use super::super::SharedArray;
use super::super::map::Turns;
use super::{file, pass};
use crate::ipc::Mutex;
use crate::ipc::broker::BrokerError;
use crate::ipc::broker::error::done;
use crate::ipc::broker::link::call;
use crate::ipc::broker::proof::{Purpose, Question};
use crate::ipc::broker::protocol::{Answer, CHALLENGE, MAX_BODY, Operation, Status, VERSION};
use crate::ipc::wire::{Incoming, Outgoing};

/// The seals of memory whose size never changes.
const SIZE: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// A request as it came: its operation, and its body behind the numbers.
type Request = (Operation, Vec<u8>);

/// Answers each request with `DONE`, and with a body and a descriptor that the caller makes. It
/// ends with the test.
fn listen_at(
    lock: &Mutex,
    answer: impl Fn(Operation, &[u8]) -> (Vec<u8>, Vec<OwnedFd>) + Send + 'static,
) -> Receiver<Request> {
    let name = SocketAddr::from_abstract_name(lock.handle().address().as_bytes()).unwrap();
    let listener = UnixListener::bind_addr(&name).unwrap();
    let (asked, requests) = channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = OwnedFd::from(socket.unwrap());
            let mut outgoing = Outgoing::new(MAX_BODY);
            let challenge = [&VERSION.to_le_bytes()[..], &[0; 8], &[1; 8]].concat();
            outgoing.push(CHALLENGE, &challenge, Vec::new()).unwrap();
            let mut incoming = Incoming::new(MAX_BODY);
            loop {
                while !outgoing.write(&socket).unwrap() {}
                if incoming.fill(&socket).unwrap_or(0) == 0 {
                    break;
                }
                while let Some(frame) = incoming.next().unwrap() {
                    let operation = Operation(frame.tag);
                    let questions = [Operation::MEMORY, Operation::LOCK, Operation::TRY_LOCK];
                    if !questions.contains(&operation) {
                        continue;
                    }
                    let (numbers, body) = frame.body.split_at(16);
                    let _ = asked.send((operation, body.to_vec()));
                    let (said, files) = answer(operation, body);
                    let pushed = outgoing.push_with(Status::DONE.0, |bytes| {
                        bytes.extend_from_slice(&numbers[8..]);
                        bytes.extend_from_slice(&said);
                        Ok(files)
                    });
                    pushed.unwrap();
                }
            }
        }
    });
    requests
}

/// A grant with this fencing number.
fn grant(fencing: u64) -> Vec<u8> {
    let mut body = fencing.to_le_bytes().to_vec();
    body.push(0);
    body
}

fn is_unproved(error: &BrokerError) -> bool {
    error.is_disconnected() && error.to_string().contains("another program")
}

/// Locks an array in each way, and returns whether every way fails.
fn is_refused(array: &SharedArray<u64>) -> bool {
    let limit = std::time::Duration::from_secs(60);
    let ways = [
        array.blocking_lock().map(drop),
        array.blocking_lock_timeout(limit).map(drop),
        array.blocking_try_lock().map(drop),
    ];
    let ways = ways.map(|locked| locked.unwrap_err().into_guard().map(drop).unwrap_err());
    ways.iter().all(is_unproved)
        && block_on(async {
            let ways = [
                array.lock().await.map(drop),
                array.lock_timeout(limit).await.map(drop),
                array.try_lock().await.map(drop),
            ];
            let ways = ways.map(|locked| locked.unwrap_err().into_guard().map(drop).unwrap_err());
            ways.iter().all(is_unproved)
        })
}

#[test]
fn an_impostor_cannot_grant_an_array() {
    let runtime = Runtime::new().unwrap();
    let array = runtime.block_on(async { SharedArray::<u64>::with_len(4).unwrap() });
    // A grant of the real broker, for another request. The guard is kept.
    let recorded = runtime.block_on(async {
        let handle = array.mutex().handle();
        let question = Question::new(handle, Purpose::Lock);
        let answer = call(handle, Operation::LOCK, question.body()).await;
        let answer = done(answer.unwrap()).unwrap();
        assert!(question.is_answered_by(&answer.body));
        answer.body
    });
    drop(runtime);
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let requests = listen_at(array.mutex(), move |_, asked| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let said = match turn % 5 {
            0 => grant(9),
            1 => [grant(9), vec![0; 8]].concat(),
            2 => recorded.clone(),
            // The request, sent back in two ways.
            3 => [grant(9), asked[8..].to_vec()].concat(),
            _ => asked.to_vec(),
        };
        (said, Vec::new())
    });
    for _ in 0..5 {
        assert!(is_refused(&array));
        let guard = array.mutex().blocking_lock().map(drop);
        assert!(is_unproved(&guard.unwrap_err().into_guard().unwrap_err()));
    }
    // Each request has another nonce, and another signature.
    let mut asked: Vec<_> = requests.try_iter().map(|(_, body)| body).collect();
    let count = asked.len();
    assert_eq!(count, 5 * 7);
    asked.sort();
    asked.dedup_by(|one, other| one[..8] == other[..8] || one[8..] == other[8..]);
    assert_eq!(asked.len(), count);
}

#[test]
fn an_impostor_cannot_give_memory() {
    let runtime = Runtime::new().unwrap();
    let (array, recorded) = runtime.block_on(async {
        let array = SharedArray::<u64>::with_len(2).unwrap();
        let handle = array.mutex().handle();
        let question = Question::new(handle, Purpose::Ask);
        let answer = call(handle, Operation::MEMORY, question.body()).await;
        let answer = done(answer.unwrap()).unwrap();
        assert!(question.is_answered_by(&answer.body));
        (array, answer.body)
    });
    // This handle does not have the memory yet.
    let received = pass(&array).unwrap();
    drop(runtime);
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let requests = listen_at(array.mutex(), move |operation, asked| {
        assert_eq!(operation, Operation::MEMORY);
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let said = match turn % 4 {
            0 => Vec::new(),
            1 => vec![0; 8],
            2 => recorded.clone(),
            _ => asked[8..].to_vec(),
        };
        (said, vec![file(16, 16, SIZE)])
    });
    for _ in 0..4 {
        assert!(is_refused(&received));
    }
    // What the impostor has received opens nothing: neither another array, nor another lock.
    block_on(async {
        let another = SharedArray::<u64>::with_len(2).unwrap();
        let handle = another.mutex().handle();
        for (operation, body) in requests.try_iter() {
            for operation in [operation, Operation::LOCK] {
                let answer = call(handle, operation, &body).await.unwrap();
                assert_eq!(answer.status, Status::REFUSED);
            }
        }
        assert!(another.try_lock().await.unwrap().is_some());
    });
}

/// It has the memory and the array, of which no other process gets a guard any more.
#[test]
fn a_guard_outlives_its_broker_and_an_impostor() {
    let runtime = Runtime::new().unwrap();
    let (array, mut guard) = runtime.block_on(async {
        let array = SharedArray::<u64>::with_len(2).unwrap();
        let guard = array.lock().await.unwrap();
        (array, guard)
    });
    drop(runtime);
    let _requests = listen_at(array.mutex(), |_, _| (grant(2), Vec::new()));
    assert!(is_refused(&array));
    guard[0] = 7;
    assert!(!guard.is_valid());
    assert!(is_refused(&array));
    assert_eq!(*guard, [7, 0]);
    drop(guard);
    assert!(is_refused(&array));
}

/// The lock of an array in another program, which decodes its handle as a plain one.
fn plain(lock: &Mutex) -> Mutex {
    postcard::from_bytes(&postcard::to_stdvec(lock).unwrap()).unwrap()
}

#[test]
#[should_panic(expected = "not proved")]
fn a_guard_without_a_proof_is_no_turn() {
    block_on(async {
        let memory = std::sync::Arc::new(Turns::<u8>::create(1, &[]).unwrap());
        let guard = plain(memory.lock()).lock().await.unwrap();
        let _ = memory.turn(guard);
    });
}

#[test]
fn the_lock_of_an_array_is_a_plain_lock_too() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        let guard = plain(array.mutex()).lock().await.unwrap();
        assert!(array.try_lock().await.unwrap().is_none());
        let waiting = {
            let array = array.clone();
            coreloop_runtime::spawn(async move { array.lock().await.map(|mut all| all[0] = 1) })
        };
        coreloop_runtime::task::yield_now().await;
        drop(guard);
        waiting.await.unwrap().unwrap();
        assert_eq!(array.lock().await.unwrap()[0], 1);
    });
}

#[test]
fn a_request_for_the_lock_is_signed_or_plain() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        let handle = array.mutex().handle();
        let ask = Question::new(handle, Purpose::Ask);
        let lock = Question::new(handle, Purpose::Lock);
        let cut = &lock.body()[..15];
        let longer = [lock.body(), &[0]].concat();
        for body in [&[0][..], &[0; 16], ask.body(), cut, &longer] {
            for operation in [Operation::LOCK, Operation::TRY_LOCK] {
                let Answer { status, .. } = call(handle, operation, body).await.unwrap();
                assert_eq!(status, Status::REFUSED);
            }
        }
        assert!(array.try_lock().await.unwrap().is_some());
        // A lock without memory signs nothing.
        let another = Mutex::new().unwrap();
        let question = Question::new(another.handle(), Purpose::Lock);
        let answer = call(another.handle(), Operation::LOCK, question.body()).await;
        assert_eq!(answer.unwrap().status, Status::WRONG_KIND);
    });
}
