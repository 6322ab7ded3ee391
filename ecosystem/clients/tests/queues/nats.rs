//! Queues on NATS. If `nats-server` is not installed, the tests say so and do nothing.

use std::process::Command;

use coreloop::jobs::Queue;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};

use crate::suite::{Place, in_place};

struct There {
    _server: Server,
    port: u16,
}

impl There {
    fn start() -> Option<Self> {
        let program = find("nats-server", &["/usr/sbin".into()])?;
        let (folder, port) = (Folder::new(), free_port());
        let mut command = Command::new(program);
        command
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .args(["--jetstream", "--store_dir"])
            .arg(folder.path("store"));
        Some(Self {
            _server: Server::start(command, folder, "Server is ready"),
            port,
        })
    }
}

impl Place for There {
    async fn queue(&self, name: &str) -> Queue {
        let queue = Queue::nats(format!("nats://127.0.0.1:{}", self.port));
        queue.name(name).connect().await.unwrap()
    }
}

// All of the suite but `jobs_of_a_worker_that_is_dropped_run_elsewhere`: the consumer of a function
// has one time for all deliveries, and a worker with a longer lease makes those of the others
// longer too.
in_place! {
    There::start();
    a_job_runs_and_its_result_has_its_type
    each_of_many_jobs_runs_once_on_several_workers
    a_producer_that_repeats_its_push_stores_one_job
    a_delayed_job_does_not_run_early
    a_result_can_be_waited_for_before_and_after_the_job_has_run
    a_wait_for_a_result_ends_with_its_time
    a_queue_does_not_run_the_jobs_of_another
    a_job_that_takes_longer_than_its_lease_runs_once
    a_failed_attempt_is_repeated_until_it_succeeds
    a_poison_job_is_dead_after_its_attempts_and_harms_no_other
    a_job_that_panics_or_returns_an_err_is_dead_with_a_text
    an_err_may_be_a_result
    a_job_that_does_not_decode_is_dead_at_once
    a_job_that_takes_too_long_has_failed
    a_dead_letter_can_be_put_back
    a_worker_that_stops_finishes_what_runs_and_returns_the_rest
    a_worker_whose_pool_is_closed_returns_its_jobs
    a_job_that_waits_for_long_behind_another_runs_elsewhere
    a_worker_leases_only_versions_that_it_has
    a_result_decodes_with_an_added_field
}
