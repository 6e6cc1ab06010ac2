//! What `systemctl show` prints: blocks of `Property=value` lines, parted by empty lines, one block a unit.

/// The properties that are asked for.
pub(super) const PROPERTIES: [&str; 17] = [
    "Id",
    "Description",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "Type",
    "Result",
    "MainPID",
    "NRestarts",
    "TasksCurrent",
    "TasksMax",
    "NAccepted",
    "NConnections",
    "NRefused",
    "Where",
];

/// Longest value looked at; systemd's own limit for a line of a unit file is 1 MiB, for a unit's name 255.
const MAX_VALUE: usize = 8 * 1024;

/// One unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    properties: Vec<(&'static str, String)>,
}

impl Unit {
    /// The value of a property, if it is there and set.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.properties.iter().find(|(have, _)| *have == name)?;
        if value.is_empty() || value == "[not set]" { None } else { Some(value) }
    }

    /// The value of a property that counts; systemd prints the largest number, or words, for what is not set.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok().filter(|count| *count != u64::MAX)
    }

    /// The full name: `ssh.service`.
    pub(super) fn id(&self) -> Option<&str> {
        self.get("Id")
    }

    /// What kind of unit: `service`.
    pub(super) fn suffix(&self) -> Option<&str> {
        Some(self.id()?.rsplit_once('.')?.1)
    }
}

/// A block that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Garbage {
    /// Line where it begins, counted from 1.
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// The units of the output, each a unit or garbage.
pub(super) fn units(output: &[u8]) -> impl Iterator<Item = Result<Unit, Garbage>> {
    let mut lines = output.split(|byte| *byte == b'\n').zip(1_usize..).peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|(line, _)| line.trim_ascii().is_empty()).is_some() {}
        let (_, begin) = *lines.peek()?;
        let mut unit = Ok(Unit::default());
        while let Some((line, _)) = lines.next_if(|(line, _)| !line.trim_ascii().is_empty()) {
            if let Ok(known) = &mut unit
                && let Err(reason) = add_line(known, line)
            {
                unit = Err(reason);
            }
        }
        let unit = unit.and_then(|unit| match unit.suffix() {
            Some(_) => Ok(unit),
            None => Err("it has no `Id` that names a unit"),
        });
        Some(unit.map_err(|reason| Garbage { line: begin, reason }))
    })
}

fn add_line(unit: &mut Unit, line: &[u8]) -> Result<(), &'static str> {
    let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
        return Err("a line is not `Property=value`");
    };
    let (name, value) = (&line[..equals], &line[equals + 1..]);
    let Some(name) = PROPERTIES.into_iter().find(|wanted| wanted.as_bytes() == name) else { return Ok(()) };
    if value.len() > MAX_VALUE {
        return Err("a value is too long");
    }
    if unit.properties.iter().any(|(have, _)| *have == name) {
        return Err("a property stands twice");
    }
    let Ok(value) = std::str::from_utf8(value) else { return Err("a value is not UTF-8") };
    unit.properties.push((name, value.trim().to_owned()));
    Ok(())
}
