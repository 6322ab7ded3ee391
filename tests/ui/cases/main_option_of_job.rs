#[coreloop::main(idempotent)]
async fn main() {}
