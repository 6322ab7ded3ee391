//! Children stay on their thread, and so do their handles.

use coreloop::scope::scope;

#[coreloop::main]
async fn main() {
    scope(async |scope| {
        let handle = scope.spawn(async {});
        std::thread::spawn(move || drop(handle));
    })
    .await;
}
