//! Where stored objects lie. What is written is durable when the call returns.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Problem;

/// What a store of objects must do. Names are paths with `/` between their parts.
pub(crate) trait Objects: fmt::Debug + Send + Sync {
    /// Writes an object, in place of one that has the name.
    fn put(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), Problem>;

    /// Writes an object whose name is free. Tells whether it was; of several that try, one is told so.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Problem>;

    /// Reads an object, or a part of it; `None` where there is none. Of an object that is shorter than
    /// its part there may come anything.
    fn get(&self, name: &str, part: Option<Range<u64>>) -> Result<Option<Vec<u8>>, Problem>;

    /// The names of all objects right in a folder, in their order.
    fn list(&self, folder: &str) -> Result<Vec<String>, Problem>;

    /// Deletes objects; those that are gone already are no problem.
    fn delete(&self, names: &[String]) -> Result<(), Problem>;
}

/// Objects in memory, for tests.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:///")
    }
}

impl Objects for Memory {
    fn put(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        self.objects().extend(objects);
        Ok(())
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Problem> {
        let mut objects = self.objects();
        let is_free = !objects.contains_key(name);
        if is_free {
            objects.insert(name.to_owned(), bytes);
        }
        Ok(is_free)
    }

    fn get(&self, name: &str, part: Option<Range<u64>>) -> Result<Option<Vec<u8>>, Problem> {
        let objects = self.objects();
        let part_of = |bytes: &Vec<u8>| match part {
            None => bytes.clone(),
            Some(part) => {
                let range = part.start as usize..part.end as usize;
                bytes.get(range).map(<[u8]>::to_vec).unwrap_or_default()
            }
        };
        Ok(objects.get(name).map(part_of))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Problem> {
        let begin = format!("{folder}/");
        let objects = self.objects();
        let names = objects.keys().filter(|name| name.starts_with(&begin));
        Ok(names.cloned().collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), Problem> {
        let mut objects = self.objects();
        for name in names {
            objects.remove(name);
        }
        Ok(())
    }
}

/// Checks that a store does what it must.
#[cfg(test)]
pub(super) fn check(objects: &dyn Objects) {
    let two = ["a/2", "a/1"].map(|name| (name.to_owned(), name.into()));
    objects.put(two.to_vec()).unwrap();
    assert_eq!(objects.list("a").unwrap(), ["a/1", "a/2"]);
    assert_eq!(objects.list("b").unwrap(), [""; 0]);
    assert_eq!(objects.get("a/1", None).unwrap().unwrap(), b"a/1");
    assert_eq!(objects.get("a/1", Some(2..3)).unwrap().unwrap(), b"1");
    assert_eq!(objects.get("a/3", None).unwrap(), None);
    assert!(objects.create("a/3", b"first".into()).unwrap());
    assert!(!objects.create("a/3", b"second".into()).unwrap());
    assert_eq!(objects.get("a/3", None).unwrap().unwrap(), b"first");
    let names = ["a/3", "a/4"].map(str::to_owned);
    objects.delete(&names).unwrap();
    assert_eq!(objects.get("a/3", None).unwrap(), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_what_it_is_given() {
        check(&Memory::default());
    }
}
