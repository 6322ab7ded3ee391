use coreloop::task::JoinHandle;

fn assert_send<T: Send>() {}

fn main() {
    assert_send::<JoinHandle<u8>>();
}
