//! Running one program of the system: bounded in output, gone when nobody waits any more.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::oneshot;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// Whether there was more than the limit; the program was killed then.
    pub(crate) cut: bool,
    /// The beginning of what it complained about, in one line.
    pub(crate) stderr: String,
}

const MAX_STDERR: usize = 4 * 1024;

/// Runs `program` in a process group of its own, without input and in the C locale, and keeps at most `max` bytes of
/// its output. Dropping the future kills the group: bound it in time by racing it.
pub(crate) async fn run<S: AsRef<OsStr>>(
    program: &OsStr,
    args: impl IntoIterator<Item = S>,
    max: usize,
) -> io::Result<Finished> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // From here on the group is killed however this ends.
    let killer = Killer(Arc::new(Mutex::new(Some(Pid::from_child(&child)))));

    let (done, finished) = oneshot::channel();
    let group = Arc::clone(&killer.0);
    let complaints = std::thread::Builder::new()
        .name("itom-command-err".into())
        .spawn(move || stderr.map(|from| read_up_to(from, MAX_STDERR).unwrap_or_default().0));
    let reading = std::thread::Builder::new().name("itom-command".into()).spawn(move || {
        let read = stdout.map_or(Ok((Vec::new(), false)), |from| read_up_to(from, max));
        if !matches!(read, Ok((_, false))) {
            kill(&group);
        }
        let status = reap(&mut child, &group);
        let stderr = complaints.ok().and_then(|thread| thread.join().ok()).flatten().unwrap_or_default();
        // Nobody waits any more if this fails, and nothing is lost.
        let _ = done.send(read.and_then(|(stdout, cut)| {
            let stderr = String::from_utf8_lossy(&stderr).split_whitespace().collect::<Vec<_>>().join(" ");
            Ok(Finished { status: status?, stdout, cut, stderr })
        }));
    });
    reading?;
    finished.await.unwrap_or_else(|_| Err(io::Error::other("the thread that reads its output is gone")))
}

/// Reads to the end, but keeps and takes no more than `max` bytes; whether there was more.
fn read_up_to(mut from: impl Read, max: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    from.by_ref().take(max as u64).read_to_end(&mut kept)?;
    if kept.len() < max {
        return Ok((kept, false));
    }
    let more = from.read(&mut [0])? > 0;
    Ok((kept, more))
}

/// Waits for the end of the child. It is taken from the killer's reach before its id can be given to another process.
fn reap(child: &mut Child, group: &Mutex<Option<Pid>>) -> io::Result<ExitStatus> {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(error) = rustix::process::waitid(WaitId::Pid(Pid::from_child(child)), ended) {
        if error != rustix::io::Errno::INTR {
            break;
        }
    }
    let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
    // What the program left running in its group goes with it.
    if let Some(pid) = group.take() {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    child.wait()
}

fn kill(group: &Mutex<Option<Pid>>) {
    let group = group.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = *group {
        // It can only have ended by itself.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

struct Killer(Arc<Mutex<Option<Pid>>>);

impl Drop for Killer {
    fn drop(&mut self) {
        kill(&self.0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt as _;
    use futures::executor::block_on;

    use super::*;

    /// A directory that stands for `/` and is removed at the end of the test.
    #[derive(Debug)]
    pub(crate) struct TestRoot(PathBuf);

    impl TestRoot {
        pub(crate) fn new(name: &str) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("itom-{name}-{}-{next}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a temporary directory");
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }

        pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(&path, content).expect("a file");
            path
        }

        /// A shell script.
        pub(crate) fn program(&self, path: &str, body: &str) -> PathBuf {
            // Another process writes it: a program that is open for writing cannot be run, and a process started by a
            // test beside this one would inherit our open file for a moment.
            let script = self.0.join(path);
            std::fs::create_dir_all(script.parent().expect("a parent")).expect("a directory");
            let mut writer = Command::new("/bin/sh")
                .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
                .arg(&script)
                .stdin(Stdio::piped())
                .spawn()
                .expect("a shell");
            let mut stdin = writer.stdin.take().expect("its input");
            write!(stdin, "#!/bin/sh\n{body}\n").expect("a pipe");
            drop(stdin);
            assert!(writer.wait().expect("its end").success());
            script
        }
    }

    impl Drop for TestRoot {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn sh(script: &str, max: usize) -> io::Result<Finished> {
        block_on(run(OsStr::new("/bin/sh"), ["-c", script], max))
    }

    #[test]
    fn output_status_and_complaints_come_back() {
        let finished = sh("echo out; echo oh  no >&2; exit 3", 100).expect("a shell");
        assert_eq!(finished.stdout, b"out\n");
        assert_eq!(finished.stderr, "oh no");
        assert_eq!(finished.status.code(), Some(3));
        assert!(!finished.cut);
    }

    #[test]
    fn endless_output_is_cut_and_the_program_killed() {
        let finished = sh("while :; do echo yes; done", 1_000).expect("a shell");
        assert!(finished.cut);
        assert_eq!(finished.stdout.len(), 1_000);
        assert!(!finished.status.success());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = block_on(run(OsStr::new("/nowhere/itom"), [""; 0], 10)).expect_err("no such program");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn l11_dropping_kills_the_program_and_what_it_started() {
        let root = TestRoot::new("command");
        let pid_file = root.path().join("pid");
        let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", pid_file.display());
        let mut running = Box::pin(run(OsStr::new("/bin/sh"), ["-c", &script], 100));
        assert!((&mut running).now_or_never().is_none());
        let pid = loop {
            if let Ok(text) = std::fs::read_to_string(&pid_file) {
                break text.trim().to_owned();
            }
            std::thread::yield_now();
        };
        drop(running);
        // The grandchild is killed: it vanishes, or is a zombie until somebody reaps it.
        loop {
            match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Err(_) => break,
                Ok(stat)
                    if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) =>
                {
                    break;
                }
                Ok(_) => std::thread::yield_now(),
            }
        }
    }
}
