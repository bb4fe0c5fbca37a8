//! `state export`: what a stage has kept, from the store alone: the pipeline may have changed since.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::super::tell::Teller;
use super::super::{Failure, print_part};
use super::wrong;
use crate::engine::lane::LaneName;
use crate::error::{Error, Problem};
use crate::job::{Job, lanes};
use crate::ops::event_time;
use crate::ops::export::{self, Rows};
use crate::state::StateStore;
use crate::state::checkpoint::{Part, Stored};
use crate::state::manifest::Manifest;

/// Prints what a checkpoint has of a stage.
pub(super) fn export(
    job: &Job,
    store: &StateStore,
    manifest: &Manifest,
    stage: &str,
    teller: Teller,
) -> Result<ExitCode, Failure> {
    if !write(job, store, manifest, stage, &mut print_part)? {
        let number = manifest.number;
        teller.note(format!("`{stage}` has kept nothing at checkpoint {number}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What takes the lines of a part, and tells whether it wants more.
type Print<'a> = &'a mut dyn FnMut(&[u8]) -> Result<bool, Failure>;

/// Writes what there is of a stage, one shard after another, and tells whether it is anything.
fn write(
    job: &Job,
    store: &StateStore,
    manifest: &Manifest,
    stage: &str,
    print: Print<'_>,
) -> Result<bool, Failure> {
    let lines = Lines::of(job, manifest, stage).map_err(wrong)?;
    let mut is_empty = true;
    for (part, stored) in parts(manifest, stage).map_err(Error::State)? {
        if !lines.are_of(part) {
            continue;
        }
        let bytes = store.part(stored).map_err(Error::State)?;
        let lines = lines.read(&bytes).map_err(|problem| {
            let object = &stored.object;
            Error::State(problem.hint(format!(
                "it is {part} of `{stage}`, in `{object}`; another checkpoint is `--from N`"
            )))
        })?;
        is_empty &= lines.is_empty();
        if !print(&lines)? {
            break;
        }
    }
    Ok(!is_empty)
}

/// How the state of a stage becomes lines.
enum Lines {
    Rows(Rows),
    /// By lane: the input and the partition that it comes from.
    Lanes(BTreeMap<LaneName, (String, String)>),
}

impl Lines {
    fn of(job: &Job, manifest: &Manifest, stage: &str) -> Result<Self, Problem> {
        manifest.expect_stage(stage)?;
        let number = manifest.number;
        let fingerprint = manifest.stages.get(stage).ok_or_else(|| {
            Problem::new(format!(
                "checkpoint {number} does not say what `{stage}` keeps"
            ))
            .hint("take another one, `--from N`")
        })?;
        if fingerprint.kind == event_time::KIND {
            return Ok(Lines::Lanes(lanes_of(job, manifest, stage)));
        }
        Rows::of(stage, fingerprint).map(Lines::Rows)
    }

    /// Whether a part of the state has any.
    fn are_of(&self, part: Part) -> bool {
        match self {
            Lines::Rows(_) => matches!(part, Part::Shard(_)),
            Lines::Lanes(_) => matches!(part, Part::Worker(_)),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
        match self {
            Lines::Rows(rows) => rows.lines(bytes),
            Lines::Lanes(from) => export::lanes(bytes, from),
        }
    }
}

/// The parts of the state of a stage, in order.
fn parts<'a>(manifest: &'a Manifest, stage: &str) -> Result<BTreeMap<Part, &'a Stored>, Problem> {
    let kept = manifest.parts.iter().filter(|kept| kept.stage == stage);
    kept.map(|kept| Ok((kept.part.parse()?, &kept.stored)))
        .collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;
    use crate::Mode;
    use crate::graph::Entry;
    use crate::io::{self, MemoryLog};
    use crate::ops::Windowed;
    use crate::time::{Calendar, EventTime, Gap, Lateness, Size};

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    struct Key {
        digit: i64,
        parity: Parity,
    }

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    enum Parity {
        Even,
        Odd { half: i64 },
    }

    fn key(n: &i64) -> Key {
        let digit = n % 10;
        Key {
            digit,
            parity: match digit % 2 {
                0 => Parity::Even,
                _ => Parity::Odd { half: digit / 2 },
            },
        }
    }

    /// A value by key and window.
    type Open = Windowed<Key, Vec<i64>>;
    type Rest = [io::Rows<Open>; 3];

    /// A job with a stage of every kind that keeps state.
    fn job(log: &MemoryLog<i64>, store: &StateStore) -> (Job, Rest) {
        let job = Job::new("kinds", |graph| {
            let numbers = graph.input::<i64>("numbers");
            let keyed = numbers.clone().key_by(key);
            graph.output("count", keyed.clone().count());
            graph.output("fold", keyed.clone().fold(Vec::new, Vec::push));
            let last = |last: &mut Option<i64>, n| last.replace(n);
            graph.output("scan", keyed.scan(|| None, last));
            let seconds = |n: &i64| EventTime::secs(*n);
            let (timed, _) = numbers.event_time(seconds, Lateness::secs(60));
            let timed = timed.key_by(key);
            let tumbling = timed.clone().tumbling(Size::secs(30)).offset(Size::secs(4));
            graph.output("tumbling", tumbling.fold(Vec::new, Vec::push));
            let hours = timed.clone().calendar(Calendar::hours("Asia/Kolkata"));
            graph.output("calendar", hours.fold(Vec::new, Vec::push));
            let sessions = timed.session(Gap::secs(8));
            let add = |all: &mut Vec<_>, mut later: Vec<_>| all.append(&mut later);
            graph.output("session", sessions.fold(Vec::new, Vec::push, add));
        });
        let (windows, of_windows) = io::collect::<Open>();
        let (hours, of_hours) = io::collect::<Open>();
        let (sessions, of_sessions) = io::collect::<Open>();
        let job = job
            .source("numbers", log.clone())
            .sink::<Entry<Key, u64>>("count", io::discard())
            .sink::<Entry<Key, Vec<i64>>>("fold", io::discard())
            .sink::<(Key, Option<i64>)>("scan", io::discard())
            .sink("tumbling", windows)
            .sink("calendar", hours)
            .sink("session", sessions)
            .state(store.clone())
            .max_leap(crate::Leap::ANY);
        (job, [of_windows, of_hours, of_sessions])
    }

    const NUMBERS: i64 = 95;

    /// A store with a checkpoint of that job, stopped with windows open.
    fn kept(store: &StateStore) -> MemoryLog<i64> {
        let log = MemoryLog::new(1);
        log.append(0, 0..NUMBERS).unwrap();
        let handle = job(&log, store).0.start(Mode::PerRecord).unwrap();
        while handle.counts().read["numbers"] < NUMBERS as u64 {
            std::thread::yield_now();
        }
        handle.stop();
        handle.wait().unwrap();
        log
    }

    fn exported(job: &Job, store: &StateStore, stage: &str) -> BTreeSet<String> {
        let look = store.look(false).unwrap();
        let (manifest, _) = look.checkpoints().last().unwrap();
        let mut text = Vec::new();
        let print = &mut |lines: &[u8]| {
            text.extend_from_slice(lines);
            Ok(true)
        };
        let Ok(true) = write(job, store, manifest, stage, print) else {
            panic!("nothing of `{stage}` is exported");
        };
        let text = String::from_utf8(text).unwrap();
        let lines: BTreeSet<_> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), text.lines().count());
        lines
    }

    fn lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> BTreeSet<String> {
        let rows = rows.into_iter();
        rows.map(|row| serde_json::to_string(&row).unwrap())
            .collect()
    }

    #[test]
    fn what_stages_have_kept_is_exported_as_it_is_written_to_sinks() {
        let store = StateStore::memory();
        let log = kept(&store);
        let (job, [windows, hours, sessions]) = job(&log, &store);
        let look = store.look(false).unwrap();
        let (manifest, _) = look.checkpoints().last().unwrap();
        let kinds = manifest.stages.values().map(|is| is.kind.as_str());
        let kinds: BTreeSet<_> = kinds.collect();
        let all = "calendar count event_time final_content fold scan session tumbling";
        assert_eq!(kinds, all.split(' ').collect());
        let export = |kind: &str| {
            let mut stages = manifest.stages.iter();
            let (stage, _) = stages.find(|(_, is)| is.kind == kind).unwrap();
            exported(&job, &store, stage)
        };
        let of = |digit: i64| (0..NUMBERS).filter(move |n| n % 10 == digit);
        let entry = |digit, value| json!({ "key": key(&digit), "value": value });
        let table = |value: &dyn Fn(i64) -> Value| {
            let rows: BTreeSet<_> = (0..10)
                .map(|digit| entry(digit, value(digit)).to_string())
                .collect();
            rows
        };
        let count = export("count");
        assert_eq!(count, table(&|digit| of(digit).count().into()));
        assert_eq!(export("final_content"), count);
        let fold = export("fold");
        assert_eq!(fold, table(&|digit| of(digit).collect::<Vec<_>>().into()));
        let scan = export("scan");
        assert_eq!(scan, table(&|digit| of(digit).next_back().into()));
        let time = lines([json!({
            "key": { "input": "numbers", "partition": "0" },
            "value": EventTime::secs(NUMBERS - 1),
        })]);
        assert_eq!(export("event_time"), time);
        let [tumbling, calendar, session] = ["tumbling", "calendar", "session"].map(export);
        log.close();
        job.run(Mode::Batch).unwrap();
        assert_eq!(tumbling, lines(windows.take()));
        assert_eq!(calendar, lines(hours.take()));
        assert_eq!(session, lines(sessions.take()));
        assert!(tumbling.len() >= 5 && session.len() > 20);
    }
    fn failure(job: &Job, store: &StateStore, stage: &str) -> String {
        let look = store.look(false).unwrap();
        let (manifest, _) = look.checkpoints().last().unwrap();
        match write(job, store, manifest, stage, &mut |_| Ok(true)) {
            Err(Failure::Line(error) | Failure::Job(error)) => error.to_string(),
            Ok(_) => panic!("`{stage}` is exported"),
        }
    }

    #[test]
    fn what_cannot_be_exported_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::folder(folder.path()).unwrap();
        let log = kept(&store);
        let (job, _) = job(&log, &store);
        let told = failure(&job, &store, "kinds/none");
        let what = "checkpoint 1 has no state of a stage `kinds/none`";
        assert!(
            told.contains(what) && told.contains("`kinds/count`"),
            "{told}"
        );
        let told = failure(&job, &store, "others/count");
        assert!(
            told.contains("did you mean `kinds/count`? it has that of"),
            "{told}"
        );
        let object = "state/000001-00000001-0000";
        let path = folder.path().join(object);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let told = failure(&job, &store, "kinds/tumbling");
        assert!(told.contains(&format!("`{object}` is damaged")), "{told}");
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        key: std::collections::BTreeMap<String, u8>,
    }

    #[test]
    fn a_type_that_is_known_by_its_name_is_refused() {
        let store = StateStore::memory();
        let job = Job::new("flat", |graph| {
            let numbers = graph.input::<u64>("numbers").key_by(|n| n % 2);
            let flat = || Flat {
                key: BTreeMap::new(),
            };
            graph.output("out", numbers.scan(flat, |_, n| n));
        });
        let job = job
            .source("numbers", io::vec(Vec::<u64>::new()))
            .sink::<(u64, u64)>("out", io::discard())
            .state(store.clone());
        let spec = job.explain().unwrap();
        job.run(Mode::Batch).unwrap();
        let job = Job::new("flat", |_| ());
        let told = failure(&job, &store, spec.fingerprints().keys().next().unwrap());
        let what = "the values of `flat/scan` cannot be read without their type";
        assert!(
            told.contains(what) && told.contains("Flat` but its name"),
            "{told}"
        );
    }
}
