//! CPU time, cores and quiet, as Linux tells them in `/proc`.
//!
//! No system call needs `unsafe` this way: `schedstat` counts nanoseconds on the CPU, whoever
//! else wanted it meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Nanoseconds this thread has spent on a CPU.
pub(crate) fn this_thread() -> u64 {
    // The kernel brings the figure up to date when the thread passes through the scheduler, which
    // is otherwise as long ago as the last tick.
    thread::yield_now();
    on_cpu(Path::new("/proc/thread-self/schedstat")).expect("the kernel keeps schedstat")
}

fn on_cpu(schedstat: &Path) -> Option<u64> {
    let text = fs::read_to_string(schedstat).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// What a process had used at one moment, thread by thread.
pub(crate) struct Usage {
    threads: BTreeMap<String, u64>,
}

impl Usage {
    /// Reads it now.
    pub(crate) fn of(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
        let threads = tasks
            .flatten()
            .filter_map(|task| {
                let used = on_cpu(&task.path().join("schedstat"))?;
                Some((task.file_name().into_string().ok()?, used))
            })
            .collect();
        Self { threads }
    }

    /// Nanoseconds used since `earlier`. `None` when a thread has ended meanwhile and took its
    /// figure with it.
    pub(crate) fn since(&self, earlier: &Self) -> Option<u64> {
        let ended = earlier
            .threads
            .keys()
            .any(|id| !self.threads.contains_key(id));
        let used = |(id, now): (&String, &u64)| now - earlier.threads.get(id).unwrap_or(&0);
        (!ended).then(|| self.threads.iter().map(used).sum())
    }
}

/// The same in clock ticks of 10 ms, from `/proc/PID/stat`, which keeps what ended threads used.
pub(crate) fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The second field is a name in brackets and may hold blanks: count behind it.
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let tick = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
    tick(11).expect("utime") + tick(12).expect("stime")
}

/// A line of `/proc/PID/status` in KiB (`VmRSS`, `VmHWM`).
pub(crate) fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0)
}

/// How many cores we may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Which core the server is pinned to, and which the load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    /// The server, and the primitives it is measured against.
    Server,
    /// The load.
    Load,
    /// Wherever the kernel puts it.
    Any,
}

/// `program`, pinned if `taskset` is there to do it. It replaces itself, so the process id is
/// the program's own.
pub(crate) fn pinned(core: Core, program: &Path) -> Command {
    let number = match core {
        Core::Server if can_pin() => "0",
        Core::Load if can_pin() => "1",
        Core::Server | Core::Load | Core::Any => return Command::new(program),
    };
    let mut command = Command::new("taskset");
    command.args(["-c", number]).arg(program);
    command
}

/// Whether processes can be pinned here.
pub(crate) fn can_pin() -> bool {
    Command::new("taskset")
        .args(["-c", "0,1", "true"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Waits until the machine is at least 85 % idle over two seconds, for at most a minute. Answers
/// with the share it saw last.
pub(crate) fn wait_for_quiet(window: Duration, at_most: Duration) -> f64 {
    let end = Instant::now() + at_most;
    loop {
        let before = idle_and_total();
        thread::sleep(window);
        let after = idle_and_total();
        let share = (after.0 - before.0) as f64 / ((after.1 - before.1).max(1)) as f64;
        if share >= 0.85 || Instant::now() >= end {
            return share;
        }
    }
}

fn idle_and_total() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait …
    let idle = ticks.get(3).unwrap_or(&0) + ticks.get(4).unwrap_or(&0);
    (idle, ticks.iter().sum())
}

/// The processor's name.
pub(crate) fn model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned())
}
