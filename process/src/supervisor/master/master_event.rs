//! [`MasterEvent`], and the tasks that send them to the master: one for each worker, which
//! reports first the worker's messages and then its end.

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::task::Poll;

use coreloop_runtime::task::spawn_blocking;
use coreloop_sync::mpsc::UnboundedSender;

use super::Reply;
use super::launcher::Thread;
use super::reaper::Reaper;
use crate::channel::{AsyncChannel, ToMaster};
use crate::supervisor::fleet::WorkerId;
use crate::supervisor::upgrade::Successor;

/// An event that the master has to handle.
#[derive(Debug)]
pub(super) enum MasterEvent {
    /// A message of a worker has come.
    Received(WorkerId, ToMaster),
    /// A worker has ended. The text says how, for example "was killed by signal 9".
    Ended(WorkerId, String),
    /// An upgrade has succeeded or failed.
    Upgraded(Result<Successor, String>),
    /// The old master has handed everything over or has died, or had given this one up before.
    Acknowledged(Result<(), String>),
    /// The log files were opened again, or could not be. The reply answers the request.
    Reopened(Result<(), String>, Reply),
    /// The check of a new worker has ended.
    Checked(WorkerId, Result<(), String>),
}

pub(super) type EventSender = UnboundedSender<MasterEvent>;

pub(super) async fn watch_process(
    id: WorkerId,
    mut reaper: Reaper,
    mut channel: AsyncChannel,
    events: EventSender,
) {
    let said = |message| drop(events.send(MasterEvent::Received(id, message)));
    let status = loop {
        coreloop_runtime::select! {
            status = reaper.wait() => break status,
            message = channel.receive() => match message {
                Ok(Some((message, _))) => said(message),
                // The worker has closed the channel, or sent something invalid: only its end
                // is left to wait for.
                Ok(None) | Err(_) => break reaper.wait().await,
            },
        }
    };
    for message in remaining_messages(&mut channel).await {
        said(message);
    }
    let how = match status {
        Ok(status) => describe(status),
        Err(error) => format!("is lost: {error}"),
    };
    drop(events.send(MasterEvent::Ended(id, how)));
}

pub(super) async fn watch_thread(
    id: WorkerId,
    thread: Thread,
    mut channel: AsyncChannel,
    events: EventSender,
) {
    while let Ok(Some((message, _))) = channel.receive().await {
        drop(events.send(MasterEvent::Received(id, message)));
    }
    // The thread has closed the channel, but may take time to drop what it owns.
    let how = match spawn_blocking(move || thread.join()).await {
        Ok(Ok(Ok(()))) => "ended".to_owned(),
        Ok(Ok(Err(error))) => format!("failed: {error}"),
        Ok(Err(_)) => "panicked".to_owned(),
        Err(error) => format!("is lost: {error}"),
    };
    drop(events.send(MasterEvent::Ended(id, how)));
}

/// Receives the messages that a worker had sent when it ended. No more can come.
async fn remaining_messages(channel: &mut AsyncChannel) -> Vec<ToMaster> {
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

/// Returns whether a send failed because the socket is full, and not because the worker has
/// ended.
pub(super) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
