//! The tasks beside the master's own, one for each worker: what it says and how it
//! ends, in that order, as [`Happening`]s.

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::task::Poll;

use coreloop_runtime::task::spawn_blocking;
use coreloop_sync::mpsc::UnboundedSender;

use super::reap::Reaper;
use super::spawn::Thread;
use crate::channel::{AsyncChannel, ToMaster};
use crate::supervisor::fleet::WorkerId;

/// What the master hears of.
#[derive(Debug)]
pub(super) enum Happening {
    Said(WorkerId, ToMaster),
    /// It is over, as the text says: "was killed by signal 9".
    Ended(WorkerId, String),
    /// A new master was started, and is ready or not.
    Upgraded(Result<u32, String>),
}

pub(super) type Happenings = UnboundedSender<Happening>;

pub(super) async fn process(
    id: WorkerId,
    mut reaper: Reaper,
    mut channel: AsyncChannel,
    happenings: Happenings,
) {
    let said = |message| drop(happenings.send(Happening::Said(id, message)));
    let status = loop {
        coreloop_runtime::select! {
            status = reaper.wait() => break status,
            message = channel.receive() => match message {
                Ok(Some((message, _))) => said(message),
                // It closed its end, or nothing of sense comes: only its own end is
                // of interest any more.
                Ok(None) | Err(_) => break reaper.wait().await,
            },
        }
    };
    for message in last_words(&mut channel).await {
        said(message);
    }
    let how = match status {
        Ok(status) => describe(status),
        Err(error) => format!("is lost: {error}"),
    };
    drop(happenings.send(Happening::Ended(id, how)));
}

pub(super) async fn thread(
    id: WorkerId,
    thread: Thread,
    mut channel: AsyncChannel,
    happenings: Happenings,
) {
    while let Ok(Some((message, _))) = channel.receive().await {
        drop(happenings.send(Happening::Said(id, message)));
    }
    // It has let go of the channel, but what it owns may take time to be dropped.
    let how = match spawn_blocking(move || thread.join()).await {
        Ok(Ok(Ok(()))) => "ended".to_owned(),
        Ok(Ok(Err(error))) => format!("failed: {error}"),
        Ok(Err(_)) => "panicked".to_owned(),
        Err(error) => format!("is lost: {error}"),
    };
    drop(happenings.send(Happening::Ended(id, how)));
}

/// What a worker had said when it ended. Nothing more can come.
async fn last_words(channel: &mut AsyncChannel) -> Vec<ToMaster> {
    poll_fn(|cx| {
        let mut words = Vec::new();
        while let Poll::Ready(Ok(Some((message, _)))) = channel.poll_receive(cx) {
            words.push(message);
        }
        Poll::Ready(words)
    })
    .await
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended".to_owned(),
        (Some(101), _) => "panicked".to_owned(),
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("ended: {status}"),
    }
}

/// Whether a send failed because the other end does not read, and not because it ends.
pub(super) fn is_stuck(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
