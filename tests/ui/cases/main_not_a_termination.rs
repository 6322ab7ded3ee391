#[coreloop::main]
async fn main() -> u64 {
    42
}
