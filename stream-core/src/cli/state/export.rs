//! `state export`: what a stage has kept, from the store alone: the pipeline may have changed since.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::super::tell::Teller;
use super::super::{Failure, print_part};
use super::wrong;
use crate::engine::lane::LaneName;
use crate::error::{Error, Problem};
use crate::job::{Job, lanes};
use crate::ops::{event_time, export};
use crate::state::StateStore;
use crate::state::checkpoint::{Part, Stored};
use crate::state::manifest::Manifest;

/// Prints what a checkpoint has of a stage, one part after another in the order of shards.
pub(super) fn export(
    job: &Job,
    store: &StateStore,
    manifest: &Manifest,
    stage: &str,
    teller: Teller,
) -> Result<ExitCode, Failure> {
    manifest.expect_stage(stage).map_err(wrong)?;
    let Some(fingerprint) = manifest.stages.get(stage) else {
        let what = format!(
            "checkpoint {} does not say what `{stage}` is",
            manifest.number
        );
        return Err(wrong(
            Problem::new(what).hint("take another one, `--from N`"),
        ));
    };
    let of_lanes = fingerprint.kind == event_time::KIND;
    let lines: Box<dyn Fn(&[u8]) -> Result<Vec<u8>, Problem>> = match of_lanes {
        true => {
            let from = lanes_of(job, manifest, stage);
            Box::new(move |bytes| export::lanes(bytes, &from))
        }
        false => {
            let rows =
                export::Rows::of(fingerprint).map_err(|problem| wrong(of(stage, problem)))?;
            Box::new(move |bytes| rows.lines(bytes))
        }
    };
    let mut is_empty = true;
    for (part, stored) in parts(manifest, stage)? {
        let is_rows = match part {
            Part::Shard(_) => !of_lanes,
            Part::Worker(_) => of_lanes,
            Part::Common => false,
        };
        if !is_rows {
            continue;
        }
        let bytes = store.part(stored).map_err(Error::State)?;
        let lines = lines(&bytes).map_err(|problem| {
            let object = &stored.object;
            let hint = format!("it is {part} in `{object}`; another checkpoint is `--from N`");
            Error::State(of(stage, problem).hint(hint))
        })?;
        is_empty &= lines.is_empty();
        if !print_part(&lines)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if is_empty {
        let number = manifest.number;
        teller.note(format!("`{stage}` has kept nothing at checkpoint {number}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A problem with the state of a stage.
fn of(stage: &str, problem: Problem) -> Problem {
    let hint = problem.hint_text().map(str::to_owned);
    let what = Problem::new(format!("stage `{stage}`: {}", problem.what()));
    let what = match problem.detail_text() {
        Some(detail) => what.detail(detail),
        None => what,
    };
    match hint {
        Some(hint) => what.hint(hint),
        None => what,
    }
}

/// The parts of the state of a stage, in order.
fn parts<'a>(manifest: &'a Manifest, stage: &str) -> Result<BTreeMap<Part, &'a Stored>, Failure> {
    let kept = manifest.parts.iter().filter(|kept| kept.stage == stage);
    let parts = kept.map(|kept| Ok((kept.part.parse()?, &kept.stored)));
    let parts: Result<_, Problem> = parts.collect();
    Ok(parts.map_err(Error::State)?)
}

/// Where the lanes of a stage come from, as far as the pipeline knows it.
fn lanes_of(job: &Job, manifest: &Manifest, stage: &str) -> BTreeMap<LaneName, (String, String)> {
    let mut from = BTreeMap::new();
    let Ok(spec) = job.explain() else {
        return from;
    };
    let is_it = |id: &str, was: Option<&str>| id == stage || was == Some(stage);
    let mut nodes = spec.nodes.iter();
    let Some(node) = nodes.find(|node| is_it(&node.id, node.was.as_deref())) else {
        return from;
    };
    let partitions = |port: &str| {
        let read = manifest.partitions.iter();
        let read = read.filter(|read| read.input == port);
        read.map(|read| read.partition.clone()).collect()
    };
    for lane in lanes(&spec, node, &partitions) {
        from.insert(lane.now, lane.from.clone());
        from.insert(lane.was, lane.from);
    }
    from
}
