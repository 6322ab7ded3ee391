use coreloop::ipc::SharedSlice;

// There are three bytes of padding after the first field.
#[derive(Clone, Copy)]
#[repr(C)]
struct Padded {
    kind: u8,
    length: u32,
}

fn main() {
    // Another process could write a byte that is no `bool`.
    let _ = SharedSlice::from_slice(&[true]);
    // The address means nothing in another process.
    let _ = SharedSlice::from_slice(&["text"]);
    let _ = SharedSlice::from_slice(&[Padded { kind: 1, length: 2 }]);
    // Another process would see the lock, but not wait for it.
    let _ = SharedSlice::from_slice(&[std::sync::Mutex::new(0)]);
}
