//! [`Text`], which writes metrics in the text format of OpenMetrics, or in the older one of
//! Prometheus.

use std::fmt::{Display, Write};

use super::Kind;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Prometheus,
}

/// The text of metrics while it is written.
#[derive(Debug)]
pub(crate) struct Text {
    format: Format,
    text: String,
    /// The name of the samples of the current family.
    name: String,
}

impl Text {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
            name: String::new(),
        }
    }

    /// Begins a family. The name of a counter is given without `_total`.
    pub(crate) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        self.name.clear();
        self.name.push_str(name);
        if kind == Kind::Counter {
            self.name.push_str("_total");
        }
        // Only OpenMetrics names a family of counters without the suffix of its samples.
        let family = match self.format {
            Format::OpenMetrics => name,
            Format::Prometheus => &self.name,
        };
        if !help.is_empty() {
            let help = escape(help, self.format == Format::OpenMetrics);
            self.text.push_str(&format!("# HELP {family} {help}\n"));
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.text.push_str(&format!("# TYPE {family} {kind}\n"));
    }

    /// Writes one value of the family.
    pub(crate) fn sample<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: impl Display,
    ) {
        self.text.push_str(&self.name);
        let mut before = '{';
        for (name, value) in labels {
            let value = escape(value, true);
            let _ = write!(self.text, "{before}{name}=\"{value}\"");
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Escapes a label value or a help text, which is one line then.
fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}
