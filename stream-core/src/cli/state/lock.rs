//! `pipeline.lock`: what the stages of a pipeline keep, in a file that stands beside the source. A
//! change that would orphan or misread state is found where it is made, without a store.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::Deserialize;
use toml::{Table, Value};

use super::super::tell::Teller;
use super::super::{Failure, print};
use super::wrong;
use crate::error::{Error, Problem};
use crate::graph::GraphSpec;
use crate::job::{Job, was_of};
use crate::shape::Shape;
use crate::state::{Fingerprint, SHARDS};

/// The format of the file.
const FORMAT: u64 = 1;

/// The file, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Locked {
    format: u64,
    pipeline: String,
    shards: usize,
    #[serde(default)]
    stages: BTreeMap<String, Stage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    kind: String,
    #[serde(default)]
    settings: Table,
    key: String,
    state: String,
}

impl Stage {
    fn fingerprint(&self) -> Fingerprint {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let settings = self.settings.iter();
        let settings = settings.map(|(name, value)| (name.clone(), text(value)));
        Fingerprint {
            kind: self.kind.clone(),
            settings: settings.collect(),
            key: Shape::told(&self.key),
            state: Shape::told(&self.state),
        }
    }
}

/// Writes the file.
pub(super) fn lock(job: &Job, path: &Path, teller: Teller) -> Result<ExitCode, Failure> {
    let spec = job.explain().map_err(Failure::Line)?;
    let shown = path.display();
    fs::write(path, text(&spec)).map_err(|error| {
        wrong(
            Problem::new(format!("cannot write `{shown}`"))
                .because(error)
                .hint("name another file, `--file PATH`"),
        )
    })?;
    let stages = spec.fingerprints().len();
    let told = match stages {
        1 => "1 stage that keeps".to_owned(),
        stages => format!("{stages} stages that keep"),
    };
    teller.note(format!("`{shown}` holds {told} state"));
    Ok(ExitCode::SUCCESS)
}

/// The pipeline as the file has it: a line a fact, in the order of ids.
fn text(spec: &GraphSpec) -> String {
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    let mut file = format!(
        "# What the pipeline keeps. `state lock` writes this file, `state check` compares with it.\n\
         format = {FORMAT}\npipeline = {}\nshards = {SHARDS}\n",
        quoted(&spec.name)
    );
    for (id, fingerprint) in spec.fingerprints() {
        let _ = write!(file, "\n[stages.{}]\n", quoted(&id));
        let _ = writeln!(file, "kind = {}", quoted(&fingerprint.kind));
        for (name, value) in &fingerprint.settings {
            let _ = writeln!(file, "settings.{name} = {}", quoted(value));
        }
        let _ = writeln!(file, "key = {}", quoted(&fingerprint.key.to_string()));
        let _ = writeln!(file, "state = {}", quoted(&fingerprint.state.to_string()));
    }
    file
}

/// Compares the pipeline with the file.
pub(super) fn check(job: &Job, path: &Path, teller: Teller) -> Result<ExitCode, Failure> {
    let spec = job.explain().map_err(Failure::Line)?;
    let shown = path.display();
    let file = fs::read_to_string(path).map_err(|error| {
        wrong(
            Problem::new(format!("cannot read `{shown}`"))
                .because(error)
                .hint("write it with `state lock`, or name it, `--file PATH`"),
        )
    })?;
    let locked: Locked = toml::from_str(&file).map_err(|error| {
        wrong(
            Problem::new(format!("`{shown}` is no lock of a pipeline"))
                .detail(error.message().to_owned())
                .hint("write it anew with `state lock`"),
        )
    })?;
    if locked.format != FORMAT || locked.shards != SHARDS {
        let (format, shards) = (locked.format, locked.shards);
        let what = format!("`{shown}` has format {format} and {shards} shards");
        return Err(Error::Plan(
            Problem::new(what)
                .detail(format!(
                    "this version has format {FORMAT} and {SHARDS} shards"
                ))
                .hint("run the job with the version that kept its state, or begin afresh"),
        )
        .into());
    }
    let changes = Changes::of(&locked, &spec);
    print(&changes.told)?;
    let stages = |count| match count {
        1 => "1 stage".to_owned(),
        count => format!("{count} stages"),
    };
    if changes.lost > 0 {
        let what = format!(
            "the state of {} would be lost or misread",
            stages(changes.lost)
        );
        return Err(Error::Plan(
            Problem::new(what)
                .detail(format!("the pipeline is not what `{shown}` says"))
                .hint("do what stands beside each, then `state lock`"),
        )
        .into());
    }
    match changes.told.is_empty() {
        true => teller.note(format!("the pipeline is as `{shown}` says")),
        false => teller.note("all state is found; `state lock` takes the changes into the file"),
    }
    Ok(ExitCode::SUCCESS)
}

/// In what a pipeline differs from the file.
#[derive(Default)]
struct Changes {
    told: String,
    /// How many stages would lose their state, or misread it.
    lost: usize,
}

impl Changes {
    fn of(locked: &Locked, spec: &GraphSpec) -> Self {
        let mut changes = Changes::default();
        let mut now = spec.fingerprints();
        for fingerprint in now.values_mut() {
            fingerprint.settings.sort(); // as the file has them
        }
        if locked.pipeline != spec.name {
            let (was, is) = (&locked.pipeline, &spec.name);
            changes.tell(&format!("- pipeline {was}\n+ pipeline {is}"), &[]);
        }
        // The stage that each one was, where it has another name.
        let was = |id: &str| {
            let node = spec.nodes.iter().find(|node| node.id == id)?;
            let was = node.was.as_deref()?;
            (!locked.stages.contains_key(id) && locked.stages.contains_key(was)).then_some(was)
        };
        let renamed: BTreeMap<&str, &str> = now
            .keys()
            .filter_map(|id| Some((was(id)?, id.as_str())))
            .collect();
        for (id, stage) in &locked.stages {
            let kept = stage.fingerprint();
            let name = renamed.get(id.as_str()).copied().unwrap_or(id);
            let Some(fingerprint) = now.get(name) else {
                changes.gone(id, &kept, locked, &now);
                continue;
            };
            let differences = kept.differences(fingerprint);
            if name != id {
                changes.tell(&format!("- {id}\n+ {name}, which was {id}"), &[]);
            }
            if differences.is_empty() {
                continue;
            }
            changes.lost += 1;
            let drop =
                format!("or `state drop {name}` forgets it, and the stage begins with nothing");
            let back = "change it back; what only has a new name keeps its old one with \
                        `#[serde(rename = \"…\")]`";
            let head = format!("- {name}  {kept}\n+ {name}  {fingerprint}");
            let mut lines: Vec<_> = differences.iter().map(String::as_str).collect();
            lines.extend([back, drop.as_str()]);
            changes.tell(&head, &lines);
        }
        for (id, fingerprint) in &now {
            if !locked.stages.contains_key(id) && was(id).is_none() {
                let head = format!("+ {id}  {fingerprint}");
                changes.tell(&head, &["it is new, and begins with nothing"]);
            }
        }
        changes
    }

    /// Tells of a stage that is there no more.
    fn gone(
        &mut self,
        id: &str,
        kept: &Fingerprint,
        locked: &Locked,
        now: &BTreeMap<String, Fingerprint>,
    ) {
        self.lost += 1;
        let is_new = |(id, _): &(&String, &Fingerprint)| !locked.stages.contains_key(*id);
        let like = now.iter().filter(is_new);
        let mut like = like.filter(|(_, fingerprint)| kept.differences(fingerprint).is_empty());
        let stage = like.next().map_or_else(
            || "a stage with a new name".to_owned(),
            |(id, _)| format!("if it is {id} now, that"),
        );
        let was = format!("{stage} says what it was, {}", was_of(id));
        let drop = format!("if it is no more, `state drop {id}` forgets what it has kept");
        let lines = ["its state would be found by nobody", &was, &drop];
        self.tell(&format!("- {id}  {kept}"), &lines);
    }

    fn tell(&mut self, head: &str, lines: &[&str]) {
        let _ = writeln!(self.told, "{head}");
        for line in lines {
            let _ = writeln!(self.told, "    {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io;
    use crate::time::Size;

    /// A pipeline with a count by each name, and windows of some seconds.
    fn spec(names: &'static [&'static str], secs: u64) -> GraphSpec {
        let job = Job::new("job", move |graph| {
            let numbers = graph.input::<u64>("numbers");
            for name in names {
                let counts = numbers.clone().key_by(|n| n % 3).count().named(name);
                graph.output(name, counts.changes());
            }
            let time = |n: &u64| crate::EventTime::secs(*n as i64);
            let (timed, late) = numbers.event_time(time, crate::Lateness::secs(1));
            late.discard();
            let windows = timed.key_by(|n| *n).tumbling(Size::secs(secs)).count();
            graph.output("windows", windows);
        });
        job.source("numbers", io::vec(vec![1_u64]))
            .explain()
            .unwrap()
    }

    fn changes(was: &GraphSpec, now: &GraphSpec) -> (String, usize) {
        let locked = toml::from_str(&text(was)).unwrap();
        let changes = Changes::of(&locked, now);
        (changes.told, changes.lost)
    }

    #[test]
    fn the_file_reads_back_as_the_pipeline_that_it_was_written_of() {
        let spec = spec(&["a", "b"], 5);
        assert_eq!(changes(&spec, &spec), (String::new(), 0));
        assert_eq!(
            text(&spec),
            "\
# What the pipeline keeps. `state lock` writes this file, `state check` compares with it.
format = 1
pipeline = \"job\"
shards = 256

[stages.\"job/a\"]
kind = \"count\"
key = \"u64\"
state = \"u64\"

[stages.\"job/b\"]
kind = \"count\"
key = \"u64\"
state = \"u64\"

[stages.\"job/event_time\"]
kind = \"event_time\"
key = \"u64\"
state = \"i64\"

[stages.\"job/tumbling\"]
kind = \"tumbling\"
settings.size = \"5s\"
settings.fold = \"count\"
key = \"u64\"
state = \"u64\"
"
        );
    }

    #[test]
    fn what_would_be_lost_or_misread_is_told_with_the_remedy() {
        assert_eq!(
            changes(&spec(&["a", "b"], 5), &spec(&["b", "c"], 5)),
            (
                "\
- job/a  count of u64 by u64
    its state would be found by nobody
    if it is job/c now, that says what it was, `.named(\"a\")`
    if it is no more, `state drop job/a` forgets what it has kept
+ job/c  count of u64 by u64
    it is new, and begins with nothing
"
                .to_owned(),
                1
            )
        );
        assert_eq!(
            changes(&spec(&[], 5), &spec(&[], 7)),
            (
                "\
- job/tumbling  tumbling fold=count size=5s of u64 by u64
+ job/tumbling  tumbling fold=count size=7s of u64 by u64
    kept windows of size=5s, the job has size=7s
    change it back; what only has a new name keeps its old one with `#[serde(rename = \"…\")]`
    or `state drop job/tumbling` forgets it, and the stage begins with nothing
"
                .to_owned(),
                1
            )
        );
    }

    #[test]
    fn what_is_new_or_says_what_it_was_is_no_failure() {
        let told = "+ job/b  count of u64 by u64\n    it is new, and begins with nothing\n";
        let added = changes(&spec(&["a"], 5), &spec(&["a", "b"], 5));
        assert_eq!(added, (told.to_owned(), 0));
        let mut renamed = spec(&["b"], 5);
        let node = renamed.nodes.iter_mut().find(|node| node.id == "job/b");
        node.unwrap().was = Some("job/a".to_owned());
        let told = "- job/a\n+ job/b, which was job/a\n";
        let renamed = changes(&spec(&["a"], 5), &renamed);
        assert_eq!(renamed, (told.to_owned(), 0));
    }
}
