//! A group keeps no memory of tasks that have ended. An allocator counts.

use std::future::pending;
use std::hint::black_box;
use std::time::Duration;

use coreloop::scope::{MemberHandle, TaskGroup};
use coreloop::task::yield_now;
use coreloop::time::sleep;
use coreloop_test_support::allocator::live_bytes;

const MEMBERS: usize = if cfg!(miri) { 140 } else { 10_000 };
/// After these the group has the room that it needs.
const FIRST: usize = if cfg!(miri) { 120 } else { 200 };
/// The room that a member has.
const ROOM: usize = if cfg!(miri) { 1 << 10 } else { 8 << 10 };
/// More than lists may grow by, and less than the members after the first ones take.
const ALLOWED: usize = 4 << 10;

/// Works in some room, as the future of a request does.
async fn request<E>() -> Result<(), E> {
    let room = black_box([1_u8; ROOM]);
    yield_now().await;
    black_box(&room);
    Ok(())
}

/// Spawns members one at a time, each of which has ended before the next one comes.
async fn one_at_a_time<T: 'static, E: 'static>(
    group: &mut TaskGroup<E>,
    mut spawn: impl FnMut(&mut TaskGroup<E>) -> MemberHandle<T, E>,
) {
    let others = group.len();
    let mut after_first = 0;
    for number in 0..MEMBERS {
        drop(spawn(group));
        while group.len() > others {
            yield_now().await;
        }
        if number == FIRST {
            after_first = live_bytes();
        }
    }
    let more = live_bytes().saturating_sub(after_first);
    assert!(more <= ALLOWED, "{more} bytes more after {MEMBERS} members");
}

#[coreloop::test]
async fn members_that_have_ended_are_freed() {
    let mut group = TaskGroup::<()>::new();
    drop(group.spawn(pending::<Result<(), _>>()));
    drop(group.spawn_daemon(pending::<Result<(), _>>()));
    one_at_a_time(&mut group, |group| group.spawn(request())).await;
    assert_eq!(group.len(), 2);
    one_at_a_time(&mut group, |group| group.spawn_daemon(request())).await;
    group.cancel();
    one_at_a_time(&mut group, |group| group.spawn(request())).await;
    group.join().await.unwrap();
}

#[coreloop::test]
async fn members_of_a_supervisor_that_failed_are_freed() {
    let mut group = TaskGroup::supervisor();
    one_at_a_time(&mut group, |group| {
        group.spawn(async {
            request::<()>().await.ok();
            Err::<(), _>([7_u8; 1000])
        })
    })
    .await;
    let error = group.join().await.unwrap_err();
    assert_eq!(error.others().len() + error.omitted() + 1, MEMBERS);
    assert!(error.omitted() > 0);
}

/// Without another call of the group.
#[coreloop::test]
async fn members_that_end_together_are_freed() {
    // The loop's first look at the kernel allocates, and comes by the clock.
    sleep(Duration::from_micros(1)).await;
    let mut group = TaskGroup::<()>::new();
    let before = live_bytes();
    for _ in 0..MEMBERS / 10 {
        drop(group.spawn(request()));
    }
    assert!(live_bytes() - before > MEMBERS / 10 * ROOM);
    while !group.is_empty() {
        yield_now().await;
    }
    let more = live_bytes().saturating_sub(before);
    assert!(more <= ALLOWED, "{more} bytes more");
}
