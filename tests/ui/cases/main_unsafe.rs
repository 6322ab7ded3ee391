#[coreloop::main]
async unsafe fn main() {}
