#[coreloop::test(start_paused = "yes")]
async fn adds() {}

fn main() {}
