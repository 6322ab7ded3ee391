#[coreloop::main]
async fn main() {
    let future = coreloop::pin!(async {});
    future.await;
}
