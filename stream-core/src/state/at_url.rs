//! Objects in a folder or a cloud, by URL.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::{self, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use url::Url;

use super::cloud::{self, Cloud, InCloud};
use super::objects::Objects;
use crate::error::Problem;

/// How often an object is created anew that was told to be there, and is not.
const TRIES: usize = 5;

/// Objects at a URL.
pub(super) struct AtUrl {
    /// Where they lie. It holds no secret.
    url: String,
    cloud: Option<InCloud>,
    /// Whether the store has shown that it refuses a name that is taken.
    refuses: AtomicBool,
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
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        AtUrl::open_with(text, environment, cloud::PATIENCE)
    }

    /// Opens a place with the options of an environment.
    fn open_with(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        patience: Duration,
    ) -> Result<Self, Problem> {
        let Some((scheme, _)) = text.split_once("://") else {
            return AtUrl::folder(Path::new(text));
        };
        let is_no_place = |shown: &str, reason: &dyn fmt::Display| {
            Problem::new(format!("`{shown}` is no place for state"))
                .detail(reason.to_string())
                .hint("give it a folder, `/var/lib/job`, or a URL, `file:///var/lib/job`, `s3://bucket/job`")
        };
        let no_url = |error| is_no_place(&format!("{scheme}://…"), &error);
        let url = Url::parse(text).map_err(no_url)?;
        if url.scheme() != "file" && cloud::has_secret(&url) {
            let shown = format!("{scheme}://…");
            return Err(Problem::new(format!("`{shown}` is no place for state"))
                .detail("the URL has a user, a query or a fragment, which may be a secret")
                .hint("name the place alone; credentials come from the environment"));
        }
        match (url.scheme(), Cloud::of(&url)) {
            ("file", _) => {
                let path = url.to_file_path();
                let reason = "it names no folder of this machine";
                AtUrl::folder(&path.map_err(|()| is_no_place(text, &reason))?)
            }
            ("memory", _) => Err(is_no_place(
                text,
                &"what is in memory is lost with the program",
            )),
            (_, Some(cloud)) => {
                let (cloud, store, prefix) = cloud.open(&url, environment, patience)?;
                AtUrl::new(url.as_str(), Some(cloud), store, prefix)
            }
            (scheme, None) => {
                let reason = format!("state is not kept at `{scheme}:`");
                Err(is_no_place(text, &reason))
            }
        }
    }

    pub(super) fn folder(path: &Path) -> Result<Self, Problem> {
        let shown = path.display();
        let cannot = || Problem::new(format!("state cannot be kept in `{shown}`"));
        create_folder(path).map_err(|error| {
            cannot().because(error).hint(
                "give the user that runs the job the right to write there, or name another folder",
            )
        })?;
        let store = LocalFileSystem::new_with_prefix(path);
        let store = store.map_err(|error| cannot().because(error))?;
        AtUrl::new(
            &format!("file://{shown}"),
            None,
            Arc::new(store.with_fsync(true)),
            Name::default(),
        )
    }

    fn new(
        url: &str,
        cloud: Option<InCloud>,
        store: Arc<dyn ObjectStore>,
        prefix: Name,
    ) -> Result<Self, Problem> {
        let mut runtime = Builder::new_current_thread();
        #[cfg(feature = "cloud")]
        runtime.enable_all();
        let no_runtime = |error| Problem::new("the store of state cannot start").because(error);
        Ok(AtUrl {
            url: url.to_owned(),
            refuses: AtomicBool::new(cloud.is_none()),
            cloud,
            store,
            prefix,
            runtime: runtime.build().map_err(no_runtime)?,
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
        let problem = Problem::new(format!("`{name}` cannot be {what} in {}", self.url));
        match &self.cloud {
            None => problem
                .detail(told(error))
                .hint("see that there is room and that the user that runs the job may write there; the next run goes on from the last checkpoint"),
            Some(cloud) => {
                let text = cloud.hide(&told(error));
                let hint = cloud.hint(&text);
                problem.detail(text).hint(hint)
            }
        }
    }

    /// Writes an object whose name is free, as far as the store tells.
    fn try_create(&self, name: &str, bytes: &[u8]) -> Result<bool, Problem> {
        let options = PutOptions::from(PutMode::Create);
        let location = self.name(name);
        let put = self
            .store
            .put_opts(&location, bytes.to_vec().into(), options);
        match self.wait_for(put) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("written", name, &error)),
        }
    }

    /// Makes sure that the store refuses a name that is taken: not every server does.
    fn check_refuses(&self, name: &str, bytes: &[u8]) -> Result<(), Problem> {
        if self.refuses.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.try_create(name, bytes)? {
            return Err(Problem::new(format!("state cannot be kept in `{}`", self.url))
                .detail("the server does not refuse to create an object that is there already (`If-None-Match: *`)")
                .hint("only a server that does keeps two runs of a job apart"));
        }
        self.refuses.store(true, Ordering::Relaxed);
        Ok(())
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

/// Creates a folder, and those that it is in. Their names are on the disk when this returns.
fn create_folder(path: &Path) -> io::Result<()> {
    let path = path::absolute(path)?;
    let there = path.ancestors().position(Path::exists).unwrap_or(0);
    fs::create_dir_all(&path)?;
    if cfg!(unix) {
        // What was there may have been made by a run that was killed, so one more is synced, if it can be.
        for (up, folder) in path.ancestors().take(there + 2).enumerate() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.or_else(|error| if up > there { Ok(()) } else { Err(error) })?;
        }
    }
    Ok(())
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

    /// A request whose answer was lost is sent again, and then finds what it wrote itself. So the bytes
    /// decide: no two callers write the same.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Problem> {
        for attempt in 0..TRIES {
            if self.try_create(name, &bytes)? {
                self.check_refuses(name, &bytes)?;
                return Ok(true);
            }
            match self.get(name, None)? {
                Some(written) => return Ok(written == bytes),
                // Another one is just being written, or was removed.
                None => thread::sleep(Duration::from_millis(50 << attempt)),
            }
        }
        Err(
            Problem::new(format!("`{name}` cannot be written in {}", self.url))
                .detail("it is told to be there, and is not"),
        )
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
            ("memory:///state", "lost with the program"),
            ("https://host/state", "https"),
        ] {
            let told = AtUrl::open(url).unwrap_err().to_string();
            assert!(
                told.contains(part) && told.contains("`/var/lib/job`"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_url_with_a_secret_is_refused_and_not_shown() {
        for url in [
            "s3://user:hunter2@bucket/state",
            "s3://hunter2@bucket/state",
            "gs://bucket/state?token=hunter2",
            "abfss://container:hunter2@account.dfs.core.windows.net/state",
            "az://container/state#hunter2",
            "ftp://user:hunter2@host/state",
            "s3://hunter2@bucket:port/state",
        ] {
            let problem = AtUrl::open(url).unwrap_err();
            let told = format!("{problem} {problem:?}");
            assert!(!told.contains("hunter2") && told.contains("hint"), "{told}");
        }
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_cloud_that_is_not_built_in_names_its_feature() {
        let told = AtUrl::open("s3://bucket/state").unwrap_err().to_string();
        let expected = "state cannot be kept in `s3://bucket/state`: this program was built without \
                        the feature `s3` (hint: build stream-core with the feature `s3`)";
        assert_eq!(told, expected);
    }

    #[test]
    fn it_can_be_used_within_a_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let objects = AtUrl::folder(folder.path()).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { objects::check(&objects) });
    }
}

/// What a server of S3 may answer, told by one that answers what the test wants.
#[cfg(test)]
#[cfg(feature = "s3")]
mod tests_of_s3 {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;
    use crate::state::objects;

    const SECRET: &str = "a-secret-access-key";

    /// A server that gives a status to each request, by its method and its number.
    fn serve(status: impl Fn(&str, usize) -> u16 + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut written = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut head, mut bytes) = (String::new(), 0);
                while stream.read_line(&mut head).unwrap() > 2 {
                    let line = head.lines().last().unwrap().to_lowercase();
                    if let Some(length) = line.strip_prefix("content-length:") {
                        bytes = length.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; bytes];
                stream.read_exact(&mut body).unwrap();
                let method = head.split(' ').next().unwrap().to_owned();
                let status = status(&method, number);
                if method == "PUT" && written.is_empty() {
                    written = body;
                }
                let answer = match (method.as_str(), status) {
                    ("GET", 200) => written.clone(),
                    _ => format!("<Error>{SECRET}</Error>").into_bytes(),
                };
                let head = format!(
                    "HTTP/1.1 {status} Told\r\nConnection: close\r\nETag: \"1\"\r\n\
                     Last-Modified: Tue, 01 Jul 2025 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                let stream = stream.get_mut();
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        format!("http://{address}")
    }

    fn open(endpoint: &str, more: &[(&str, &str)]) -> Result<AtUrl, Problem> {
        let own = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "an-access-key"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            // What somebody else may have set.
            ("ENDPOINT", "http://127.0.0.1:1"),
            ("BUCKET", "other"),
            ("REGION", "other"),
        ];
        let all = own.iter().chain(more);
        let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        AtUrl::open_with("s3://bucket/job", all, Duration::from_secs(1))
    }

    /// A write that arrived, and whose answer was lost, is ours. Another's is not.
    #[test]
    fn what_was_written_before_its_answer_was_lost_is_ours() {
        for (bytes, ours) in [("one", true), ("other", false)] {
            let endpoint = serve(|method, number| match (method, number) {
                ("PUT", 0) => 500,
                ("PUT", _) => 412,
                _ => 200,
            });
            let objects = open(&endpoint, &[]).unwrap();
            if !ours {
                assert!(objects.create("log/1", b"one".into()).unwrap());
            }
            assert_eq!(objects.create("log/1", bytes.into()).unwrap(), ours);
        }
    }

    #[test]
    fn a_server_that_does_not_refuse_what_is_there_is_refused() {
        let objects = open(&serve(|_, _| 200), &[]).unwrap();
        let told = objects.create("log/1", b"one".into()).unwrap_err();
        assert!(told.to_string().contains("If-None-Match"), "{told}");
    }

    #[test]
    fn what_a_server_refuses_is_told_with_a_remedy_and_no_secret() {
        for (status, part) in [
            (401, "AWS_SECRET_ACCESS_KEY"),
            (403, "AWS_SECRET_ACCESS_KEY"),
            (404, "make the bucket"),
            (500, "AWS_ENDPOINT_URL"),
        ] {
            let objects = open(&serve(move |_, _| status), &[]).unwrap();
            let problem = objects.list("log").unwrap_err();
            let told = format!("{problem} {problem:?} {objects:?}");
            assert!(
                told.contains(part) && told.contains("s3://bucket/job"),
                "{told}"
            );
            assert!(!told.contains(SECRET), "{told}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_told_in_time() {
        let started = Instant::now();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let objects = open(&endpoint, &[]).unwrap();
        let told = objects.list("log").unwrap_err().to_string();
        assert!(told.contains("AWS_ENDPOINT_URL"), "{told}");
        assert!(started.elapsed() < Duration::from_secs(20), "{told}");
    }

    #[test]
    fn options_that_break_the_promise_are_refused() {
        for (name, value) in [
            ("AWS_CONDITIONAL_PUT", "disabled"),
            ("AWS_ENDPOINT_URL", "http://user:hunter2@host"),
        ] {
            let told = match name {
                "AWS_ENDPOINT_URL" => open(value, &[]),
                _ => open("http://host", &[(name, value)]),
            };
            let told = told.unwrap_err().to_string();
            assert!(told.contains(name) && !told.contains("hunter2"), "{told}");
        }
        let plain = [("AWS_ENDPOINT_URL", "http://host")];
        let plain = plain.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told = AtUrl::open_with("s3://bucket/job", plain.into_iter(), cloud::PATIENCE);
        let told = told.unwrap_err().to_string();
        assert!(told.contains("AWS_ALLOW_HTTP=true"), "{told}");
    }

    /// Run by `dev/s3`; tests/state_s3.rs says where it is skipped.
    #[test]
    fn a_server_of_s3_keeps_what_it_is_given() {
        let Ok(bucket) = std::env::var("STREAM_TEST_S3") else {
            return;
        };
        objects::check(&AtUrl::open(&format!("{bucket}/contract")).unwrap());
    }
}
