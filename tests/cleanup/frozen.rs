//! A cancelled task is frozen: what it awaits of the runtime stays pending, even if it is
//! ready.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::cleanup::{flush, shield};
use coreloop::io::Async;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::sync::{
    Barrier, CancellationToken, Condvar, Event, Mutex, Notify, OnceCell, Queue, ReentrantMutex,
    RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch,
};
use coreloop::task::{self, JoinSet, coop, spawn_blocking, yield_now};
use coreloop::time::{interval, sleep, timeout};
use coreloop::{join, select, spawn};

use coreloop_test_support::trace::ticks;

/// Waits until the flag is set. This is no future of the runtime, so it does not freeze.
async fn flag(go: &Cell<bool>) {
    poll_fn(|_| {
        if go.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Returns whether a task gets past `leaf`, which it polls first when it is frozen, or,
/// without an abort, when it is not.
async fn gets_through<F: Future<Output = ()> + 'static>(aborted: bool, leaf: F) -> bool {
    let (go, through) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let task = spawn({
        let (go, through) = (Rc::clone(&go), Rc::clone(&through));
        async move {
            let waits = async {
                flag(&go).await;
                leaf.await;
                through.set(true);
            };
            join!(shield(ticks(3)), waits);
        }
    });
    yield_now().await;
    go.set(true);
    if aborted {
        assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    } else {
        // The flag is checked when the shield has ended.
        task.await.unwrap();
    }
    through.get()
}

/// Defines a test for each leaf, which has to be a future that is ready soon.
macro_rules! freezes {
    ($($name:ident: $leaf:expr;)*) => {
        $(
            #[cfg_attr(miri, coreloop::test)]
            #[cfg_attr(not(miri), coreloop::test(start_paused = true))]
            async fn $name() {
                assert!(gets_through(false, $leaf).await, "not frozen");
                assert!(!gets_through(true, $leaf).await, "frozen");
            }
        )*
    };
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await;
    (near.unwrap(), listener.accept().await.unwrap().0)
}

/// Creates a pipe that holds a byte.
fn pipe() -> Async<std::io::PipeReader> {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    Async::new(reader).unwrap()
}

freezes! {
    a_yield: yield_now();
    a_sleep: sleep(Duration::ZERO);
    a_timeout: async { let _ = timeout(Duration::ZERO, std::future::pending::<()>()).await; };
    an_interval: { let mut interval = interval(Duration::from_secs(1)); async move { interval.tick().await; } };
    the_budget: task::consume_budget();
    the_budget_by_hand: async { poll_fn(coop::poll_proceed).await };
    an_unconstrained_yield: task::unconstrained(yield_now());
    an_unconstrained_sleep: task::unconstrained(sleep(Duration::ZERO));
    a_join_handle: { let task = spawn(async {}); async { task.await.unwrap() } };
    blocking_work: { let work = spawn_blocking(|| ()); async { work.await.unwrap() } };
    a_join_set: { let mut set = JoinSet::new(); set.spawn(async {}); async move { set.join_next().await.unwrap().unwrap(); } };
    a_flush_of_cleanups: flush();
    a_shield: shield(async {});
    a_branch_of_select: async { select! { () = yield_now() => {} } };
    a_branch_of_join: async { join!(yield_now(), yield_now()); };
    a_read: { let pipe = pipe(); async move { pipe.readable().await.unwrap() } };
    a_read_of_a_pipe: { let pipe = pipe(); async move { pipe.read_with(|mut pipe| std::io::Read::read(&mut pipe, &mut [0])).await.unwrap(); } };
    a_read_of_a_socket: { let (mut near, far) = connected().await; far.try_write(b"x").unwrap(); async move { near.read_exact(&mut [0]).await.unwrap(); drop(far); } };
    a_write_to_a_socket: { let (mut near, far) = connected().await; async move { near.write_all(b"x").await.unwrap(); drop(far); } };
    an_accept: { let listener = TcpListener::bind("127.0.0.1:0").await.unwrap(); let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()); async move { listener.accept().await.unwrap(); drop(peer); } };
    a_mutex: async { drop(Mutex::new(0).lock().await) };
    a_reentrant_mutex: async { drop(ReentrantMutex::new(0).lock().await) };
    a_lock_to_read: async { drop(RwLock::new(0).read().await) };
    a_lock_to_write: async { drop(RwLock::new(0).write().await) };
    a_semaphore: async { drop(Semaphore::new(1).acquire().await) };
    a_barrier: async { Barrier::new(1).wait().await; };
    an_event: async { let event = Event::new(); event.set(); event.wait().await; };
    a_notify: async { let notify = Notify::new(); notify.notify_one(); notify.notified().await; };
    a_cell_that_is_set: async { let cell = OnceCell::new(); cell.get_or_init(async || 1).await; };
    a_value_that_is_set: async { let once = SetOnce::new(); once.set(1).unwrap(); once.wait().await; };
    a_token: async { let token = CancellationToken::new(); token.cancel(); token.cancelled().await; };
    a_condition: async { let (lock, condition) = (Mutex::new(0), Condvar::new()); let guard = lock.lock().await; drop(condition.wait_while(guard, |_| false).await); };
    a_receive: { let (sender, mut receiver) = mpsc::channel(1); sender.try_send(1).unwrap(); async move { receiver.recv().await.unwrap(); } };
    a_send: async { let (sender, _receiver) = mpsc::channel(1); sender.send(1).await.unwrap(); };
    a_reservation: async { let (sender, _receiver) = mpsc::channel::<u8>(1); drop(sender.reserve().await.unwrap()); };
    an_unbounded_receive: { let (sender, mut receiver) = mpsc::unbounded_channel(); sender.send(1).unwrap(); async move { receiver.recv().await.unwrap(); } };
    a_closed_channel: async { let (sender, _) = mpsc::channel::<u8>(1); sender.closed().await; };
    a_oneshot: async { let (sender, receiver) = oneshot::channel(); sender.send(1).unwrap(); receiver.await.unwrap(); };
    a_broadcast: async { let (sender, mut receiver) = broadcast::channel(1); sender.send(1).unwrap(); receiver.recv().await.unwrap(); };
    a_watch: async { let (sender, mut receiver) = watch::channel(1); sender.send(2).unwrap(); receiver.changed().await.unwrap(); };
    a_value_to_wait_for: async { let (_sender, mut receiver) = watch::channel(1); drop(receiver.wait_for(|&one| one == 1).await); };
    a_queue: async { let queue = Queue::new(1); queue.put(1).await.unwrap(); queue.get().await.unwrap(); };
}

#[cfg(not(miri))]
#[test]
fn a_connect_and_a_signal_freeze() {
    // On the real clock, because a paused clock would move while the kernel works.
    coreloop::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || async move { drop(TcpStream::connect(address).await) };
        assert!(!gets_through(true, connect()).await);
        assert!(!gets_through(true, async { coreloop::signal::ctrl_c().await.unwrap() }).await);
    });
}

/// The abort comes between two polls of the same wait, not before the first.
#[coreloop::test(start_paused = true)]
async fn a_wait_that_has_begun_freezes_too() {
    let through = Rc::new(Cell::new(false));
    let flag = Rc::clone(&through);
    let task = spawn(async move {
        let waits = async {
            ticks(2).await;
            flag.set(true);
            ticks(1).await;
        };
        let mut shielded = pin!(shield(ticks(5)));
        join!(waits, shielded.as_mut());
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    assert!(!through.get());
}
