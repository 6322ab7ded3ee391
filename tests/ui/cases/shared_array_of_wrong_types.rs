use coreloop::ipc::SharedArray;

fn main() {
    // Another process could write a byte that is no `bool`.
    let _ = SharedArray::<bool>::with_len(1);
}
