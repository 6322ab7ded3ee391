//! A client that sends at its own rate, whatever the server does: messages come at random
//! times, as from many independent senders.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::load::{Load, MESSAGE};

/// The token of the timer; connections have numbers.
const TIMER: u64 = u64::MAX;

/// Echoes a number of messages, each over a connection that awaits no other reply. Returns
/// the sum of the times from when a message was due to when its reply was read.
///
/// The arrivals are the same for the same `seed`.
pub(crate) fn drive(load: &mut Load, echoes: u64, rate: f64, seed: u64) -> io::Result<Duration> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    load.epoll.add(&timer, EpollEvent::new(interest, TIMER))?;
    let mut chance = Chance::new(seed);
    let mut idle: Vec<usize> = (0..load.streams.len()).collect();
    let mut next = Instant::now() + chance.gap(rate);
    let mut due = vec![next; load.streams.len()];
    let mut delays = Duration::ZERO;
    let (mut unsent, mut awaited) = (echoes, echoes);
    let mut events = [EpollEvent::empty(); 1024];
    let mut buffer = [b'x'; 2 * MESSAGE];
    while awaited > 0 {
        while unsent > 0 && !idle.is_empty() {
            let early = next.saturating_duration_since(Instant::now());
            if early > Duration::ZERO {
                set(&timer, early)?;
                break;
            }
            let place = idle.swap_remove(chance.place(idle.len())?);
            load.streams[place].write_all(&buffer[..MESSAGE])?;
            due[place] = next;
            next += chance.gap(rate);
            unsent -= 1;
        }
        let count = load.epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            let place = match usize::try_from(event.data()) {
                Ok(place) if place < load.streams.len() => place,
                // The timer only has to end the wait.
                _ => continue,
            };
            // An event left over from before has no message.
            match recv(
                load.streams[place].as_raw_fd(),
                &mut buffer,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(MESSAGE) => {}
                Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(Errno::EAGAIN) => continue,
                Err(error) => return Err(error.into()),
            }
            delays += due[place].elapsed();
            idle.push(place);
            awaited -= 1;
        }
    }
    Ok(delays)
}

fn set(timer: &TimerFd, after: Duration) -> io::Result<()> {
    let nanos = i64::try_from(after.as_nanos()).map_err(io::Error::other)?;
    let expiration = Expiration::OneShot(TimeSpec::nanoseconds(nanos));
    Ok(timer.set(expiration, TimerSetTimeFlags::empty())?)
}

/// Random numbers (xorshift64*).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        // The result is never zero, and differs much even for similar seeds.
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// Returns a number greater than 0, and at most 1.
    fn share(&mut self) -> f64 {
        (self.bits() + 1) as f64 / (1u64 << 53) as f64
    }

    /// Returns one of `count` places.
    fn place(&mut self, count: usize) -> io::Result<usize> {
        usize::try_from(self.bits() % count as u64).map_err(io::Error::other)
    }

    /// Returns the time until the next arrival, for a number of arrivals per second.
    fn gap(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64(-self.share().ln() / rate)
    }
}
