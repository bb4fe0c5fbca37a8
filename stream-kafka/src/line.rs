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
        place.topics.clone_into(&mut settings.topic);
        for (name, value) in place.options {
            match name {
                "exactly-once" => settings.transactions = Some(value.to_owned()),
                "guarantee" if value == "at-least-once" => settings.transactions = None,
                other => {
                    return Err(unknown(
                        other,
                        "`exactly-once=ID`, and `guarantee=at-least-once`",
                    ));
                }
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
