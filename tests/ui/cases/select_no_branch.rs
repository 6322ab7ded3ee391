#[coreloop::main]
async fn main() {
    coreloop::select! {}
}
