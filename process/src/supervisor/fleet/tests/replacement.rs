//! Batches of workers that are replaced together, and requests to replace one worker.

use super::*;

fn replacing(parallel: u32, bake_time: Duration, has_check: bool) -> Settings {
    let mut settings = settings(true);
    settings.heartbeat = None;
    settings.replacement = ReplacementSettings {
        parallel,
        bake_time,
        has_check,
    };
    settings
}

/// Creates a world in which all workers are ready, and returns them.
fn serving(settings: Settings, count: u32) -> (World, Vec<WorkerId>) {
    let mut world = World::new(settings, count);
    let workers: Vec<_> = (0..count).map(|slot| world.of(slot)).collect();
    for &id in &workers {
        world.ready(id);
    }
    (world, workers)
}

impl World {
    fn ready_all(&mut self, slots: &[u32]) {
        for &slot in slots {
            self.ready(self.of(slot));
        }
        self.check();
    }

    fn state(&self, id: WorkerId) -> ProcessState {
        self.processes[&id].state
    }

    /// Returns whether each slot's newest worker is not this one.
    fn are_new(&self, old: &[WorkerId]) -> Vec<bool> {
        let slots = 0..u32::try_from(old.len()).unwrap();
        slots
            .map(|slot| self.of(slot) != old[slot as usize])
            .collect()
    }

    fn restart(&mut self, slot: u32) -> u64 {
        let ticket = self.fleet.restart(slot, self.now).unwrap();
        self.restarts.insert(ticket, None);
        self.act();
        self.check();
        ticket
    }

    fn assert_passes(&self, answered: &[bool]) {
        let passes: Vec<_> = self.passes.values().copied().collect();
        assert_eq!(passes, answered);
    }

    fn assert_stays(&self, old: &[WorkerId]) {
        assert!(old.iter().all(|&id| self.state(id) == ProcessState::Ready));
    }
}

/// The next batch starts when all new workers of the last one serve, and does not wait until
/// the old ones have drained.
#[test]
fn a_reload_replaces_batches_of_workers() {
    let (mut world, old) = serving(replacing(3, Duration::ZERO, false), 7);
    world.take(&Step::Reload);
    for batch in [&[0, 1, 2][..], &[3, 4, 5], &[6]] {
        let started: Vec<_> = (0..7).filter(|&slot| world.starts[&slot] == 2).collect();
        assert_eq!(started.last(), batch.last());
        world.assert_stays(
            &batch
                .iter()
                .map(|&slot| old[slot as usize])
                .collect::<Vec<_>>(),
        );
        // All old workers of the batch stay until its last new one is ready.
        world.ready_all(&batch[1..]);
        world.assert_stays(
            &batch
                .iter()
                .map(|&slot| old[slot as usize])
                .collect::<Vec<_>>(),
        );
        world.ready_all(&batch[..1]);
        for &slot in batch {
            assert_eq!(world.state(old[slot as usize]), ProcessState::Draining);
        }
    }
    world.assert_passes(&[true]);
}

#[test]
fn old_workers_drain_when_the_new_ones_have_baked() {
    let (mut world, old) = serving(replacing(2, 500 * MILLISECOND, false), 2);
    world.take(&Step::Reload);
    world.ready_all(&[0]);
    world.run_until(world.now + 1000 * MILLISECOND);
    assert!(world.baked.is_empty(), "not all are ready");
    world.ready_all(&[1]);
    assert_eq!(world.baked, [[0, 1]]);
    world.run_until(world.now + 499 * MILLISECOND);
    world.assert_stays(&old);
    world.assert_passes(&[false]);
    world.run_until(world.now + MILLISECOND);
    assert!(
        old.iter()
            .all(|&id| world.state(id) == ProcessState::Draining)
    );
    world.assert_passes(&[true]);
}

#[test]
fn a_new_worker_that_dies_while_it_bakes_brings_the_old_ones_of_its_batch_back() {
    let (mut world, old) = serving(replacing(2, 500 * MILLISECOND, false), 6);
    world.take(&Step::Reload);
    world.ready_all(&[0, 1]);
    world.run_until(world.now + 500 * MILLISECOND);
    world.ready_all(&[2, 3]);
    let sibling = world.of(3);
    world.run_until(world.now + 499 * MILLISECOND);
    world.end(world.of(2));
    world.check();
    assert_eq!(world.state(sibling), ProcessState::Draining);
    world.assert_stays(&old[2..]);
    world.end(sibling);
    assert_eq!(
        world.are_new(&old),
        [true, true, false, false, false, false],
        "earlier batches keep their new workers"
    );
    world.assert_passes(&[true]);
}

/// Only the new worker is silent.
#[test]
fn a_new_worker_that_hangs_while_it_bakes_brings_the_old_ones_back() {
    for can_kill in [true, false] {
        let mut settings = replacing(2, 60_000 * MILLISECOND, false);
        settings.can_kill = can_kill;
        settings.heartbeat = Some(400 * MILLISECOND);
        let (mut world, old) = serving(settings, 2);
        world.take(&Step::Reload);
        world.ready_all(&[0, 1]);
        let (silent, sibling) = (world.of(0), world.of(1));
        for _ in 0..5 {
            world.run_until(world.now + 100 * MILLISECOND);
            for id in [old[0], old[1], sibling] {
                world.fleet.message_received(id, world.now);
            }
        }
        world.check();
        assert_eq!(world.state(sibling), ProcessState::Draining);
        // A thread is asked to drain, and forgotten at the deadline.
        assert_eq!(world.processes[&silent].is_killed, can_kill);
        world.assert_stays(&old);
        world.assert_passes(&[true]);
    }
}

/// A thread that did not start in time stayed the successor for as long as it ran, so the
/// reload did not end.
#[test]
fn a_new_thread_that_is_not_ready_in_time_ends_the_reload() {
    let mut settings = replacing(1, Duration::ZERO, false);
    settings.can_kill = false;
    let (mut world, old) = serving(settings, 1);
    world.take(&Step::Reload);
    world.run_until(world.now + 2000 * MILLISECOND);
    world.assert_stays(&old);
    world.assert_passes(&[true]);
    world.run_until(world.now + 1000 * MILLISECOND + GRACE);
    assert_eq!(world.processes.len(), 1);
}

#[test]
fn a_new_worker_that_drains_by_itself_ends_the_reload() {
    let (mut world, old) = serving(replacing(2, 500 * MILLISECOND, false), 2);
    world.take(&Step::Reload);
    world.ready_all(&[0, 1]);
    world.fleet.on_draining(world.of(0), world.now);
    world.act();
    world.check();
    world.assert_stays(&old);
    world.assert_passes(&[true]);
}

/// The slot leaves the batch, whose other workers still bake.
#[test]
fn a_new_worker_takes_the_place_of_an_old_one_that_dies_at_once() {
    for is_killed in [false, true] {
        let mut settings = replacing(2, 500 * MILLISECOND, false);
        settings.heartbeat = is_killed.then_some(400 * MILLISECOND);
        let (mut world, old) = serving(settings, 2);
        world.take(&Step::Reload);
        world.ready_all(&[0, 1]);
        let new = [world.of(0), world.of(1)];
        if is_killed {
            for _ in 0..4 {
                world.run_until(world.now + 100 * MILLISECOND);
                for id in [old[1], new[0], new[1]] {
                    world.fleet.message_received(id, world.now);
                }
            }
            assert!(world.processes[&old[0]].is_killed);
        } else {
            world.end(old[0]);
        }
        world.check();
        assert_eq!(
            world.fleet.slots()[0].incumbent.as_ref().unwrap().id,
            new[0]
        );
        assert!(world.loans.is_empty() && world.waits.is_empty());
        world.assert_stays(&old[1..]);
        // The failure of the other one does not concern it.
        world.end(new[1]);
        world.check();
        assert_eq!(world.state(new[0]), ProcessState::Ready);
        world.assert_stays(&old[1..]);
    }
}

/// `TERM` to an old worker makes it drain by itself.
#[test]
fn a_new_worker_takes_the_place_of_an_old_one_that_drains() {
    let (mut world, old) = serving(replacing(1, 500 * MILLISECOND, true), 1);
    world.take(&Step::Reload);
    world.ready_all(&[0]);
    let new = world.of(0);
    assert_eq!(world.checks.len(), 1);
    world.processes.get_mut(&old[0]).unwrap().state = ProcessState::Draining;
    world.fleet.on_draining(old[0], world.now);
    world.act();
    world.check();
    assert!(world.checks.is_empty(), "there is no old worker to keep");
    assert_eq!(world.fleet.slots()[0].incumbent.as_ref().unwrap().id, new);
    world.assert_passes(&[true]);
}

#[test]
fn a_batch_waits_for_its_checks_and_bakes_then() {
    let (mut world, old) = serving(replacing(2, 500 * MILLISECOND, true), 2);
    world.take(&Step::Reload);
    world.ready_all(&[0, 1]);
    world.checked(world.of(1), true);
    world.run_until(world.now + 1000 * MILLISECOND);
    world.assert_stays(&old);
    assert!(world.baked.is_empty());
    world.checked(world.of(0), true);
    assert_eq!(world.baked.len(), 1);
    world.run_until(world.now + 500 * MILLISECOND);
    world.assert_passes(&[true]);
    assert_eq!(world.state(old[0]), ProcessState::Draining);
}

#[test]
fn a_failed_check_ends_the_reload() {
    let (mut world, old) = serving(replacing(2, Duration::ZERO, true), 2);
    world.take(&Step::Reload);
    world.ready_all(&[0, 1]);
    let new = [world.of(0), world.of(1)];
    world.checked(new[0], false);
    world.check();
    assert_eq!(world.failed_checks, [(new[0], "no answer".to_owned())]);
    assert!(world.checks.is_empty(), "the other check ends too");
    for id in new {
        assert_eq!(world.state(id), ProcessState::Draining);
    }
    world.assert_stays(&old);
    world.assert_passes(&[true]);
    // The result of the check that was ended may have been on its way.
    world.fleet.on_checked(new[1], Ok(()), world.now);
    world.act();
    world.check();
}

#[test]
fn a_check_has_the_time_to_start() {
    let (mut world, old) = serving(replacing(1, Duration::ZERO, true), 1);
    world.take(&Step::Reload);
    world.ready_all(&[0]);
    let new = world.of(0);
    world.run_until(world.now + 1999 * MILLISECOND);
    assert_eq!(world.failed_checks, []);
    world.run_until(world.now + MILLISECOND);
    assert_eq!(world.failed_checks, [(new, "it took too long".to_owned())]);
    world.assert_stays(&old);
    world.assert_passes(&[true]);
}

#[test]
fn the_longest_times_are_allowed_for_a_batch() {
    let mut settings = replacing(1, Duration::MAX, true);
    settings.startup = Duration::MAX;
    let (mut world, old) = serving(settings, 1);
    world.take(&Step::Reload);
    world.ready_all(&[0]);
    world.checked(world.of(0), true);
    assert_eq!(world.baked, [[0]]);
    assert_eq!(world.fleet.next_deadline(), None);
    world.assert_stays(&old);
}

/// Workers that start after the second request have the new configuration.
#[test]
fn a_second_reload_replaces_only_workers_that_are_older_than_it() {
    let (mut world, _) = serving(replacing(2, 500 * MILLISECOND, false), 4);
    world.take(&Step::Reload);
    world.ready_all(&[0, 1]);
    world.take(&Step::Reload);
    world.run_until(world.now + 500 * MILLISECOND);
    world.ready_all(&[2, 3]);
    world.run_until(world.now + 500 * MILLISECOND);
    world.assert_passes(&[true, false]);
    world.ready_all(&[0, 1]);
    world.run_until(world.now + 500 * MILLISECOND);
    world.assert_passes(&[true, true]);
    let starts: Vec<_> = world.starts.values().copied().collect();
    assert_eq!(starts, [3, 3, 2, 2]);
}

/// The successor may have read the configuration before the reload was requested. It was
/// taken for the new worker of the reload.
#[test]
fn a_reload_replaces_a_worker_that_was_starting_when_it_was_requested() {
    let (mut world, _) = serving(replacing(1, Duration::ZERO, false), 2);
    world.take(&Step::Recycle(1));
    let started_before = world.of(1);
    world.take(&Step::Reload);
    world.ready_all(&[1, 0, 1]);
    world.assert_passes(&[true]);
    assert_eq!(world.state(started_before), ProcessState::Draining);
}

#[test]
fn the_slots_of_a_batch_may_be_retired() {
    for stage in 0..3 {
        let (mut world, old) = serving(replacing(3, 500 * MILLISECOND, true), 3);
        world.take(&Step::Reload);
        if stage > 0 {
            world.ready_all(&[0, 1, 2]);
        }
        if stage > 1 {
            for slot in 0..3 {
                world.checked(world.of(slot), true);
            }
            assert_eq!(world.baked.len(), 1);
        }
        world.take(&Step::Scale(1));
        assert!(world.checks.iter().all(|id| world.processes[id].slot == 0));
        if stage == 0 {
            world.ready_all(&[0, 1, 2]);
            // A slot that is being retired is not checked.
            assert_eq!(world.state(old[2]), ProcessState::Draining);
        }
        for id in world.checks.clone() {
            world.checked(id, true);
        }
        world.run_until(world.now + 500 * MILLISECOND);
        world.check();
        assert_eq!(world.state(old[0]), ProcessState::Draining);
        world.assert_passes(&[true]);
        while let Some((&id, _)) = world
            .processes
            .iter()
            .find(|(_, process)| process.state == ProcessState::Draining)
        {
            world.end(id);
            world.run_until(world.now + 200 * MILLISECOND);
        }
        world.check();
        assert_eq!(world.scaled, [Ok(())]);
        assert_eq!(world.processes.len(), 1);
    }
}

#[test]
fn a_slot_that_is_added_during_a_batch_is_not_replaced() {
    let (mut world, _) = serving(replacing(2, 500 * MILLISECOND, false), 2);
    world.take(&Step::Reload);
    world.ready_all(&[0, 1]);
    world.take(&Step::Scale(3));
    world.ready_all(&[2]);
    assert_eq!(world.scaled, [Ok(())]);
    world.run_until(world.now + 500 * MILLISECOND);
    world.assert_passes(&[true]);
    assert_eq!(world.starts[&2], 1);
}

#[test]
fn a_stop_drains_all_workers_of_a_batch_and_ends_its_checks() {
    for bakes in [false, true] {
        let (mut world, _) = serving(replacing(2, 500 * MILLISECOND, true), 2);
        world.take(&Step::Reload);
        world.ready_all(&[0, 1]);
        if bakes {
            world.checked(world.of(0), true);
            world.checked(world.of(1), true);
        }
        world.take(&Step::Stop);
        assert!(world.checks.is_empty());
        assert_eq!(world.processes.len(), 4);
        let states: Vec<_> = world.processes.values().map(|it| it.state).collect();
        assert!(states.iter().all(|&state| state == ProcessState::Draining));
        world.run_until(world.now + 900 * MILLISECOND);
        world.take(&Step::Stop);
        assert!(world.processes.values().all(|process| process.is_killed));
        while let Some(id) = world.pick(0) {
            world.end(id);
        }
        assert_eq!(world.finished, Some(Ok(())));
    }
}

#[test]
fn a_limit_is_reached_by_a_worker_that_is_being_replaced() {
    let (mut world, old) = serving(replacing(1, 500 * MILLISECOND, false), 1);
    world.take(&Step::Reload);
    world.fleet.on_retire(old[0], world.now);
    world.ready_all(&[0]);
    let new = world.of(0);
    // The old worker is being replaced already; the new one is replaced once more.
    world.fleet.on_retire(old[0], world.now);
    world.fleet.on_retire(new, world.now);
    world.fleet.on_retire(new, world.now);
    world.act();
    world.run_until(world.now + 500 * MILLISECOND);
    world.assert_passes(&[true]);
    assert_eq!(world.starts[&0], 3);
    world.ready_all(&[0]);
    world.run_until(world.now + 500 * MILLISECOND);
    assert_eq!(world.starts[&0], 3);
    assert_eq!(world.replaced, [(0, Ok(()))]);
}

#[test]
fn workers_that_have_reached_a_limit_are_replaced_one_at_a_time() {
    let (mut world, old) = serving(replacing(3, Duration::ZERO, false), 3);
    for &id in &old {
        world.fleet.on_retire(id, world.now);
    }
    world.act();
    assert_eq!(world.are_new(&old), [true, false, false]);
    world.ready_all(&[0]);
    assert_eq!(world.are_new(&old), [true, true, false]);
    // A failure leaves the rest until they reach the limit again.
    world.end(world.of(1));
    assert_eq!(world.are_new(&old), [true, false, false]);
    assert_eq!(world.replaced.len(), 2);
    world.fleet.on_retire(old[2], world.now);
    world.act();
    assert_eq!(world.are_new(&old), [true, false, true]);
}

#[test]
fn a_restart_replaces_one_worker_and_is_answered_when_the_new_one_serves() {
    let (mut world, old) = serving(replacing(3, 500 * MILLISECOND, true), 3);
    let ticket = world.restart(1);
    assert_eq!(world.are_new(&old), [false, true, false]);
    world.ready_all(&[1]);
    world.checked(world.of(1), true);
    assert_eq!(world.restarts[&ticket], None, "it bakes");
    world.run_until(world.now + 500 * MILLISECOND);
    assert_eq!(world.restarts[&ticket], Some(Ok(())));
    assert_eq!(world.replaced, [(1, Ok(()))]);
}

#[test]
fn a_restart_that_fails_says_why_and_the_old_worker_stays() {
    let (mut world, old) = serving(replacing(1, Duration::ZERO, false), 2);
    let ticket = world.restart(1);
    world.end(world.of(1));
    world.check();
    let why = "worker 1 was not replaced: the new worker was ended before it was ready";
    assert_eq!(world.restarts[&ticket], Some(Err(why.to_owned())));
    world.assert_stays(&old);
}

#[test]
fn a_restart_of_an_unknown_slot_is_refused() {
    let mut world = World::serving(2);
    assert_eq!(
        world.fleet.restart(2, world.now),
        Err("there is no worker 2: the last one is 1".to_owned())
    );
    assert!(world.fleet.restart(u32::MAX, world.now).is_err());
    world.take(&Step::Scale(1));
    assert_eq!(
        world.fleet.restart(1, world.now),
        Err("worker 1 is being retired".to_owned())
    );
}

#[test]
fn a_restart_starts_a_slot_in_backoff_at_once() {
    let mut world = World::serving(2);
    for _ in 0..2 {
        world.end(world.of(0));
        world.ready(world.of(0));
    }
    world.end(world.of(0));
    assert!(world.waits.remove(&0).is_some());
    let ticket = world.restart(0);
    assert_eq!(world.state(world.of(0)), ProcessState::Starting);
    world.end(world.of(0));
    let why = "worker 0 was ended before it was ready";
    assert_eq!(world.restarts[&ticket], Some(Err(why.to_owned())));
    assert!(world.waits.remove(&0).is_some());
    let ticket = world.restart(0);
    world.ready(world.of(0));
    assert_eq!(world.restarts[&ticket], Some(Ok(())));
    assert!(world.loans.is_empty());
}

/// A worker that starts may have begun before the reason for the restart was there.
#[test]
fn a_restart_of_a_worker_that_starts_replaces_it_when_it_is_ready() {
    let mut world = World::new(settings(true), 1);
    let first = world.of(0);
    let ticket = world.restart(0);
    world.ready(first);
    assert_eq!(world.restarts[&ticket], None);
    world.ready(world.of(0));
    assert_eq!(world.restarts[&ticket], Some(Ok(())));
    assert_eq!(world.state(first), ProcessState::Draining);
}

#[test]
fn a_restart_goes_before_the_next_batch_and_its_failure_does_not_end_the_reload() {
    let (mut world, old) = serving(replacing(2, Duration::ZERO, false), 4);
    world.take(&Step::Reload);
    let ticket = world.restart(3);
    world.ready_all(&[0, 1]);
    assert_eq!(world.are_new(&old), [true, true, false, true]);
    world.end(world.of(3));
    world.check();
    assert!(matches!(world.restarts[&ticket], Some(Err(_))));
    world.ready_all(&[2, 3]);
    world.assert_passes(&[true]);
    assert_eq!(world.are_new(&old), [true; 4]);
}

#[test]
fn a_failed_reload_does_not_end_a_restart() {
    let (mut world, _) = serving(replacing(2, Duration::ZERO, false), 4);
    world.take(&Step::Reload);
    let ticket = world.restart(3);
    world.end(world.of(0));
    world.assert_passes(&[true]);
    world.ready_all(&[3]);
    assert_eq!(world.restarts[&ticket], Some(Ok(())));
}

/// The thread may run again at any time, but until then no other can take its place.
#[test]
fn a_restart_of_a_stuck_thread_fails() {
    let (mut world, _) = {
        let mut settings = settings(false);
        settings.replacement.parallel = 1;
        serving(settings, 2)
    };
    let other = world.restart(1);
    let ticket = world.restart(0);
    world.run_until(world.now + 400 * MILLISECOND);
    assert!(matches!(world.restarts[&ticket], Some(Err(_))));
    assert!(matches!(world.restarts[&other], Some(Err(_))));
    let refused = world.fleet.restart(0, world.now).unwrap_err();
    assert_eq!(refused, "worker 0 is stuck, and a thread cannot be killed");
}
