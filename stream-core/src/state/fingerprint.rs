//! Fingerprints: what decides whether state that was kept for one stage means the same to another.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::shape::Shape;

/// How much of a shape is told where two differ, in characters.
const EXCERPT_CHARS: usize = 160;

/// What the state of a stage is: the stage's kind, the settings that decide what its state means,
/// and the shapes of its keys and of what it keeps for each.
///
/// A shape is what the type looks like when it is written: its fields and variants with their
/// names, in their order. The names of types and modules are no part of it, and neither is what the
/// closures do. A type whose shape cannot be found out (one with a `Deserialize` of its own that
/// takes only certain input, an untagged enum) is known by its name, and says so.
///
/// ```
/// use stream_core::Job;
///
/// let job = Job::new("parity", |graph| {
///     let numbers = graph.input::<u64>("numbers");
///     graph.output("counts", numbers.key_by(|n| (n % 2, "n".to_string())).count());
/// });
/// let graph = job.explain()?;
/// let count = graph.nodes.iter().find(|node| node.kind == "count").unwrap();
/// let fingerprint = count.fingerprint().unwrap();
/// assert_eq!(fingerprint.to_string(), "count of u64 by (u64, String)");
/// # Ok::<(), stream_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub(crate) kind: String,
    /// Names and values.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) key: Shape,
    pub(crate) state: Shape,
}

impl Fingerprint {
    /// Says in what a job differs from what was kept, each difference with both values.
    pub(crate) fn differences(&self, now: &Fingerprint) -> Vec<String> {
        if self.kind != now.kind {
            return vec![format!("was `{}`, the job has `{}`", self.kind, now.kind)];
        }
        let mut told = Vec::new();
        let has_none = |(name, _): &&(String, String)| value(&self.settings, name).is_none();
        let new = now.settings.iter().filter(has_none);
        for (name, _) in self.settings.iter().chain(new) {
            let [was, now] =
                [self, now].map(|either| value(&either.settings, name).unwrap_or("none"));
            if was != now {
                let what = match name.as_str() {
                    "size" | "offset" | "calendar" => "windows",
                    "gap" => "sessions",
                    _ => "state",
                };
                told.push(format!(
                    "kept {what} of {name}={was}, the job has {name}={now}"
                ));
            }
        }
        let shapes = [
            ("keys", &self.key, &now.key),
            ("state", &self.state, &now.state),
        ];
        for (what, was, now) in shapes.into_iter().filter(|(_, was, now)| was != now) {
            let (was, now) = (was.to_string(), now.to_string());
            if behind_ttl(&was) == now {
                told.push("has a `ttl` now, and of what it kept no times are known".to_owned());
                continue;
            }
            if was == behind_ttl(&now) {
                told.push("had a `ttl`, and has none now".to_owned());
                continue;
            }
            let (was, now) = apart(&was, &now);
            told.push(format!("kept {what} `{was}`, the job keeps `{now}`"));
        }
        told
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        for (name, value) in &self.settings {
            write!(f, " {name}={value}")?;
        }
        write!(f, " of {} by {}", self.state, self.key)
    }
}

/// The shape that a state has behind a `ttl`, with the times until which it is kept.
fn behind_ttl(state: &str) -> String {
    const TIMES: &str = "until: i64, timer: i64, told: enum {Nothing, Before, All}, is_over: bool";
    format!("{{{TIMES}, state: {state}}}")
}

/// The value of a setting.
fn value<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = settings.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

/// Two texts, each cut to a part that shows where they begin to differ.
fn apart(was: &str, now: &str) -> (String, String) {
    let same = was
        .chars()
        .zip(now.chars())
        .take_while(|(was, now)| was == now);
    let same = same.count();
    let begin = same.saturating_sub(EXCERPT_CHARS / 2);
    let cut = |text: &str| {
        let count = text.chars().count();
        if count <= EXCERPT_CHARS {
            return text.to_owned();
        }
        let mut part = String::new();
        if begin > 0 {
            part.push('…');
        }
        part.extend(text.chars().skip(begin).take(EXCERPT_CHARS));
        if begin + EXCERPT_CHARS < count {
            let _ = part.write_char('…');
        }
        part
    };
    (cut(was), cut(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_shapes_are_told_where_they_differ() {
        let long = |end: &str| format!("{}{end}{}", "a".repeat(300), "b".repeat(300));
        let (was, now) = apart(&long("u64"), &long("i64"));
        assert_eq!(was, format!("…{}u64{}…", "a".repeat(80), "b".repeat(77)));
        assert_eq!(now, format!("…{}i64{}…", "a".repeat(80), "b".repeat(77)));
        assert_eq!(apart("u64", "i64"), ("u64".to_owned(), "i64".to_owned()));
    }
}
