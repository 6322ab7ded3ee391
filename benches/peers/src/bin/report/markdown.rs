//! The report's text.

use std::fmt::Write;

use crate::bounds::{BOUNDS, CONDITIONS};
use crate::losses::{self, Reason, Reasons};
use crate::results::{Results, Row, distinct};

/// The parts whose figures are times in nanoseconds, of the fastest turn, with their titles.
const PRIMITIVES: [(&str, &str); 5] = [
    ("tasks", "Tasks"),
    ("channels", "Channels"),
    ("locks", "Locks"),
    ("structure", "Generators, scopes and guards"),
    ("timers", "Timers"),
];

const METHOD: &str = "\
- Everything runs on this one machine, over 127.0.0.1, in one run. All programs are built with \
cargo's release profile.
- Servers are processes pinned to core 0. The client uses plain sockets and none of the runtimes, \
and is pinned to core 1. With a worker per core, servers are measured both pinned and free, and \
the client is not pinned.
- The contestants take turns of tens to hundreds of milliseconds, and are restarted several \
times, so that a disturbance of the machine affects all of them. The figure is the median turn, \
followed by the range of the middle half of all turns: `100 (98–103)`.
- Beside the throughput stands the server's CPU time per request, user and system together. The \
throughput often depends on the client and on the kernel's work for it; the server's CPU time does \
not.
- A ratio is the median of the ratios of pairs of turns. For operations that take nanoseconds it \
is the ratio of the fastest turns, because noise only adds to a time; so it may lie outside the \
range. `benches/peers/README.md` says how each figure is measured.";

pub(crate) fn write(results: &Results, reasons: &Reasons) -> String {
    let mut text = String::new();
    text.push_str("# The cost of coreloop and of its peers\n\n");
    text.push_str(
        "This command measures all figures, saves them in `benches/report/results.tsv`, and writes \
         this report from them:\n\n\
         ```sh\ncargo run --release -p coreloop-peers --bin report\n```\n\n\
         It takes a quarter of an hour and needs Linux, two idle cores, `valgrind` and `wrk`. With \
         `--from benches/report/results.tsv` it only writes the report again.\n\n\
         | | |\n|---|---|\n",
    );
    let about = results.about.iter();
    for (name, value) in about.filter(|(name, _)| !name.starts_with("test ")) {
        line(&mut text, &[name.clone(), value.clone()]);
    }
    text.push_str("\n![the race](report/race.svg)\n\n## How\n\n");
    text.push_str(METHOD);
    text.push_str("\n\n");
    bounds(&mut text, results);
    text.push_str("## Echo\n\n");
    text.push_str(
        "The depth is the number of messages outstanding on each connection; the client answers each \
         reply with the next message at once. Buffers are 4 KiB for messages of 64 B, and 16 KiB for \
         messages of 16 KiB. Since the client keeps the server busy, a latency at a large depth is \
         mostly the time that a message waits for its turn.\n\n\
         ![throughput](report/throughput.svg)\n\n![CPU time](report/cpu.svg)\n\n\
         ![latency](report/latency.svg)\n\n",
    );
    for case in results.cases("echo") {
        section(&mut text, results, "echo", case);
    }
    growth(&mut text, results);
    text.push_str("## HTTP, connections, bulk and TLS\n\n![servers](report/http.svg)\n\n");
    for case in results.cases("servers") {
        section(&mut text, results, "servers", case);
    }
    text.push_str("## A worker on each core\n\n![a worker on each core](report/cores.svg)\n\n");
    for case in results.cases("cores") {
        section(&mut text, results, "cores", case);
    }
    text.push_str("## The loop's own cost\n\n");
    for (part, title) in [
        (
            "instructions",
            "User-space instructions per echo, by callgrind",
        ),
        (
            "cpu",
            "Server CPU per 64-byte echo, each alone with a bare epoll loop",
        ),
    ] {
        for case in results.cases(part) {
            let _ = writeln!(text, "### {title}: {case}\n");
            table(&mut text, results, part, case);
        }
    }
    for (part, title) in PRIMITIVES {
        let _ = writeln!(text, "## {title}\n");
        matrix(&mut text, results, part);
    }
    text.push_str(
        "Each figure is the fastest turn, followed by the range of the middle half of the turns. All \
         channels and locks run on coreloop's loop, so that the loop makes no difference; `tokio on \
         tokio` and `tokio at home` are tokio's channels and locks on tokio's runtime.\n\n",
    );
    losses_section(&mut text, results, reasons);
    text
}

fn bounds(text: &mut String, results: &Results) {
    text.push_str("## Bounds\n\n");
    let rows: Vec<&Row> = results
        .rows
        .iter()
        .filter(|row| row.part == "bounds")
        .collect();
    let met = rows.iter().filter(|row| row.verdict == "met").count();
    let _ = writeln!(text, "coreloop meets {met} of {} bounds.\n", rows.len());
    heads(text, &["", "what", "bound", "measured", "range", "verdict"]);
    let mut topic = "";
    for bound in BOUNDS {
        let mut name = if bound.topic == topic {
            ""
        } else {
            bound.topic
        };
        topic = bound.topic;
        let found = rows.iter();
        let mut found = found
            .filter_map(|row| Some((row, bound.way(&row.case)?)))
            .peekable();
        if found.peek().is_none() {
            let missing = [name, bound.what, "", "", "", "not measured"];
            line(text, &missing.map(str::to_owned));
        }
        let mut what = bound.what;
        for (row, way) in found {
            verdict(text, name, &format!("{what}{way}"), row);
            (name, what) = ("", "the same");
        }
    }
    let known = |row: &&&Row| {
        let mut bounds = BOUNDS.iter();
        bounds.any(|bound| bound.way(&row.case).is_some())
    };
    let mut name = "more";
    for row in rows.iter().filter(|row| !known(row)) {
        verdict(text, name, &row.case, row);
        name = "";
    }
    text.push_str("\nTests check the conditions that no figure shows; the same run runs them:\n\n");
    heads(text, &["condition", "test"]);
    for condition in CONDITIONS {
        let tests = condition.tests.iter().map(|topic| {
            let remark = format!("test {}", topic.name());
            let verdict = results.about.iter().find(|(about, _)| *about == remark);
            let verdict = verdict.map_or("not run", |(_, verdict)| verdict);
            format!("`tests/{}.rs`: {verdict}", topic.name())
        });
        let tests: Vec<String> = tests.collect();
        line(text, &[condition.what.to_owned(), tests.join(", ")]);
    }
    text.push('\n');
}

fn verdict(text: &mut String, topic: &str, what: &str, row: &Row) {
    let verdict = if row.verdict == "met" {
        row.verdict.clone()
    } else {
        format!("**{}**", row.verdict)
    };
    let spread = row.figure.spread;
    let range = spread.map_or(String::new(), |spread| {
        format!("{}–{}", number(spread.lower), number(spread.upper))
    });
    // Adds the name of the best peer, if the bound compares with the best one.
    let against = row.who.strip_prefix("ratio coreloop/");
    let what = match against {
        Some(peer) if what.contains("best peer") => format!("{what} ({peer})"),
        _ => what.to_owned(),
    };
    line(
        text,
        &[
            topic.to_owned(),
            what,
            row.bound.clone(),
            number(row.figure.quoted),
            range,
            verdict,
        ],
    );
}

fn growth(text: &mut String, results: &Results) {
    text.push_str(
        "## From 1 to 10 000 connections\n\n\
         64-byte echoes, one message outstanding on each connection, buffers of 1 KiB. In its turn \
         each server runs alone, in a new process. \"Resident\" is the memory of the whole server.\n\n\
         ![growth](report/growth.svg)\n\n",
    );
    for (measure, title, scale) in [
        ("CPU", "Server CPU per echo, ns", 1.0),
        ("throughput", "Echoes per second", 1.0),
        ("resident", "Resident, KiB", 1024.0),
    ] {
        let _ = writeln!(text, "### {title}\n");
        let cases = results.cases("growth");
        let head: Vec<&str> = [""].into_iter().chain(cases.iter().copied()).collect();
        heads(text, &head);
        for who in results.contestants("growth") {
            let mut cells = vec![who.to_owned()];
            cells.extend(cases.iter().map(|case| {
                let row = results.find("growth", case, who, measure);
                row.map_or(String::new(), |row| cell(row, scale))
            }));
            line(text, &cells);
        }
        text.push('\n');
    }
    text.push_str("## Memory of an idle connection\n\n![memory](report/memory.svg)\n\n");
    text.push_str(
        "Resident bytes for each of 10 000 connections, whose handlers have a 64-byte buffer.\n\n",
    );
    for case in results.cases("memory") {
        table(text, results, "memory", case);
    }
}

fn section(text: &mut String, results: &Results, part: &str, case: &str) {
    let _ = writeln!(text, "### {case}\n");
    table(text, results, part, case);
}

/// Writes the figures of a case, with a line for each contestant.
fn table(text: &mut String, results: &Results, part: &str, case: &str) {
    let rows = results
        .rows
        .iter()
        .filter(|row| row.part == part && row.case == case);
    let mut measures: Vec<(&str, &str)> = Vec::new();
    for row in rows.clone() {
        let measure = (row.measure.as_str(), row.unit.as_str());
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
    let names: Vec<String> = measures
        .iter()
        .map(|(measure, unit)| match *unit {
            "" => (*measure).to_owned(),
            _ if measure == unit => (*measure).to_owned(),
            _ => format!("{measure}, {unit}"),
        })
        .collect();
    let head: Vec<&str> = [""]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    heads(text, &head);
    for who in distinct(rows.map(|row| row.who.as_str())) {
        let mut cells = vec![who.to_owned()];
        cells.extend(measures.iter().map(|(measure, _)| {
            let row = results.find(part, case, who, measure);
            row.map_or(String::new(), |row| cell(row, 1.0))
        }));
        line(text, &cells);
    }
    text.push('\n');
}

/// Writes the figures of all cases of a part, with a column for each contestant.
fn matrix(text: &mut String, results: &Results, part: &str) {
    let everybody = results.contestants(part);
    let head: Vec<&str> = [""].into_iter().chain(everybody.iter().copied()).collect();
    heads(text, &head);
    for case in results.cases(part) {
        let unit = results.rows.iter().find(|row| row.case == case);
        let unit = unit.map_or("", |row| row.unit.as_str());
        let mut cells = vec![format!("{case}, {unit}")];
        cells.extend(everybody.iter().map(|who| {
            let row = results.find(part, case, who, "time");
            row.map_or(String::new(), |row| cell(row, 1.0))
        }));
        line(text, &cells);
    }
    text.push('\n');
}

fn losses_section(text: &mut String, results: &Results, reasons: &Reasons) {
    text.push_str("## Where coreloop loses\n\n");
    let losses = losses::losses(results);
    if losses.is_empty() {
        text.push_str(
            "Nowhere in this run: no peer is better by more than the spread of the turns.\n",
        );
        return;
    }
    text.push_str(
        "Every figure for which a peer is better, by so much that the middle halves of the turns do \
         not overlap, with the best such peer. The bare loop is left out: it is a lower limit, and \
         the bounds compare coreloop with it. `times` says how many times as good the peer is.\n\n",
    );
    heads(
        text,
        &[
            "case",
            "measure",
            "coreloop",
            "best peer",
            "its figure",
            "times",
            "reason",
        ],
    );
    let mut quoted: Vec<&Reason> = Vec::new();
    for loss in &losses {
        let reason = reasons.of(loss);
        if let Some(reason) = reason
            && !quoted.iter().any(|other| std::ptr::eq(*other, reason))
        {
            quoted.push(reason);
        }
        let row = loss.own;
        line(
            text,
            &[
                format!("{}: {}", row.part, row.case),
                row.measure.clone(),
                format!("{} {}", cell(row, 1.0), row.unit),
                loss.peer.who.clone(),
                cell(loss.peer, 1.0),
                format!("{:.2}", loss.factor),
                reason
                    .map_or("not examined yet", |reason| &reason.name)
                    .to_owned(),
            ],
        );
    }
    for reason in quoted {
        let _ = write!(text, "\n**{}.** {}\n", reason.name, reason.text);
    }
}

/// Formats the quoted figure, and the range of the middle half of the turns.
fn cell(row: &Row, scale: f64) -> String {
    let quoted = number(row.figure.quoted / scale);
    match row.figure.spread {
        Some(spread) if spread.turns > 1 => {
            let (lower, upper) = (number(spread.lower / scale), number(spread.upper / scale));
            format!("{quoted} ({lower}–{upper})")
        }
        _ => quoted,
    }
}

/// Formats a figure with three or four significant digits.
pub(crate) fn number(figure: f64) -> String {
    let places = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 2.0 => 2,
        _ => 3,
    };
    let plain = format!("{figure:.places$}");
    if places > 0 || plain.len() < 4 {
        return plain;
    }
    let mut grouped = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn heads(text: &mut String, names: &[&str]) {
    let _ = writeln!(text, "| {} |", names.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(names.len()));
}

fn line(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}
