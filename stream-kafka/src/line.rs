//! Topics as the command line names them.
//!
//! ```text
//! --input  clicks=kafka:TOPIC[,TOPIC…][?start=earliest|latest|TIME][&until=never|latest|TIME][&group=NAME]
//! --output sessions=kafka:TOPIC[?exactly-once=ID|guarantee=at-least-once]
//! ```

use std::path::Path;

use stream_core::{EventTime, Problem};

use crate::sink::Settings as SinkSettings;
use crate::source::Settings as SourceSettings;
use crate::{End, Start};

const PREFIX: &str = "kafka:";

const SINK_OPTIONS: &str = "`exactly-once=ID`, and `guarantee=at-least-once`";

/// Whether a place is one of Kafka.
pub(crate) fn is_kafka(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with(PREFIX))
}

/// Takes what a place says into the settings of a source; `None` where it is none of Kafka.
pub(crate) fn source_at(path: &Path, settings: &mut SourceSettings) -> Option<Result<(), Problem>> {
    let place = place_of(path)?;
    Some(place.and_then(|place| {
        settings.topics = place.topics.split(',').collect::<Vec<_>>().into();
        for (name, value) in place.options {
            match name {
                "start" => {
                    settings.start = match value {
                        "earliest" => Start::Earliest,
                        "latest" => Start::Latest,
                        time => Start::At(time_of(time, "`earliest` or `latest`")?),
                    }
                }
                "until" => {
                    settings.end = match value {
                        "never" => End::Never,
                        "latest" => End::Latest,
                        time => End::At(time_of(time, "`never` or `latest`")?),
                    }
                }
                "group" => settings.group = Some(value.to_owned()),
                other => return Err(unknown(other, "`start`, `until` and `group`")),
            }
        }
        Ok(())
    }))
}

/// Takes what a place says into the settings of a sink; `None` where it is none of Kafka.
pub(crate) fn sink_at(path: &Path, settings: &mut SinkSettings) -> Option<Result<(), Problem>> {
    let place = place_of(path)?;
    Some(place.and_then(|place| {
        if place.topics.contains(',') {
            let problem = Problem::new(format!("a sink writes one topic, not `{}`", place.topics));
            return Err(problem.hint("write `kafka:TOPIC`"));
        }
        place.topics.clone_into(&mut settings.topic);
        for (name, value) in place.options {
            match name {
                "exactly-once" => settings.transactions = Some(value.to_owned()),
                "guarantee" if value == "at-least-once" => settings.transactions = None,
                "guarantee" => {
                    let problem = Problem::new(format!("a sink has no guarantee `{value}`"));
                    return Err(problem.hint(format!("there is {SINK_OPTIONS}")));
                }
                other => return Err(unknown(other, SINK_OPTIONS)),
            }
        }
        Ok(())
    }))
}

struct Place<'p> {
    topics: &'p str,
    options: Vec<(&'p str, &'p str)>,
}

fn place_of(path: &Path) -> Option<Result<Place<'_>, Problem>> {
    let text = path.to_str()?.strip_prefix(PREFIX)?;
    // A `?` that an option stands behind, for it is also part of patterns.
    let (topics, options) = match text.split_once('?') {
        Some((topics, options)) if options.contains('=') => (topics, options),
        _ => (text, ""),
    };
    if topics.is_empty() {
        let problem = Problem::new(format!("`{PREFIX}` names no topic"));
        return Some(Err(problem.hint("write `kafka:TOPIC`")));
    }
    if topics.split(',').any(str::is_empty) {
        let problem = Problem::new(format!("`{PREFIX}{topics}` names a topic without a name"));
        return Some(Err(problem.hint("write `kafka:TOPIC,TOPIC`")));
    }
    let options = options.split('&').filter(|option| !option.is_empty());
    let options = options.map(|option| {
        option
            .split_once('=')
            .filter(|(_, value)| !value.is_empty())
            .ok_or_else(|| {
                Problem::new(format!("`{option}` sets nothing"))
                    .hint("write NAME=VALUE, with `&` between")
            })
    });
    let options: Result<_, _> = options.collect();
    Some(options.map(|options| Place { topics, options }))
}

fn time_of(text: &str, others: &str) -> Result<EventTime, Problem> {
    text.parse()
        .map_err(|error: <EventTime as std::str::FromStr>::Err| {
            let hint = format!("write {others}, or a time like 2026-01-31T12:00:00Z");
            Problem::new(format!("`{text}` is no place in a topic"))
                .because(error)
                .hint(hint)
        })
}

fn unknown(option: &str, known: &str) -> Problem {
    Problem::new(format!("a topic has no option `{option}`")).hint(format!("there is {known}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stream_core::io::{self, Revision, Sink, Source};

    use crate::{End, KafkaSource, Start, Whole, sink, source};

    /// What a source shows of itself that the command line has put elsewhere.
    fn read(place: &str) -> Result<Arc<dyn Source<crate::Record>>, String> {
        let revised = whole().revised(&Revision::Path(place.into()));
        revised.unwrap().map_err(|problem| problem.to_string())
    }

    fn whole() -> KafkaSource<Whole> {
        source("orders")
    }

    fn settings(place: &str) -> super::SourceSettings {
        let mut settings = whole().settings_for_tests();
        super::source_at(place.as_ref(), &mut settings)
            .unwrap()
            .unwrap();
        settings
    }

    fn written(place: &str) -> Result<(String, Option<String>), String> {
        let mut settings = sink("orders").exactly_once("own").settings_for_tests();
        let taken = super::sink_at(place.as_ref(), &mut settings).unwrap();
        taken.map_err(|problem| problem.to_string())?;
        Ok((settings.topic, settings.transactions))
    }

    fn wrong(place: &str) -> String {
        read(place).err().unwrap()
    }

    #[test]
    fn a_place_of_a_source_says_what_is_read() {
        let read = settings("kafka:clicks?start=latest&until=never&group=shop");
        assert_eq!(read.topics.to_string(), "clicks");
        assert_eq!(read.start, Start::Latest);
        assert_eq!(read.end, End::Never);
        assert_eq!(read.group.as_deref(), Some("shop"));

        let read = settings("kafka:clicks,orders?start=earliest&until=latest");
        assert_eq!(read.topics.to_string(), "clicks, orders");
        assert_eq!((read.start, read.end), (Start::Earliest, End::Latest));

        let time = "2026-01-31T12:00:00Z";
        let read = settings(&format!("kafka:clicks?start={time}&until={time}"));
        let time = time.parse().unwrap();
        assert_eq!((read.start, read.end), (Start::At(time), End::At(time)));

        // What is not said stays, and so does a `?` of a pattern.
        let read = settings("kafka:click?");
        assert_eq!(read.topics.to_string(), "click?");
        assert_eq!((read.start, read.end), (Start::Earliest, End::Never));
        assert_eq!(read.group, None);
    }

    #[test]
    fn a_place_of_a_sink_says_how_it_is_written() {
        let of = |place| written(place).unwrap();
        assert_eq!(of("kafka:clicks"), ("clicks".into(), Some("own".into())));
        let id = of("kafka:clicks?exactly-once=shop");
        assert_eq!(id, ("clicks".into(), Some("shop".into())));
        let plain = of("kafka:clicks?guarantee=at-least-once");
        assert_eq!(plain, ("clicks".into(), None));
    }

    #[test]
    fn every_mistake_in_a_place_is_told() {
        for (place, told) in [
            (
                "kafka:",
                "`kafka:` names no topic (hint: write `kafka:TOPIC`)",
            ),
            (
                "kafka:?group=shop",
                "`kafka:` names no topic (hint: write `kafka:TOPIC`)",
            ),
            (
                "kafka:a,,b",
                "`kafka:a,,b` names a topic without a name (hint: write `kafka:TOPIC,TOPIC`)",
            ),
            (
                "kafka:a?group=",
                "`group=` sets nothing (hint: write NAME=VALUE, with `&` between)",
            ),
            (
                "kafka:a?group=b&start",
                "`start` sets nothing (hint: write NAME=VALUE, with `&` between)",
            ),
            (
                "kafka:a?begin=latest",
                "a topic has no option `begin` (hint: there is `start`, `until` and `group`)",
            ),
            (
                "kafka:a?exactly-once=b",
                "a topic has no option `exactly-once` (hint: there is `start`, `until` and `group`)",
            ),
        ] {
            assert_eq!(wrong(place), told, "{place}");
        }
        for (option, others) in [
            ("start", "`earliest` or `latest`"),
            ("until", "`never` or `latest`"),
        ] {
            let told = wrong(&format!("kafka:a?{option}=soon"));
            let hint = format!("(hint: write {others}, or a time like 2026-01-31T12:00:00Z)");
            assert!(
                told.starts_with("`soon` is no place in a topic") && told.ends_with(&hint),
                "{told}"
            );
        }
        for (place, told) in [
            (
                "kafka:",
                "`kafka:` names no topic (hint: write `kafka:TOPIC`)",
            ),
            (
                "kafka:a,b",
                "a sink writes one topic, not `a,b` (hint: write `kafka:TOPIC`)",
            ),
            (
                "kafka:a?guarantee=exactly-once",
                "a sink has no guarantee `exactly-once` (hint: there is `exactly-once=ID`, and \
                 `guarantee=at-least-once`)",
            ),
            (
                "kafka:a?group=b",
                "a topic has no option `group` (hint: there is `exactly-once=ID`, and \
                 `guarantee=at-least-once`)",
            ),
        ] {
            assert_eq!(written(place).unwrap_err(), told, "{place}");
        }
    }

    #[test]
    fn what_is_no_place_of_kafka_is_another_ones() {
        let path = Revision::Path("today.csv".into());
        assert!(whole().revised(&path).is_none());
        let other = io::at("other.jsonl", |path| io::files::json_lines::<u64>(path));
        let either = source("orders").json::<u64>().or(other);
        let kind = |revised: stream_core::io::Revised<dyn Source<u64>>| {
            revised.unwrap().ok().unwrap().info().kind
        };
        assert_ne!(kind(either.revised(&path)), "kafka");
        let topic = Revision::Path("kafka:clicks".into());
        assert_eq!(kind(either.revised(&topic)), "kafka");
        assert_eq!(either.info().kind, "kafka");
        let property = |name: &str| Revision::Property {
            name: name.to_owned(),
            value: "5".to_owned(),
        };
        assert_eq!(kind(either.revised(&property("kafka.linger.ms"))), "kafka");
        assert!(either.revised(&property("other.linger.ms")).is_none());

        let either = sink("orders").json::<u64>().or(io::discard());
        let kind = |revised: stream_core::io::Revised<dyn Sink<u64>>| {
            revised.unwrap().ok().unwrap().info().kind
        };
        let path = Revision::Path("today.jsonl".into());
        assert!(Sink::<u64>::revised(&either, &path).is_none());
        assert_eq!(kind(either.revised(&topic)), "kafka");
    }
}
