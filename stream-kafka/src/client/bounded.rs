//! Calls of the client library that may take longer than anybody waits.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long one request may take.
pub(super) const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// How long the end of a job waits for a client to leave; it hangs where brokers are gone.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// Drops a client.
pub(super) fn leave(client: impl Send + 'static) {
    let _in_time = within(LEAVE_WAIT, "kafka-leave", move || drop(client));
}

/// Does work on a thread of its own, which is left to itself when it takes too long.
pub(super) fn within<R: Send + 'static>(
    wait: Duration,
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Option<R> {
    let (done, result) = mpsc::channel();
    let working = thread::Builder::new().name(name.to_owned()).spawn(move || {
        done.send(work()).unwrap_or_default(); // else nobody waits any more
    });
    working.ok()?;
    result.recv_timeout(wait).ok()
}
