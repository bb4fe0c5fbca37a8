//! The threads that look for partitions that appear while a job runs: one for each source that has such.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::worker::Team;
use crate::engine::guard;
use crate::error::{Error, Problem};

/// How long is waited at least between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The threads of a job. They end when it is dropped, which waits for them.
#[derive(Default)]
pub(super) struct Looking(Vec<(Sender<()>, JoinHandle<()>)>);

impl Looking {
    pub(super) fn start(team: &Team) -> Self {
        let mut looking = Looking::default();
        for (port, source) in team.shared.bindings.sources() {
            if source.discovered().is_none() {
                continue;
            }
            let (running, is_over) = channel();
            let (team, name) = (team.clone(), port.to_owned());
            let failed = |error| Error::Source {
                port: port.to_owned(),
                problem: Problem::new("what looks for partitions cannot start").because(error),
            };
            let abort = team.shared.abort.clone();
            let look = move || {
                let looked = guard::catch(|| look(&team, &name, &is_over));
                if let Err(error) = looked.and_then(|looked| looked) {
                    team.shared.abort.fail(error);
                }
            };
            match thread::Builder::new()
                .name("discovery".to_owned())
                .spawn(look)
            {
                Ok(thread) => looking.0.push((running, thread)),
                Err(error) => abort.fail(failed(error)),
            }
        }
        looking
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        for (running, thread) in self.0.drain(..) {
            drop(running);
            let _ = thread.join(); // what went wrong has failed the job
        }
    }
}

/// Looks now and then, until the job is over.
fn look(team: &Team, port: &str, is_over: &Receiver<()>) -> Result<(), Error> {
    let shared = &team.shared;
    let Some((discovery, discovered)) = shared.bindings.source(port).discovered() else {
        return Ok(());
    };
    let interval = discovery.interval().max(INTERVAL_MIN);
    while is_over.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let found = discovery.look();
        if shared.epochs.stop().is_some() || shared.abort.is_draining() {
            break; // nothing begins any more
        }
        let found = found.map_err(|problem| Error::Source {
            port: port.to_owned(),
            problem,
        })?;
        if discovered.add(found, &shared.epochs) {
            shared.abort.wake();
        }
    }
    Ok(())
}
