//! How things are measured and compared.
//!
//! Two runs that are compared alternate, round by round, each time in the other order, so that
//! whatever else the machine does falls on both. What counts is the median over the rounds of the
//! ratio *within* a round; the speeds beside it are medians, too. CPU time stands beside wall time,
//! for on a shared machine it is the quieter of the two.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::Serialize;

/// What every benchmark that prints a table of cases is told.
#[derive(clap::Args)]
pub(crate) struct TableOptions {
    /// Writes the table as JSON too.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// How often each is run, in turns with what it is held against.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Runs only the cases whose name contains this.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
}

/// What a run has put out: how many rows, and the sum of their hashes. The order of the rows does
/// not matter; a row too many, too few or changed does.
///
/// Of a table's changes only the last of each key counts, for how many there are depends on where
/// workers happen to cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) rows: u64,
    sum: u64,
    /// The table that changes have made: by key, the value; 0 for none.
    table: Vec<u64>,
}

impl Digest {
    /// Takes in a row that counts for itself.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    /// Takes in a change; keys are small numbers, values above 0.
    #[inline]
    pub(crate) fn upsert(&mut self, key: u64, value: u64) {
        let key = key as usize;
        if key >= self.table.len() {
            self.table.resize((key + 1).next_power_of_two(), 0);
        }
        self.table[key] = value;
    }

    /// Takes in all that another worker has digested.
    pub(crate) fn merge(&mut self, other: Digest) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
        let table = (0..).zip(other.table).filter(|(_, value)| *value > 0);
        table.for_each(|(key, value)| self.add(mix(key, value)));
    }
}

/// A row that can be digested.
pub(crate) trait Row: 'static {
    fn digest(&self, digest: &mut Digest);
}

impl Row for u64 {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        digest.add(mix(*self, 1));
    }
}

/// A value of a table.
pub(crate) trait Value: 'static {
    /// A number above 0 that tells it from others.
    fn number(&self) -> u64;
}

/// A change of a table, or a row of it.
impl<V: Value> Row for (u64, V) {
    #[inline]
    fn digest(&self, digest: &mut Digest) {
        digest.upsert(self.0, self.1.number());
    }
}

/// A count.
impl Value for u64 {
    #[inline]
    fn number(&self) -> u64 {
        *self
    }
}

/// Multiplies into 128 bits and folds the halves.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ 0x9E37_79B9_7F4A_7C15) * u128::from(b ^ 0xE703_7ED1_A0B4_28DB);
    wide as u64 ^ (wide >> 64) as u64
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Measures one run.
pub(crate) fn take<T>(run: impl FnOnce() -> T) -> (Taken, T) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let result = run();
    let taken = Taken {
        wall: wall.elapsed(),
        cpu: cpu_time() - cpu,
    };
    (taken, result)
}

/// The CPU time of this process, all its threads together.
fn cpu_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(tv_sec as u64, tv_nsec as u32)
}

/// One line of a comparison. Speeds are in million records a second of wall time; the ratios are
/// ours to by hand, above 1 where ours is faster, or takes less CPU time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) case: String,
    pub(crate) ours: f64,
    pub(crate) by_hand: f64,
    pub(crate) ratio: f64,
    pub(crate) ours_cpu_ns: f64,
    pub(crate) by_hand_cpu_ns: f64,
    pub(crate) cpu_ratio: f64,
}

/// Runs two things in turns and compares them; fails when their results differ.
pub(crate) fn compare(
    case: &str,
    records: u64,
    rounds: usize,
    ours: &mut dyn FnMut() -> Digest,
    by_hand: &mut dyn FnMut() -> Digest,
) -> Result<Comparison, Box<dyn Error>> {
    let expected = by_hand();
    let turn = |run: &mut dyn FnMut() -> Digest, who: &str| match take(run) {
        (taken, digest) if digest == expected => Ok(taken),
        (_, digest) => Err(format!("{case}, {who}: {digest:?}, expected {expected:?}")),
    };
    turn(ours, "ours")?; // as warm as the other side
    let mut taken = Vec::with_capacity(rounds);
    for round in 0..rounds {
        taken.push(if round % 2 == 0 {
            let first = turn(ours, "ours")?;
            (first, turn(by_hand, "by hand")?)
        } else {
            let first = turn(by_hand, "by hand")?;
            (turn(ours, "ours")?, first)
        });
    }
    let of = |value: &dyn Fn(&(Taken, Taken)) -> f64| median(taken.iter().map(value).collect());
    let speed = |taken: &Taken| records as f64 / taken.wall.as_secs_f64() / 1e6;
    let cpu = |taken: &Taken| taken.cpu.as_secs_f64() * 1e9 / records as f64;
    Ok(Comparison {
        case: case.to_owned(),
        ours: of(&|(ours, _)| speed(ours)),
        by_hand: of(&|(_, by_hand)| speed(by_hand)),
        ratio: of(&|(ours, by_hand)| speed(ours) / speed(by_hand)),
        ours_cpu_ns: of(&|(ours, _)| cpu(ours)),
        by_hand_cpu_ns: of(&|(_, by_hand)| cpu(by_hand)),
        cpu_ratio: of(&|(ours, by_hand)| cpu(by_hand) / cpu(ours)),
    })
}

/// Prints what the columns of [`print_row`] are.
pub(crate) fn print_head() {
    println!(
        "{:<44}{:>9}{:>9}{:>8}{:>11}{:>11}{:>8}",
        "case", "ours", "by hand", "ratio", "ours", "by hand", "ratio"
    );
    println!(
        "{:<44}{:>9}{:>9}{:>8}{:>11}{:>11}{:>8}",
        "", "M rec/s", "M rec/s", "", "cpu ns/rec", "cpu ns/rec", "of cpu"
    );
}

/// Prints one line of a comparison.
pub(crate) fn print_row(row: &Comparison) {
    println!(
        "{:<44}{:>9.2}{:>9.2}{:>8.3}{:>11.2}{:>11.2}{:>8.3}",
        row.case,
        row.ours,
        row.by_hand,
        row.ratio,
        row.ours_cpu_ns,
        row.by_hand_cpu_ns,
        row.cpu_ratio
    );
}

/// The middle value; of an even number, the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => (values[half - 1] + values[half]) / 2.0,
        _ => values[half],
    }
}

/// Writes rows as JSON, if a file is named.
pub(crate) fn write_json<T: Serialize>(
    file: Option<&Path>,
    rows: &[T],
) -> Result<(), Box<dyn Error>> {
    if let Some(file) = file {
        serde_json::to_writer_pretty(File::create(file)?, rows)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_does_not_depend_on_the_order_but_on_every_row() {
        let digest = |rows: &[u64]| {
            let mut digest = Digest::default();
            rows.iter().for_each(|row| row.digest(&mut digest));
            digest
        };
        assert_eq!(digest(&[1, 2, 3]), digest(&[3, 1, 2]));
        assert_ne!(digest(&[1, 2, 3]), digest(&[1, 2, 4]));
        assert_ne!(digest(&[1, 1]), digest(&[2, 2]));
    }

    #[test]
    fn of_changes_the_last_one_of_a_key_counts() {
        let digest = |changes: &[(u64, u64)]| {
            let (mut digest, mut total) = (Digest::default(), Digest::default());
            changes.iter().for_each(|row| row.digest(&mut digest));
            total.merge(digest);
            total
        };
        assert_eq!(digest(&[(1, 1), (2, 1), (1, 2)]), digest(&[(2, 1), (1, 2)]));
        assert_ne!(digest(&[(1, 1)]), digest(&[(1, 2)]));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
