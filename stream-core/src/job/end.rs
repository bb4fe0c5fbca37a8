//! The end of a job, once all its workers have gone: every sink is committed, or every one aborted.
//!
//! Sinks are committed one by one in the order of their ports, those of dead letters last. When a
//! commit fails, what was committed before stays so, and the error says it; what was not is
//! aborted. The sink whose commit failed is left to itself: it alone knows how far it came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keeper::{Keeper, Keeping, StateReport};
use super::report::Outcome;
use super::warnings;
use super::worker::Team;
use crate::engine::bad_records::dead_letters_of;
use crate::engine::bindings::BoundSink;
use crate::engine::guard;
use crate::error::{Error, Problem};
use crate::io::{BadRecord, BadRecords, Sink};
use crate::observe::grouped;
use crate::state::Snapshot;
use crate::state::checkpoint::Left;
use crate::time::epoch::{FOREVER, next_checkpoint};

/// How a job has ended.
pub(super) struct Concluded {
    pub(super) outcome: Outcome,
    pub(super) snapshot: Snapshot,
    pub(super) state: Option<StateReport>,
}

/// Commits every sink, if all went well, or else aborts every one. Gives the state at the end, too.
pub(super) fn conclude(team: &Team, keeper: Option<Keeper>) -> Result<Concluded, Error> {
    let keeps_state = keeper.is_some();
    let keeping = keeper.map(|keeper| keeper.finish(team)).transpose();
    let concluded = keeping.and_then(|mut keeping| {
        let (outcome, snapshot) = conclude_with(team, keeping.as_mut())?;
        Ok(Concluded {
            outcome,
            snapshot,
            state: keeping.as_ref().map(Keeping::report),
        })
    });
    match concluded {
        // What was prepared may belong to a checkpoint: the next run knows.
        _ if keeps_state => {}
        Err(_)
        | Ok(Concluded {
            outcome: Outcome::OutputClosed,
            ..
        }) => abort(team),
        Ok(_) => {}
    }
    concluded
}

fn conclude_with(
    team: &Team,
    mut keeping: Option<&mut Keeping>,
) -> Result<(Outcome, Snapshot), Error> {
    if let Some(error) = team.shared.abort.take() {
        return Err(match &keeping {
            Some(keeping) => keeping.explain(error),
            None => error,
        });
    }
    if let Some(error) = nothing_read(team) {
        return Err(error);
    }
    if team.shared.abort.is_output_closed() {
        return Ok((Outcome::OutputClosed, Snapshot::default()));
    }
    // A stop that came when all had been read has stopped nothing.
    let outcome = match team.shared.abort.has_unread() {
        true => Outcome::Stopped,
        false => Outcome::Finished,
    };
    while let Some(mut left) = team.shared.checkpoints.take_first() {
        let is_last = left.snapshot.is_last;
        if left.snapshot.epoch == FOREVER {
            left.snapshot.epoch = next_checkpoint(team.shared.epochs.current());
        }
        let is_finished = is_last && outcome == Outcome::Finished;
        let snapshot = match &mut keeping {
            Some(keeping) => keeping.complete(left, is_finished)?,
            None => complete(team, left)?,
        };
        if is_last {
            return Ok((outcome, snapshot));
        }
    }
    Err(Error::Engine(Problem::new(
        "the job has ended, and nobody was told",
    )))
}

/// Commits what was left at the end of a job that keeps no state.
fn complete(team: &Team, mut left: Left) -> Result<Snapshot, Error> {
    left.finish()?;
    team.shared.checkpoints.carry_over(&mut left.snapshot);
    left.snapshot.fingerprints = team.plan.spec.fingerprints();
    commit(team, &left.snapshot)?;
    Ok(left.snapshot)
}

/// Commits all sinks for a checkpoint. When one fails, those before it are committed, and the error
/// tells which they are.
pub(super) fn commit(team: &Team, snapshot: &Snapshot) -> Result<(), Error> {
    let sinks = all_sinks(team);
    for (index, sink) in sinks.iter().enumerate() {
        let done = sink.commit(snapshot, &sinks[..index]);
        if done.is_err() || snapshot.is_last {
            lock(&team.settled).insert(sink.port.clone());
        }
        done?;
    }
    Ok(())
}

/// Aborts all sinks that were neither committed for the last time nor left to themselves.
fn abort(team: &Team) {
    let settled = lock(&team.settled);
    let sinks = all_sinks(team);
    let open = sinks.iter().filter(|sink| !settled.contains(&sink.port));
    open.for_each(Ending::abort);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says which input was read to its end without one good record, if one was: whatever is made of it
/// would look like an answer. What a snapshot says was read before is not known to be bad.
fn nothing_read(team: &Team) -> Option<Error> {
    let (spec, counters, abort) = (&team.plan.spec, &team.shared.counters, &team.shared.abort);
    if abort.has_unread() || abort.is_output_closed() {
        return None;
    }
    let goes_on = |port: &str| team.shared.checkpoints.has_read(port);
    for (index, node) in spec.nodes.iter().enumerate() {
        let ports = warnings::inputs_of(spec, index);
        let (all, good) = match (node.kind.as_str(), node.port()) {
            ("input", Some(port)) => (counters.of(port, "unread"), counters.of(port, "in")),
            ("event_time", _) => {
                let good = counters.of(&node.id, "timed") + counters.of(&node.id, "late");
                (counters.of(&node.id, "seen"), good)
            }
            _ => continue,
        };
        if all == 0 || good > 0 || ports.iter().any(|port| goes_on(port)) {
            continue;
        }
        let examples = ports
            .iter()
            .flat_map(|port| counters.examples_of(port, "bad"));
        let first = examples.take(1).map(|example| format!(", as in {example}"));
        let (told, what) = (grouped(all), first.collect::<String>());
        return Some(Error::Source {
            port: ports.join("`, `"),
            problem: Problem::new("not one record of it could be read")
                .detail(format!("{told} of {told} are bad{what}"))
                .hint(
                    "look whether the source is told the right format, delimiter, fields and unit \
                     of time; nothing is written",
                ),
        });
    }
    None
}

/// A sink that is to be committed or aborted.
struct Ending<'a> {
    /// What errors call its port.
    port: String,
    /// The stage that a panic is laid to.
    stage: &'a str,
    sink: Bound<'a>,
}

enum Bound<'a> {
    Output(&'a BoundSink),
    DeadLetters(&'a Arc<dyn Sink<BadRecord>>),
}

/// None of a job with a tap: its sinks were never opened.
fn all_sinks(team: &Team) -> Vec<Ending<'_>> {
    if team.shared.tap.is_some() {
        return Vec::new();
    }
    let spec = &team.plan.spec;
    let stage = |kind, port| {
        let mut nodes = spec.nodes.iter();
        let found = nodes.find(|node| node.kind == kind && node.port() == Some(port));
        found.map_or(port, |node| &node.id)
    };
    let outputs = team.shared.bindings.sinks().map(|(port, sink)| Ending {
        port: port.to_owned(),
        stage: stage("output", port),
        sink: Bound::Output(sink),
    });
    let inputs = team.shared.bindings.sources();
    let dead_letters = inputs.filter_map(|(port, source)| match &source.bad_records {
        BadRecords::DeadLetter(sink) => Some(Ending {
            port: dead_letters_of(port),
            stage: stage("input", port),
            sink: Bound::DeadLetters(sink),
        }),
        BadRecords::Fail | BadRecords::Skip => None,
    });
    outputs.chain(dead_letters).collect()
}

impl Ending<'_> {
    /// Commits the sink. A reader that has closed the output by now wants no more of it; that keeps
    /// nothing from the others, which are whole.
    fn commit(&self, snapshot: &Snapshot, committed: &[Ending<'_>]) -> Result<(), Error> {
        let last = snapshot.commit(&self.port);
        let commit = || match self.sink {
            Bound::Output(sink) => sink.commit(&last),
            Bound::DeadLetters(sink) => sink.commit(&last),
        };
        match guard::catch_in(self.stage, commit) {
            Err(panic) => Err(panic),
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) if problem.is_closed() => Ok(()),
            Ok(Err(problem)) => Err(Error::Sink {
                port: self.port.clone(),
                problem: tell_committed(problem, committed),
            }),
        }
    }

    /// Aborts the sink. A panic in it must not keep the others from being aborted.
    fn abort(&self) {
        let _ = guard::catch_in(self.stage, || match self.sink {
            Bound::Output(sink) => sink.abort(),
            Bound::DeadLetters(sink) => sink.abort(),
        });
    }
}

/// Adds to the detail which sinks are committed although the job fails.
fn tell_committed(problem: Problem, committed: &[Ending<'_>]) -> Problem {
    let names: Vec<_> = committed
        .iter()
        .map(|sink| format!("`{}`", sink.port))
        .collect();
    let told = match &names[..] {
        [] => return problem,
        [name] => format!("sink {name} is committed already, and stays so"),
        names => format!(
            "sinks {} are committed already, and stay so",
            names.join(", ")
        ),
    };
    match problem.detail_text() {
        Some(detail) => problem.detail(format!("{detail}; {told}")),
        None => problem.detail(told),
    }
}
