//! No end of a channel, and no queue, goes to another thread. That this
//! compiles is the test.

use coreloop::sync::{LifoQueue, PriorityQueue, Queue, broadcast, mpsc, oneshot, watch};

/// Has one impl for a type that is not `Send`, and two for one that is: which
/// of them is meant then cannot be told.
trait AmbiguousIfSend<Which> {
    fn stays() -> bool {
        true
    }
}

impl<T: ?Sized> AmbiguousIfSend<()> for T {}

struct IsSend;

impl<T: ?Sized + Send> AmbiguousIfSend<IsSend> for T {}

#[test]
fn all_stay_on_their_thread() {
    let stay = [
        <mpsc::Sender<u8>>::stays(),
        <mpsc::WeakSender<u8>>::stays(),
        <mpsc::Permit<'_, u8>>::stays(),
        <mpsc::PermitIterator<'_, u8>>::stays(),
        <mpsc::OwnedPermit<u8>>::stays(),
        <mpsc::Receiver<u8>>::stays(),
        <mpsc::UnboundedSender<u8>>::stays(),
        <mpsc::WeakUnboundedSender<u8>>::stays(),
        <mpsc::UnboundedReceiver<u8>>::stays(),
        <oneshot::Sender<u8>>::stays(),
        <oneshot::Receiver<u8>>::stays(),
        <broadcast::Sender<u8>>::stays(),
        <broadcast::WeakSender<u8>>::stays(),
        <broadcast::Receiver<u8>>::stays(),
        <watch::Sender<u8>>::stays(),
        <watch::Receiver<u8>>::stays(),
        <watch::Ref<'_, u8>>::stays(),
        <Queue<u8>>::stays(),
        <LifoQueue<u8>>::stays(),
        <PriorityQueue<u8>>::stays(),
    ];
    assert!(stay.iter().all(|it| *it));
}
