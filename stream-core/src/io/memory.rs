//! Records that are in memory already: [`vec()`] and [`partitions()`].

use std::sync::Arc;

use super::source::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo,
};
use crate::error::Problem;
use crate::observe::grouped;

/// A source of the given records, in one partition.
///
/// ```
/// use stream_core::io::vec;
///
/// stream_core::testing::contract::source(|| vec(vec!["a", "b"]), &[vec!["a", "b"]]);
/// ```
pub fn vec<T: Clone + Send + Sync + 'static>(records: Vec<T>) -> Partitions<T> {
    Partitions {
        kind: "vec",
        partitions: vec![records].into(),
    }
}

/// A source of the given records, in partitions named by their number: `0`, `1`, …
///
/// ```
/// use stream_core::io::partitions;
///
/// let even_and_odd = vec![vec![0, 2, 4], vec![1, 3]];
/// stream_core::testing::contract::source(|| partitions(even_and_odd.clone()), &even_and_odd);
/// ```
pub fn partitions<T: Clone + Send + Sync + 'static>(partitions: Vec<Vec<T>>) -> Partitions<T> {
    Partitions {
        kind: "partitions",
        partitions: partitions.into(),
    }
}

/// A source of records in memory, made by [`vec()`] or [`partitions()`]. Clones share the records.
#[derive(Clone, Debug)]
pub struct Partitions<T> {
    kind: &'static str,
    partitions: Arc<[Vec<T>]>,
}

impl<T: Clone + Send + Sync + 'static> Source<T> for Partitions<T> {
    fn info(&self) -> SourceInfo {
        let count: usize = self.partitions.iter().map(Vec::len).sum();
        SourceInfo {
            kind: self.kind,
            detail: format!("{count} records"),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        numbered(self.partitions.len())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let next = index(partition, &opening.from, self.partitions[partition].len())?;
        Ok(Box::new(Cursor {
            partitions: self.partitions.clone(),
            partition,
            next,
        }))
    }

    fn told(&self, position: &Position) -> Option<String> {
        told(position)
    }
}

/// A position that is a number of records, for people.
pub(super) fn told(position: &Position) -> Option<String> {
    let read: u64 = position.read().ok()?;
    Some(format!("behind {} records", grouped(read)))
}

/// The names of partitions that have only a number.
pub(super) fn numbered(count: usize) -> Result<Vec<String>, Problem> {
    if count == 0 {
        let problem = Problem::new("the source has no partition");
        return Err(problem.hint("give it one, which may be empty"));
    }
    Ok((0..count).map(|number| number.to_string()).collect())
}

/// The index of a position in a partition that holds so many records.
pub(super) fn index(partition: usize, from: &Position, held: usize) -> Result<usize, Problem> {
    let from: u64 = from.read()?;
    usize::try_from(from)
        .ok()
        .filter(|index| *index <= held)
        .ok_or_else(|| {
            Problem::new(format!(
                "cannot go on at record {from} of partition {partition}"
            ))
            .detail(format!(
                "it holds only {held}; its records have changed since"
            ))
            .hint("restore them, or start afresh")
        })
}

struct Cursor<T> {
    partitions: Arc<[Vec<T>]>,
    partition: usize,
    next: usize,
}

impl<T: Clone> Reader<T> for Cursor<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let rest = &self.partitions[self.partition][self.next..];
        let taken = rest.len().min(max);
        into.extend(rest[..taken].iter().cloned());
        self.next += taken;
        Ok(if taken == rest.len() {
            ReadStatus::Ended
        } else {
            ReadStatus::More
        })
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::contract;

    #[test]
    fn partitions_keep_the_contract_of_sources() {
        let expected = vec![vec![1, 2, 3], vec![], (10..200).collect()];
        contract::source(|| partitions(expected.clone()), &expected);
        contract::source(|| vec(Vec::<u8>::new()), &[vec![]]);
    }

    #[test]
    fn a_position_beyond_the_records_is_a_problem() {
        let opening = Opening {
            from: Position::of(&2_u64).unwrap(),
            ..contract::opening()
        };
        let problem = vec(vec![1]).open(0, opening).err().unwrap().to_string();
        let expected = "cannot go on at record 2 of partition 0: it holds only 1; its records have \
                        changed since (hint: restore them, or start afresh)";
        assert_eq!(problem, expected);
    }

    #[test]
    fn no_partition_is_a_problem_with_a_remedy() {
        let problem = partitions(Vec::<Vec<u8>>::new())
            .partitions()
            .unwrap_err()
            .to_string();
        assert_eq!(
            problem,
            "the source has no partition (hint: give it one, which may be empty)"
        );
    }
}
