//! Descriptors on the loop, tested with pipes.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::sync::mpsc;
use coreloop::task::yield_now;
use coreloop::time::timeout;
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::wakers::{Call, calling};

/// A pipe whose reader is on the loop.
fn reading() -> (Async<PipeReader>, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe");
    (Async::new(reader).expect("a pipe can be polled"), writer)
}

/// A pipe whose writer is on the loop.
fn writing() -> (PipeReader, Async<PipeWriter>) {
    let (reader, writer) = pipe().expect("a pipe");
    (reader, Async::new(writer).expect("a pipe can be polled"))
}

/// Reads up to eight bytes.
async fn read(reader: &Async<PipeReader>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 8];
    let count = reader
        .read_with(|mut reader: &PipeReader| reader.read(&mut buffer))
        .await?;
    Ok(buffer[..count].to_vec())
}

fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

/// Fills a pipe, and returns the number of bytes that it took.
fn fill(writer: &Async<PipeWriter>) -> usize {
    let mut full = 0;
    loop {
        match writer.try_write_with(|mut writer| writer.write(&[0; 4096])) {
            Ok(count) => full += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return full;
            }
        }
    }
}

#[test]
fn a_read_waits_for_bytes_and_for_the_end() {
    block_on(async {
        let (reader, mut writer) = reading();
        let reads = spawn(async move {
            let mut all = Vec::new();
            loop {
                let bytes = read(&reader).await.unwrap();
                if bytes.is_empty() {
                    return all;
                }
                all.push(bytes);
            }
        });
        for bytes in [&b"one"[..], b"two", b"three"] {
            yield_now().await;
            writer.write_all(bytes).unwrap();
            // Lets the other task read the bytes, which no event reports.
            for _ in 0..3 {
                yield_now().await;
            }
        }
        drop(writer);
        assert_eq!(reads.await.unwrap().concat(), b"onetwothree");
    });
}

#[test]
fn a_write_waits_for_room_and_fails_without_a_reader() {
    block_on(async {
        let (mut reader, writer) = writing();
        let full = fill(&writer);
        let writer = Rc::new(writer);
        let write = spawn({
            let writer = Rc::clone(&writer);
            async move {
                writer
                    .write_with(|mut writer: &PipeWriter| writer.write(b"last"))
                    .await
            }
        });
        yield_now().await;
        assert!(!write.is_finished());
        let mut bytes = vec![0; full];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(write.await.unwrap().unwrap(), 4);

        fill(&writer);
        let write = spawn(async move {
            writer
                .write_with(|mut writer: &PipeWriter| writer.write(&[0; 4096]))
                .await
        });
        yield_now().await;
        drop(reader);
        assert_eq!(
            write.await.unwrap().unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    });
}

/// The operation is called at once, and then only when it may succeed.
#[test]
fn an_operation_is_called_only_when_it_may_succeed() {
    block_on(async {
        let (reader, mut writer) = reading();
        let calls = Cell::new(0);
        let mut reading = pin!(reader.read_with(|mut reader: &PipeReader| {
            calls.set(calls.get() + 1);
            reader.read(&mut [0; 8])
        }));
        assert!(is_pending(reading.as_mut()));
        assert_eq!(calls.get(), 1);
        for _ in 0..3 {
            assert!(is_pending(reading.as_mut()), "ready without an event");
        }
        assert_eq!(calls.get(), 1);
        writer.write_all(b"x").unwrap();
        assert_eq!(reading.await.unwrap(), 1);
        assert_eq!(calls.get(), 2);
    });
}

/// A read that returns less than was asked for has emptied the pipe, so the next read
/// waits without a system call. A read that fills its buffer proves nothing.
#[test]
fn a_short_read_of_a_stream_proves_that_it_is_empty() {
    block_on(async {
        let (reader, mut writer) = reading();
        let calls = Cell::new(0);
        let read = |context: &mut Context<'_>, length: usize| {
            let mut buffer = [0; 8];
            reader.poll_read_stream(context, length, |mut reader| {
                calls.set(calls.get() + 1);
                reader.read(&mut buffer[..length])
            })
        };
        // The first read that would block registers the descriptor.
        let mut noop = Context::from_waker(Waker::noop());
        assert!(read(&mut noop, 8).is_pending());
        writer.write_all(b"abcdef").unwrap();
        assert_eq!(poll_fn(|context| read(context, 4)).await.unwrap(), 4);
        assert_eq!(calls.get(), 2);
        // Two bytes of four: the next read makes no system call.
        assert!(matches!(read(&mut noop, 4), Poll::Ready(Ok(2))));
        assert_eq!(calls.get(), 3);
        assert!(read(&mut noop, 4).is_pending());
        let tried = reader.try_read_stream(4, |_| unreachable!("the pipe is known to be empty"));
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(calls.get(), 3);
        // Bytes that come later are not missed.
        writer.write_all(b"gh").unwrap();
        assert_eq!(poll_fn(|context| read(context, 8)).await.unwrap(), 2);
        assert_eq!(calls.get(), 4);
        // Once a read has returned the end, every later read returns it.
        drop(writer);
        for _ in 0..3 {
            assert_eq!(poll_fn(|context| read(context, 8)).await.unwrap(), 0);
        }
    });
}

/// A connection that is read and answered before it ever waits has no source that could
/// store this. Each of its reads used to make a system call that found nothing.
#[test]
fn a_short_read_is_remembered_before_there_is_a_source() {
    block_on(async {
        let (reader, mut writer) = reading();
        let calls = Cell::new(0);
        let read = |context: &mut Context<'_>| {
            reader.poll_read_stream(context, 8, |mut reader| {
                calls.set(calls.get() + 1);
                reader.read(&mut [0; 8])
            })
        };
        let mut noop = Context::from_waker(Waker::noop());
        writer.write_all(b"abc").unwrap();
        assert!(matches!(read(&mut noop), Poll::Ready(Ok(3))));
        assert!(read(&mut noop).is_pending());
        assert_eq!(calls.get(), 1);
        writer.write_all(b"de").unwrap();
        assert_eq!(poll_fn(read).await.unwrap(), 2);
        assert_eq!(calls.get(), 2);
    });
}

/// Without a source, the kernel reports nothing after a short read. The next read that
/// waits finds the bytes that came meanwhile, and the end.
#[test]
fn bytes_that_come_between_a_short_read_and_the_next_are_not_missed() {
    block_on(async {
        for later in [b"de".as_slice(), b""] {
            let (reader, mut writer) = reading();
            let read = |context: &mut Context<'_>| {
                reader.poll_read_stream(context, 8, |mut reader| reader.read(&mut [0; 8]))
            };
            writer.write_all(b"abc").unwrap();
            assert_eq!(poll_fn(read).await.unwrap(), 3);
            writer.write_all(later).unwrap();
            drop(writer);
            assert_eq!(poll_fn(read).await.unwrap(), later.len());
            assert_eq!(poll_fn(read).await.unwrap(), 0);
        }
    });
}

/// Bytes that are there can be read without a loop; only a wait is an error.
#[test]
fn a_short_read_works_after_its_loop_has_ended() {
    let runtime = Runtime::new().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let (reader, mut writer) = runtime.block_on(async { reading() });
    let read = |context: &mut Context<'_>| {
        reader.poll_read_stream(context, 8, |mut reader| reader.read(&mut [0; 8]))
    };
    writer.write_all(b"abc").unwrap();
    assert!(matches!(read(&mut context), Poll::Ready(Ok(3))));
    drop(runtime);
    writer.write_all(b"de").unwrap();
    assert!(matches!(read(&mut context), Poll::Ready(Ok(2))));
    let Poll::Ready(Err(error)) = read(&mut context) else {
        panic!("there is no loop to wait with");
    };
    assert_eq!(error.kind(), ErrorKind::Other);
}

/// Once the writer is closed no further event comes, so a short read proves nothing: the
/// remaining bytes and the end must both be found.
#[test]
fn a_short_read_after_a_hang_up_proves_nothing() {
    block_on(async {
        let (reader, mut writer) = reading();
        assert!(is_pending(pin!(reader.readable())));
        writer.write_all(b"abc").unwrap();
        drop(writer);
        let mut buffer = [0; 8];
        let mut counts = Vec::new();
        for length in [2, 8, 8] {
            let count = poll_fn(|context| {
                reader.poll_read_stream(context, length, |mut reader| {
                    reader.read(&mut buffer[..length])
                })
            });
            counts.push(count.await.unwrap());
        }
        assert_eq!(counts, [2, 1, 0]);
    });
}

/// A write that takes less than it was given has filled the pipe.
#[test]
fn a_short_write_of_a_stream_proves_that_it_is_full() {
    block_on(async {
        let (mut reader, writer) = writing();
        let full = fill(&writer);
        // The writer is registered, and the pipe is full.
        let mut context = Context::from_waker(Waker::noop());
        assert!(writer.poll_writable(&mut context).is_pending());
        let mut some = vec![0; full / 2];
        reader.read_exact(&mut some).unwrap();
        let huge = vec![0; 2 * full];
        let calls = Cell::new(0);
        let written = poll_fn(|context| {
            writer.poll_write_stream(context, huge.len(), |mut writer| {
                calls.set(calls.get() + 1);
                writer.write(&huge)
            })
        })
        .await
        .unwrap();
        assert!(written < huge.len());
        let again = writer.poll_write_stream(&mut context, 1, |_| unreachable!("it is full"));
        assert!(again.is_pending());
        assert_eq!(calls.get(), 1);
    });
}

/// The same before there is a source.
#[test]
fn a_short_write_is_remembered_before_there_is_a_source() {
    block_on(async {
        let (mut reader, writer) = writing();
        let mut context = Context::from_waker(Waker::noop());
        // More bytes than any pipe takes.
        let huge = vec![0; 4 << 20];
        let write = |context: &mut Context<'_>| {
            writer.poll_write_stream(context, huge.len(), |mut writer| writer.write(&huge))
        };
        let Poll::Ready(Ok(full)) = write(&mut context) else {
            panic!("an empty pipe takes some");
        };
        assert!(full < huge.len());
        let again = writer.poll_write_stream(&mut context, 1, |_| unreachable!("it is full"));
        assert!(again.is_pending());
        let mut some = vec![0; full];
        reader.read_exact(&mut some).unwrap();
        assert_eq!(poll_fn(write).await.unwrap(), full);
    });
}

/// A write that waited registered the source for writes only. An empty read used to be
/// believed for ever then, because no event for reads could correct it.
#[test]
#[cfg_attr(miri, ignore = "Miri knows no `recv` and `send` of socket pairs")]
fn a_try_is_not_refused_in_a_direction_that_is_not_watched() {
    block_on(async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let ours = Async::new(ours).unwrap();
        let mut theirs: &std::os::unix::net::UnixStream = &theirs;
        // Registered by a write that would block.
        while ours
            .try_write_with(|mut ours| ours.write(&[0; 4096]))
            .is_ok()
        {}
        assert!(is_pending(pin!(ours.writable())));
        let mut buffer = [0; 8];
        for _ in 0..2 {
            let read = ours.try_read_stream(8, |mut ours| ours.read(&mut buffer));
            assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
            theirs.write_all(b"abc").unwrap();
            let read = ours.try_read_stream(8, |mut ours| ours.read(&mut buffer));
            assert_eq!(read.unwrap(), 3);
        }
        // A wait for reads watches both.
        theirs.write_all(b"d").unwrap();
        ours.readable().await.unwrap();
        assert_eq!(
            ours.try_read_with(|mut ours| ours.read(&mut buffer))
                .unwrap(),
            1
        );
    });
}

#[test]
fn several_tasks_wait_at_once() {
    block_on(async {
        let (reader, mut writer) = reading();
        let reader = Rc::new(reader);
        let (take, mut taken) = mpsc::channel(4);
        for _ in 0..4 {
            let (reader, take) = (Rc::clone(&reader), take.clone());
            drop(spawn(async move {
                let mut byte = [0];
                reader
                    .read_with(|mut reader: &PipeReader| reader.read_exact(&mut byte))
                    .await
                    .unwrap();
                take.send(byte[0]).await.unwrap();
            }));
        }
        // A waiter that gives up, and one that waits by `poll_readable`.
        {
            let mut gives_up = pin!(reader.readable());
            assert!(is_pending(gives_up.as_mut()));
        }
        let ready = spawn({
            let reader = Rc::clone(&reader);
            poll_fn(move |context| reader.poll_readable(context))
        });
        yield_now().await;
        for byte in 0..4 {
            writer.write_all(&[byte]).unwrap();
            assert_eq!(taken.recv().await, Some(byte));
        }
        ready.await.unwrap().unwrap();
    });
}

/// A source stores a task in another way than a foreign waker.
#[test]
fn the_last_waiter_that_polled_is_woken() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (reader, mut writer) = reading();
    drop(guard);
    let reader = Rc::new(reader);
    let foreign = Rc::new(Cell::new(0));
    let count = Rc::clone(&foreign);
    let waker = calling(move |call| count.set(count.get() + u32::from(call == Call::Wake)));
    let polls = Rc::new(Cell::new(0));
    let (source, count) = (Rc::clone(&reader), Rc::clone(&polls));
    let task = runtime.spawn(poll_fn(move |context| {
        count.set(count.get() + 1);
        match source.poll_read_with(context, |mut reader| reader.read(&mut [0; 8])) {
            Poll::Ready(read) => Poll::Ready(read.unwrap()),
            Poll::Pending => Poll::Pending,
        }
    }));
    let mut byte = [0];
    let mut poll = || {
        let mut context = Context::from_waker(&waker);
        reader.poll_read_with(&mut context, |mut reader| reader.read(&mut byte))
    };
    let turn = || runtime.turn(Some(Duration::ZERO)).unwrap();
    turn();
    assert_eq!(polls.get(), 1);
    // The task waits, and then the foreign waker replaces it.
    assert!(poll().is_pending() && poll().is_pending());
    writer.write_all(b"a").unwrap();
    turn();
    assert_eq!((polls.get(), foreign.get()), (1, 1));
    assert!(matches!(poll(), Poll::Ready(Ok(1))));
    // The foreign waker waits again, beside a task that waits through a shared reference.
    assert!(poll().is_pending());
    let (source, again) = (Rc::clone(&reader), Rc::new(Cell::new(false)));
    let flag = Rc::clone(&again);
    let other = runtime.spawn(async move {
        source.readable().await.unwrap();
        flag.set(true);
    });
    turn();
    drop(task);
    writer.write_all(b"b").unwrap();
    turn();
    assert!(again.get() && other.is_finished());
    assert_eq!(foreign.get(), 2);
}

#[test]
fn readable_and_writable_complete_until_an_operation_would_block() {
    block_on(async {
        let (reader, mut writer) = reading();
        writer.write_all(b"ab").unwrap();
        for _ in 0..3 {
            reader.readable().await.unwrap();
        }
        let read = || reader.try_read_with(|mut reader| reader.read(&mut [0]));
        assert_eq!(read().unwrap(), 1);
        assert_eq!(read().unwrap(), 1);
        assert_eq!(read().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(is_pending(pin!(reader.readable())));

        let (mut reader, writer) = writing();
        writer.writable().await.unwrap();
        let full = fill(&writer);
        assert!(is_pending(pin!(writer.writable())));
        reader.read_exact(&mut vec![0; full]).unwrap();
        writer.writable().await.unwrap();
    });
}

#[test]
fn into_inner_returns_the_descriptor() {
    block_on(async {
        let (reader, mut writer) = reading();
        assert!(is_pending(pin!(reader.readable())));
        let number = reader.as_raw_fd();
        assert_eq!(reader.get_ref().as_raw_fd(), number);
        assert_eq!(reader.as_fd().as_raw_fd(), number);
        let reader = reader.into_inner().unwrap();
        assert_eq!(reader.as_raw_fd(), number);
        // The descriptor may be put on the loop again.
        let reader = Async::from_nonblocking(reader).unwrap();
        assert!(is_pending(pin!(reader.readable())));
        writer.write_all(b"x").unwrap();
        assert_eq!(read(&reader).await.unwrap(), b"x");
        // The same for a descriptor that was never registered.
        let (reader, _writer) = reading();
        reader.into_inner().unwrap();
    });
}

#[test]
fn the_number_of_a_closed_descriptor_can_be_used_again() {
    block_on(async {
        for _ in 0..20 {
            let (reader, mut writer) = {
                let (reader, writer) = reading();
                let reader = reader.into_inner().unwrap();
                (Async::from_nonblocking(reader).unwrap(), writer)
            };
            let owned = {
                let (reader, writer) = reading();
                let reader = reader.into_inner().unwrap();
                (Async::from_owned(reader).unwrap(), writer)
            };
            assert!(is_pending(pin!(owned.0.readable())));
            drop(owned);
            writer.write_all(b"x").unwrap();
            assert_eq!(read(&reader).await.unwrap(), b"x");
        }
    });
}

/// An event that the kernel still holds for a dropped source does not wake the source that
/// has taken its place.
#[test]
fn events_of_a_dropped_source_wake_no_other() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let (old, mut writer) = reading();
    let old = Async::from_owned(old.into_inner().unwrap()).unwrap();
    let duplicate = old.get_ref().try_clone().unwrap();
    assert!(is_pending(pin!(old.readable())));
    // The duplicate keeps the registration in the kernel.
    drop(old);
    let (new, _new_writer) = reading();
    let woken = Rc::new(Cell::new(false));
    let flag = Rc::clone(&woken);
    let waker = calling(move |call| flag.set(flag.get() || call == Call::Wake));
    assert!(
        new.poll_readable(&mut Context::from_waker(&waker))
            .is_pending()
    );
    writer.write_all(b"x").unwrap();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(!woken.get());
    drop(duplicate);
}

/// The kernel does not poll regular files, and returns an error.
#[test]
#[cfg_attr(miri, ignore = "Miri has no epoll of a file")]
fn a_regular_file_gives_an_error() {
    block_on(async {
        let file = Async::new(File::open(std::env::current_exe().unwrap()).unwrap()).unwrap();
        assert!(file.readable().await.is_err());
        assert!(file.writable().await.is_err());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(
            file.poll_readable(&mut context),
            Poll::Ready(Err(_))
        ));
        // Operations that do not wait work, after a short read too.
        for _ in 0..3 {
            let read = poll_fn(|context| {
                file.poll_read_stream(context, 8, |mut file| file.read(&mut [0; 1]))
            });
            assert_eq!(read.await.unwrap(), 1);
        }
        let mut byte = [0];
        assert_eq!(
            file.read_with(|mut file| file.read(&mut byte))
                .await
                .unwrap(),
            1
        );
        file.into_inner().unwrap();
    });
}

#[test]
fn a_source_made_outside_a_runtime_is_an_error() {
    let (reader, _writer) = pipe().unwrap();
    let error = Async::new(reader).unwrap_err();
    assert!(
        error.to_string().contains("outside a coreloop runtime"),
        "{error}"
    );
    let (reader, _writer) = pipe().unwrap();
    assert!(Async::from_nonblocking(reader).is_err());
    let (reader, _writer) = pipe().unwrap();
    assert!(Async::from_owned(reader).is_err());
}

/// A second source of one descriptor is refused, and does not harm the first.
#[test]
fn a_descriptor_is_on_the_loop_once() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(Rc::new(reader)).unwrap();
        let second = Async::new(Rc::clone(reader.get_ref())).unwrap();
        assert!(is_pending(pin!(reader.readable())));
        assert!(second.readable().await.is_err());
        drop(second);
        writer.write_all(b"x").unwrap();
        reader.readable().await.unwrap();
    });
}

/// A type that returns another descriptor at every call of `as_fd`.
struct Fickle {
    pipes: [PipeReader; 2],
    asked: Cell<usize>,
}

impl AsFd for Fickle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.asked.set(self.asked.get() + 1);
        self.pipes[self.asked.get() % 2].as_fd()
    }
}

#[test]
fn a_type_that_changes_its_descriptor_does_not_harm_the_loop() {
    block_on(async {
        let (one, mut first) = pipe().unwrap();
        let (two, mut second) = pipe().unwrap();
        let fickle = Async::new(Fickle {
            pipes: [one, two],
            asked: Cell::new(0),
        })
        .unwrap();
        for _ in 0..5 {
            let _ = is_pending(pin!(fickle.readable()));
            let _ = is_pending(pin!(fickle.writable()));
        }
        first.write_all(b"x").unwrap();
        second.write_all(b"x").unwrap();
        yield_now().await;
        drop(fickle);
        // The loop still works.
        let (reader, mut writer) = reading();
        writer.write_all(b"y").unwrap();
        assert_eq!(read(&reader).await.unwrap(), b"y");
    });
}

/// A type whose descriptor is the first pipe or the second.
struct Changing {
    pipes: [Rc<PipeReader>; 2],
    which: Cell<usize>,
}

impl AsFd for Changing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipes[self.which.get()].as_fd()
    }
}

/// Its registration used to replace the registration of the other descriptor.
#[test]
fn a_descriptor_that_changes_takes_no_event_of_another() {
    // Miri has no exclusive registrations.
    let kinds = if cfg!(miri) { 1 } else { 3 };
    for kind in 0..kinds {
        block_on(async {
            let (honest, mut writer) = pipe().unwrap();
            let honest = Async::new(Rc::new(honest)).unwrap();
            let read = || honest.try_read_with(|honest| (&**honest).read(&mut [0; 8]));
            let is_empty = || {
                let would_block = read().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
                would_block && is_pending(pin!(honest.readable()))
            };
            let (other, _writer) = pipe().unwrap();
            let changing = Changing {
                pipes: [Rc::new(other), Rc::clone(honest.get_ref())],
                which: Cell::new(0),
            };
            let changing = if kind == 0 {
                Async::from_nonblocking(changing).unwrap()
            } else {
                Async::from_owned_exclusive(changing).unwrap()
            };
            assert!(is_pending(pin!(changing.readable())));
            assert!(is_empty());

            let changed = || changing.get_ref().which.set(1);
            let error = match kind {
                // The registration gains a direction.
                0 => {
                    changed();
                    Some(changing.writable().await.unwrap_err())
                }
                // The registration is removed.
                1 => {
                    changed();
                    changing.leave_to_others();
                    None
                }
                // The registration is removed, and made again.
                _ => {
                    changing.leave_to_others();
                    changed();
                    Some(changing.readable().await.unwrap_err())
                }
            };
            if let Some(error) = error {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            }
            for _ in 0..2 {
                writer.write_all(b"x").unwrap();
                let readable = timeout(Duration::from_secs(30), honest.readable()).await;
                readable.expect("an event comes").unwrap();
                assert_eq!(read().unwrap(), 1);
                assert!(is_empty());
            }
            drop(changing);
            writer.write_all(b"x").unwrap();
            honest.readable().await.unwrap();
        });
    }
}

#[test]
fn a_waker_drops_the_source_that_wakes_it() {
    for joined in [false, true] {
        let runtime = Runtime::new().unwrap();
        let guard = runtime.enter();
        let slot: Rc<RefCell<Option<Rc<Async<PipeReader>>>>> = Rc::default();
        let (reader, mut writer) = reading();
        let reader = Rc::new(reader);
        let own = Rc::clone(&slot);
        let waker = calling(move |call| {
            if call == Call::Wake {
                drop(own.take());
            }
        });
        let mut context = Context::from_waker(&waker);
        if joined {
            // The waiting future owns a reference to the source.
            let source = Rc::clone(&reader);
            let mut waiting = Box::pin(async move { source.readable().await });
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            drop(waiting);
        }
        assert!(reader.poll_readable(&mut context).is_pending());
        *slot.borrow_mut() = Some(reader);
        writer.write_all(b"x").unwrap();
        runtime.turn(Some(Duration::ZERO)).unwrap();
        assert!(slot.borrow().is_none());
        drop(guard);
    }
}

/// Waiters are dropped, and new ones added, while all of them are being woken.
#[test]
fn a_waker_may_change_the_waiters_while_they_are_woken() {
    type Waiting = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (reader, mut writer) = reading();
    drop(guard);
    let reader = Rc::new(reader);
    let waiting: Rc<RefCell<Vec<Waiting>>> = Rc::default();
    let woken = Rc::new(Cell::new(0));
    for _ in 0..10 {
        let (all, source, count) = (Rc::clone(&waiting), Rc::clone(&reader), Rc::clone(&woken));
        let waker = calling(move |call| {
            if call == Call::Wake {
                count.set(count.get() + 1);
                drop(all.take());
                let source = Rc::clone(&source);
                let mut new: Waiting = Box::pin(async move { source.readable().await });
                let _ = new.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                all.borrow_mut().push(new);
            }
        });
        let source = Rc::clone(&reader);
        let mut new: Waiting = Box::pin(async move { source.readable().await });
        assert!(
            new.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        waiting.borrow_mut().push(new);
    }
    writer.write_all(b"x").unwrap();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(woken.get(), 10);
    waiting.borrow_mut().clear();
}

#[test]
fn a_waker_that_runs_a_turn_while_cloned_misses_no_event() {
    let runtime = Rc::new(Runtime::new().unwrap());
    let guard = runtime.enter();
    let (reader, mut writer) = reading();
    drop(guard);
    let mut context = Context::from_waker(Waker::noop());
    assert!(reader.poll_readable(&mut context).is_pending());
    writer.write_all(b"x").unwrap();
    let woken = Rc::new(Cell::new(false));
    let (turned, flag) = (Rc::clone(&runtime), Rc::clone(&woken));
    let waker = calling(move |call| match call {
        Call::Clone => {
            turned.turn(Some(Duration::ZERO)).unwrap();
        }
        Call::Wake => flag.set(true),
        Call::Drop => {}
    });
    let polled = reader.poll_readable(&mut Context::from_waker(&waker));
    assert!(polled.is_ready() || woken.get());
    assert!(reader.poll_readable(&mut context).is_ready());
}

#[test]
fn an_operation_may_use_its_own_source() {
    block_on(async {
        let (reader, mut writer) = reading();
        let mut nested = false;
        let result = reader.read_with(|mut inner: &PipeReader| {
            if !std::mem::replace(&mut nested, true) {
                let mut context = Context::from_waker(Waker::noop());
                assert!(reader.poll_readable(&mut context).is_pending());
                assert!(
                    reader
                        .try_read_with(|mut inner| inner.read(&mut [0]))
                        .is_err()
                );
            }
            inner.read(&mut [0])
        });
        let mut result = pin!(result);
        assert!(is_pending(result.as_mut()));
        writer.write_all(b"x").unwrap();
        assert_eq!(result.await.unwrap(), 1);
    });
}

#[test]
fn an_interrupted_operation_is_tried_again() {
    block_on(async {
        let (reader, mut writer) = reading();
        writer.write_all(b"x").unwrap();
        let mut interruptions = 3;
        let count = reader.read_with(|mut reader: &PipeReader| {
            if interruptions > 0 {
                interruptions -= 1;
                return Err(ErrorKind::Interrupted.into());
            }
            reader.read(&mut [0])
        });
        assert_eq!(count.await.unwrap(), 1);
    });
}

/// More descriptors become ready at once than one poll of the kernel returns.
#[test]
#[cfg_attr(miri, ignore = "slow")]
fn more_events_than_one_poll_returns_are_all_delivered() {
    const PAIRS: usize = 1100;

    // Two descriptors for each pair, and the others that the test program has open.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_some_and(|current| current < 4096) {
        limit.current = Some(limit.maximum.map_or(4096, |most| most.min(4096)));
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    }
    let runtime = Runtime::new().unwrap();
    let mut writers = Vec::new();
    let tasks: Vec<_> = (0..PAIRS)
        .map(|_| {
            let _guard = runtime.enter();
            let (reader, writer) = reading();
            writers.push(writer);
            spawn(async move { read(&reader).await })
        })
        .collect();
    runtime.block_on(async { yield_now().await });
    for writer in &mut writers {
        writer.write_all(b"x").unwrap();
    }
    runtime.block_on(async {
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), b"x");
        }
    });
}
