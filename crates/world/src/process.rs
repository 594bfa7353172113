//! A child process: started, measured, killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process of ours. Killed when dropped.
pub struct Process {
    child: Child,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Time on a processor, in user and kernel mode.
    pub cpu: Duration,
    /// Memory in use at this moment, in bytes.
    pub resident: u64,
}

impl Process {
    /// Starts `command`; what it says on its error output is appended to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file =
            fs::File::options().create(true).append(true).open(log).with_context(|| format!("opening {}", log.display()))?;
        let child = command.stdin(Stdio::null()).stderr(file).spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it says, where [`Stdio::piped`] was asked for.
    pub fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait().context("asking whether a process has ended")
    }

    /// Kills it at once (`kill -9`) and waits until it is gone.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("killing a process")?;
        self.child.wait().context("waiting for a killed process")?;
        Ok(())
    }

    /// When it started, in ticks since the machine did: with its number, it names the process for good.
    ///
    /// # Errors
    /// When it is gone.
    pub fn birth(&self) -> anyhow::Result<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).context("reading a process's stat")?;
        let after = stat.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
        after.split_whitespace().nth(19).map(str::to_owned).context("a stat file has twenty-two fields")
    }

    /// Asks it to end (`SIGTERM`) and waits until it has.
    ///
    /// # Errors
    /// When it does not end, or ends with a failure.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::TERM).context("asking a process to end")?;
        let began = Instant::now();
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("asked to end, the process ended with {status}"),
                None if began.elapsed() > PATIENCE => bail!("the process does not end within {PATIENCE:?}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Lets all of it stand still (`SIGSTOP`), until [`Process::go_on`].
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::STOP).context("pausing a process")
    }

    /// Lets it go on (`SIGCONT`) where it stood.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::CONT).context("letting a process go on")
    }

    fn signal(&self, signal: rustix::process::Signal) -> rustix::io::Result<()> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
    }

    /// What it has used since it started.
    ///
    /// # Errors
    /// When it is gone.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(Path::new("/proc").join(self.id().to_string()).as_path())
    }

    /// Processor time of its present threads, by their names without numbers.
    ///
    /// # Errors
    /// When it is gone.
    pub fn threads(&self) -> anyhow::Result<BTreeMap<String, Duration>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.id())).context("reading a process's threads")? {
            // A thread may be gone by now.
            let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
            let (name, cpu) = parse(&stat)?;
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
            *threads.entry(name).or_insert(Duration::ZERO) += cpu;
        }
        Ok(threads)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end by itself at this very moment.
            let _ = self.kill();
        }
    }
}

/// What this process has used.
///
/// # Errors
/// When the system does not tell.
pub fn own_usage() -> anyhow::Result<Usage> {
    usage(Path::new("/proc/self"))
}

/// What the process of this number has used.
///
/// # Errors
/// When it is gone.
pub fn usage_of(pid: i32) -> anyhow::Result<Usage> {
    usage(Path::new("/proc").join(pid.to_string()).as_path())
}

/// Processor time of the children that the process of this number has waited for.
///
/// # Errors
/// When it is gone.
pub fn cpu_of_ended_children(pid: i32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("reading a process's stat")?;
    let after = stat.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(exact(ticks) / exact(rustix::param::clock_ticks_per_second())))
}

fn usage(folder: &Path) -> anyhow::Result<Usage> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("reading {}/{name}", folder.display()));
    let (_, cpu) = parse(&read("stat")?)?;
    let status = read("status")?;
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(Usage { cpu, resident: resident.unwrap_or(0) * 1024 })
}

/// Name and processor time from a `stat` file. The name stands in parentheses and may hold anything.
fn parse(stat: &str) -> anyhow::Result<(&str, Duration)> {
    let (before, after) = stat.rsplit_once(')').context("a stat file has a name in parentheses")?;
    let name = before.split_once('(').map_or("", |(_, name)| name);
    // Fields 14 and 15 of the whole line; the name is the second.
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok((name, Duration::from_secs_f64(exact(ticks) / exact(rustix::param::clock_ticks_per_second()))))
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a test's life are far below 2^52")]
fn exact(n: u64) -> f64 {
    n as f64
}

/// Ports of this machine below those that outgoing connections use, free at this moment.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    let mut candidates = (0..).map(|_| rand::random_range(18_000..32_000_u16)).take(1_000);
    for port in &mut ports {
        let found = candidates.by_ref().find_map(|port| Some((port, std::net::TcpListener::bind(("127.0.0.1", port)).ok()?)));
        let (number, listener) = found.context("no free port between 18000 and 32000")?;
        held.push(listener);
        *port = number;
    }
    Ok(ports)
}
