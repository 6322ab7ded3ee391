#[coreloop::main(start_pause = true)]
async fn main() {}
