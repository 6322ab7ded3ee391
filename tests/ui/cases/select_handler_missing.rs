#[coreloop::main]
async fn main() {
    coreloop::select! {
        () = std::future::ready(()),
        () = std::future::pending() => {}
    }
}
