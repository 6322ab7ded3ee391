//! In other processes and threads.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use coreloop::ipc::{Fd, Mutex, Queue};
use coreloop::pool::Pool;
use coreloop::{Runtime, spawn};
use coreloop_test_support::meeting::soon;
use coreloop_test_support::size;
use futures_lite::future::poll_once;
use serde_bytes::ByteBuf;

/// Runs `f` on another thread, which is a client like another process.
fn elsewhere<R, F>(queue: &Queue<u64>, f: F) -> impl Future<Output = R> + use<R, F>
where
    R: Send + 'static,
    F: AsyncFnOnce(Queue<u64>) -> R + Send + 'static,
{
    blocking(queue, move |queue| {
        Runtime::new().unwrap().block_on(f(queue))
    })
}

/// Does the same with a function that needs no loop.
fn blocking<R, F>(queue: &Queue<u64>, f: F) -> impl Future<Output = R> + use<R, F>
where
    R: Send + 'static,
    F: FnOnce(Queue<u64>) -> R + Send + 'static,
{
    let queue = queue.clone();
    let running = coreloop::task::spawn_blocking(move || f(queue));
    async move { soon(running).await.unwrap() }
}

#[coreloop::job]
async fn double(numbers: Queue<u64>, doubled: Queue<u64>) {
    while let Some(number) = numbers.recv().await.unwrap() {
        doubled.send(number * 2).await.unwrap();
    }
}

#[coreloop::job]
fn double_blocking(numbers: Queue<u64>, doubled: Queue<u64>) {
    while let Some(number) = numbers.blocking_recv().unwrap() {
        doubled.blocking_send(number * 2).unwrap();
    }
}

#[coreloop::test]
async fn jobs_receive_and_send_items() {
    let count = size::pick(5_000, 200_000);
    for capacity in [1, 3, 100] {
        for is_blocking in [false, true] {
            let pool = Pool::builder().workers(1).build().unwrap();
            let numbers = Queue::new(capacity).unwrap();
            let doubled = Queue::new(capacity).unwrap();
            let arguments = (numbers.clone(), doubled.clone());
            let job = match is_blocking {
                false => pool.submit(double, arguments).await.unwrap(),
                true => pool.submit(double_blocking, arguments).await.unwrap(),
            };
            let sending = spawn(async move {
                for number in 0..count {
                    numbers.send(number).await.unwrap();
                }
                numbers.close().await.unwrap();
                numbers.join().await.unwrap();
            });
            // With one consumer and one producer, all are in order.
            for number in 0..count {
                assert_eq!(soon(doubled.recv()).await.unwrap(), Some(number * 2));
            }
            soon(sending).await.unwrap();
            soon(job).await.unwrap();
        }
    }
}

#[coreloop::test]
async fn every_item_is_received_by_one_of_many() {
    let count = size::pick(20_000, 400_000);
    let pool = Pool::builder().workers(4).build().unwrap();
    let numbers = Queue::new(50).unwrap();
    let doubled = Queue::new(50).unwrap();
    let jobs: Vec<_> = (0..4)
        .map(|_| pool.job(double, (numbers.clone(), doubled.clone())))
        .collect();
    let mut running = Vec::new();
    for job in jobs {
        running.push(job.submit().await.unwrap());
    }
    let sending = spawn(async move {
        numbers.send_all(0..count).await.unwrap();
        numbers.close().await.unwrap();
        numbers
    });
    let mut seen = vec![false; usize::try_from(count).unwrap()];
    for _ in 0..count {
        let number = soon(doubled.recv()).await.unwrap().unwrap() / 2;
        let seen = &mut seen[usize::try_from(number).unwrap()];
        assert!(!*seen, "{number} came twice");
        *seen = true;
    }
    for job in running {
        soon(job).await.unwrap();
    }
    let _numbers = sending.await.unwrap();
}

#[coreloop::test]
async fn an_idle_consumer_gets_what_was_sent_ahead_to_a_busy_one() {
    let queue = Queue::new(100).unwrap();
    queue.send_all(0..10).await.unwrap();
    let (first, busy) = elsewhere(&queue, async |queue| {
        let first = queue.recv().await.unwrap();
        // All were sent to this thread, which does not receive any more.
        (first, queue.len().await.unwrap())
    })
    .await;
    assert_eq!((first, busy), (Some(0), 9));
    let rest = blocking(&queue, |queue| {
        (0..9)
            .map(|_| queue.blocking_recv().unwrap())
            .collect::<Vec<_>>()
    });
    let rest = rest.await;
    assert_eq!(rest, (1..10).map(Some).collect::<Vec<_>>());
}

#[coreloop::test]
async fn the_loop_of_the_queue_takes_what_was_sent_ahead() {
    let queue = Queue::new(100).unwrap();
    queue.send_all(0..10).await.unwrap();
    let (entered, wait) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let busy = blocking(&queue, move |queue| {
        let first = queue.blocking_recv().unwrap();
        entered.send(()).unwrap();
        // It holds the others, and does nothing.
        let _ = left.recv();
        (first, queue.blocking_try_recv().unwrap_err().is_empty())
    });
    let busy = spawn(busy);
    let entered = coreloop::task::spawn_blocking(move || wait.recv().unwrap());
    soon(entered).await.unwrap();
    for number in 1..10 {
        assert_eq!(queue.try_recv().await.unwrap(), Some(number));
    }
    drop(leave);
    assert_eq!(busy.await.unwrap(), (Some(0), true));
}

#[coreloop::test]
async fn operations_that_do_not_wait_say_so() {
    let queue = Queue::new(1).unwrap();
    elsewhere(&queue, async |queue| {
        assert!(queue.try_recv().await.unwrap_err().is_empty());
        assert!(queue.try_lease().await.unwrap_err().is_empty());
        queue.try_send(1).await.unwrap();
        assert!(queue.try_send(2).await.unwrap_err().error().is_full());
        assert_eq!(queue.try_lease().await.unwrap().unwrap().ack(), 1);
        queue.try_send(3).await.unwrap();
        assert_eq!(queue.try_recv().await.unwrap(), Some(3));
    })
    .await;
    blocking(&queue, |queue| {
        assert!(queue.blocking_try_recv().unwrap_err().is_empty());
        queue.blocking_try_send(1).unwrap();
        assert!(queue.blocking_try_send(2).unwrap_err().error().is_full());
        assert_eq!(queue.blocking_try_lease().unwrap().unwrap().ack(), 1);
        assert_eq!(queue.blocking_len().unwrap(), 0);
    })
    .await;
    queue.join().await.unwrap();
}

#[coreloop::test]
async fn a_time_limit_ends_the_wait_and_leaves_nothing() {
    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);
    let queue = Queue::new(1).unwrap();
    elsewhere(&queue, async |queue| {
        assert!(queue.recv_timeout(SHORT).await.unwrap_err().is_timeout());
        queue.send_timeout(1, LONG).await.unwrap();
        let error = queue.send_timeout(2, SHORT).await.unwrap_err();
        assert!(error.error().is_timeout());
    })
    .await;
    blocking(&queue, |queue| {
        let error = queue.blocking_send_timeout(2, SHORT).unwrap_err();
        assert!(error.error().is_timeout());
        assert!(queue.blocking_join_timeout(SHORT).unwrap_err().is_timeout());
        let lease = queue.blocking_lease_timeout(LONG).unwrap().unwrap();
        let none = queue.blocking_recv_timeout(SHORT);
        assert!(none.unwrap_err().is_timeout());
        assert_eq!(lease.ack(), 1);
        queue.blocking_join().unwrap();
    })
    .await;
    // The consumers that gave up do not keep an item from another one.
    queue.send(7).await.unwrap();
    assert_eq!(queue.recv().await.unwrap(), Some(7));
}

#[coreloop::test]
async fn a_cancelled_receive_loses_nothing() {
    const COUNT: u64 = 1000;
    let queue = Queue::new(10).unwrap();
    let here = queue.clone();
    let sending = spawn(async move { here.send_all(0..COUNT).await.unwrap() });
    let cancelled = elsewhere(&queue, async |queue| {
        let (mut next, mut cancelled) = (0, 0);
        while next < COUNT {
            let came = poll_once(queue.recv()).await;
            let item = match came {
                Some(item) => item,
                None => {
                    cancelled += 1;
                    queue.recv().await
                }
            };
            assert_eq!(item.unwrap(), Some(next));
            next += 1;
        }
        cancelled
    });
    assert!(cancelled.await > 0);
    sending.await.unwrap();
    queue.join().await.unwrap();
}

#[coreloop::test]
async fn leases_are_confirmed_or_come_back() {
    let queue = Queue::new(100).unwrap();
    queue.send_all(0..6).await.unwrap();
    elsewhere(&queue, async |queue| {
        let mut leases = Vec::new();
        for _ in 0..4 {
            leases.push(queue.lease().await.unwrap().unwrap());
        }
        assert_eq!(queue.unconfirmed().await.unwrap(), 6);
        assert_eq!(queue.len().await.unwrap(), 2);
        assert_eq!(leases.remove(1).ack(), 1);
        leases.remove(0).nack();
    })
    .await;
    for (item, deliveries) in [(0, 1), (2, 1), (3, 1), (4, 0), (5, 0)] {
        let lease = soon(queue.lease()).await.unwrap().unwrap();
        assert_eq!((*lease, lease.deliveries()), (item, deliveries));
        lease.ack();
    }
    soon(queue.join()).await.unwrap();
}

#[coreloop::test]
async fn more_leases_than_a_thread_may_hold_wait_for_one_to_end() {
    let queue = Queue::new(1000).unwrap();
    queue.send_all(0..600).await.unwrap();
    elsewhere(&queue, async |queue| {
        let mut leases = Vec::new();
        for number in 0..512 {
            let lease = queue.lease().await.unwrap().unwrap();
            assert_eq!(*lease, number);
            leases.push(lease);
        }
        let mut more = pin!(queue.lease());
        assert!(poll_once(&mut more).await.is_none());
        queue.len().await.unwrap();
        assert!(poll_once(&mut more).await.is_none());
        leases.pop().unwrap().ack();
        assert_eq!(*more.await.unwrap().unwrap(), 512);
    })
    .await;
}

#[coreloop::test]
async fn large_items_and_descriptors_travel() {
    #[coreloop::job]
    async fn copy(files: Queue<(Fd, ByteBuf)>) -> usize {
        let mut sum = 0;
        while let Some(lease) = files.lease().await.unwrap() {
            let (fd, bytes) = lease.ack();
            std::fs::File::from(fd).write_all(&bytes[..3]).unwrap();
            sum += bytes.len();
        }
        sum
    }
    let pool = Pool::builder().workers(1).build().unwrap();
    let files = Queue::new(2).unwrap();
    let job = pool.submit(copy, files.clone()).await.unwrap();
    let mut readers = Vec::new();
    for number in 0..10_u8 {
        let (reader, writer) = std::io::pipe().unwrap();
        let bytes = ByteBuf::from(vec![number; 1 << 20]);
        let sent = files.send((Fd::from(writer), bytes));
        soon(sent).await.unwrap();
        readers.push((number, reader));
    }
    files.close().await.unwrap();
    assert_eq!(soon(job).await.unwrap(), 10 << 20);
    for (number, mut reader) in readers {
        let mut came = Vec::new();
        reader.read_to_end(&mut came).unwrap();
        assert_eq!(came, [number; 3]);
    }
}

#[coreloop::test]
async fn a_queue_that_is_closed_wakes_all() {
    let full = Queue::new(1).unwrap();
    full.send(0).await.unwrap();
    let empty = Queue::<u64>::new(1).unwrap();
    let sending = blocking(&full, |full| full.blocking_send(1).unwrap_err());
    let receiving = blocking(&empty, |empty| empty.blocking_recv().unwrap());
    for queue in [&full, &empty] {
        elsewhere(queue, async |queue| queue.close().await.unwrap()).await;
    }
    let refused = sending.await;
    assert!(refused.error().is_closed());
    assert_eq!((refused.into_value(), receiving.await), (1, None));
    assert_eq!(
        blocking(&full, |full| full.blocking_recv().unwrap()).await,
        Some(0)
    );
    full.join().await.unwrap();
}

#[coreloop::test]
async fn a_dropped_queue_is_an_error_elsewhere() {
    let queue = Queue::<u64>::new(1).unwrap();
    let bytes = rmp_serde::to_vec(&queue).unwrap();
    let there: Queue<u64> = rmp_serde::from_slice(&bytes).unwrap();
    let (entered, wait) = mpsc::channel();
    let receiving = coreloop::task::spawn_blocking(move || {
        there.blocking_len().unwrap();
        entered.send(()).unwrap();
        let first = there.blocking_recv().unwrap_err().is_closed();
        (
            first,
            there.blocking_send(1).unwrap_err().error().is_closed(),
        )
    });
    soon(coreloop::task::spawn_blocking(move || wait.recv().unwrap()))
        .await
        .unwrap();
    drop(queue);
    assert_eq!(soon(receiving).await.unwrap(), (true, true));
}

/// Sends a message of which a socket takes only a part, and locks while the other thread, which does
/// not read, releases the lock. `idle` does what makes the thread a consumer, and gets the lock.
async fn assert_released_by_a_thread_that_does_not_read<F>(idle: F)
where
    F: FnOnce(Queue<ByteBuf>, Mutex, &dyn Fn()) + Send + 'static,
{
    let (queue, lock) = (Queue::new(10).unwrap(), Mutex::new().unwrap());
    queue.send(ByteBuf::from(vec![1])).await.unwrap();
    let (arrived, arrival) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let (end, ended) = mpsc::channel::<()>();
    let arguments = (queue.clone(), lock.clone());
    let thread = coreloop::task::spawn_blocking(move || {
        let (queue, lock) = arguments;
        idle(queue, lock, &|| {
            arrived.send(()).unwrap();
            let _ = left.recv();
        });
        // The thread lives on, and does not use its connection.
        let _ = ended.recv();
    });
    let arrived = coreloop::task::spawn_blocking(move || arrival.recv().unwrap());
    soon(arrived).await.unwrap();
    let large = ByteBuf::from(vec![2; 1 << 20]);
    queue.send(large).await.unwrap();
    // The broker has written what the socket takes.
    elsewhere_lock(&lock).await;
    drop(leave);
    drop(soon(lock.lock()).await.unwrap());
    drop(end);
    soon(thread).await.unwrap();
}

/// Waits until the broker has served another thread.
async fn elsewhere_lock(lock: &Mutex) {
    let lock = lock.clone();
    let tried = coreloop::task::spawn_blocking(move || lock.blocking_try_lock().unwrap().is_some());
    assert!(!soon(tried).await.unwrap());
}

#[coreloop::test]
async fn a_lock_is_released_by_a_thread_that_has_received_from_a_queue_before() {
    assert_released_by_a_thread_that_does_not_read(|queue, lock, meet| {
        assert_eq!(queue.blocking_recv().unwrap().unwrap().len(), 1);
        let _guard = lock.blocking_lock().unwrap();
        meet();
    })
    .await;
}

#[coreloop::test]
async fn a_lock_is_released_by_a_thread_that_does_not_read_what_it_has_asked_for() {
    assert_released_by_a_thread_that_does_not_read(|queue, lock, meet| {
        coreloop::block_on(async {
            assert_eq!(queue.recv().await.unwrap().unwrap().len(), 1);
            let guard = lock.lock().await.unwrap();
            assert!(poll_once(queue.recv()).await.is_none());
            {
                let mut receiving = pin!(queue.recv());
                assert!(poll_once(&mut receiving).await.is_none());
                // The queue knows that this thread waits.
                queue.len().await.unwrap();
                meet();
            }
            drop(guard);
        });
    })
    .await;
}

/// The thread confirms fewer items than it reports together, and has others that it has not begun
/// with.
#[coreloop::test]
async fn a_send_that_waits_continues_when_a_thread_has_confirmed_an_item() {
    let queue = Queue::new(100).unwrap();
    queue.send_all(0..100).await.unwrap();
    let mut sending = pin!(queue.send(100));
    assert!(poll_once(&mut sending).await.is_none());
    let (leave, left) = mpsc::channel::<()>();
    let consumer = spawn(blocking(&queue, move |queue| {
        for number in 0..10 {
            assert_eq!(queue.blocking_recv().unwrap(), Some(number));
        }
        let _ = left.recv();
    }));
    soon(sending).await.unwrap();
    drop(leave);
    consumer.await.unwrap();
}

/// A thread confirms its item while it has two more, which the queue has taken back.
async fn confirm_last(queue: &Queue<u64>, last: impl AsyncFnOnce()) {
    queue.send_all(0..3).await.unwrap();
    let (arrived, arrival) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let (end, ended) = mpsc::channel::<()>();
    let consumer = spawn(blocking(queue, move |queue| {
        let lease = queue.blocking_lease().unwrap().unwrap();
        // The others have come too.
        assert_eq!(queue.blocking_len().unwrap(), 2);
        arrived.send(()).unwrap();
        let _ = left.recv();
        assert_eq!(lease.ack(), 0);
        let _ = ended.recv();
    }));
    let arrived = coreloop::task::spawn_blocking(move || arrival.recv().unwrap());
    soon(arrived).await.unwrap();
    for number in 1..3 {
        assert_eq!(soon(queue.recv()).await.unwrap(), Some(number));
    }
    let mut last = pin!(last());
    assert!(poll_once(&mut last).await.is_none());
    drop(leave);
    soon(last).await;
    drop(end);
    consumer.await.unwrap();
}

#[coreloop::test]
async fn a_join_ends_when_the_last_item_is_confirmed() {
    let queue = Queue::new(10).unwrap();
    confirm_last(&queue, async || queue.join().await.unwrap()).await;
}

#[coreloop::test]
async fn a_closed_queue_ends_when_the_last_item_is_confirmed() {
    let queue = Queue::new(10).unwrap();
    confirm_last(&queue, async || {
        queue.close().await.unwrap();
        assert_eq!(queue.recv().await.unwrap(), None);
    })
    .await;
}

/// Closes the descriptors of two items, and has a third one.
#[coreloop::job]
async fn close_two(files: Queue<Fd>, other: Mutex, is_lease: bool) {
    for _ in 0..2 {
        let file = match is_lease {
            true => files.lease().await.unwrap().unwrap().ack(),
            false => files.recv().await.unwrap().unwrap(),
        };
        drop(file);
        // What the queue has sent has come, and the queue was not asked for anything.
        other.is_poisoned().await.unwrap();
    }
}

#[coreloop::test]
async fn a_descriptor_is_closed_when_its_consumer_has_closed_it() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let other = Mutex::new().unwrap();
    for is_lease in [true, false] {
        let files = Queue::new(100).unwrap();
        let mut readers = Vec::new();
        for _ in 0..3 {
            let (reader, writer) = std::io::pipe().unwrap();
            files.send(Fd::from(writer)).await.unwrap();
            readers.push(reader);
        }
        let closing = pool.run(close_two, (files.clone(), other.clone(), is_lease));
        soon(closing).await.unwrap();
        for mut reader in readers.into_iter().take(2) {
            // The loop of the queue closes its own descriptor meanwhile.
            let read = coreloop::task::spawn_blocking(move || reader.read(&mut [0]));
            assert_eq!(soon(read).await.unwrap().unwrap(), 0);
        }
    }
}

/// The answer to what a thread has asked for comes, and the future that has asked is dropped before it
/// is polled again.
#[coreloop::test]
async fn an_item_for_which_nothing_waits_any_more_goes_to_another_thread() {
    for is_try in [true, false] {
        let queue = Queue::new(10).unwrap();
        queue.send(7).await.unwrap();
        let (arrived, arrival) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let thread = spawn(elsewhere(&queue, async move |queue| {
            {
                let mut receiving = pin!(async {
                    match is_try {
                        true => queue.try_recv().await,
                        false => queue.recv().await,
                    }
                });
                assert!(poll_once(&mut receiving).await.is_none());
                // This is answered later.
                queue.unconfirmed().await.unwrap();
            }
            arrived.send(()).unwrap();
            let _ = left.recv();
        }));
        let arrived = coreloop::task::spawn_blocking(move || arrival.recv().unwrap());
        soon(arrived).await.unwrap();
        assert_eq!(soon(queue.recv()).await.unwrap(), Some(7));
        drop(leave);
        thread.await.unwrap();
    }
}

#[coreloop::test]
async fn many_large_items_that_wait_with_a_time_limit_leave_the_connection() {
    const LIMIT: Duration = Duration::from_millis(5);
    let (queue, lock) = (Queue::new(1).unwrap(), Mutex::new().unwrap());
    queue.send(ByteBuf::new()).await.unwrap();
    let full = queue.clone();
    let thread = coreloop::task::spawn_blocking(move || {
        coreloop::block_on(async {
            let guard = lock.lock().await.unwrap();
            let send = |_| {
                let queue = full.clone();
                spawn(async move {
                    let item = ByteBuf::from(vec![0; 60 << 20]);
                    let error = queue.send_timeout(item, LIMIT).await.unwrap_err();
                    assert!(error.error().is_timeout(), "{error}");
                })
            };
            let sending: Vec<_> = (0..6).map(send).collect();
            for sending in sending {
                sending.await.unwrap();
            }
            assert_eq!(full.len().await.unwrap(), 1);
            guard.is_valid()
        })
    });
    assert!(soon(thread).await.unwrap());
}

#[coreloop::job]
async fn send_two_and_panic(queue: Queue<u64>) {
    let numbers = (0..).inspect(|number| assert!(*number < 2, "as the test wanted"));
    let _ = queue.send_all(numbers).await;
}

#[coreloop::test]
async fn items_of_a_batch_that_panics_are_in_the_queue() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let queue = Queue::new(10).unwrap();
    let result = soon(pool.run(send_two_and_panic, queue.clone())).await;
    assert!(result.unwrap_err().is_panic());
    queue.close().await.unwrap();
    for item in [Some(0), Some(1), None] {
        assert_eq!(soon(queue.recv()).await.unwrap(), item);
    }
}

/// Releases a lock while the socket is full, because the loop of the queue does not read it. Writes a
/// byte when it has the lock, waits for one, and writes another one when it has released the lock.
async fn release_while_the_socket_is_full(
    queue: Queue<ByteBuf>,
    lock: Mutex,
    signals: (Fd, Fd, Fd),
) {
    let (locked, go, released) = signals;
    let guard = lock.lock().await.unwrap();
    std::fs::File::from(locked).write_all(&[0]).unwrap();
    std::fs::File::from(go).read_exact(&mut [0]).unwrap();
    let item = ByteBuf::from(vec![0; 8 << 20]);
    let mut sending = pin!(queue.send(item));
    assert!(poll_once(&mut sending).await.is_none());
    drop(guard);
    std::fs::File::from(released).write_all(&[0]).unwrap();
}

#[coreloop::job]
async fn release_in_job(queue: Queue<ByteBuf>, lock: Mutex, signals: (Fd, Fd, Fd)) {
    release_while_the_socket_is_full(queue, lock, signals).await;
}

/// The other ends of the signals of [`release_while_the_socket_is_full`].
async fn meet_and_lock(
    lock: &Mutex,
    mut locked: PipeReader,
    mut go: PipeWriter,
    mut released: PipeReader,
) {
    let locked = coreloop::task::spawn_blocking(move || locked.read_exact(&mut [0]));
    soon(locked).await.unwrap().unwrap();
    go.write_all(&[0]).unwrap();
    // This loop does not run meanwhile.
    released.read_exact(&mut [0]).unwrap();
    drop(soon(lock.lock()).await.unwrap());
}

#[coreloop::test]
async fn a_release_is_written_when_the_loop_stops_that_has_left_it() {
    let queue = Queue::new(10).unwrap();
    for is_job in [true, false] {
        let lock = Mutex::new().unwrap();
        let (locked, tell_locked) = std::io::pipe().unwrap();
        let (wait_go, go) = std::io::pipe().unwrap();
        let (released, tell_released) = std::io::pipe().unwrap();
        let signals = (tell_locked.into(), wait_go.into(), tell_released.into());
        let arguments = (queue.clone(), lock.clone(), signals);
        if is_job {
            let pool = Pool::builder().workers(1).build().unwrap();
            let job = pool.submit(release_in_job, arguments).await.unwrap();
            meet_and_lock(&lock, locked, go, released).await;
            soon(job).await.unwrap();
        } else {
            let (end, ended) = mpsc::channel::<()>();
            let thread = coreloop::task::spawn_blocking(move || {
                let (queue, lock, signals) = arguments;
                let runtime = Runtime::new().unwrap();
                runtime.block_on(release_while_the_socket_is_full(queue, lock, signals));
                drop(runtime);
                let _ = ended.recv();
            });
            meet_and_lock(&lock, locked, go, released).await;
            drop(end);
            soon(thread).await.unwrap();
        }
    }
}

/// The item that ends a wait is reported as one that nothing waits for any more.
#[coreloop::test]
async fn a_receive_that_has_waited_is_sent_one_descriptor() {
    let files = Queue::<Fd>::new(9).unwrap();
    let (begin, begun) = mpsc::channel();
    let (arrive, arrived) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let other = files.clone();
    let consumer = coreloop::task::spawn_blocking(move || {
        let first = coreloop::block_on(async {
            let mut receiving = pin!(other.recv());
            assert!(poll_once(&mut receiving).await.is_none());
            // The queue knows that this thread waits.
            other.len().await.unwrap();
            begin.send(()).unwrap();
            receiving.await.unwrap().unwrap()
        });
        arrive.send(()).unwrap();
        // It neither reads nor writes meanwhile.
        let _ = left.recv();
        drop(first);
    });
    let begun = coreloop::task::spawn_blocking(move || begun.recv().unwrap());
    soon(begun).await.unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    files.send(Fd::from(writer)).await.unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    files.send(Fd::from(writer)).await.unwrap();
    let arrived = coreloop::task::spawn_blocking(move || arrived.recv().unwrap());
    soon(arrived).await.unwrap();
    // What the thread has written is read before this is answered.
    let lock = Mutex::new().unwrap();
    let guard = lock.lock().await.unwrap();
    elsewhere_lock(&lock).await;
    drop(guard);
    drop(soon(files.recv()).await.unwrap().unwrap());
    let at_end = coreloop::task::spawn_blocking(move || reader.read(&mut [0]).unwrap());
    assert_eq!(soon(at_end).await.unwrap(), 0);
    drop(leave);
    soon(consumer).await.unwrap();
}
