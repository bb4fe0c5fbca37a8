//! Objects in a folder or a cloud, by URL.

use std::fmt;
use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use url::Url;

use super::objects::Objects;
use crate::error::Problem;

/// Objects at a URL.
pub(super) struct AtUrl {
    url: String,
    store: Arc<dyn ObjectStore>,
    /// What all names begin with.
    prefix: Name,
    runtime: Runtime,
}

impl fmt::Debug for AtUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl AtUrl {
    pub(super) fn open(text: &str) -> Result<Self, Problem> {
        if !text.contains("://") {
            return AtUrl::folder(Path::new(text));
        }
        let no_url = |reason: &dyn fmt::Display| {
            Problem::new(format!("`{text}` is no place for state"))
                .detail(reason.to_string())
                .hint("give it a folder, `/var/lib/job`, or a URL, `file:///var/lib/job`")
        };
        let url = Url::parse(text).map_err(|error| no_url(&error))?;
        match url.scheme() {
            "file" => {
                let path = url.to_file_path();
                let path = path.map_err(|()| no_url(&"it names no folder of this machine"))?;
                AtUrl::folder(&path)
            }
            _ => {
                let options = std::env::vars().map(|(name, value)| (name.to_lowercase(), value));
                let opened = object_store::parse_url_opts(&url, options);
                let (store, prefix) = opened.map_err(|error| no_url(&error))?;
                AtUrl::new(text, store.into(), prefix)
            }
        }
    }

    pub(super) fn folder(path: &Path) -> Result<Self, Problem> {
        let shown = path.display();
        let cannot = || Problem::new(format!("state cannot be kept in `{shown}`"));
        fs::create_dir_all(path).map_err(|error| {
            cannot().because(error).hint(
                "give the user that runs the job the right to write there, or name another folder",
            )
        })?;
        let store = LocalFileSystem::new_with_prefix(path);
        let store = store.map_err(|error| cannot().because(error))?;
        AtUrl::new(
            &format!("file://{shown}"),
            Arc::new(store.with_fsync(true)),
            Name::default(),
        )
    }

    fn new(url: &str, store: Arc<dyn ObjectStore>, prefix: Name) -> Result<Self, Problem> {
        let runtime = Builder::new_current_thread().build();
        let no_runtime = |error| Problem::new("the store of state cannot start").because(error);
        Ok(AtUrl {
            url: url.to_owned(),
            store,
            prefix,
            runtime: runtime.map_err(no_runtime)?,
        })
    }

    /// Waits for a future; on a thread of its own where this one belongs to a runtime already.
    fn wait_for<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        if Handle::try_current().is_err() {
            return self.runtime.block_on(future);
        }
        let waited = thread::scope(|scope| {
            let waiting = scope.spawn(|| self.runtime.block_on(future));
            waiting.join()
        });
        waited.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn name(&self, name: &str) -> Name {
        let parts = self.prefix.parts().map(|part| part.as_ref().to_owned());
        let own = name.split('/').map(str::to_owned);
        parts.chain(own).collect()
    }

    fn failed(&self, what: &str, name: &str, error: &object_store::Error) -> Problem {
        Problem::new(format!("`{name}` cannot be {what} in {}", self.url)).detail(told(error))
    }
}

/// An error with its causes, each once.
fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = error.source();
    }
    told
}

impl Objects for AtUrl {
    fn put(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        self.wait_for(async {
            let mut puts = JoinSet::new();
            for (name, bytes) in objects {
                let (store, location) = (self.store.clone(), self.name(&name));
                puts.spawn(async move {
                    let put = store.put(&location, bytes.into()).await;
                    put.map_err(|error| (name, error))
                });
            }
            while let Some(put) = puts.join_next().await {
                let lost = |error| Problem::new("a thread of the store was lost").because(error);
                let put = put.map_err(lost)?;
                put.map_err(|(name, error)| self.failed("written", &name, &error))?;
            }
            Ok(())
        })
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Problem> {
        let options = PutOptions::from(PutMode::Create);
        let location = self.name(name);
        let put = self.store.put_opts(&location, bytes.into(), options);
        match self.wait_for(put) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("written", name, &error)),
        }
    }

    fn get(
        &self,
        name: &str,
        part: Option<std::ops::Range<u64>>,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let location = self.name(name);
        let bytes = self.wait_for(async {
            if let Some(part) = part {
                let bytes = self.store.get_range(&location, part).await;
                // What an object says that is shorter differs from store to store.
                if !matches!(bytes, Err(object_store::Error::Generic { .. })) {
                    return bytes;
                }
            }
            self.store.get(&location).await?.bytes().await
        });
        match bytes {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", name, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Problem> {
        let location = self.name(folder);
        let list = self.store.list_with_delimiter(Some(&location));
        let list = self.wait_for(list);
        let list = list.map_err(|error| self.failed("listed", folder, &error))?;
        let names = list
            .objects
            .iter()
            .filter_map(|object| object.location.filename());
        let mut names: Vec<_> = names.map(|name| format!("{folder}/{name}")).collect();
        names.sort();
        Ok(names)
    }

    fn delete(&self, names: &[String]) -> Result<(), Problem> {
        self.wait_for(async {
            for name in names {
                match self.store.delete(&self.name(name)).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed("deleted", name, &error)),
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::objects;

    #[test]
    fn a_folder_keeps_what_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().join("state").display());
        objects::check(&AtUrl::open(&url).unwrap());
    }

    #[test]
    fn what_is_no_place_is_told_with_a_remedy() {
        for (url, part) in [
            ("ftp://host/state", "ftp"),
            ("file://host/state", "names no folder of this machine"),
        ] {
            let told = AtUrl::open(url).unwrap_err().to_string();
            assert!(
                told.contains(part) && told.contains("`/var/lib/job`"),
                "{told}"
            );
        }
    }

    #[test]
    fn it_can_be_used_within_a_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let objects = AtUrl::folder(folder.path()).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { objects::check(&objects) });
    }
}
