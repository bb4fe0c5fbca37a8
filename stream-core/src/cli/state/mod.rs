//! `state`: what a job has kept, in short and row by row, where its next run starts, and what its
//! pipeline keeps.

mod export;
mod lock;

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::layout::{Columns, grouped};
use super::line::{PlaceLine, StateCommand};
use super::tell::Teller;
use super::{Failure, print};
use crate::error::{Error, Problem};
use crate::io::Position;
use crate::job::Job;
use crate::state::StateStore;
use crate::state::look::{Item, Look};
use crate::state::manifest::{Manifest, Slot};
use crate::time::epoch;

/// What a damaged entry of the log has in place of a number.
const UNKNOWN: &str = "?";

impl Job {
    pub(super) fn state_line(
        &self,
        line: &StateCommand,
        teller: Teller,
    ) -> Result<ExitCode, Failure> {
        match line {
            StateCommand::List { place, quick, json } => {
                let look = self.look(place, !quick)?;
                print(&match json {
                    true => pretty(&list_json(&look))?,
                    false => list(&look),
                })
            }
            StateCommand::Show {
                number,
                place,
                json,
            } => {
                let look = self.look(place, true)?;
                let (manifest, damage) = find(&look, *number).map_err(wrong)?;
                print(&match json {
                    true => pretty(&self.checkpoint_json(manifest, damage))?,
                    false => self.checkpoint(manifest, damage),
                })
            }
            StateCommand::Export { stage, from, place } => {
                let store = self.store(place)?;
                let look = store.look(false).map_err(Error::State)?;
                let (manifest, _) = find(&look, *from).map_err(wrong)?;
                if let (Some(object), None) = (&look.damaged, from) {
                    teller.note(format!(
                        "`{object}` may be a later checkpoint, and is damaged"
                    ));
                }
                export::export(self, &store, manifest, stage, teller)
            }
            StateCommand::Rollback { number, place } => {
                let store = self.store(place)?;
                let look = store.look(true).map_err(Error::State)?;
                if let (_, Some(damage)) = find(&look, Some(*number)).map_err(wrong)? {
                    let what = format!("checkpoint {number} cannot be gone on from");
                    return Err(
                        Error::State(Problem::new(what).detail(damaged(damage)).hint(
                            "restore it, or take another one: `state list` tells which there are",
                        ))
                        .into(),
                    );
                }
                store.go_back_to(*number).map_err(wrong)?;
                teller.note(format!(
                    "the next run goes on from checkpoint {number}; what came behind it is done again"
                ));
                Ok(ExitCode::SUCCESS)
            }
            StateCommand::Drop { stages, place } => {
                let store = self.store(place)?;
                store.drop_stages(stages).map_err(wrong)?;
                let told: Vec<_> = stages.iter().map(|id| format!("`{id}`")).collect();
                let told = told.join(", ");
                teller.note(format!("the next run starts without the state of {told}"));
                Ok(ExitCode::SUCCESS)
            }
            StateCommand::Lock(line) => lock::lock(self, &line.file, teller),
            StateCommand::Check(line) => lock::check(self, &line.file, teller),
        }
    }

    /// The store at a place, if it is this job's.
    fn store(&self, line: &PlaceLine) -> Result<StateStore, Failure> {
        let Some(place) = &line.state else {
            return Err(wrong(
                Problem::new("no place of state is named")
                    .hint("give the one that the job is run with: `--state PLACE`"),
            ));
        };
        let store = StateStore::existing(place).map_err(wrong)?;
        let look = store.look(false).map_err(Error::State)?;
        match look.job {
            Some(other) if other != self.name() => Err(wrong(
                Problem::new(format!("`{place}` holds the state of the job `{other}`"))
                    .detail(format!("this one is `{}`", self.name()))
                    .hint("name the place that this job is run with"),
            )),
            _ => Ok(store),
        }
    }

    fn look(&self, line: &PlaceLine, reads: bool) -> Result<Look, Failure> {
        let look = self.store(line)?.look(reads);
        Ok(look.map_err(Error::State)?)
    }

    /// A checkpoint as text.
    fn checkpoint(&self, manifest: &Manifest, damage: Option<&Problem>) -> String {
        let mut text = format!("checkpoint {}", manifest.number);
        text += &format!(" of {}, {} old", manifest.at, age(manifest));
        for note in [ending(manifest)]
            .into_iter()
            .filter(|note| !note.is_empty())
        {
            text += &format!(", the job {note} there");
        }
        let (generation, epoch) = (manifest.generation, told_epoch(manifest));
        let bytes = grouped(manifest.bytes(None));
        text += &format!("\nepoch {epoch}, generation {generation}, {bytes} bytes in ");
        text += &format!("{} shards\n", manifest.shards);
        if let Some(damage) = damage {
            text += &format!("damaged: {damage}\n");
        }
        text += "\nstages\n";
        let mut columns = Columns::bare(3);
        for (id, fingerprint) in &manifest.stages {
            let bytes = format!("{} bytes", grouped(manifest.bytes(Some(id))));
            columns.row([id.clone(), bytes, fingerprint.to_string()]);
        }
        text += &columns.to_string();
        text += "\ninputs\n";
        let mut columns = Columns::bare(3);
        for read in &manifest.partitions {
            let place = format!("{}/{}", read.input, read.partition);
            let ended = if read.ended { "read to its end" } else { "" };
            columns.row([
                place,
                self.told_position(&read.input, &read.position.0),
                ended.to_owned(),
            ]);
        }
        text += &columns.to_string();
        text += "\nsinks\n";
        let mut columns = Columns::bare(3);
        for (sink, slots) in &manifest.staged {
            for (slot, staged) in slots.iter().enumerate() {
                let staged = self.told_staged(sink, staged);
                columns.row([sink.clone(), format!("slot {slot}"), staged]);
            }
        }
        text += &columns.to_string();
        text += "\nobjects\n";
        for object in objects(manifest) {
            text += &format!("  {object}\n");
        }
        text
    }

    fn checkpoint_json(&self, manifest: &Manifest, damage: Option<&Problem>) -> Value {
        let mut value = summary(manifest, damage);
        let stages = manifest.stages.iter().map(|(id, fingerprint)| {
            json!({
                "id": id,
                "bytes": manifest.bytes(Some(id)),
                "fingerprint": fingerprint.to_string(),
            })
        });
        let inputs = manifest.partitions.iter().map(|read| {
            json!({
                "input": read.input,
                "partition": read.partition,
                "position": self.told_position(&read.input, &read.position.0),
                "ended": read.ended,
            })
        });
        let sinks = manifest.staged.iter().map(|(sink, slots)| {
            let slots = slots.iter().map(|slot| self.told_staged(sink, slot));
            json!({ "sink": sink, "staged": slots.collect::<Vec<_>>() })
        });
        value["shards"] = manifest.shards.into();
        value["stages"] = stages.collect();
        value["inputs"] = inputs.collect();
        value["sinks"] = sinks.collect();
        value["objects"] = objects(manifest).into();
        value
    }

    /// A position as the source tells it; else its bytes.
    fn told_position(&self, port: &str, bytes: &[u8]) -> String {
        if bytes.is_empty() {
            return "at the beginning".to_owned();
        }
        let source = self.bindings().sources.get(port);
        let position = Position::from_bytes(bytes.to_vec());
        let told = source.and_then(|source| source.told(&position));
        told.unwrap_or_else(|| hex(bytes))
    }

    /// What a sink has staged, as its kind has it; else how long it is.
    fn told_staged(&self, port: &str, slot: &Slot) -> String {
        let bytes = match slot {
            Slot::Here(bytes) => &bytes.0,
            Slot::Stored(stored) => {
                return format!("{} bytes in `{}`", stored.bytes, stored.object);
            }
        };
        if bytes.is_empty() {
            return "nothing".to_owned();
        }
        let sink = self.bindings().sinks.get(port);
        let told = match sink.map(|sink| sink.info().kind) {
            // What goes to stdout may have gone to a file, by `--output`.
            #[cfg(feature = "files")]
            Some("csv" | "json" | "stdout") => crate::io::files::told_staged(bytes),
            _ => None,
        };
        told.unwrap_or_else(|| format!("{} bytes", bytes.len()))
    }
}

/// A mistake on the command line.
fn wrong(problem: Problem) -> Failure {
    Failure::Line(Error::Plan(problem))
}

fn pretty(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    let unwritable = |error| Problem::new("it cannot be written as JSON").because(error);
    Ok(text.map_err(|error| Error::Engine(unwritable(error)))? + "\n")
}

/// The checkpoint that is asked for, or else the one that the next run starts from.
fn find(look: &Look, number: Option<u64>) -> Result<(&Manifest, Option<&Problem>), Problem> {
    let Some(wanted) = number.or(look.start) else {
        return Err(Problem::new("there is no checkpoint yet")
            .hint("one is made when the job stops, and when it ends"));
    };
    let mut checkpoints = look.checkpoints();
    let found = checkpoints.find(|(manifest, _)| manifest.number == wanted);
    found.ok_or_else(|| {
        let numbers = look.checkpoints().map(|(kept, _)| kept.number.to_string());
        let numbers: Vec<_> = numbers.collect();
        Problem::new(format!("checkpoint {wanted} is not kept"))
            .hint(format!("there are {}", numbers.join(", ")))
    })
}

/// A line for each checkpoint.
fn list(look: &Look) -> String {
    let mut columns = Columns::new(&[
        ">checkpoint",
        "made",
        "age",
        "epoch",
        "read to the end",
        ">bytes",
        ">generation",
        "",
    ]);
    let newest = look.checkpoints().last();
    let newest = newest.map(|(manifest, _)| manifest.number);
    for item in &look.items {
        let (manifest, damage) = match item {
            Item::Checkpoint { manifest, damage } => (manifest, damage),
            Item::Damaged { problem, .. } => {
                let mut cells = [const { String::new() }; 8];
                cells[0] = UNKNOWN.to_owned();
                cells[7] = damaged(problem);
                columns.row(cells);
                continue;
            }
        };
        let ended = manifest.partitions.iter().filter(|read| read.ended).count();
        let mut notes = Vec::new();
        if let Some(problem) = damage {
            notes.push(damaged(problem));
        }
        notes.push(ending(manifest).to_owned());
        if look.start == Some(manifest.number) && newest != look.start {
            notes.push("the next run starts here".to_owned());
        }
        notes.retain(|note| !note.is_empty());
        columns.row([
            manifest.number.to_string(),
            short(&manifest.at),
            age(manifest),
            told_epoch(manifest),
            format!("{ended} of {}", manifest.partitions.len()),
            grouped(manifest.bytes(None)),
            manifest.generation.to_string(),
            notes.join(", "),
        ]);
    }
    let mut text = columns.to_string();
    if let (Some(object), Some(start)) = (&look.damaged, look.start) {
        text += &format!(
            "\n  `{object}` may be a later checkpoint: restore it, or go on with `run --from {start}`\n"
        );
    }
    for stage in &look.dropped {
        text += &format!("\n  the next run starts without the state of `{stage}`\n");
    }
    text
}

fn list_json(look: &Look) -> Value {
    let items = look.items.iter().map(|item| match item {
        Item::Checkpoint { manifest, damage } => summary(manifest, damage.as_ref()),
        Item::Damaged { object, problem } => json!({
            "number": null,
            "object": object,
            "damaged": problem.to_string(),
        }),
    });
    json!({
        "job": look.job,
        "start": look.start,
        "dropped": look.dropped,
        "checkpoints": items.collect::<Vec<_>>(),
    })
}

fn summary(manifest: &Manifest, damage: Option<&Problem>) -> Value {
    let ended = manifest.partitions.iter().filter(|read| read.ended).count();
    json!({
        "number": manifest.number,
        "at": manifest.at,
        "age_seconds": secs(manifest),
        "epoch": told_epoch(manifest),
        "partitions": manifest.partitions.len(),
        "partitions_ended": ended,
        "bytes": manifest.bytes(None),
        "generation": manifest.generation,
        "stopped": manifest.is_last && !manifest.is_finished,
        "finished": manifest.is_finished,
        "damaged": damage.map(Problem::to_string),
    })
}

/// What is damaged, in short.
fn damaged(problem: &Problem) -> String {
    let detail = problem.detail_text().unwrap_or_default();
    format!("{}: {detail}", problem.what())
}

fn ending(manifest: &Manifest) -> &'static str {
    match (manifest.is_finished, manifest.is_last) {
        (true, _) => "finished",
        (_, true) => "stopped",
        _ => "",
    }
}

fn objects(manifest: &Manifest) -> Vec<&str> {
    let mut names: Vec<_> = manifest.objects().collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn told_epoch(manifest: &Manifest) -> String {
    let (checkpoint, batch, slice) = epoch::parts(manifest.epoch);
    format!("{checkpoint}.{batch}.{slice}")
}

/// A time without the parts of its second.
fn short(at: &str) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => at.to_owned(),
    }
}

fn secs(manifest: &Manifest) -> Option<i64> {
    let at: Timestamp = manifest.at.parse().ok()?;
    Some(Timestamp::now().duration_since(at).as_secs().max(0))
}

fn age(manifest: &Manifest) -> String {
    match secs(manifest) {
        None => UNKNOWN.to_owned(),
        Some(secs @ 0..120) => format!("{secs} s"),
        Some(secs @ 120..7_200) => format!("{} min", secs / 60),
        Some(secs @ 7_200..172_800) => format!("{} h", secs / 3_600),
        Some(secs) => format!("{} d", secs / 86_400),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::io::{self, SourceExt};

    fn job(log: &io::MemoryLog<u64>, store: &StateStore) -> Job {
        let job = Job::new("digits", |graph| {
            let numbers = graph.input::<u64>("numbers");
            graph.output("counts", numbers.key_by(|n| n % 10).count());
        });
        let job = job.source("numbers", log.clone());
        job.sink::<crate::ops::Entry<u64, u64>>("counts", io::discard())
            .state(store.clone())
    }

    /// A store with two checkpoints of a job that stopped when it had read so many numbers.
    fn kept(folder: &std::path::Path) -> (StateStore, io::MemoryLog<u64>) {
        let store = StateStore::folder(folder).unwrap();
        let log = io::MemoryLog::new(1);
        for read in 1..=2 {
            log.append(0, 0..20).unwrap();
            let handle = job(&log, &store).start(Mode::PerRecord).unwrap();
            while handle.counts().read["numbers"] < 20 {
                std::thread::yield_now();
            }
            handle.stop();
            let state = handle.wait().unwrap().state.unwrap();
            assert_eq!(state.last, Some(read));
        }
        (store, log)
    }

    fn rows(store: &StateStore) -> Vec<String> {
        let text = list(&store.look(true).unwrap());
        text.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_damaged_is_listed_with_the_name_of_the_object() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _log) = kept(folder.path());
        let told = rows(&store);
        assert!(told.len() == 2 && told.iter().all(|row| row.ends_with("  stopped")));
        for (object, row) in [("state/000001-00000001-0000", 0), ("log/000000000004", 1)] {
            let path = folder.path().join(object);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            let told = rows(&store);
            assert!(
                told[row].contains(&format!("`{object}` is damaged: it has")),
                "{told:?}"
            );
            let of_log = object.starts_with("log");
            assert_eq!(
                told[row].trim_start().starts_with(UNKNOWN),
                of_log,
                "{told:?}"
            );
            let remedy = "may be a later checkpoint: restore it, or go on with `run --from 1`";
            assert_eq!(
                told.iter().any(|line| line.ends_with(remedy)),
                of_log,
                "{told:?}"
            );
            let json = list_json(&store.look(true).unwrap()).to_string();
            assert!(json.contains(object), "{json}");
            std::fs::write(&path, whole).unwrap();
        }
        std::fs::remove_file(folder.path().join("state/000002-00000002-0000")).unwrap();
        assert!(rows(&store)[1].contains("is damaged: it is not there"));
    }

    #[test]
    fn a_checkpoint_of_a_clock_that_was_set_back_since_has_no_age() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _log) = kept(folder.path());
        let look = store.look(true).unwrap();
        let (mut manifest, _) = find(&look, None)
            .map(|(last, why)| (last.clone(), why))
            .unwrap();
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(5);
        manifest.at = later.to_string();
        assert_eq!(age(&manifest), "0 s");
    }

    #[test]
    fn a_checkpoint_is_told_with_stages_positions_and_objects() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log) = kept(folder.path());
        let look = store.look(true).unwrap();
        let (manifest, damage) = find(&look, None).unwrap();
        assert!(manifest.number == 2 && damage.is_none());
        let job = job(&log, &store);
        let told = job.checkpoint(manifest, damage);
        for part in [
            ", the job stopped there\n",
            "  digits/count                 ",
            "count of u64 by u64\n",
            "  numbers/0  behind 40 records\n",
            "\nobjects\n  state/000002-00000002-0000\n",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let json = job.checkpoint_json(manifest, damage);
        assert_eq!(json["inputs"][0]["position"], "behind 40 records");
        let bytes = |id: usize| json["stages"][id]["bytes"].as_u64().unwrap();
        assert!(bytes(0) > 0);
        assert_eq!(bytes(0) + bytes(1), json["bytes"].as_u64().unwrap());
        assert_eq!(json["objects"][0], "state/000002-00000002-0000");
        let told = find(&look, Some(3)).unwrap_err().to_string();
        assert_eq!(told, "checkpoint 3 is not kept (hint: there are 1, 2)");
    }

    #[test]
    fn the_list_says_where_the_next_run_starts() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _log) = kept(folder.path());
        store.go_back_to(1).unwrap();
        store.drop_stages(&["digits/count".to_owned()]).unwrap();
        let told = rows(&store);
        assert!(
            told[0].ends_with("stopped, the next run starts here"),
            "{told:?}"
        );
        let last = told.last().unwrap();
        assert_eq!(
            last,
            "  the next run starts without the state of `digits/count`"
        );
    }

    #[test]
    fn a_position_is_told_by_its_source_and_else_as_bytes() {
        let told = |job: Job, position: &Position| job.told_position("in", position.as_bytes());
        let job = || {
            Job::new("copy", |graph| {
                graph.output("out", graph.input::<u64>("in"));
            })
        };
        let position = Position::of(&1_234_u64).unwrap();
        let log = io::MemoryLog::<u64>::new(1);
        for job in [
            job().source("in", io::vec(vec![1_u64]).skip_bad_records()),
            job().source("in", io::spoolable(log).rate(1.0)),
        ] {
            assert_eq!(told(job, &position), "behind 1,234 records");
        }
        let (_sender, channel) = io::channel::<u64>(1);
        let bytes = hex(position.as_bytes());
        assert_eq!(told(job().source("in", channel), &position), bytes);
        assert_eq!(told(job(), &Position::START), "at the beginning");
    }
}
