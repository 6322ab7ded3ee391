#[coreloop::main]
async extern "C" fn main() {}
