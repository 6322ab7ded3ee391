//! [`Format`], the form of a line.

use std::time::SystemTime;

use humantime::format_rfc3339_millis;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::supervisor::identity::one_line;
use crate::supervisor::log::{Form, LogLine, LogStream};

#[derive(Debug)]
pub(super) struct Format {
    form: Form,
    has_timestamps: bool,
    program: String,
    /// The name of the program without control characters.
    shown: String,
}

/// A line of the JSON form, without its `data`.
#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    time: String,
    program: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u32>,
    pid: u32,
    stream: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl Format {
    pub(super) fn new(form: Form, has_timestamps: bool, program: &str) -> Self {
        Self {
            form,
            has_timestamps,
            program: program.to_owned(),
            shown: one_line(program),
        }
    }

    /// Appends a line, or several if the text of an event has several.
    pub(super) fn line(&self, to: &mut Vec<u8>, line: &LogLine<'_>) {
        match self.form {
            Form::Text => {
                for part in line.message.split(|&byte| byte == b'\n') {
                    self.prefix(to, line);
                    to.extend_from_slice(part);
                    to.push(b'\n');
                }
            }
            Form::Json => self.json(to, line, None),
        }
    }

    /// Appends the number of lines that were lost.
    pub(super) fn gap(&self, to: &mut Vec<u8>, count: u64, why: &str) {
        let text = gap_text(count, why);
        let line = gap_line(&text);
        match self.form {
            Form::Text => {
                self.timestamp(to, line.time);
                let text = format!("[{text}]\n");
                to.extend_from_slice(text.as_bytes());
            }
            Form::Json => self.json(to, &line, Some(count)),
        }
    }

    fn prefix(&self, to: &mut Vec<u8>, line: &LogLine<'_>) {
        self.timestamp(to, line.time);
        let program = &self.shown;
        let prefix = match line.slot {
            Some(slot) if line.stream != LogStream::Master => format!("[{program} {slot}] "),
            _ => format!("[{program} master] "),
        };
        to.extend_from_slice(prefix.as_bytes());
    }

    fn timestamp(&self, to: &mut Vec<u8>, time: SystemTime) {
        if self.has_timestamps {
            let time = format!("{} ", format_rfc3339_millis(time));
            to.extend_from_slice(time.as_bytes());
        }
    }

    fn json(&self, to: &mut Vec<u8>, line: &LogLine<'_>, lines: Option<u64>) {
        let is_event = line.stream == LogStream::Master;
        let data = (!is_event).then(|| object(line.message)).flatten();
        let text = String::from_utf8_lossy(line.message);
        let object = JsonLine {
            time: format_rfc3339_millis(line.time).to_string(),
            program: &self.program,
            slot: line.slot,
            pid: line.pid,
            stream: line.stream.name(),
            level: is_event.then_some(if line.is_failure { "error" } else { "info" }),
            event: line.event,
            worker: line.worker,
            lines,
            message: if data.is_some() { None } else { Some(&text) },
        };
        let start = to.len();
        // Text and numbers are always written to a vector.
        if serde_json::to_writer(&mut *to, &object).is_err() {
            to.truncate(start);
        } else if let Some(data) = data {
            // The bytes of the line take the place of the closing brace: with the type that
            // `serde_json` has for this, users would find that type in compiler errors of theirs.
            to.pop();
            to.extend_from_slice(b",\"data\":");
            to.extend_from_slice(data.as_bytes());
            to.push(b'}');
        }
        to.push(b'\n');
    }
}

/// Returns the line in the place of lines that were lost. Like the lines of [`LogLine::of_master`],
/// it does not name the program.
pub(super) fn gap_line(text: &str) -> LogLine<'_> {
    LogLine {
        event: Some("lost"),
        is_failure: true,
        message: text.as_bytes(),
        ..LogLine::of_master(SystemTime::now())
    }
}

pub(super) fn gap_text(count: u64, why: &str) -> String {
    let lines = if count == 1 { "line was" } else { "lines were" };
    format!("{count} {lines} lost here: {why}")
}

/// Returns a line that is a JSON object by itself.
fn object(line: &[u8]) -> Option<&str> {
    // Most lines are not, and are recognized by their first byte.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let text = str::from_utf8(line).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(text.trim_ascii())
}
