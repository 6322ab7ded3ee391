#[coreloop::main]
async fn main() {
    coreloop::for_await!(item in items);
}
