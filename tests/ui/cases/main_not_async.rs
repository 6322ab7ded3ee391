#[coreloop::main]
fn main() {}
