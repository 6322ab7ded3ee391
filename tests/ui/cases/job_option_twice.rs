#[coreloop::job(idempotent, name = "send", idempotent)]
fn send() {}

fn main() {}
