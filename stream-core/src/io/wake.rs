//! A bounded queue into a worker: what is put in wakes the worker, and so does the end.

use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use super::source::Waker;

/// Makes a queue of at most `capacity` items, or of one where that is 0: a queue without room
/// would hold the item back until the worker, not yet woken, asks for it.
pub(super) fn queue<M>(capacity: usize) -> (WakingSender<M>, Inbox<M>) {
    let (sender, receiver) = sync_channel(capacity.max(1));
    let waker = Arc::new(OnceLock::new());
    (
        WakingSender {
            sender: Some(sender),
            waker: waker.clone(),
        },
        Inbox { receiver, waker },
    )
}

/// The worker's end. It is woken from when it has named its waker.
pub(super) struct Inbox<M> {
    pub(super) receiver: Receiver<M>,
    waker: Arc<OnceLock<Waker>>,
}

impl<M> Inbox<M> {
    /// Names whom to wake; once.
    pub(super) fn wake_by(&self, waker: Waker) {
        assert!(self.waker.set(waker).is_ok(), "an inbox has one reader");
    }
}

/// The other end; clones feed the same queue.
#[derive(Debug)]
pub(super) struct WakingSender<M> {
    /// Taken only by `drop`, so that the worker is woken *after* the queue has lost a sender.
    sender: Option<SyncSender<M>>,
    waker: Arc<OnceLock<Waker>>,
}

impl<M> WakingSender<M> {
    /// Waits for room, puts an item in and wakes the worker.
    pub(super) fn send(&self, item: M) -> Result<(), SendError<M>> {
        match &self.sender {
            Some(sender) => sender.send(item)?,
            None => return Err(SendError(item)),
        }
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }
}

impl<M> Clone for WakingSender<M> {
    fn clone(&self) -> Self {
        WakingSender {
            sender: self.sender.clone(),
            waker: self.waker.clone(),
        }
    }
}

impl<M> Drop for WakingSender<M> {
    fn drop(&mut self) {
        self.sender = None;
        self.wake();
    }
}
