#[coreloop::main]
struct Server;

fn main() {}
