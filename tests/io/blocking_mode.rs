//! The blocking mode of an open file description, which `Async::new` changes and restores.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use coreloop::io::Async;
use coreloop::{Runtime, block_on};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Whether operations on the descriptor block.
fn blocks(descriptor: impl AsFd) -> bool {
    let flags = fcntl_getfl(descriptor).unwrap();
    !flags.contains(OFlags::NONBLOCK)
}

fn set_nonblocking(descriptor: impl AsFd) {
    let flags = fcntl_getfl(&descriptor).unwrap();
    fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK).unwrap();
}

fn duplicate(descriptor: impl AsFd) -> OwnedFd {
    descriptor.as_fd().try_clone_to_owned().unwrap()
}

/// Both ends of a pipe, and duplicates of them that stay open.
struct Ends {
    reader: PipeReader,
    writer: PipeWriter,
    other_reader: OwnedFd,
    other_writer: OwnedFd,
}

fn ends() -> Ends {
    let (reader, writer) = pipe().unwrap();
    Ends {
        other_reader: duplicate(&reader),
        other_writer: duplicate(&writer),
        reader,
        writer,
    }
}

#[test]
fn a_dropped_descriptor_is_blocking_again() {
    block_on(async {
        let ends = ends();
        let reader = Async::new(ends.reader).unwrap();
        assert!(!blocks(&ends.other_reader));
        drop(reader);
        assert!(blocks(&ends.other_reader));
        // The same for a descriptor that was registered with the kernel.
        let writer = Async::new(ends.writer).unwrap();
        writer.writable().await.unwrap();
        assert!(!blocks(&ends.other_writer));
        drop(writer);
        assert!(blocks(&ends.other_writer));
    });
}

#[test]
fn a_borrowed_descriptor_is_blocking_again() {
    block_on(async {
        let (reader, _writer) = pipe().unwrap();
        for _ in 0..3 {
            let on_loop = Async::new(&reader).unwrap();
            assert!(!blocks(&reader));
            drop(on_loop);
            assert!(blocks(&reader));
        }
    });
}

#[test]
fn a_descriptor_that_is_taken_off_the_loop_is_blocking_again() {
    block_on(async {
        let Ends {
            reader, mut writer, ..
        } = ends();
        let reader = Async::new(reader).unwrap();
        writer.write_all(b"hello").unwrap();
        reader.readable().await.unwrap();
        let mut reader = reader.into_inner().unwrap();
        assert!(blocks(&reader));
        let mut text = [0; 5];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    });
}

#[test]
fn a_descriptor_that_was_non_blocking_stays_so() {
    block_on(async {
        let ends = ends();
        set_nonblocking(&ends.other_reader);
        drop(Async::new(ends.reader).unwrap());
        assert!(!blocks(&ends.other_reader));

        set_nonblocking(&ends.other_writer);
        let writer = Async::new(ends.writer).unwrap();
        let writer = writer.into_inner().unwrap();
        assert!(!blocks(&writer));

        // A descriptor that the caller has made non-blocking is not changed.
        let reader = Async::from_nonblocking(&ends.other_reader).unwrap();
        drop(reader);
        assert!(!blocks(&ends.other_reader));
    });
}

#[test]
fn a_descriptor_is_blocking_if_it_could_not_be_put_on_a_loop() {
    let (reader, _writer) = pipe().unwrap();
    let refused = Async::new(&reader).map(drop).unwrap_err();
    assert!(refused.to_string().contains("outside"), "{refused}");
    assert!(blocks(&reader));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `fstat` of pipes")]
fn the_last_descriptor_of_a_description_makes_it_blocking() {
    block_on(async {
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let (reader, _writer) = pipe().unwrap();
            let mut on_loop = [(); 3].map(|()| Some(Async::new(duplicate(&reader)).unwrap()));
            for place in order {
                assert!(!blocks(&reader));
                drop(on_loop[place].take());
            }
            assert!(blocks(&reader), "{order:?}");
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `fstat` of pipes")]
fn a_later_descriptor_keeps_the_description_non_blocking() {
    block_on(async {
        let (reader, _writer) = pipe().unwrap();
        let first = Async::new(duplicate(&reader)).unwrap();
        let second = Async::new(duplicate(&reader)).unwrap();
        let first = first.into_inner().unwrap();
        assert!(!blocks(&reader));
        let third = Async::new(first).unwrap();
        drop(second);
        assert!(!blocks(&reader));
        drop(third);
        assert!(blocks(&reader));
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `fstat` of pipes")]
fn loops_of_several_threads_share_a_description() {
    let (reader, _writer) = pipe().unwrap();
    let (made, is_made) = mpsc::channel();
    let (drop_it, may_drop) = mpsc::channel::<()>();
    let other = duplicate(&reader);
    let thread = thread::spawn(move || {
        block_on(async {
            let other = Async::new(other).unwrap();
            made.send(()).unwrap();
            may_drop.recv().unwrap();
            drop(other);
        });
    });
    is_made.recv().unwrap();
    block_on(async {
        drop(Async::new(&reader).unwrap());
        assert!(!blocks(&reader), "the other thread's loop would block");
    });
    drop_it.send(()).unwrap();
    thread.join().unwrap();
    assert!(blocks(&reader));
}

#[test]
fn the_ends_of_a_pipe_do_not_keep_each_other_open() {
    block_on(async {
        let ends = ends();
        drop(ends.other_writer);
        let reader = Async::new(ends.reader).unwrap();
        let writer = Async::new(ends.writer).unwrap();
        drop(writer);
        // No duplicate of the writer is left, so the reader finds the end.
        let mut buffer = [0; 1];
        let read = reader.read_with(|mut reader| reader.read(&mut buffer));
        assert_eq!(read.await.unwrap(), 0);
        drop(reader);
        assert!(blocks(&ends.other_reader));
    });
}

#[test]
fn the_ends_of_a_socket_pair_become_blocking_separately() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let on_loop = Async::new(&one).unwrap();
        let other = Async::new(other).unwrap();
        drop(on_loop);
        assert!(blocks(&one));
        assert!(!blocks(other.get_ref()));
    });
}

/// The writing end of a pipe. Its destructor waits until the reading end finds it closed.
struct Awaited {
    writer: Option<PipeWriter>,
    reader: PipeReader,
}

impl AsFd for Awaited {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_ref().unwrap().as_fd()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        drop(self.writer.take());
        assert_eq!(self.reader.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_destructor_that_waits_for_the_end_of_its_pipe_finds_it() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let writer = Some(writer);
        drop(Async::new(Awaited { writer, reader }).unwrap());
    });
    // The same outside a runtime, where `Async::new` returns an error.
    let (reader, writer) = pipe().unwrap();
    let writer = Some(writer);
    assert!(Async::new(Awaited { writer, reader }).is_err());
}

/// Opens the pipe of a descriptor again, which makes another description.
#[cfg(target_os = "linux")]
fn open_again(descriptor: &PipeReader) -> File {
    use std::os::fd::AsRawFd;
    File::open(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "Miri has no `/proc`")]
fn two_descriptions_of_a_pipe_are_blocking_when_both_are_dropped() {
    block_on(async {
        for swap in [false, true] {
            let (reader, _writer) = pipe().unwrap();
            let again = open_again(&reader);
            let one = Async::new(reader.try_clone().unwrap()).unwrap();
            let other = Async::new(again.try_clone().unwrap()).unwrap();
            if swap {
                drop(other);
                drop(one);
            } else {
                drop(one);
                assert!(!blocks(&again));
                drop(other);
            }
            assert!(blocks(&reader) && blocks(&again));
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "Miri has no `/proc`")]
fn a_description_that_was_non_blocking_is_not_made_blocking() {
    block_on(async {
        let (reader, _writer) = pipe().unwrap();
        let again = open_again(&reader);
        set_nonblocking(&again);
        let one = Async::new(reader.try_clone().unwrap()).unwrap();
        let other = Async::new(again.try_clone().unwrap()).unwrap();
        drop(one);
        drop(other);
        assert!(blocks(&reader));
        assert!(!blocks(&again));
    });
}

#[test]
fn a_descriptor_that_outlives_its_runtime_is_blocking_again() {
    let runtime = Runtime::new().unwrap();
    let (reader, _writer) = pipe().unwrap();
    let guard = runtime.enter();
    let on_loop = Async::new(&reader).unwrap();
    drop(guard);
    drop(runtime);
    assert!(!blocks(&reader));
    drop(on_loop);
    assert!(blocks(&reader));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `fstat` of pipes")]
fn a_forgotten_descriptor_leaves_the_description_non_blocking() {
    block_on(async {
        let (reader, _writer) = pipe().unwrap();
        mem::forget(Async::new(&reader).unwrap());
        drop(Async::new(&reader).unwrap());
        assert!(
            !blocks(&reader),
            "the forgotten descriptor may still be in use"
        );
    });
}

/// Like the standard streams of a program on a terminal: descriptors of one description.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "Miri has no terminals")]
fn a_terminal_is_blocking_after_its_use_on_the_loop() -> io::Result<()> {
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

    let mut master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?);
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let terminal = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty())?;
    let (input, output) = (duplicate(&terminal), duplicate(&terminal));

    block_on(async {
        let input = Async::new(File::from(input))?;
        let output = Async::new(File::from(output))?;
        master.write_all(b"hello\n")?;
        let mut line = [0; 16];
        let read = input.read_with(|mut input: &File| input.read(&mut line));
        let count = read.await?;
        assert_eq!(&line[..count], b"hello\n");
        drop(input);
        assert!(!blocks(&terminal));
        let written = output.write_with(|mut output: &File| output.write(b"hi"));
        assert_eq!(written.await?, 2);
        drop(output);
        assert!(blocks(&terminal));
        Ok(())
    })
}
