fn main() {
    let _ = coreloop::stream! {
        yield 1 + ;
        yield 2;
    };
}
