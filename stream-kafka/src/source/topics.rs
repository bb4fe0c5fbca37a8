//! Which topics and partitions are read.

use std::fmt;

use glob::Pattern;
use stream_core::Problem;

use crate::client::{Topic, unknown_topic};

/// Topics, by their names or by patterns of names, all partitions of them or some.
///
/// A pattern has a `*`, a `?` or a `[…]` as patterns of files have; topics that match it later are read
/// from then on.
///
/// ```
/// use stream_kafka::Topics;
///
/// let one = Topics::from("clicks");
/// let several = Topics::from(["clicks", "views-*"]);
/// let some = Topics::partitions("clicks", [0, 3]);
/// assert_eq!(format!("{one} | {several} | {some}"), "clicks | clicks, views-* | clicks/0,3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    names: Vec<String>,
    /// Only these of each; all if nothing is said.
    partitions: Option<Vec<i32>>,
}

impl Topics {
    /// Some partitions of one topic.
    pub fn partitions(topic: impl Into<String>, partitions: impl IntoIterator<Item = i32>) -> Self {
        Topics {
            names: vec![topic.into()],
            partitions: Some(partitions.into_iter().collect()),
        }
    }

    /// The name, where it is one topic and no pattern: only that has to be asked for.
    pub(super) fn single(&self) -> Option<&str> {
        match &self.names[..] {
            [name] if !is_pattern(name) => Some(name),
            _ => None,
        }
    }

    /// What is to be read of the topics that there are.
    pub(super) fn choose(&self, all: &[Topic]) -> Result<Vec<Topic>, Problem> {
        let mut chosen: Vec<Topic> = Vec::new();
        for name in &self.names {
            let found = self.find(name, all)?;
            if found.is_empty() && !is_pattern(name) {
                return Err(unknown(name, all));
            }
            for topic in found {
                if chosen.iter().all(|known| known.name != topic.name) {
                    chosen.push(self.restrict(topic)?);
                }
            }
        }
        Ok(chosen)
    }

    fn find<'t>(&self, name: &str, all: &'t [Topic]) -> Result<Vec<&'t Topic>, Problem> {
        if !is_pattern(name) {
            return Ok(all.iter().filter(|topic| topic.name == name).collect());
        }
        let pattern = Pattern::new(name)
            .map_err(|error| Problem::new(format!("`{name}` is no pattern")).because(error))?;
        // A pattern does not mean the topics that Kafka keeps for itself.
        let is_meant = |topic: &&Topic| {
            pattern.matches(&topic.name) && (name.starts_with('_') || !topic.name.starts_with("__"))
        };
        Ok(all.iter().filter(is_meant).collect())
    }

    fn restrict(&self, topic: &Topic) -> Result<Topic, Problem> {
        let Some(wanted) = &self.partitions else {
            return Ok(topic.clone());
        };
        if wanted.is_empty() {
            let what = format!("no partition of the topic `{}` is to be read", topic.name);
            return Err(Problem::new(what).hint("name some, or the topic alone for all of them"));
        }
        let has = |partition: &&i32| topic.partitions.contains(partition);
        if let Some(missing) = wanted.iter().find(|partition| !has(partition)) {
            let what = format!("the topic `{}` has no partition {missing}", topic.name);
            return Err(Problem::new(what).detail(format!("it has {}", topic.partitions.len())));
        }
        let mut partitions = wanted.clone();
        partitions.sort_unstable();
        partitions.dedup();
        let name = topic.name.clone();
        Ok(Topic { name, partitions })
    }

    /// Whether partitions that are added are to be read.
    pub(super) fn may_grow(&self) -> bool {
        self.partitions.is_none()
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn unknown(name: &str, all: &[Topic]) -> Problem {
    let is_near = |topic: &&Topic| topic.name.eq_ignore_ascii_case(name);
    let problem = unknown_topic(name, "make it");
    match all.iter().find(is_near) {
        Some(near) => problem.hint(format!("there is `{}`", near.name)),
        None => problem,
    }
}

impl From<&str> for Topics {
    fn from(name: &str) -> Self {
        Topics::from([name])
    }
}

impl From<String> for Topics {
    fn from(name: String) -> Self {
        Topics::from([name])
    }
}

impl<N: Into<String>, const COUNT: usize> From<[N; COUNT]> for Topics {
    fn from(names: [N; COUNT]) -> Self {
        Topics::from(Vec::from(names))
    }
}

impl<N: Into<String>> From<Vec<N>> for Topics {
    fn from(names: Vec<N>) -> Self {
        Topics {
            names: names.into_iter().map(Into::into).collect(),
            partitions: None,
        }
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))?;
        for (index, partition) in self.partitions.iter().flatten().enumerate() {
            write!(f, "{}{partition}", if index == 0 { "/" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic {
            name: name.to_owned(),
            partitions: vec![0, 1, 2],
        }
    }

    #[test]
    fn names_and_patterns_choose_each_topic_once() {
        let all = [
            topic("__views"),
            topic("clicks"),
            topic("views-1"),
            topic("views-2"),
        ];
        let chosen = |topics: Topics| -> String {
            let chosen = topics.choose(&all).unwrap();
            let names = chosen.iter().map(|topic| topic.name.as_str());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(chosen(["views-2", "views-*"].into()), "views-2 views-1");
        assert_eq!(chosen("*".into()), "clicks views-1 views-2");
        assert_eq!(chosen("none-*".into()), "");
        let some = Topics::partitions("clicks", [2, 0, 2])
            .choose(&all)
            .unwrap();
        assert_eq!(some[0].partitions, [0, 2]);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let told = |topics: Topics| topics.choose(&[topic("clicks")]).unwrap_err().to_string();
        assert!(told("Clicks".into()).contains("there is `clicks`"));
        assert!(told("x".into()).contains("there is no topic `x`"));
        assert!(told(Topics::partitions("clicks", [])).contains("no partition of the topic"));
        assert!(told(Topics::partitions("clicks", [7])).contains("no partition 7"));
        assert!(told("a[".into()).contains("is no pattern"));
    }
}
