//! No end of a channel, and no queue, can be sent to another thread. The test passes if this
//! file compiles.

use coreloop::sync::{LifoQueue, PriorityQueue, Queue, broadcast, mpsc, oneshot, watch};

/// Has one impl for a type that is not `Send`, and two for a type that is, so that a call is
/// then ambiguous.
trait AmbiguousIfSend<Which> {
    fn stays() -> bool {
        true
    }
}

impl<T: ?Sized> AmbiguousIfSend<()> for T {}

struct IsSend;

impl<T: ?Sized + Send> AmbiguousIfSend<IsSend> for T {}

#[test]
fn no_end_of_a_channel_is_send() {
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
