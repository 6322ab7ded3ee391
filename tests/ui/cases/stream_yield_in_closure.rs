fn main() {
    let _ = coreloop::stream! {
        yield 0;
        (1..3).for_each(|number| yield number);
    };
}
