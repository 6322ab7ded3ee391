//! The report's text.

use std::fmt::Write;

use crate::bounds::{BOUNDS, CONDITIONS};
use crate::losses::{self, Reason, Reasons};
use crate::results::{Results, Row, distinct};

/// A part whose figures are of the kind: so many nanoseconds, the fastest turn.
const PRIMITIVES: [(&str, &str); 5] = [
    ("tasks", "Tasks"),
    ("channels", "Channels"),
    ("locks", "Locks"),
    ("structure", "Generators, scopes and guards"),
    ("timers", "Timers"),
];

const METHOD: &str = "\
- Everything runs on this one machine, over 127.0.0.1, in one run; a release build of cargo's, the \
same for all.
- Servers are processes pinned to core 0, the client is plain sockets pinned to core 1 and not a \
user of any of the runtimes. With a worker per core, servers are measured pinned and free, and the \
client is on no certain core.
- Who is compared takes turns of some ten to hundred milliseconds, and is started anew several \
times. What slows the machine for a while slows all, and what is quoted is the middle turn, with the \
range that the middle half of all turns lies in: `100 (98–103)`.
- Beside throughput stands the CPU time that the server used for each request, user and system \
together. The client and the kernel's part of it often decide how many requests there are in a \
second; what they cost the server is told by its own clock.
- A ratio is the median of the ratios turn by turn; for what takes nanoseconds it is that of the \
fastest turns, as noise only adds to those. `benches/peers/README.md` says how each figure is taken.";

pub(crate) fn write(results: &Results, reasons: &Reasons) -> String {
    let mut text = String::new();
    text.push_str("# What coreloop costs, beside its peers\n\n");
    text.push_str(
        "Written by a program, which measures all of it, from `benches/report/results.tsv`:\n\n\
         ```sh\ncargo run --release -p coreloop-peers --bin report\n```\n\n\
         It takes a quarter of an hour and wants Linux, two cores with nothing else to do, `valgrind` \
         and `wrk`. `--from benches/report/results.tsv` only writes the report again.\n\n\
         | | |\n|---|---|\n",
    );
    let told = results.about.iter();
    for (name, value) in told.filter(|(name, _)| !name.starts_with("test ")) {
        line(&mut text, &[name.clone(), value.clone()]);
    }
    text.push_str("\n![the race](report/race.svg)\n\n## How\n\n");
    text.push_str(METHOD);
    text.push_str("\n\n");
    bounds(&mut text, results);
    text.push_str("## Echo\n\n");
    text.push_str(
        "So many connections, with so many messages outstanding on each (depth); a reply is \
         answered by the next message at once. Buffers are 4 KiB for messages of 64 B, and 16 KiB for \
         those of 16 KiB. Latencies are those of a client that keeps the server busy: where many \
         messages are outstanding, most of each is the wait for its turn.\n\n\
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
        "The fastest turn, and in brackets the middle half of the turns. All channels and locks run \
         on coreloop's loop, so that only they differ; `tokio on tokio` and `tokio at home` are \
         tokio's on its own.\n\n",
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
    let _ = writeln!(
        text,
        "What coreloop is to reach: {met} of {} figures do.\n",
        rows.len()
    );
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
    text.push_str("\nWhat no figure tells is held by tests, which the same run runs:\n\n");
    heads(text, &["what", "by"]);
    for condition in CONDITIONS {
        let tests = condition.tests.iter().map(|name| {
            let remark = format!("test {name}");
            let verdict = results.about.iter().find(|(about, _)| *about == remark);
            let verdict = verdict.map_or("not run", |(_, verdict)| verdict);
            format!("`{name}` of {}: {verdict}", condition.package)
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
    // Who the best peer is, where the bound is against the best.
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
         64-byte echoes, one message outstanding on each connection, buffers of 1 KiB; each server \
         alone in its turn, in a new process. Resident is the whole server.\n\n\
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
    text.push_str("Resident bytes for each of 10 000, whose handler has a 64-byte buffer.\n\n");
    for case in results.cases("memory") {
        table(text, results, "memory", case);
    }
}

fn section(text: &mut String, results: &Results, part: &str, case: &str) {
    let _ = writeln!(text, "### {case}\n");
    table(text, results, part, case);
}

/// Who scored what in a case.
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

/// All cases of a part, and all who took part in any.
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
        text.push_str("Nowhere in this run, beyond what the turns differ by.\n");
        return;
    }
    text.push_str(
        "Every figure by which a peer is better, and by so much that the middle halves of the turns \
         do not touch; the best such peer of each. The bare loop is left out: it is a floor, which \
         the bounds speak of. `times` says how many times as good the peer is.\n\n",
    );
    heads(
        text,
        &["where", "by", "coreloop", "better", "is", "times", "why"],
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
                    .map_or("not looked into yet", |reason| &reason.name)
                    .to_owned(),
            ],
        );
    }
    for reason in quoted {
        let _ = write!(text, "\n**{}.** {}\n", reason.name, reason.text);
    }
}

/// What is quoted, and the middle half of the turns.
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

/// As many places as tell something: three digits and a bit.
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
