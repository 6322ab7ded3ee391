use coreloop::ipc::{SharedSlice, SharedSliceBuilder};

fn main() {
    let slice = SharedSlice::from_slice(&[1]).unwrap();
    slice[0] = 2;

    let mut builder = SharedSliceBuilder::with_len(1).unwrap();
    let written: &mut [u64] = &mut builder;
    let sealed = builder.seal();
    written[0] = 2;
    drop(sealed);
}
