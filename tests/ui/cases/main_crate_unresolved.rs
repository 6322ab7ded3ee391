#[coreloop::main(crate = "nowhere")]
async fn main() {}
