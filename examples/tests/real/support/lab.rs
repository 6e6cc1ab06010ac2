//! The large lab: real servers on 17 namespaced hosts, with the truth written down by the lab itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the names of the lab's network namespaces begin with.
const NAMESPACES: &str = "olab-";

/// A running lab; it is taken down when dropped.
#[derive(Debug)]
pub(crate) struct Lab {
    script: PathBuf,
    run: PathBuf,
    /// What is really there.
    pub(crate) truth: Truth,
}

/// What the lab says of itself.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Truth {
    /// The hosts.
    pub(crate) hosts: Vec<Host>,
    /// Who uses whom.
    pub(crate) edges: Vec<Edge>,
}

/// One host.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: String,
    /// Whether an agent may run on it.
    pub(crate) managed: bool,
    /// What runs on it.
    pub(crate) processes: Vec<Process>,
}

/// One process.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Process {
    /// Its name, as the kernel cuts it.
    pub(crate) comm: String,
    /// Its executable.
    pub(crate) exe: Option<String>,
    /// What it listens on.
    pub(crate) listen: Vec<Listen>,
}

/// One listening socket.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Listen {
    /// `tcp` or `udp`.
    pub(crate) proto: String,
    /// Address.
    pub(crate) addr: String,
    /// Port.
    pub(crate) port: u16,
}

/// One dependency.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Edge {
    /// Host of the client.
    pub(crate) client: String,
    /// Program of the client.
    pub(crate) client_process: String,
    /// Host of the server.
    pub(crate) server: String,
    /// Program of the server, cut as long names are.
    pub(crate) server_process: String,
    /// Port the client connects to.
    pub(crate) port: u16,
    /// `tcp` or `udp`.
    pub(crate) proto: String,
    /// Address the client connects to.
    pub(crate) dst_addr: String,
    /// `service`, `replication`, `monitoring`, `local`, `dns`, `logging` or `external`.
    pub(crate) kind: String,
    /// `persistent`, `pooled`, `short` or `one-way`.
    pub(crate) style: String,
}

impl Lab {
    /// Brings the lab up for at most `ttl`; the reason when that is not possible here.
    pub(crate) fn up(run: &Path, ttl: Duration) -> Result<Self, String> {
        let folder = std::env::var_os("ITOM_LAB")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/lab"), PathBuf::from);
        let script = folder.join("lab.sh");
        if !script.is_file() {
            return Err(format!("there is no lab at {} (set ITOM_LAB)", folder.display()));
        }
        let script = script.canonicalize().map_err(|error| error.to_string())?;
        // Namespaces have fixed names and taking a lab down takes all of them down: another's is left alone.
        if let Some(other) = namespaces()?.lines().find(|line| line.starts_with(NAMESPACES)) {
            return Err(format!("another lab is up (network namespace {other}); take it down first"));
        }
        let mut lab =
            Self { script, run: run.to_owned(), truth: Truth { hosts: Vec::new(), edges: Vec::new() } };
        let ttl = ttl.as_secs().to_string();
        let said = lab.call(&["up", &ttl])?;
        if said.contains("DOWN") || !said.contains("listening:") {
            return Err(format!("the lab does not come up: {said}"));
        }
        lab.truth = lab.now()?;
        Ok(lab)
    }

    /// What is there at this moment.
    pub(crate) fn now(&self) -> Result<Truth, String> {
        let path = self.call(&["truth"])?;
        let path = path.split_whitespace().next().unwrap_or_default();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("bash");
        command.arg(&self.script).env("LAB_RUN", &self.run).stdin(Stdio::null());
        command
    }

    fn call(&self, args: &[&str]) -> Result<String, String> {
        let output = self.command().args(args).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("lab {args:?}: {said}{}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Runs a program inside a host, its output going to a file.
    pub(crate) fn spawn(
        &self,
        host: &str,
        program: &[&str],
        output: std::fs::File,
    ) -> std::io::Result<Child> {
        self.command().args(["exec", host]).args(program).stdout(output).stderr(Stdio::null()).spawn()
    }
}

fn namespaces() -> Result<String, String> {
    let listed = Command::new("ip").args(["netns", "list"]).stdin(Stdio::null()).output();
    let listed = listed.map_err(|error| format!("ip netns list: {error}"))?;
    Ok(String::from_utf8_lossy(&listed.stdout).into_owned())
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.call(&["down"]);
    }
}
