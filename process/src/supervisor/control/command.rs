//! [`Command`], a request of a client: one line of text.

/// The maximum number of workers, so that a typing error cannot overload the machine with
/// processes.
pub(super) const MAX_WORKERS: u32 = 1024;

pub(super) const HELP: &str = "\
status     show the master and its workers; `status json`: as JSON
metrics    show all metrics, in the text format of OpenMetrics
live       succeed if the master runs
ready      succeed if new connections are served, or say why they are not
reload     replace all workers
restart N  replace worker N
upgrade    start the program's file as a new master, which replaces this one
scale N    change the number of workers to N
reopen     open the log files again
stop       drain the workers, and end
help       show this
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Status,
    StatusJson,
    Metrics,
    Live,
    Ready,
    Reload,
    Restart(u32),
    Upgrade,
    Scale(u32),
    Reopen,
    Stop,
    Help,
}

impl Command {
    /// Parses a line without its line end. The error is one line, too.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let line = str::from_utf8(line).map_err(|_| "the command is not text".to_owned())?;
        let mut words = line.split_ascii_whitespace();
        let name = words
            .next()
            .ok_or_else(|| "no command was given: try `help`".to_owned())?;
        let argument = words.next();
        if words.next().is_some() {
            return Err(format!("too many words after `{}`", name.escape_debug()));
        }
        let command = match name {
            "scale" => return scale(argument),
            "restart" => return restart(argument),
            "status" if argument == Some("json") => return Ok(Self::StatusJson),
            "status" => Self::Status,
            "metrics" => Self::Metrics,
            "live" => Self::Live,
            "ready" => Self::Ready,
            "reload" => Self::Reload,
            "upgrade" => Self::Upgrade,
            "reopen" => Self::Reopen,
            "stop" => Self::Stop,
            "help" => Self::Help,
            _ => {
                return Err(format!(
                    "unknown command `{}`: try `help`",
                    name.escape_debug()
                ));
            }
        };
        match argument {
            None => Ok(command),
            Some(argument) => Err(format!(
                "`{name}` takes nothing, not `{}`",
                argument.escape_debug()
            )),
        }
    }
}

fn scale(argument: Option<&str>) -> Result<Command, String> {
    let argument =
        argument.ok_or_else(|| "`scale` takes the number of workers: `scale 4`".to_owned())?;
    match number(argument)? {
        Some(0) => Err("there must be at least one worker".to_owned()),
        Some(workers) if workers <= MAX_WORKERS => Ok(Command::Scale(workers)),
        _ => Err(format!("there can be at most {MAX_WORKERS} workers")),
    }
}

fn restart(argument: Option<&str>) -> Result<Command, String> {
    let argument =
        argument.ok_or_else(|| "`restart` takes the number of a worker: `restart 2`".to_owned())?;
    match number(argument)? {
        Some(slot) => Ok(Command::Restart(slot)),
        None => Err(format!("there is no worker {argument}")),
    }
}

/// Parses digits; `None` if the number is too large.
fn number(argument: &str) -> Result<Option<u32>, String> {
    // `u32::from_str` would take a plus sign.
    if argument.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(argument.parse().ok())
    } else {
        Err(format!("`{}` is not a number", argument.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn commands_are_parsed() {
        for (line, command) in [
            ("status", Command::Status),
            ("status json", Command::StatusJson),
            ("metrics", Command::Metrics),
            ("live", Command::Live),
            ("ready", Command::Ready),
            ("  reload\r", Command::Reload),
            ("restart 0", Command::Restart(0)),
            ("restart 1024", Command::Restart(1024)),
            ("upgrade", Command::Upgrade),
            ("scale 1", Command::Scale(1)),
            ("scale\t1024 ", Command::Scale(1024)),
            ("reopen", Command::Reopen),
            ("stop", Command::Stop),
            ("help", Command::Help),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command));
        }
    }

    #[test]
    fn an_invalid_command_is_an_error_that_says_why() {
        for (line, error) in [
            (&b""[..], "no command was given: try `help`"),
            (b"  ", "no command was given: try `help`"),
            (b"Status", "unknown command `Status`: try `help`"),
            (b"\x1b[2J", "unknown command `\\u{1b}[2J`: try `help`"),
            (b"\xff\xfe", "the command is not text"),
            (b"status now", "`status` takes nothing, not `now`"),
            (b"metrics json", "`metrics` takes nothing, not `json`"),
            (b"stop it now", "too many words after `stop`"),
            (b"scale", "`scale` takes the number of workers: `scale 4`"),
            (b"scale four", "`four` is not a number"),
            (b"scale -1", "`-1` is not a number"),
            (b"scale +1", "`+1` is not a number"),
            (b"scale 1.5", "`1.5` is not a number"),
            (
                b"restart",
                "`restart` takes the number of a worker: `restart 2`",
            ),
            (b"restart one", "`one` is not a number"),
            (b"restart +1", "`+1` is not a number"),
            (b"restart all", "`all` is not a number"),
            (b"restart 4294967296", "there is no worker 4294967296"),
            (b"restart 1 2", "too many words after `restart`"),
            (b"scale 0", "there must be at least one worker"),
            (b"scale 000", "there must be at least one worker"),
            (b"scale 1025", "there can be at most 1024 workers"),
            (
                b"scale 99999999999999999999",
                "there can be at most 1024 workers",
            ),
        ] {
            assert_eq!(Command::parse(line), Err(error.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn an_error_is_one_line_of_printable_text(line in vec(any::<u8>(), 0..80)) {
            if let Err(error) = Command::parse(&line) {
                assert!(!error.chars().any(char::is_control), "{error:?}");
            }
        }
    }
}
