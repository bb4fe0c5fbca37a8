//! The process of a program under test: how it is started, watched and ended.
//!
//! It leads a process group of its own, which is ended as a whole, so that nothing stays behind: when the
//! trial is over or fails, when the driver is interrupted, and for the program itself even when the driver
//! is killed. What it takes counts for the whole group, too.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, kill_process, kill_process_group, set_parent_process_death_signal,
};
use serde::Serialize;

use super::Mode;
use super::bare::BARE;

/// How long a program may take to end.
const END_MAX: Duration = Duration::from_secs(30);
/// How many lines of its log are shown where it fails.
const LINES_SHOWN: usize = 20;

/// A program under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Program {
    pub(super) name: String,
    /// For the shell, which makes way for it.
    pub(super) command: String,
    /// Whether it can write at least once only.
    is_alo_only: bool,
}

/// What the bare program is called.
pub(super) const BARE_NAME: &str = "bare";

impl Program {
    /// A file to run, without arguments.
    pub(super) fn of_file(name: &str, file: &Path) -> Self {
        let quoted = file.to_string_lossy().replace('\'', r"'\''");
        Program {
            name: name.to_owned(),
            command: format!("'{quoted}'"),
            is_alo_only: false,
        }
    }

    /// The bare program, which is this one with a subcommand.
    pub(super) fn bare(own: &Path) -> Self {
        let mut program = Self::of_file(BARE_NAME, own);
        program.command = format!("{} {BARE}", program.command);
        program.is_alo_only = true;
        program
    }

    pub(super) fn can(&self, mode: Mode) -> bool {
        mode == Mode::Alo || !self.is_alo_only
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
                Ok(Program {
                    name: name.trim().to_owned(),
                    command: command.trim().to_owned(),
                    is_alo_only: false,
                })
            }
            _ => Err(format!("`{text}` is not of the form NAME=COMMAND LINE")),
        }
    }
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Variable(pub(super) String, pub(super) String);

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Variable(name.to_owned(), value.to_owned()))
            }
            _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
        }
    }
}

/// The process group that runs now, for whoever interrupts the driver; 0 for none.
static RUNNING: AtomicI32 = AtomicI32::new(0);

/// Makes sure that an interrupted driver leaves nothing behind.
pub(super) fn end_along() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if let Some(group) = Pid::from_raw(RUNNING.load(Ordering::SeqCst)) {
            let _ = kill_process_group(group, Signal::KILL); // it may have ended just now
        }
        std::process::exit(130);
    })
}

/// A process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(Pid);

/// A program that runs, until this is dropped.
pub(super) struct Running {
    child: Child,
    group: Group,
    log: PathBuf,
}

impl Running {
    /// Starts a program; what it says goes to a file in the folder.
    pub(super) fn start(
        program: &Program,
        variables: &[Variable],
        folder: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let log = folder.join("log");
        let file = File::create(&log)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec {}", program.command)])
            .envs(variables.iter().map(|Variable(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        die_along(&mut command);
        let child = command.spawn()?;
        let group = Group(Pid::from_child(&child));
        RUNNING.store(group.0.as_raw_nonzero().get(), Ordering::SeqCst);
        Ok(Running { child, group, log })
    }

    /// Fails if it has ended, which it should not on its own.
    pub(super) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("it ended with {status}").into()),
        }
    }

    /// The last lines of what it has said.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }

    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// Asks it to end and waits until it has.
    pub(super) fn end(&mut self) -> Result<(), Box<dyn Error>> {
        self.check()?;
        kill_process(self.group.0, Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > END_MAX {
                return Err(
                    format!("it has not ended {} s after SIGTERM", END_MAX.as_secs()).into(),
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All of it may have ended before, which is no failure.
        let _ = kill_process_group(self.group.0, Signal::KILL);
        let _ = self.child.wait();
        RUNNING.store(0, Ordering::SeqCst);
    }
}

/// Has the kernel kill what is started when the thread that starts it is gone, however that comes.
#[allow(unsafe_code)]
fn die_along(command: &mut Command) {
    // SAFETY: one system call, which may be made between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

/// What a process group has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) memory_peak_bytes: u64,
}

impl Usage {
    /// Sums up what those of a group take that are alive; what has ended counts for its parent.
    pub(super) fn of(group: Option<Group>) -> Self {
        let mut sum = Usage::default();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes.map(|entry| entry.path()) {
            // Most entries are no processes, or not of the group, and some have ended just now.
            let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
            if let Some((of, cpu)) = group_and_cpu(&stat)
                && Some(of) == group
            {
                sum.cpu += cpu;
                sum.memory_peak_bytes += memory_peak_bytes(&process).unwrap_or_default();
            }
        }
        sum
    }
}

/// The process group in a line of `/proc/PID/stat`, and the CPU time with that of children that have ended.
fn group_and_cpu(stat: &str) -> Option<(Group, Duration)> {
    // The name, in parentheses, may contain anything. Behind it come the third field and so on.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks: Vec<u64> = fields
        .get(11..15)?
        .iter()
        .flat_map(|field| field.parse())
        .collect();
    let ms = ticks.iter().sum::<u64>() * 1_000 / rustix::param::clock_ticks_per_second();
    let group = Pid::from_raw(fields.get(2)?.parse().ok()?)?;
    Some((Group(group), Duration::from_millis(ms)))
}

fn memory_peak_bytes(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(
        line.trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()?
            * 1_024,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &str) -> (Running, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let program = format!("test={command}").parse().unwrap();
        let variables = [Variable("WORKLOAD".to_owned(), "K".to_owned())];
        (
            Running::start(&program, &variables, folder.path()).unwrap(),
            folder,
        )
    }

    fn wait_until(is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_program_has_a_name_and_a_command_line() {
        let program: Program = "peer=target/release/peer --level=2".parse().unwrap();
        assert_eq!(
            (&*program.name, &*program.command),
            ("peer", "target/release/peer --level=2")
        );
        for wrong in ["peer", "=peer", "peer= "] {
            assert!(wrong.parse::<Program>().is_err());
        }
        assert_eq!(
            "A=b=c".parse(),
            Ok(Variable("A".to_owned(), "b=c".to_owned()))
        );
        assert!("=b".parse::<Variable>().is_err());
    }

    #[test]
    fn the_fields_of_a_process_are_found_whatever_its_name() {
        let stat = "7 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 30 20 20 0 1 0 100 1 1";
        let second = 100 * 1_000 / rustix::param::clock_ticks_per_second();
        let cpu = Duration::from_millis(second * 5 / 2);
        let group = Group(Pid::from_raw(42).unwrap());
        assert_eq!(group_and_cpu(stat), Some((group, cpu)));
        assert_eq!(group_and_cpu("7 (short) S 1"), None);
    }

    #[test]
    fn a_program_has_its_environment_and_ends_when_it_is_asked_to() {
        let (mut running, _folder) = start(r#"sh -c 'echo "workload $WORKLOAD"; exec sleep 60'"#);
        wait_until(|| running.last_words() == "workload K");
        wait_until(|| Usage::of(Some(running.group)).memory_peak_bytes > 0);
        running.end().unwrap();
    }

    #[test]
    fn a_program_that_ends_on_its_own_is_noticed() {
        let (mut running, _folder) = start("sh -c 'echo oh no; exit 3'");
        let begun = Instant::now();
        while running.check().is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
        assert!(running.check().unwrap_err().to_string().contains('3'));
        assert_eq!(running.last_words(), "oh no");
    }

    #[test]
    fn what_a_program_has_started_goes_with_it() {
        let (running, _folder) = start("sh -c 'sleep 60 & sleep 60'");
        let group = running.group;
        wait_until(|| Usage::of(Some(running.group)).memory_peak_bytes > 0);
        drop(running);
        wait_until(|| Usage::of(Some(group)).memory_peak_bytes == 0);
    }
}
