//! Real servers in network namespaces, with the truth written down: a client, nginx, an application, PostgreSQL and
//! redis. Every steady dependency is found, resolved to the very service, and no other is claimed.
//!
//! Needs root, `ip`, and Debian's `nginx`, `postgresql-15`, `redis-server`, `python3`; says so and passes where they are
//! missing.
#![cfg(all(feature = "host", target_os = "linux"))]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use itom_collect::linux::service::ServiceCollector;
use itom_collect::{Cancel, CollectContext, Collector};
use itom_core::{Batch, Clock, Key, Observation, SourceName, Subject, SystemClock, attr, relation};

const POSTGRES: &str = "/usr/lib/postgresql/15/bin";

const APP: &str = r#"
import http.server, socket, socketserver, struct, time
def connect(port):
    for _ in range(200):
        try: return socket.create_connection(("10.99.2.2", port), 2)
        except OSError: time.sleep(.1)
    raise SystemExit("no server on port %d" % port)
redis = connect(6379); redis.sendall(b"PING\r\n"); redis.recv(64)
body = struct.pack("!I", 196608) + b"user\0postgres\0database\0postgres\0\0"
while True:
    sql = connect(5432); sql.sendall(struct.pack("!I", len(body) + 4) + body)
    if sql.recv(1) == b"R": break
    sql.close(); time.sleep(.1)
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
S(("10.99.1.2", 8000), H).serve_forever()
"#;

const CLIENT: &str = r#"
import http.client, sys, time
def get(c):
    c.request("GET", "/"); r = c.getresponse(); r.read(); return r.status
for _ in range(300):
    try:
        steady = http.client.HTTPConnection("10.99.1.1", 8080, timeout=2)
        if get(steady) == 200: break
    except OSError: pass
    time.sleep(.1)
else: raise SystemExit("no answer")
print("ready", flush=True)
for line in sys.stdin:
    short = http.client.HTTPConnection("10.99.1.1", 8080, timeout=2); get(short); short.close()
    print("done", flush=True)
"#;

const NGINX: &str = "daemon off; user root; worker_processes 2; pid DIR/nginx.pid; error_log DIR/nginx.log;
events { worker_connections 64; }
http { access_log off; client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;
  uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  upstream app { server 10.99.1.2:8000; keepalive 4; }
  server { listen 10.99.1.1:8080;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; } } }
";

/// What the test made; all of it goes when it is dropped.
struct Lab {
    prefix: String,
    directory: PathBuf,
    children: Vec<Child>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // Servers end their workers when they are asked to end; the namespace is only ours, so nothing else runs in
            // it.
            let _ = quiet("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
        for name in ["web", "app", "data"] {
            let _ = quiet("ip").args(["netns", "del", &self.namespace(name)]).status();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Lab {
    fn new() -> Result<Self, String> {
        let tools = ["/usr/sbin/nginx", "/usr/bin/redis-server", "/usr/bin/python3", "/usr/bin/setpriv"];
        let postgres = format!("{POSTGRES}/postgres");
        let mut needed = tools.iter().copied().chain([postgres.as_str()]);
        if let Some(missing) = needed.find(|path| !Path::new(path).exists()) {
            return Err(format!("{missing} is not installed"));
        }
        let prefix = format!("itomtest{}", std::process::id());
        let directory = std::env::temp_dir().join(&prefix);
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let lab = Self { prefix, directory, children: Vec::new() };
        for name in ["web", "app", "data"] {
            ip(&["netns", "add", &lab.namespace(name)])?;
            ip(&["-n", &lab.namespace(name), "link", "set", "lo", "up"])?;
        }
        lab.cable(("web", "10.99.1.1/24"), ("app", "10.99.1.2/24"), "v1")?;
        lab.cable(("app", "10.99.2.1/24"), ("data", "10.99.2.2/24"), "v2")?;
        Ok(lab)
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn cable(&self, one: (&str, &str), other: (&str, &str), link: &str) -> Result<(), String> {
        let (from, to) = (self.namespace(one.0), self.namespace(other.0));
        ip(&["-n", &from, "link", "add", link, "type", "veth", "peer", "name", link, "netns", &to])?;
        for (namespace, address) in [(&from, one.1), (&to, other.1)] {
            ip(&["-n", namespace, "addr", "add", address, "dev", link])?;
            ip(&["-n", namespace, "link", "set", link, "up"])?;
        }
        Ok(())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, text.replace("DIR", &self.directory.to_string_lossy())).expect("writes a file");
        path.to_string_lossy().into_owned()
    }

    fn start(&mut self, namespace: &str, command: &[&str]) {
        let namespace = self.namespace(namespace);
        let mut server = quiet("ip");
        server.args(["netns", "exec", &namespace]).args(command).current_dir("/");
        self.children.push(server.spawn().expect("starts a server"));
    }

    fn start_all(&mut self) -> Result<(), String> {
        let data = self.directory.join("pg").to_string_lossy().into_owned();
        let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"];
        std::fs::create_dir_all(&data).map_err(|error| error.to_string())?;
        let chown = quiet("chown").args(["postgres:postgres", &data]).status();
        let initdb = quiet("setpriv")
            .args(&user[1..])
            .args([&format!("{POSTGRES}/initdb"), "-D", &data, "-A", "trust", "--no-sync"])
            .current_dir("/")
            .status();
        if !chown.is_ok_and(|status| status.success()) || !initdb.is_ok_and(|status| status.success()) {
            return Err("initdb failed".to_owned());
        }
        std::fs::write(format!("{data}/pg_hba.conf"), "host all all 10.99.0.0/16 trust\n")
            .map_err(|error| error.to_string())?;
        let server = format!("{POSTGRES}/postgres");
        let mut postgres = user.to_vec();
        postgres.extend([&server, "-D", &data, "-h", "10.99.2.2", "-k", "", "-c", "fsync=off"]);
        self.start("data", &postgres);
        self.start("data", &["redis-server", "--bind", "10.99.2.2", "--protected-mode", "no", "--save", ""]);
        let app = self.file("app.py", APP);
        self.start("app", &["/usr/bin/python3", &app]);
        let nginx = self.file("nginx.conf", NGINX);
        let directory = self.directory.to_string_lossy().into_owned();
        self.start("web", &["/usr/sbin/nginx", "-p", &directory, "-c", &nginx]);
        Ok(())
    }

    fn client(&self) -> Child {
        let script = self.file("client.py", CLIENT);
        Command::new("ip")
            .args(["netns", "exec", &self.namespace("web"), "/usr/bin/python3", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts a client")
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    match quiet("ip").args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("`ip {}` is refused (needs root)", arguments.join(" "))),
    }
}

fn round(collector: &ServiceCollector, clock: &Arc<SystemClock>) -> Batch {
    let now = clock.now();
    let cx = CollectContext::new(clock.clone(), now + Duration::from_secs(30), Cancel::new());
    let mut batch = Batch::new(SourceName::literal("lab"), now);
    let coverage = futures::executor::block_on(collector.collect(&cx, &mut batch)).expect("a round");
    batch.finish(coverage);
    batch
}

/// Dependencies of the lab by name, with closed connections counted; anything unexpected keeps its full form.
fn dependencies(batch: &Batch) -> BTreeMap<(String, String), i64> {
    let mut names: BTreeMap<Subject, String> = BTreeMap::new();
    for item in batch.items() {
        if let Observation::Ci(ci) = item {
            let endpoints = ci.attributes.iter().find(|(name, _)| name.as_str() == "service.endpoints");
            let ours = endpoints.is_some_and(|(_, list)| list.to_string().contains(":10.99."));
            let service = ci.attributes.get(&attr::SERVICE_NAME).filter(|_| ours);
            let program = ci.attributes.get(&attr::NAME).filter(|name| name.as_text() == Some("client.py"));
            if let Some(name) = service.or(program) {
                names.insert(Subject::Native(ci.subject.clone()), name.to_string());
            }
        }
    }
    let mut found = BTreeMap::new();
    for item in batch.items() {
        let Observation::Relation(edge) = item else { continue };
        let peer =
            edge.attributes.get(&attr::NETWORK_PEER_ADDRESS).map(ToString::to_string).unwrap_or_default();
        let ours =
            peer.starts_with("10.99.") || names.contains_key(&edge.from) || names.contains_key(&edge.to);
        if edge.kind == relation::DEPENDS_ON && ours {
            let name = |subject: &Subject| names.get(subject).cloned().unwrap_or_else(|| subject.to_string());
            let closed =
                edge.attributes.iter().find(|(name, _)| name.as_str() == "network.connections.closed");
            let closed = closed.and_then(|(_, count)| count.as_int()).unwrap_or(0);
            *found.entry((name(&edge.from), name(&edge.to))).or_default() += closed;
        }
    }
    found
}

#[test]
fn every_steady_dependency_and_no_false_one() {
    let mut lab = match Lab::new() {
        Ok(lab) => lab,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    if let Err(reason) = lab.start_all() {
        return eprintln!("skipped: {reason}");
    }
    let mut client = lab.client();
    let mut commands = client.stdin.take().expect("is piped");
    let mut answers = BufReader::new(client.stdout.take().expect("is piped"));
    lab.children.push(client);
    // The client gives up by itself after a bounded time.
    let mut line = String::new();
    answers.read_line(&mut line).expect("reads what the client says");
    assert_eq!(line, "ready\n", "the chain of servers did not come up");

    let clock = Arc::new(SystemClock::new());
    let collector = ServiceCollector::new().with_host_key(Key::host_name("lab"));
    let truth: BTreeSet<(String, String)> =
        [("client.py", "nginx"), ("nginx", "app.py"), ("app.py", "postgres"), ("app.py", "redis-server")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into();
    let first = dependencies(&round(&collector, &clock));
    assert_eq!(first.keys().cloned().collect::<BTreeSet<_>>(), truth);

    commands.write_all(b"go\n").expect("the client waits");
    line.clear();
    answers.read_line(&mut line).expect("reads what the client says");
    assert_eq!(line, "done\n");
    let second = dependencies(&round(&collector, &clock));
    assert_eq!(second.keys().cloned().collect::<BTreeSet<_>>(), truth);
    let short = second.get(&("client.py".to_owned(), "nginx".to_owned()));
    eprintln!("closed connections seen from client to nginx: {short:?}");
}
