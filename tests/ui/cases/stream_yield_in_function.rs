fn main() {
    let _ = coreloop::stream! {
        yield 0;
        fn inner() { yield 1 }
        inner();
    };
}
