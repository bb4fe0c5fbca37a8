//! What it costs to read files: a count by key over one file of CSV, in batch mode.
//!
//! By hand it is one loop: the `csv` crate, serde into the same record, one hash map with a fast
//! hash. Ours is `files::csv`, `key_by` and `count`, on one worker and on two; the last case
//! compares these two with each other, its second side being the one worker.

use std::error::Error;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use stream_core::io::{self, files};
use stream_core::ops::Entry;
use stream_core::{Job, Mode};

use crate::measure::{Digest, compare, mix, print_head, print_row, write_json};

/// How many different users there are.
const USERS: u64 = 10_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Writes the table as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each side is run, in turns.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// How many rows the file has.
    #[arg(long, default_value_t = 300_000)]
    rows: u64,
    /// Runs only the cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// A row of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Visit {
    user: String,
    page: String,
    referrer: String,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("visits.csv");
    write_visits(&path, options.rows)?;
    let hand = || by_hand(&path).expect("the loop of the benchmark runs");
    let ours = |workers: usize| ours(&path, workers);
    type Side<'a> = &'a dyn Fn() -> Digest;
    let cases: [(&str, Side<'_>, Side<'_>); 3] = [
        ("csv, 1 worker", &|| ours(1), &hand),
        ("csv, 2 workers", &|| ours(2), &hand),
        ("csv, 2 workers, against 1", &|| ours(2), &|| ours(1)),
    ];
    print_head();
    let mut rows = Vec::new();
    for (case, one, other) in cases {
        if case.contains(&options.only) {
            let (one, other) = (&mut || one(), &mut || other());
            let row = compare(case, options.rows, options.rounds, one, other)?;
            print_row(&row);
            rows.push(row);
        }
    }
    write_json(options.json.as_deref(), &rows)
}

/// Writes a file whose rows follow from their numbers.
fn write_visits(path: &Path, rows: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "user,page,referrer")?;
    for row in 0..rows {
        let random = mix(row, 1);
        let (user, page, referrer) = (random % USERS, (random >> 20) % 500, (random >> 40) % 50);
        writeln!(
            file,
            "user-{user:06},/shop/page-{page},https://site-{referrer}.example/"
        )?;
    }
    file.flush()
}

fn by_hand(path: &Path) -> Result<Digest, csv::Error> {
    let mut counts: HashMap<String, u64, FixedState> = HashMap::default();
    for visit in csv::Reader::from_path(path)?.into_deserialize() {
        let visit: Visit = visit?;
        *counts.entry(visit.user).or_default() += 1;
    }
    Ok(digest(counts))
}

fn ours(path: &Path, workers: usize) -> Digest {
    let (sink, rows) = io::collect::<Entry<String, u64>>();
    Job::new("visits", |graph| {
        let visits = graph.input::<Visit>("visits");
        graph.output("counts", visits.key_by(|visit| visit.user.clone()).count());
    })
    .source("visits", files::csv::<Visit>(path))
    .sink("counts", sink)
    .workers(workers)
    .run(Mode::Batch)
    .expect("the pipeline of the benchmark runs");
    digest(
        rows.take()
            .into_iter()
            .map(|entry| (entry.key, entry.value)),
    )
}

fn digest(counts: impl IntoIterator<Item = (String, u64)>) -> Digest {
    let mut digest = Digest::default();
    let hash = FixedState::default();
    for (user, count) in counts {
        digest.add(mix(hash.hash_one(user), count));
    }
    digest
}
