#[coreloop::job(name = send)]
fn send() {}

#[coreloop::job(name = "")]
fn nameless() {}

#[coreloop::job(name)]
fn unnamed() {}

#[coreloop::job(idempotent = true)]
fn again() {}

#[coreloop::job(crate = "?")]
fn elsewhere() {}

#[coreloop::job(initializer = "open")]
fn open() {}

fn main() {}
