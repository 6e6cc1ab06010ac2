//! Which software a process is, by the table `fingerprints.json`.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::linux::process::Process;

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fingerprint {
    /// The type of service, also the last segment of the item's kind.
    #[serde(rename = "type")]
    name: String,
    /// Names of executables; a final `*` stands for anything.
    executables: Vec<String>,
    /// What an argument of an interpreter contains.
    arguments: Vec<String>,
    /// Default ports: evidence only when nothing is known about the process.
    ports: Vec<u16>,
}

fn table() -> &'static [Fingerprint] {
    static TABLE: OnceLock<Vec<Fingerprint>> = OnceLock::new();
    // The file is a part of the program, and a test reads it.
    TABLE.get_or_init(|| serde_json::from_str(include_str!("fingerprints.json")).unwrap_or_default())
}

const INTERPRETERS: &[&str] = &[
    "python", "java", "node", "nodejs", "ruby", "perl", "php", "bash", "sh", "dash", "dotnet", "beam.smp",
    "deno", "bun", "mono", "lua", "tclsh", "pypy",
];

/// The interpreter without its version: `python3.11` is `python`.
fn interpreter(executable: &str) -> Option<&'static str> {
    let bare = executable.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.iter().find(|name| **name == bare || **name == executable).copied()
}

/// The program a process runs: the executable's name, or of an interpreter the script, module, jar or main class.
pub(super) fn program(process: &Process) -> String {
    let executable = process.executable_name();
    let Some(interpreter) = interpreter(executable) else { return called(process, executable).to_owned() };
    interpreted(interpreter, process.arguments.get(1..).unwrap_or(&[]))
        .unwrap_or_else(|| interpreter.to_owned())
}

/// One file may be several programs by the name it is called by (`redis-server` is a link to `redis-check-rdb`): the name
/// counts when the table has both for the same software, so that a process cannot just claim any name.
fn called<'a>(process: &'a Process, executable: &'a str) -> &'a str {
    let first = process.arguments.first().and_then(|word| word.split([' ', ':']).next()).unwrap_or("");
    let name = first.rsplit('/').next().unwrap_or("");
    let both = |line: &&Fingerprint| {
        line.executables.iter().any(|known| known == name)
            && line.executables.iter().any(|known| known == executable)
    };
    if table().iter().any(|line| both(&line)) { name } else { executable }
}

fn interpreted(interpreter: &str, arguments: &[String]) -> Option<String> {
    let base = |path: &str| {
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
        // What is no name is code or data, and may hold anything.
        (!name.is_empty()
            && name.len() <= 80
            && name.chars().all(|c| c.is_alphanumeric() || "._-+@".contains(c)))
        .then(|| name.to_owned())
    };
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match (interpreter, argument) {
            ("python" | "pypy", "-m") | ("java", "-jar" | "-m" | "--module") => {
                return base(arguments.next()?);
            }
            ("python" | "pypy" | "bash" | "sh" | "dash", "-c")
            | ("perl" | "ruby" | "node" | "nodejs", "-e") => {
                return None;
            }
            ("python" | "pypy", "-W" | "-X")
            | ("ruby" | "perl", "-I" | "-r")
            | ("node" | "nodejs", "-r" | "--require") => {
                arguments.next();
            }
            (
                "java",
                "-cp" | "-classpath" | "--class-path" | "-p" | "--module-path" | "--add-modules"
                | "--add-opens",
            ) => {
                arguments.next();
            }
            ("beam.smp", _) => {
                if argument == "-sname" || argument == "-name" {
                    return base(arguments.next()?.split('@').next()?);
                }
            }
            (_, option) if option.starts_with('-') => {}
            (_, first) => return base(first),
        }
    }
    None
}

/// The type of software, if the table knows it.
pub(super) fn recognize(process: &Process) -> Option<&'static str> {
    let executable = process.executable_name();
    let by_name = table().iter().find(|line| {
        line.executables.iter().any(|name| match name.strip_suffix('*') {
            Some(stem) => executable.starts_with(stem),
            None => executable == name,
        })
    });
    let found = by_name.or_else(|| {
        interpreter(executable)?;
        table().iter().find(|line| {
            line.arguments
                .iter()
                .any(|part| process.arguments.iter().skip(1).any(|word| word.contains(part.as_str())))
        })
    });
    found.map(|line| line.name.as_str())
}

/// The type that a port suggests, when exactly one line of the table has it.
pub(super) fn by_port(port: u16) -> Option<&'static str> {
    let mut lines = table().iter().filter(|line| line.ports.contains(&port));
    let first = lines.next()?;
    lines.next().is_none().then_some(first.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(executable: &str, arguments: &[&str]) -> Process {
        Process {
            executable: Some(executable.to_owned()),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            ..Process::default()
        }
    }

    #[test]
    fn the_table_is_readable_and_makes_kinds() {
        assert!(table().len() >= 80, "{}", table().len());
        for line in table() {
            itom_core::CiKind::new(format!("service.{}", line.name)).expect("a type is a segment of a kind");
            assert!(!line.executables.is_empty() || !line.arguments.is_empty(), "{}", line.name);
        }
    }

    #[test]
    fn programs_and_types() {
        let app = process("/usr/bin/python3.11", &["/usr/bin/python3", "-u", "/opt/lab/app.py", "8000"]);
        assert_eq!((program(&app).as_str(), recognize(&app)), ("app.py", None));
        let kafka =
            process("/usr/lib/jvm/bin/java", &["java", "-cp", "/opt/x.jar", "-Xmx1g", "kafka.Kafka", "a"]);
        assert_eq!((program(&kafka).as_str(), recognize(&kafka)), ("kafka.Kafka", Some("kafka")));
        let gunicorn = process("/usr/bin/python3", &["python3", "/usr/bin/gunicorn", "app:app"]);
        assert_eq!((program(&gunicorn).as_str(), recognize(&gunicorn)), ("gunicorn", Some("gunicorn")));
        let nginx = process("/usr/sbin/nginx", &["nginx: master process /usr/sbin/nginx"]);
        assert_eq!((program(&nginx).as_str(), recognize(&nginx)), ("nginx", Some("nginx")));
        let redis = process("/usr/bin/redis-check-rdb", &["/usr/bin/redis-server 0.0.0.0:6379"]);
        assert_eq!(program(&redis), "redis-server");
        let code = process("/usr/bin/python3", &["python3", "-c", "secret = 1"]);
        assert_eq!(program(&code), "python");
        assert_eq!(by_port(5432), Some("postgresql"));
        assert_eq!(by_port(80), None);
    }
}
