//! What is told loudly when a job has ended: that its answer rests on less than its input.
//!
//! Records that are late, bad or overtaken are in no window and no table. A few of them are what
//! those words are for; more than [one in a hundred](TOLD_FROM) are a sign that the input is not what
//! the pipeline takes it for. Overtaken records are always told, with the method that hands them over.

use std::fmt;

use super::share::Share;
use super::worker::Team;
use crate::graph::{GraphSpec, NodeSpec, PortSpec};
use crate::observe::{Counters, grouped};
use crate::time::Lateness;

/// From which share on late and bad records are told, where the job has no lower limit.
const TOLD_FROM: f64 = 1.0;

/// How many late and bad records a job may have, each as a share of what it could have been.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) late: Option<Share>,
    pub(crate) bad: Option<Share>,
}

/// Why records did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// They lay behind their lane by more than the lateness.
    Late,
    /// They could not be read, or their event times leapt.
    Bad,
    /// They came after the watermark had passed them, or their window had been emitted.
    Overtaken,
    /// They are there, but without a value for a field that may be missing: no column, or no name in
    /// JSON, is the field's.
    Absent,
}

/// A part of a job's input that its answer leaves out.
///
/// Its [`Display`](fmt::Display) is one line: what was found, with the first examples, the cause
/// where it is known, and the remedy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Warning {
    /// Why these records did not count.
    pub lost: Lost,
    /// The id of the stage that found them; for bad records of the input.
    pub stage: String,
    /// The input ports that they come from.
    pub ports: Vec<String>,
    /// How many they are; of absent fields, how many files have one of them not.
    pub count: u64,
    /// How many records came there: to the stage, or for overtaken ones to the ports, or of which
    /// fields are absent.
    pub total: u64,
    /// The first of them, as far as they are known; three at most.
    pub examples: Vec<String>,
    /// The limit of the job that they are over, if they are.
    pub limit: Option<Share>,
    /// What the lateness is, and what it would have to be for no record to be late.
    lateness: Option<(String, Lateness)>,
    /// What becomes of records that were overtaken.
    hand_over: HandOver,
}

/// What a stage does with the records that were overtaken.
#[derive(Clone, Debug, Default, PartialEq)]
enum HandOver {
    /// It only counts them.
    #[default]
    Never,
    /// It would hand them over by this method.
    By(String),
    /// It hands them over to a stage that reads them.
    Done,
}

impl HandOver {
    fn of(spec: &GraphSpec, reachable: &[bool], node: usize) -> Self {
        let port = PortSpec { node, port: 1 };
        let is_read = spec
            .nodes
            .iter()
            .zip(reachable)
            .any(|(other, reaches)| *reaches && other.inputs.contains(&port));
        match &spec.nodes[node].overtaken {
            None => HandOver::Never,
            Some(_) if is_read => HandOver::Done,
            Some(method) => HandOver::By(method.clone()),
        }
    }
}

/// Finds out what is to be told of a job that has ended.
pub(super) fn of(team: &Team) -> Vec<Warning> {
    let (spec, counters) = (&team.plan.spec, &team.shared.counters);
    let (limits, reachable) = (team.limits, spec.reachable());
    let mut found = Vec::new();
    for (index, node) in spec.nodes.iter().enumerate() {
        let id = node.id.as_str();
        let ports = || inputs_of(spec, index);
        let read = |port: &str| counters.of(port, "in") + counters.of(port, "unread");
        let of_ports = || ports().iter().map(|port| read(port)).sum();
        match (node.kind.as_str(), node.port()) {
            ("event_time", _) => {
                let total = counters.of(id, "seen");
                let found_late = find(counters, id, Lost::Late, total, limits.late, &ports);
                found.extend(found_late.map(|warning| Warning {
                    lateness: Some(lateness(node, counters)),
                    ..warning
                }));
            }
            ("input", Some(port)) => {
                let bad = find(counters, port, Lost::Bad, read(port), limits.bad, &ports);
                let absent = absent(counters, port, read(port));
                found.extend(bad.into_iter().chain(absent).map(|warning| Warning {
                    stage: id.to_owned(),
                    ..warning
                }));
            }
            _ if counters.of(id, "overtaken") > 0 => {
                let (lost, limit) = (Lost::Overtaken, limits.late);
                let overtaken = find(counters, id, lost, of_ports(), limit, &ports);
                found.extend(overtaken.map(|warning| Warning {
                    hand_over: HandOver::of(spec, &reachable, index),
                    ..warning
                }));
            }
            _ => {}
        }
    }
    found
}

/// Looks whether there is something to tell of one stage or port.
fn find(
    counters: &Counters,
    place: &str,
    lost: Lost,
    total: u64,
    limit: Option<Share>,
    ports: &dyn Fn() -> Vec<String>,
) -> Option<Warning> {
    let name = lost.counter();
    let count = counters.of(place, name).min(total);
    let is_over = |limit: &Share| limit.is_passed(count, total);
    let limit = limit.filter(is_over);
    let from = match lost {
        Lost::Late | Lost::Bad => Share::percent(TOLD_FROM),
        Lost::Overtaken | Lost::Absent => Share::NONE,
    };
    (limit.is_some() || is_over(&from)).then(|| Warning {
        lost,
        stage: place.to_owned(),
        ports: ports(),
        count,
        total,
        examples: counters.examples_of(place, name),
        limit,
        lateness: None,
        hand_over: HandOver::default(),
    })
}

/// Looks whether fields of the records of a port were missing.
fn absent(counters: &Counters, port: &str, total: u64) -> Option<Warning> {
    let lost = Lost::Absent;
    let count = counters.of(port, lost.counter());
    (count > 0).then(|| Warning {
        lost,
        stage: port.to_owned(),
        ports: vec![port.to_owned()],
        count,
        total,
        examples: counters.examples_of(port, lost.counter()),
        limit: None,
        lateness: None,
        hand_over: HandOver::default(),
    })
}

/// The lateness of a stage, and the one that would have been enough.
fn lateness(node: &NodeSpec, counters: &Counters) -> (String, Lateness) {
    let told = node.parameter("lateness").unwrap_or_default().to_owned();
    let furthest = counters.greatest(&node.id, "furthest");
    (told, Lateness::micros(furthest))
}

/// The input ports whose records reach a stage.
pub(super) fn inputs_of(spec: &GraphSpec, index: usize) -> Vec<String> {
    let mut reaches = vec![false; index + 1];
    reaches[index] = true;
    let mut ports = Vec::new();
    for (index, node) in spec.nodes[..=index].iter().enumerate().rev() {
        if reaches[index] {
            let inputs = node.inputs.iter();
            inputs.for_each(|input| reaches[input.node] = true);
            if let ("input", Some(port)) = (node.kind.as_str(), node.port()) {
                ports.push(port.to_owned());
            }
        }
    }
    ports.reverse();
    ports
}

/// Names in a row: `a`, `b` and `c`.
fn in_a_row(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

impl Lost {
    fn counter(self) -> &'static str {
        match self {
            Lost::Late => "late",
            Lost::Bad => "bad",
            Lost::Overtaken => "overtaken",
            Lost::Absent => "absent",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = in_a_row(&self.ports);
        let (count, total) = (grouped(self.count), grouped(self.total));
        match self.lost {
            Lost::Late => {
                let verb = if self.ports.len() == 1 { "is" } else { "are" };
                let what = format!("{ports} {verb} not in order of event time");
                write!(f, "{what}: {count} of {total} records were late")?;
            }
            Lost::Bad => write!(f, "{count} of {total} records of {ports} were bad")?,
            Lost::Absent => write!(f, "{ports} has no value for a field of its records")?,
            Lost::Overtaken => {
                let what = match self.hand_over {
                    HandOver::Done => "were handed over as overtaken",
                    HandOver::By(_) | HandOver::Never => "count nowhere",
                };
                write!(f, "{count} of {total} records of {ports} {what}: ")?;
                write!(
                    f,
                    "their lane joined after `{}` had passed them",
                    self.stage
                )?;
            }
        }
        if let Some(limit) = self.limit {
            write!(f, ", and {limit} is the limit")?;
        }
        if !self.examples.is_empty() {
            let more = self.count.saturating_sub(self.examples.len() as u64);
            let more = match self.lost {
                Lost::Absent if more > 0 => format!("; and {more} more"),
                _ => String::new(),
            };
            write!(f, " ({}{more})", self.examples.join("; "))?;
        }
        match (&self.lateness, self.lost) {
            (Some((lateness, enough)), _) => write!(
                f,
                ". Sort it, raise the lateness ({lateness}; {enough} would do), or read it with \
                 `Lateness::unbounded()`"
            ),
            (None, Lost::Absent) => write!(
                f,
                ". It is `None`: where another name is meant, `#[serde(rename = \"…\")]` names the field so"
            ),
            (None, Lost::Overtaken) => match &self.hand_over {
                HandOver::By(method) => write!(f, ". `{method}` hands them over"),
                HandOver::Never => write!(f, ". They are only counted"),
                HandOver::Done => Ok(()),
            },
            _ => write!(
                f,
                ". Mend them, or look whether the source is told the right format"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_hands_nothing_over_says_so() {
        let warning = Warning {
            lost: Lost::Overtaken,
            stage: "job/stage".to_owned(),
            ports: vec!["in".to_owned()],
            count: 3,
            total: 200,
            examples: Vec::new(),
            limit: None,
            lateness: None,
            hand_over: HandOver::Never,
        };
        let told = "3 of 200 records of `in` count nowhere: their lane joined after `job/stage` had passed \
                    them. They are only counted";
        assert_eq!(warning.to_string(), told);
    }
}
