//! Whether a snapshot and the job that is to start from it go together.
//!
//! State is found by names: that of a stage by the stage's id, that of a lane by the names on its
//! way from its source. What lies in a snapshot and is found by nobody would be lost without a
//! word, so the job refuses to start. So it does where the state of a stage is not what the stage
//! would take it for: of windows of another size, or of another type.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec;
use crate::engine::bindings::Bindings;
use crate::engine::lane::{LaneName, UnionPort};
use crate::error::Problem;
use crate::graph::{GraphSpec, NodeSpec};
use crate::state::Snapshot;
use crate::state::checkpoint::{Bytes, Part, ReadStored};
use crate::time::EventTime;

/// The highest event time of each lane: what `event_time` keeps.
type Highs = BTreeMap<LaneName, EventTime>;

/// Makes a snapshot one of this job: what was renamed gets its new name.
///
/// # Errors
/// When something of it would be found by nobody, or taken for what it is not.
pub(super) fn prepare(
    snapshot: &mut Snapshot,
    spec: &GraphSpec,
    bindings: &Bindings,
    stored: Option<&ReadStored>,
) -> Result<(), Problem> {
    rename_stages(snapshot, spec);
    check_partitions(snapshot, bindings)?;
    let is_stored = stored.is_some();
    check_stages(snapshot, spec, is_stored)?;
    check_fingerprints(snapshot, spec, is_stored)?;
    for (index, node) in spec.nodes.iter().enumerate() {
        if node.kind == "event_time" {
            rename_lanes(snapshot, spec, index, bindings, stored)?;
        }
    }
    Ok(())
}

fn misfit(detail: String) -> Problem {
    Problem::new("the state does not fit the job")
        .detail(detail)
        .hint("start from the state of the same pipeline and input, or afresh")
}

/// Gives the state of stages that were renamed to their new names.
fn rename_stages(snapshot: &mut Snapshot, spec: &GraphSpec) {
    for node in &spec.nodes {
        let Some(was) = &node.was else { continue };
        let has = |id: &String| snapshot.parts.keys().any(|(operator, _)| operator == id);
        if has(&node.id) || !has(was) {
            continue;
        }
        let parts = std::mem::take(&mut snapshot.parts);
        let rename = |operator| match operator == *was {
            true => node.id.clone(),
            false => operator,
        };
        snapshot.parts = parts
            .into_iter()
            .map(|((operator, part), bytes)| ((rename(operator), part), bytes))
            .collect();
        if let Some(fingerprint) = snapshot.fingerprints.remove(was) {
            snapshot.fingerprints.insert(node.id.clone(), fingerprint);
        }
    }
}

/// A partition that was not read to its end must still be there.
fn check_partitions(snapshot: &Snapshot, bindings: &Bindings) -> Result<(), Problem> {
    for ((port, name), end) in &snapshot.partitions {
        let source = bindings.sources().find(|(other, _)| other == port);
        let is_there = source.is_some_and(|(_, source)| source.partitions().contains(name));
        if !is_there && !end.ended {
            let detail = format!("source `{port}` has no partition `{name}` any more");
            return Err(misfit(detail));
        }
    }
    Ok(())
}

/// A job that has ended begins with nothing: what is new would be counted as if nothing had come
/// before.
pub(super) fn check_nothing_new(
    checkpoint: u64,
    snapshot: &Snapshot,
    bindings: &Bindings,
) -> Result<(), Problem> {
    for (port, source) in bindings.sources() {
        let is_read = |name: &&String| {
            let key = (port.to_owned(), (*name).clone());
            snapshot.partitions.contains_key(&key)
        };
        if let Some(name) = source.partitions().iter().find(|name| !is_read(name)) {
            return Err(Problem::new("the job has ended, and has more to read")
                .detail(format!(
                    "`{name}` of source `{port}` was not there at its end, checkpoint {checkpoint}"
                ))
                .hint("run it with a state of its own, or begin afresh with all of the input"));
        }
    }
    Ok(())
}

/// Whatever has state must be there still.
fn check_stages(snapshot: &Snapshot, spec: &GraphSpec, is_stored: bool) -> Result<(), Problem> {
    let is_known = |id: &str| spec.nodes.iter().any(|node| node.id == id);
    let kept = snapshot.parts.keys().map(|(id, _)| id.as_str());
    let gone: BTreeSet<&str> = kept.filter(|id| !is_known(id)).collect();
    let Some(first) = gone.first() else {
        return Ok(());
    };
    let told: Vec<_> = gone.iter().map(|id| format!("`{id}`")).collect();
    let problem = misfit(match told.len() {
        1 => format!("it has state of a stage {}, which is gone", told[0]),
        _ => format!(
            "it has state of the stages {}, which are gone",
            told.join(", ")
        ),
    });
    if !is_stored {
        return Err(problem);
    }
    let ids: Vec<_> = gone.iter().copied().collect();
    Err(problem.hint(format!(
        "a stage with a new name says what it was, {}; `state drop {}` forgets what is kept",
        was_of(first),
        ids.join(" ")
    )))
}

/// How a stage says that it had an id before.
pub(crate) fn was_of(id: &str) -> String {
    let parts: Vec<_> = id.split('/').collect();
    match &parts[..] {
        [_, names @ .., _] if !names.is_empty() => {
            format!("`#[was(\"{}\")]` on its `let`", names.join("/"))
        }
        _ => format!("`.named(\"{}\")`", parts.last().copied().unwrap_or(id)),
    }
}

/// Says how far event time had come, of a job that goes on: in the lane that has come furthest.
pub(super) fn event_time(
    snapshot: &Snapshot,
    spec: &GraphSpec,
    stored: Option<&ReadStored>,
) -> Result<String, Problem> {
    let is_timed = |id: &str| {
        let node = spec.nodes.iter().find(|node| node.id == id);
        node.is_some_and(|node| node.kind == "event_time")
    };
    let mut furthest = None;
    for ((id, part), bytes) in &snapshot.parts {
        if matches!(part, Part::Worker(_)) && is_timed(id) {
            let highs: Highs = codec::decode(&bytes.read(stored)?)?;
            furthest = highs.into_values().max().max(furthest);
        }
    }
    Ok(furthest.map_or_else(String::new, |time| {
        format!("; event time has come to {time}")
    }))
}

/// Says which stages begin with nothing where others go on, each behind a semicolon.
pub(super) fn new_stages(
    snapshot: &Snapshot,
    spec: &GraphSpec,
    dropped: &BTreeSet<String>,
) -> String {
    if snapshot.number == 0 {
        return String::new();
    }
    let keeps = |node: &&NodeSpec| node.state.is_some();
    let is_new = |node: &&NodeSpec| {
        !snapshot.fingerprints.contains_key(&node.id) && !dropped.contains(&node.id)
    };
    let new = spec.nodes.iter().filter(keeps).filter(is_new);
    new.map(|node| format!("; stage `{}` is new and begins with nothing", node.id))
        .collect()
}

/// What a stage keeps must be what was kept for it. All differences are told at once.
fn check_fingerprints(
    snapshot: &Snapshot,
    spec: &GraphSpec,
    is_stored: bool,
) -> Result<(), Problem> {
    let (mut told, mut ids) = (Vec::new(), Vec::new());
    for node in &spec.nodes {
        let Some(was) = snapshot.fingerprints.get(&node.id) else {
            continue;
        };
        if let Some(now) = node.fingerprint() {
            let differences = was.differences(&now);
            if !differences.is_empty() {
                ids.push(node.id.as_str());
            }
            let differences = differences.into_iter();
            told.extend(differences.map(|what| format!("stage `{}` {what}", node.id)));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    let otherwise = match is_stored {
        true => format!(
            "or `state drop {}` forgets what is kept, and they begin with nothing",
            ids.join(" ")
        ),
        false => "or start from no snapshot".to_owned(),
    };
    Err(misfit(told.join("; ")).hint(format!(
        "state cannot be read as another: change that back (a field or variant that only has a new \
         name keeps its old one with `#[serde(rename = \"…\")]`), {otherwise}"
    )))
}

/// Gives the lanes of a stage their new names, where stages on their way were renamed.
fn rename_lanes(
    snapshot: &mut Snapshot,
    spec: &GraphSpec,
    index: usize,
    bindings: &Bindings,
    stored: Option<&ReadStored>,
) -> Result<(), Problem> {
    let node = &spec.nodes[index];
    let partitions = |port: &str| {
        let source = bindings.sources().find(|(other, _)| *other == port);
        let now = source.map(|(_, source)| source.partitions().to_vec());
        let ended = snapshot
            .partitions
            .keys()
            .filter(|(other, _)| other == port);
        let mut names = now.unwrap_or_default();
        names.extend(ended.map(|(_, name)| name.clone()));
        names
    };
    let names = lanes(spec, node, &partitions);
    for ((id, part), bytes) in &mut snapshot.parts {
        if *id != node.id || !matches!(part, Part::Worker(_)) {
            continue;
        }
        let mut renamed = Highs::new();
        for (lane, high) in codec::decode::<Highs>(&bytes.read(stored)?)? {
            let is_it = |known: &&Named| known.now == lane || known.was == lane;
            let Some(known) = names.iter().find(is_it) else {
                let what =
                    format!("it has event times of a lane that does not reach `{id}` any more");
                return Err(misfit(what).hint(
                    "a lane is named by its input and by the unions on its way: leave them where \
                     they were, or start from no snapshot",
                ));
            };
            renamed.insert(known.now, high);
        }
        *bytes = Bytes::Here(codec::encode(&renamed)?);
    }
    Ok(())
}

/// The name that a lane has, and the one that it had before stages on its way were renamed.
pub(crate) struct Named {
    pub(crate) now: LaneName,
    pub(crate) was: LaneName,
    /// The input that it comes from, and the partition.
    pub(crate) from: (String, String),
}

/// The lanes that come out of a stage.
pub(crate) fn lanes(
    spec: &GraphSpec,
    node: &NodeSpec,
    partitions: &dyn Fn(&str) -> Vec<String>,
) -> Vec<Named> {
    let was = node.was.as_deref().unwrap_or(&node.id);
    match node.kind.as_str() {
        "input" => {
            let port = node.port().unwrap_or_default();
            let lane = |name: String| Named {
                now: LaneName::new(&node.id, &name),
                was: LaneName::new(was, &name),
                from: (port.to_owned(), name),
            };
            partitions(port).into_iter().map(lane).collect()
        }
        "union" => {
            let ways = node.inputs.iter().enumerate().map(|(port, input)| {
                let now = UnionPort::new(&node.id, port);
                let was = UnionPort::new(was, port);
                let through = move |lane: Named| Named {
                    now: lane.now.through(now),
                    was: lane.was.through(was),
                    from: lane.from,
                };
                let before = lanes(spec, &spec.nodes[input.node], partitions);
                before.into_iter().map(through)
            });
            ways.flatten().collect()
        }
        _ => {
            let inputs = node.inputs.iter().map(|input| &spec.nodes[input.node]);
            inputs
                .flat_map(|node| lanes(spec, node, partitions))
                .collect()
        }
    }
}
