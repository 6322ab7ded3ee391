use coreloop::ipc::SharedArray;

fn main() {
    coreloop::block_on(async {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        let mut guard = array.lock().await.unwrap();
        let value = &mut guard[0];
        drop(guard);
        *value = 1;
    });
}
