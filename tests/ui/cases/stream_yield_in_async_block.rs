fn main() {
    let _ = coreloop::stream! {
        coreloop::join!(async move { yield 1; });
    };
}
