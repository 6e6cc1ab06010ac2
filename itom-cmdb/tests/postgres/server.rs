//! A PostgreSQL server of a test: its own directory, a Unix socket only, gone with the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use itom_core::Secret;

pub(crate) struct Server {
    programs: PathBuf,
    room: PathBuf,
    /// It listens on the loopback too, encrypted only.
    port: Option<u16>,
}

/// What an encrypted server shows.
pub(crate) struct Encryption {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Where distributions put the server's programs, newest first.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").exists() && path.join("pg_ctl").exists())
        .collect();
    found.sort();
    found.pop()
}

impl Server {
    /// `None`, with a word, where no server can be started.
    pub(crate) fn start(name: &str) -> Option<Self> {
        Self::make(name, None)
    }

    /// One that listens on the loopback for passwords over TLS.
    pub(crate) fn start_encrypted(name: &str, encryption: &Encryption) -> Option<Self> {
        Self::make(name, Some(encryption))
    }

    fn make(name: &str, encryption: Option<&Encryption>) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: no PostgreSQL server is installed");
            return None;
        };
        if !as_owner("true", &[]).is_ok_and(|out| out.status.success()) {
            println!("skipped: PostgreSQL refuses to run as root and there is no user postgres to run it as");
            return None;
        }
        // Short: the path of a socket has little room.
        let room = std::env::temp_dir().join(format!("itom-pg-{}-{name}", std::process::id()));
        let port = encryption.map(|_| {
            let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            free.local_addr().unwrap().port()
        });
        let server = Self { programs, room, port };
        let _ = std::fs::remove_dir_all(&server.room);
        let made = as_owner("mkdir", &["-m", "755", &server.room.display().to_string()]).unwrap();
        assert!(made.status.success(), "{made:?}");
        server.run("initdb", &["-D", &server.data(), "-A", "trust", "-U", "postgres", "--no-sync"]);
        if let Some(encryption) = encryption {
            server.write("server.crt", &encryption.certificate);
            server.write("server.key", &encryption.key);
            let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
            server.write("pg_hba.conf", rules);
        }
        server.up();
        Some(server)
    }

    /// Writes a file that only the server's user may read.
    fn write(&self, name: &str, text: &str) {
        let path = format!("{}/{name}", self.data());
        let script = "umask 077; printf %s \"$1\" > \"$2\"";
        let made = as_owner("sh", &["-c", script, "sh", text, &path]).unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    /// Where it listens on the loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap()
    }

    fn data(&self) -> String {
        self.room.join("data").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) {
        let out = as_owner(&self.programs.join(program).display().to_string(), args).unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {text}");
    }

    fn up(&self) {
        let listens = match self.port {
            Some(port) => format!("-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on"),
            None => "-c listen_addresses=''".into(),
        };
        let options = format!("{listens} -k {}", self.room.display());
        let log = self.room.join("log").display().to_string();
        self.run("pg_ctl", &["-D", &self.data(), "-l", &log, "-o", &options, "-w", "start"]);
    }

    /// As pulling the plug: no checkpoint, connections cut.
    pub(crate) fn kill(&mut self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }

    pub(crate) fn restart(&mut self) {
        self.up();
    }

    pub(crate) fn url(&self) -> Secret {
        let port = self.port.unwrap_or(5432);
        Secret::new(format!("host={} port={port} user=postgres dbname=postgres", self.room.display()))
    }

    pub(crate) fn sql(&self, sql: &str) {
        let (room, port) = (self.room.display().to_string(), self.port.unwrap_or(5432).to_string());
        self.run("psql", &["-h", &room, "-p", &port, "-v", "ON_ERROR_STOP=1", "-c", sql]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let program = self.programs.join("pg_ctl").display().to_string();
        let _ = as_owner(&program, &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
        let _ = std::fs::remove_dir_all(&self.room);
    }
}

/// Runs a program as the user `postgres` when this is root, else as it is.
fn as_owner(program: &str, args: &[&str]) -> std::io::Result<Output> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", program]);
        command
    } else {
        Command::new(program)
    };
    // The server inherits neither the directory nor the pipes of the test.
    command.args(args).current_dir(Path::new("/")).stdin(std::process::Stdio::null()).output()
}
