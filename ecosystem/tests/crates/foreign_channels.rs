//! Channels of other crates: `async-channel`, `flume`, `tokio::sync` and
//! `futures-channel` carry values between threads and a loop, in both directions.
//!
//! Each channel runs the same exchanges. In these every wake matters: if one is
//! lost, both sides wait for ever.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::thread;

use coreloop::runtime::Handle;
use coreloop::task::{spawn_blocking, yield_now};
use coreloop::{block_on, spawn};
use futures_core::Stream;
use futures_lite::future::block_on as park_on;

const ROUNDS: u32 = 3000;

/// The sending end of a channel.
trait Give: Send + 'static {
    /// Sends `number`, waiting for room if the channel is full.
    fn send(&mut self, number: u32) -> impl Future<Output = ()> + Send;
}

trait Receive: Send + 'static {
    /// Returns the next number, or `None` if every sender has been dropped.
    fn receive(&mut self) -> impl Future<Output = Option<u32>> + Send;
}

impl Give for async_channel::Sender<u32> {
    async fn send(&mut self, number: u32) {
        async_channel::Sender::send(self, number).await.unwrap();
    }
}

impl Receive for async_channel::Receiver<u32> {
    async fn receive(&mut self) -> Option<u32> {
        self.recv().await.ok()
    }
}

impl Give for flume::Sender<u32> {
    async fn send(&mut self, number: u32) {
        self.send_async(number).await.unwrap();
    }
}

impl Receive for flume::Receiver<u32> {
    async fn receive(&mut self) -> Option<u32> {
        self.recv_async().await.ok()
    }
}

impl Give for tokio::sync::mpsc::Sender<u32> {
    async fn send(&mut self, number: u32) {
        tokio::sync::mpsc::Sender::send(self, number).await.unwrap();
    }
}

impl Receive for tokio::sync::mpsc::Receiver<u32> {
    async fn receive(&mut self) -> Option<u32> {
        self.recv().await
    }
}

impl Give for tokio::sync::mpsc::UnboundedSender<u32> {
    async fn send(&mut self, number: u32) {
        tokio::sync::mpsc::UnboundedSender::send(self, number).unwrap();
    }
}

impl Receive for tokio::sync::mpsc::UnboundedReceiver<u32> {
    async fn receive(&mut self) -> Option<u32> {
        self.recv().await
    }
}

impl Give for futures_channel::mpsc::Sender<u32> {
    async fn send(&mut self, number: u32) {
        poll_fn(|context| self.poll_ready(context)).await.unwrap();
        self.start_send(number).unwrap();
    }
}

impl Receive for futures_channel::mpsc::Receiver<u32> {
    async fn receive(&mut self) -> Option<u32> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

/// Sends questions and answers in turn: each side sleeps while the other works.
fn ping_pong<S: Give, R: Receive>(make: impl Fn() -> (S, R)) {
    let ((mut ask, mut asked), (mut answer, mut answers)) = (make(), make());
    let thread = thread::spawn(move || {
        park_on(async {
            while let Some(number) = asked.receive().await {
                answer.send(number + 1).await;
            }
        });
    });
    block_on(async {
        for number in 0..ROUNDS {
            ask.send(number).await;
            assert_eq!(answers.receive().await, Some(number + 1));
        }
        drop(ask);
        assert_eq!(answers.receive().await, None);
    });
    thread.join().unwrap();
}

/// A thread sends as fast as it can to a loop that at first runs another task all the
/// time, so that it wakes a loop that is running as well as one that is parked.
fn flood_in<S: Give, R: Receive>(make: impl Fn() -> (S, R)) {
    let (mut send, mut receive) = make();
    let thread = thread::spawn(move || {
        park_on(async {
            for number in 0..ROUNDS {
                send.send(number).await;
            }
        });
    });
    block_on(async {
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        for number in 0..ROUNDS {
            assert_eq!(receive.receive().await, Some(number));
            if number == ROUNDS / 2 {
                busy.abort();
            }
        }
        assert_eq!(receive.receive().await, None);
    });
    thread.join().unwrap();
}

/// A loop sends to a thread, through a channel that is soon full, and waits for room.
fn flood_out<S: Give, R: Receive>(make: impl Fn() -> (S, R)) {
    let (mut send, mut receive) = make();
    let thread = thread::spawn(move || {
        park_on(async {
            let mut next = 0;
            while let Some(number) = receive.receive().await {
                assert_eq!(number, next);
                next += 1;
            }
            next
        })
    });
    block_on(async {
        for number in 0..ROUNDS {
            send.send(number).await;
        }
        drop(send);
    });
    assert_eq!(thread.join().unwrap(), ROUNDS);
}

/// One loop sends to another.
fn between_loops<S: Give, R: Receive>(make: impl Fn() -> (S, R)) {
    let (mut send, mut receive) = make();
    let thread = thread::spawn(move || {
        block_on(async {
            for number in 0..ROUNDS {
                send.send(number).await;
            }
        });
    });
    block_on(async {
        let mut next = 0;
        while let Some(number) = receive.receive().await {
            assert_eq!(number, next);
            next += 1;
        }
        assert_eq!(next, ROUNDS);
    });
    thread.join().unwrap();
}

/// A job of the blocking pool sends, and so does a task that another thread spawned.
fn from_jobs_and_remote_tasks<S: Give, R: Receive>(make: impl Fn() -> (S, R)) {
    block_on(async {
        let ((mut by_job, mut from_job), (mut by_task, mut from_task)) = (make(), make());
        let job = spawn_blocking(move || {
            let task = Handle::current().spawn(move || async move {
                for number in 0..ROUNDS {
                    by_task.send(number).await;
                }
            });
            park_on(async {
                for number in 0..ROUNDS {
                    by_job.send(number).await;
                }
                task.await.unwrap();
            });
        });
        for number in 0..ROUNDS {
            assert_eq!(from_job.receive().await, Some(number));
            assert_eq!(from_task.receive().await, Some(number));
        }
        job.await.unwrap();
        assert_eq!(from_job.receive().await, None);
        assert_eq!(from_task.receive().await, None);
    });
}

/// Defines a test for each exchange, over channels created by `$make`.
macro_rules! exchanges {
    ($($channel:ident: $make:expr;)*) => {$(
        mod $channel {
            #[test]
            fn ping_pong() {
                super::ping_pong(|| $make);
            }

            #[test]
            fn flood_in() {
                super::flood_in(|| $make);
            }

            #[test]
            fn flood_out() {
                super::flood_out(|| $make);
            }

            #[test]
            fn between_loops() {
                super::between_loops(|| $make);
            }

            #[test]
            fn from_jobs_and_remote_tasks() {
                super::from_jobs_and_remote_tasks(|| $make);
            }
        }
    )*};
}

exchanges! {
    async_channel_bounded: async_channel::bounded(4);
    async_channel_unbounded: async_channel::unbounded();
    flume_rendezvous: flume::bounded(0);
    flume_unbounded: flume::unbounded();
    tokio_mpsc: tokio::sync::mpsc::channel(1);
    tokio_mpsc_unbounded: tokio::sync::mpsc::unbounded_channel();
    futures_mpsc: futures_channel::mpsc::channel(2);
}

#[test]
fn tokio_oneshots() {
    block_on(async {
        for number in 0..ROUNDS / 10 {
            let (ask, asked) = tokio::sync::oneshot::channel();
            let (answer, answered) = tokio::sync::oneshot::channel();
            let thread = thread::spawn(move || answer.send(asked.blocking_recv().unwrap() + 1));
            ask.send(number).unwrap();
            assert_eq!(answered.await, Ok(number + 1));
            thread.join().unwrap().unwrap();
        }
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        thread::spawn(move || drop(sender));
        assert!(receiver.await.is_err());
    });
}

#[test]
fn futures_oneshots() {
    block_on(async {
        for number in 0..ROUNDS / 10 {
            let (ask, asked) = futures_channel::oneshot::channel();
            let (answer, answered) = futures_channel::oneshot::channel();
            let thread = thread::spawn(move || answer.send(park_on(asked).unwrap() + 1));
            ask.send(number).unwrap();
            assert_eq!(answered.await, Ok(number + 1));
            thread.join().unwrap().unwrap();
        }
        let (sender, receiver) = futures_channel::oneshot::channel::<()>();
        thread::spawn(move || drop(sender));
        assert!(receiver.await.is_err());
    });
}

#[test]
fn dropping_a_receive_leaves_the_channel_as_it_was() {
    let (send, receive) = async_channel::unbounded();
    let (go, gone) = flume::bounded::<()>(0);
    let thread = thread::spawn(move || {
        for number in 0..ROUNDS / 10 {
            gone.recv().unwrap();
            send.send_blocking(number).unwrap();
        }
    });
    block_on(async {
        for number in 0..ROUNDS / 10 {
            {
                let mut wait = pin!(receive.recv());
                let polled = futures_lite::future::poll_once(&mut wait).await;
                assert!(polled.is_none());
                go.send_async(()).await.unwrap();
            }
            assert_eq!(receive.recv().await, Ok(number));
        }
    });
    thread.join().unwrap();
}
