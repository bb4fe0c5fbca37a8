//! Where two runs differ: in which rows, and which stages may be to blame.

use std::collections::BTreeSet;
use std::fmt;

use super::digest::{DigestTap, Rows};
use super::{Comparison, Run, RunName, run};
use crate::error::Error;
use crate::graph::{Class, GraphSpec};
use crate::job::Job;

/// How many rows of each run are shown.
const ROWS_SHOWN: usize = 5;

/// How often two runs that differed are made once more, until they differ again.
const TRIES: usize = 3;

/// What is not the same in every run.
pub(in crate::cli) struct Difference {
    what: What,
    /// The first run, and the first that differs from it.
    runs: [RunName; 2],
}

enum What {
    /// The rows of an output.
    Rows {
        output: String,
        /// How many there were.
        counts: [u64; 2],
        /// What only one of the runs has; `None` where nothing can tell the rows, or the runs were
        /// the same when they were made once more.
        only: Option<[Only; 2]>,
        /// The stages before the output that are exact only under a condition.
        suspects: Vec<(String, Class)>,
    },
    /// How many records were late, or bad.
    Count {
        name: &'static str,
        counts: [u64; 2],
    },
}

/// What only one of two runs has.
struct Only {
    rows: Vec<(String, u64)>,
    /// How many different rows there are besides.
    more: usize,
}

/// Holds every run against the first.
pub(super) fn find(
    job: &mut Job,
    comparison: &Comparison,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Difference>, Error> {
    let Some((first, others)) = comparison.runs.split_first() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for output in first.outputs.keys() {
        let differs = |run: &&Run| run.outputs.get(output) != first.outputs.get(output);
        let Some(other) = others.iter().find(differs) else {
            continue;
        };
        let rows = |run: &Run| run.outputs.get(output).map_or(0, |content| content.rows);
        let names = [first.name, other.name];
        let can_tell = first.outputs[output].digest.is_some();
        note(&format!("once more, for the rows of `{output}`"));
        found.push(Difference {
            what: What::Rows {
                counts: [rows(first), rows(other)],
                only: if can_tell {
                    only_in(job, names, output)?
                } else {
                    None
                },
                suspects: suspects(&comparison.spec, output),
                output: output.clone(),
            },
            runs: names,
        });
    }
    let counts: [(_, fn(&Run) -> u64); 2] = [
        ("late", |run| run.counts.late),
        ("bad", |run| run.counts.bad),
    ];
    for (name, count) in counts {
        let other = others.iter().find(|run| count(run) != count(first));
        found.extend(other.map(|other| Difference {
            what: What::Count {
                name,
                counts: [count(first), count(other)],
            },
            runs: [first.name, other.name],
        }));
    }
    Ok(found)
}

/// Makes two runs once more and keeps their rows, until they differ again.
fn only_in(job: &mut Job, names: [RunName; 2], output: &str) -> Result<Option<[Only; 2]>, Error> {
    for _ in 0..TRIES {
        let mut rows = Vec::new();
        for name in names {
            let tap = DigestTap::keeping_rows();
            run(job, name, tap.clone())?;
            rows.push(tap.take_rows(output));
        }
        if rows[0] != rows[1] {
            return Ok(Some([only(&rows[0], &rows[1]), only(&rows[1], &rows[0])]));
        }
    }
    Ok(None)
}

/// The rows that are more often in `these` than in `others`.
fn only(these: &Rows, others: &Rows) -> Only {
    let more = |(row, count): (&String, &u64)| {
        let count = count.saturating_sub(others.get(row).copied().unwrap_or(0));
        (count > 0).then(|| (row.clone(), count))
    };
    let mut rows: Vec<_> = these.iter().filter_map(more).collect();
    let more = rows.len().saturating_sub(ROWS_SHOWN);
    rows.truncate(ROWS_SHOWN);
    Only { rows, more }
}

/// The stages from which an output can be reached and that are not exact without a condition.
pub(super) fn suspects(spec: &GraphSpec, output: &str) -> Vec<(String, Class)> {
    let mut before = BTreeSet::new();
    for (index, node) in spec.nodes.iter().enumerate().rev() {
        let is_end = node.kind == "output" && node.port() == Some(output);
        if is_end || before.contains(&index) {
            before.extend(node.inputs.iter().map(|input| input.node));
        }
    }
    let stages = before.into_iter().map(|index| &spec.nodes[index]);
    stages
        .filter(|node| node.class != Class::Exact)
        .map(|node| (node.id.clone(), node.class))
        .collect()
}

impl Difference {
    /// What differs, in one line.
    pub(in crate::cli) fn headline(&self) -> String {
        match &self.what {
            What::Rows { output, .. } => {
                format!("output `{output}` is not the same in every run")
            }
            What::Count { name, .. } => {
                format!("the number of {name} records is not the same in every run")
            }
        }
    }
}

impl Difference {
    /// What to do about it.
    pub(in crate::cli) fn hint(&self) -> &'static str {
        match &self.what {
            What::Count { .. } => {
                "lateness belongs to the lane; a partition that does not give its records in the \
                 same order each time makes it differ"
            }
            What::Rows { suspects, .. } if suspects.is_empty() => {
                "every stage before it is exact as long as its closures are pure; look for one that \
                 reads a clock, a random number or something shared"
            }
            What::Rows { suspects, .. }
                if suspects.iter().any(|(_, class)| *class == Class::Arrival) =>
            {
                "that is what `lookup_arrival` does; `lookup`, of a table that ends, and `as_of_join`, by event time, \
                 find the same in every run"
            }
            What::Rows { .. } => {
                "tell first and last by event time instead of arrival, and sum whole numbers \
                 instead of floating-point ones"
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Count { counts, .. } => {
                for (name, count) in self.runs.iter().zip(counts) {
                    writeln!(f, "  {count} in {name}")?;
                }
                Ok(())
            }
            What::Rows {
                counts,
                only,
                suspects,
                ..
            } => {
                match only {
                    Some(only) => {
                        for (name, only) in self.runs.iter().zip(only) {
                            write_only(f, *name, only)?;
                        }
                    }
                    None => {
                        for (name, count) in self.runs.iter().zip(counts) {
                            writeln!(f, "  {count} rows in {name}")?;
                        }
                        writeln!(
                            f,
                            "  made once more, no two runs differed in rows that can be told"
                        )?;
                    }
                }
                write_suspects(f, suspects)
            }
        }
    }
}

fn write_only(f: &mut fmt::Formatter<'_>, name: RunName, only: &Only) -> fmt::Result {
    writeln!(f, "  only in {name}:")?;
    for (row, count) in &only.rows {
        match count {
            1 => writeln!(f, "    {row}")?,
            count => writeln!(f, "    {row}  {count} times")?,
        }
    }
    match (only.rows.len(), only.more) {
        (0, _) => writeln!(f, "    nothing"),
        (_, 0) => Ok(()),
        (_, more) => writeln!(f, "    and {more} more"),
    }
}

fn write_suspects(f: &mut fmt::Formatter<'_>, suspects: &[(String, Class)]) -> fmt::Result {
    if suspects.is_empty() {
        return Ok(());
    }
    writeln!(f, "  stages that may be to blame:")?;
    for (id, class) in suspects {
        writeln!(f, "    {id} {}", class.of_a_stage())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_arrival_is_told_with_what_does_not() {
        let run = || RunName {
            mode: crate::engine::Mode::Batch,
            rate: None,
            round: 1,
        };
        let difference = |class| Difference {
            what: What::Rows {
                output: "named".into(),
                counts: [1, 1],
                only: None,
                suspects: vec![("p/named/lookup_arrival".into(), class)],
            },
            runs: [run(), run()],
        };
        let arrival = difference(Class::Arrival);
        assert!(arrival.hint().contains("`as_of_join`"));
        let told = arrival.to_string();
        assert!(told.contains("p/named/lookup_arrival depends on"), "{told}");
        let order = difference(Class::ExactIfOrderFree);
        assert!(order.hint().contains("first and last by event time"));
    }
}
