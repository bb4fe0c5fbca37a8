//! What the command line changes about the sources and sinks that the program has bound: where
//! they are, at what pace they give their records, whether they are kept in memory.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use super::line::PaceLine;
use crate::error::{Error, Problem};
use crate::io::{BadRecords, Boundedness, Revision};
use crate::job::Job;

/// `PORT=PATH`, as `--input` and `--output` take it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PortPath {
    port: String,
    path: PathBuf,
}

impl FromStr for PortPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected PORT=PATH, like clicks=today.csv".to_owned();
        let (port, path) = text.split_once('=').ok_or_else(expected)?;
        let path = path.strip_prefix("file:").unwrap_or(path);
        if port.is_empty() || path.is_empty() {
            return Err(expected());
        }
        Ok(PortPath {
            port: port.to_owned(),
            path: path.into(),
        })
    }
}

/// `KIND.NAME=VALUE`, as `--property` takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property {
    name: String,
    value: Option<String>,
}

impl FromStr for Property {
    type Err = String;

    /// Takes any word. One that is no property is told of later, without what may be a secret in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let name = name.to_owned();
        Ok(Property { name, value })
    }
}

impl Property {
    /// The name and the value, if it is one.
    fn parts(&self) -> Result<(&str, &str), Error> {
        let mut parts = self.name.split('.');
        let is_name = parts.clone().count() > 1 && parts.all(|part| !part.is_empty());
        match &self.value {
            Some(value) if is_name => Ok((&self.name, value)),
            _ => {
                let problem = Problem::new(format!("`{}` sets no property", self.name));
                let hint = "write KIND.NAME=VALUE, like kafka.linger.ms=5";
                Err(Error::Plan(problem.hint(hint)))
            }
        }
    }
}

/// Writes `--kafka.linger.ms=5` as `--property=kafka.linger.ms=5`, which the parser knows: no flag of
/// this program has a dot in its name.
pub(super) fn spell_out_properties(words: &mut [OsString]) {
    for word in words.iter_mut().skip(1) {
        let text = word.to_str().and_then(|text| text.strip_prefix("--"));
        if text == Some("") {
            return; // what stands behind `--` is no flag
        }
        if let Some(text) = text
            && text
                .split('=')
                .next()
                .is_some_and(|name| name.contains('.'))
        {
            *word = format!("--property={text}").into();
        }
    }
}

/// Sets properties of the sources and sinks that know them.
pub(super) fn set(job: &mut Job, properties: &[Property]) -> Result<(), Error> {
    for property in properties {
        let (name, value) = property.parts()?;
        let revision = Revision::Property {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let bindings = job.bindings_mut();
        let mut is_known = false;
        for (port, source) in &mut bindings.sources {
            if let Some(revised) = source.revised(&revision) {
                *source = revised.map_err(Error::in_source(port))?;
                is_known = true;
            }
        }
        for (port, sink) in &mut bindings.sinks {
            if let Some(revised) = sink.revised(&revision) {
                *sink = revised.map_err(Error::in_sink(port))?;
                is_known = true;
            }
        }
        if !is_known {
            let kind = name.split('.').next().unwrap_or_default();
            let what = format!("`--{name}=…`: no source or sink of the job takes it");
            let detail = format!("none of them is a {kind}");
            let problem = Problem::new(what).detail(detail);
            return Err(Error::Plan(problem.hint("`explain` shows what is bound")));
        }
    }
    Ok(())
}

/// Puts sources at other paths.
pub(super) fn feed(job: &mut Job, inputs: &[PortPath]) -> Result<(), Error> {
    for PortPath { port, path } in inputs {
        let sources = &mut job.bindings_mut().sources;
        let names = || sources.keys().map(String::as_str).collect::<Vec<_>>();
        let Some(source) = sources.get(port) else {
            return Err(Error::Plan(no_port("input", port, &names())));
        };
        let revised = source.revised(&Revision::Path(path.clone()));
        let revised = revised
            .unwrap_or_else(|| Err(no_path("input", port, source.info.kind)))
            .map_err(Error::in_source(port))?;
        sources.insert(port.clone(), revised);
    }
    Ok(())
}

/// Puts sinks at other paths.
pub(super) fn direct(job: &mut Job, outputs: &[PortPath]) -> Result<(), Error> {
    for PortPath { port, path } in outputs {
        let sinks = &mut job.bindings_mut().sinks;
        let names = || sinks.keys().map(String::as_str).collect::<Vec<_>>();
        let Some(sink) = sinks.get(port) else {
            return Err(Error::Plan(no_port("output", port, &names())));
        };
        let revised = sink.revised(&Revision::Path(path.clone()));
        let revised = revised
            .unwrap_or_else(|| Err(no_path("output", port, sink.info().kind)))
            .map_err(Error::in_sink(port))?;
        sinks.insert(port.clone(), revised);
    }
    Ok(())
}

fn no_port(flag: &str, port: &str, names: &[&str]) -> Problem {
    let problem = Problem::new(format!("`--{flag} {port}=…`: there is no {flag} `{port}`"));
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [] => problem.hint(format!("the job has no {flag}s")),
        names => problem.hint(format!("the {flag}s are {}", names.join(", "))),
    }
}

fn no_path(flag: &str, port: &str, kind: &str) -> Problem {
    let what = format!("`--{flag} {port}=…` cannot put what is bound to `{port}` elsewhere");
    Problem::new(what)
        .detail(format!(
            "a {kind} that the program makes has no path to be replaced"
        ))
        .hint("bind it as `io::at(path, |path| …)`, with a function that makes it of a path")
}

/// Gives sources a pace.
pub(super) fn pace(job: &mut Job, line: &PaceLine) -> Result<(), Error> {
    if let Some(rate) = line.rate
        && job.pace(rate) == 0
    {
        let problem = Problem::new(format!("`--rate {rate}` has no source to pace"))
            .detail("they are closed by somebody, and their records come when they come")
            .hint("leave it out, or read from files or a vector");
        return Err(Error::Plan(problem));
    }
    let Some(speed) = line.replay else {
        return Ok(());
    };
    let mut replayed = 0;
    for (port, source) in &mut job.bindings_mut().sources {
        if source.info.boundedness != Boundedness::Bounded {
            continue;
        }
        if let Some(revised) = source.revised(&Revision::Replay(speed)) {
            *source = revised.map_err(Error::in_source(port))?;
            replayed += 1;
        }
    }
    match replayed {
        0 => Err(Error::Plan(
            Problem::new(format!("`--replay {speed}` has no source to replay"))
                .detail("none of them knows the event time of its records")
                .hint("bind one as `source.replay(1.0, |record| …)`, or give `--rate`"),
        )),
        _ => Ok(()),
    }
}

/// Keeps the first records of each source that gives them only once, or has no end.
pub(super) fn spool(job: &mut Job, records: u64) -> Result<(), Error> {
    let most = usize::try_from(records).unwrap_or(usize::MAX);
    for (port, source) in &mut job.bindings_mut().sources {
        let info = &source.info;
        if info.repeatable && info.boundedness == Boundedness::Bounded {
            continue;
        }
        let no_spool = || {
            let what = format!(
                "`--spool` cannot keep the records of the {} source",
                info.kind
            );
            Err(Problem::new(what)
                .detail("nothing says how one is copied")
                .hint("bind it as `io::spoolable(…)`, if its records are `Clone`"))
        };
        let first = Revision::Spool {
            records: most,
            skip_bad: !matches!(source.bad_records, BadRecords::Fail),
        };
        let revised = source
            .revised(&first)
            .unwrap_or_else(no_spool)
            .map_err(Error::in_source(port))?;
        *source = revised;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::io::{self, SourceExt, files};
    use crate::{EventTime, Mode};

    /// Copies numbers from `in` to `out`.
    fn job(source: impl io::Source<u64>, sink: impl io::Sink<u64>) -> Job {
        Job::new("copy", |graph| {
            graph.output("out", graph.input::<u64>("in"));
        })
        .source("in", source)
        .sink("out", sink)
    }

    fn paths(texts: &[&str]) -> Vec<PortPath> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn told(done: Result<(), Error>) -> String {
        done.err().unwrap().to_string()
    }

    #[test]
    fn a_property_has_a_kind_a_name_and_a_value() {
        let parse = |text: &str| text.parse::<Property>().unwrap();
        for (text, name, value) in [
            ("kafka.linger.ms=5", "kafka.linger.ms", "5"),
            ("kafka.a=b=c", "kafka.a", "b=c"),
            ("kafka.client.id=", "kafka.client.id", ""),
        ] {
            assert_eq!(parse(text).parts().unwrap(), (name, value));
        }
        for text in [
            "kafka.linger.ms",
            "linger=hush",
            "=hush",
            ".linger=hush",
            "kafka.=hush",
            "kafka..ms=hush",
            "",
        ] {
            let told = parse(text).parts().unwrap_err().to_string();
            assert!(
                told.contains("sets no property (hint: write KIND.NAME"),
                "{told}"
            );
            assert!(!told.contains("hush"), "{told}");
        }
    }

    #[test]
    fn a_flag_with_a_dot_in_its_name_is_a_property() {
        let spelt = |words: &[&str]| {
            let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
            spell_out_properties(&mut words);
            let words = words.into_iter().map(|word| word.into_string().unwrap());
            words.collect::<Vec<_>>()
        };
        assert_eq!(
            spelt(&["--a.program=1", "run", "--kafka.linger.ms=5", "--kafka.x"]),
            [
                "--a.program=1",
                "run",
                "--property=kafka.linger.ms=5",
                "--property=kafka.x"
            ]
        );
        let others = ["me", "--rate=1.5", "-a.b=1", "a.b=1", "--", "--kafka.x=1"];
        assert_eq!(spelt(&others), others);
    }

    #[test]
    fn a_property_that_nothing_takes_is_told_and_its_value_is_not() {
        let property = "kafka.sasl.password=hush".parse().unwrap();
        assert_eq!(
            told(set(&mut job(io::vec(vec![1]), io::discard()), &[property])),
            "`--kafka.sasl.password=…`: no source or sink of the job takes it: none of them is a kafka \
             (hint: `explain` shows what is bound)"
        );
        assert!(set(&mut job(io::vec(vec![1]), io::discard()), &[]).is_ok());
    }

    /// A sink with a property, which it shows.
    struct Tuned(String);

    impl<T: 'static> io::Sink<T> for Tuned {
        fn info(&self) -> io::SinkInfo {
            io::SinkInfo {
                kind: "tuned",
                detail: self.0.clone(),
                atomic: false,
            }
        }

        fn open(&self, slot: io::Slot) -> Result<Box<dyn io::Writer<T>>, Problem> {
            io::Sink::<T>::open(&io::discard(), slot)
        }

        fn revised(&self, revision: &Revision) -> io::Revised<dyn io::Sink<T>> {
            match revision {
                Revision::Property { name, value } => {
                    let value = (name == "tuned.by").then(|| value.clone());
                    Some(Ok(Arc::new(Tuned(value?))))
                }
                _ => Some(Ok(Arc::new(Tuned("elsewhere".to_owned())))),
            }
        }
    }

    #[test]
    fn dead_letters_have_the_properties_that_other_sinks_have() {
        let source = files::json_lines::<u64>("a.jsonl").dead_letter(Tuned(String::new()));
        let mut job = job(source, Tuned(String::new()));
        set(&mut job, &["tuned.by=5".parse().unwrap()]).unwrap();
        feed(&mut job, &paths(&["in=b.jsonl"])).unwrap();
        let BadRecords::DeadLetter(dead_letters) = &job.bindings().source("in").bad_records else {
            panic!("bad records go elsewhere");
        };
        assert_eq!(dead_letters.info().detail, "5");
        assert_eq!(job.bindings().sink("out").info().detail, "5");
        assert_eq!(job.bindings().source("in").info.detail, "b.jsonl");
        let other = "other.by=5".parse().unwrap();
        assert!(told(set(&mut job, &[other])).contains("no source or sink of the job takes it"));
    }

    #[test]
    fn a_source_and_a_sink_stand_where_the_command_line_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("numbers.jsonl"), "1\n2\n").unwrap();
        let source = files::json_lines::<u64>("nowhere.jsonl");
        let sink = files::to_json_lines("nowhere/");
        let mut job = job(source, io::comparable(sink));
        let input = paths(&[&format!("in=file:{}", path("numbers.jsonl"))]);
        feed(&mut job, &input).unwrap();
        direct(&mut job, &paths(&[&format!("out={}", path("copy.jsonl"))])).unwrap();
        job.run(Mode::Batch).unwrap();
        let copy = std::fs::read_to_string(path("copy.jsonl")).unwrap();
        assert_eq!(copy, "1\n2\n");
    }

    #[test]
    fn a_file_whose_name_says_another_format_is_refused() {
        let csv = |path: &str| {
            let mut job = job(io::vec(vec![1]), files::to_csv("a.csv"));
            direct(&mut job, &paths(&[&format!("out={path}")]))
        };
        assert_eq!(
            told(csv("a/l.jsonl")),
            "sink `out`: `a/l.jsonl` is no name for a file of csv: the sink writes csv, whatever the \
             file is called (hint: let it end in `.csv`, or bind a sink of json in the program)"
        );
        for path in ["a.JSON", "a.ndjson.gz", "json.jsonl.zst"] {
            assert!(told(csv(path)).contains("is no name for"), "{path}");
        }
        for path in [
            "a.csv", "a.tsv.gz", "a.txt", "a", "jsonl", "a.json/", "a.csv/",
        ] {
            assert!(csv(path).is_ok(), "{path}");
        }
        for sink in [
            Box::new(|| job(io::vec(vec![1]), io::stdout::json())) as Box<dyn Fn() -> Job>,
            Box::new(|| job(io::vec(vec![1]), files::to_json_lines("a.jsonl"))),
        ] {
            let refused = told(direct(&mut sink(), &paths(&["out=a.csv.gz"])));
            assert!(
                refused.contains("is no name for a file of json"),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_has_no_path_says_how_to_give_it_one() {
        let mut job = job(io::vec(vec![1]), io::discard());
        let input = paths(&["in=a.csv"]);
        assert_eq!(
            told(feed(&mut job, &input)),
            "source `in`: `--input in=…` cannot put what is bound to `in` elsewhere: a vec that the \
             program makes has no path to be replaced (hint: bind it as `io::at(path, |path| …)`, \
             with a function that makes it of a path)"
        );
        let output = told(direct(&mut job, &paths(&["out=a.csv"])));
        assert!(
            output.starts_with("sink `out`: `--output out=…` cannot put"),
            "{output}"
        );
        assert_eq!(
            told(direct(&mut job, &paths(&["on=a.csv"]))),
            "`--output on=…`: there is no output `on` (hint: the outputs are `out`)"
        );
        for text in ["in", "=a", "in=", "in=file:"] {
            let told = text.parse::<PortPath>().unwrap_err();
            assert_eq!(told, "expected PORT=PATH, like clicks=today.csv", "{text}");
        }
    }

    #[test]
    fn a_pace_without_a_source_that_can_keep_it_is_refused() {
        let (_sender, source) = io::channel(1);
        let rate = PaceLine {
            rate: Some(5.0),
            replay: None,
        };
        let refused = told(pace(&mut job(source, io::discard()), &rate));
        assert!(
            refused.starts_with("`--rate 5` has no source to pace: they are closed"),
            "{refused}"
        );
        let replay = PaceLine {
            rate: None,
            replay: Some(2.5),
        };
        let refused = told(pace(&mut job(io::vec(vec![1]), io::discard()), &replay));
        assert!(
            refused.starts_with("`--replay 2.5` has no source to replay"),
            "{refused}"
        );
    }

    #[test]
    fn a_replay_goes_by_as_fast_as_the_command_line_says() {
        // Half a year at the speed of the program, which nobody waits for.
        let source = io::vec(vec![0, 15_000_000]).replay(1.0, |secs| EventTime::secs(*secs as i64));
        let mut job = job(source, io::discard());
        let replay = PaceLine {
            rate: None,
            replay: Some(1e9),
        };
        pace(&mut job, &replay).unwrap();
        assert_eq!(job.run(Mode::Batch).unwrap().counts.read["in"], 2);
    }
}
