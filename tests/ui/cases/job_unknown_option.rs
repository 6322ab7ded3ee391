#[coreloop::job(retries = 3)]
fn send() {}

#[coreloop::job(start_paused = true)]
fn wait() {}

fn main() {}
