//! The report's pictures.

use std::path::Path;

use plotters::prelude::{IntoDrawingArea, SVGBackend, WHITE};

use crate::plots::{Area, Bar, Curves, Drawn, Panel, Point, bars, curves, legend};
use crate::results::{Results, Row};

/// The height of the legend.
const LEGEND: i32 = 32;

/// Draws all pictures into a folder.
pub(crate) fn draw(results: &Results, folder: &Path) -> Drawn {
    race(results, &folder.join("race.svg"))?;
    let everybody = results.contestants("echo");
    for (name, measures, unit, logarithmic) in [
        ("throughput", &["throughput"][..], "echoes a second", false),
        ("cpu", &["CPU"], "server CPU, ns an echo", false),
        ("latency", &["p50", "p99", "p99.9"], "µs", true),
    ] {
        let panels: Vec<Panel> = results
            .cases("echo")
            .into_iter()
            .map(|case| Panel {
                title: case.to_owned(),
                unit,
                groups: measures
                    .iter()
                    .map(|measure| {
                        let name = if measures.len() > 1 { *measure } else { "" };
                        let rows = results.select("echo", measure);
                        (
                            name.to_owned(),
                            bars_of(rows.filter(|row| row.case == case)),
                        )
                    })
                    .collect(),
                logarithmic,
            })
            .collect();
        grid(&folder.join(format!("{name}.svg")), &everybody, &panels, 3)?;
    }
    memory(results, &folder.join("memory.svg"))?;
    growth(results, &folder.join("growth.svg"))?;
    http(results, &folder.join("http.svg"))?;
    cores(results, &folder.join("cores.svg"))
}

/// Draws the headline picture: 64 connections, 64 bytes.
fn race(results: &Results, file: &Path) -> Drawn {
    let case = "64 B, connections 64, depth 1";
    let panel = |measure, title: &str, unit| Panel {
        title: title.to_owned(),
        unit,
        groups: results
            .select("echo", measure)
            .filter(|row| row.case == case)
            .map(|row| (row.who.clone(), vec![bar(row)]))
            .collect(),
        logarithmic: false,
    };
    let panels = [
        panel(
            "throughput",
            "64-byte echoes on 64 connections, one core",
            "echoes a second",
        ),
        panel("CPU", "what an echo costs the server", "CPU time, ns"),
    ];
    grid(file, &[], &panels, 2)
}

fn memory(results: &Results, file: &Path) -> Drawn {
    let rows = results.select("memory", "memory");
    let panel = Panel {
        title: "an idle connection with a 64-byte buffer".to_owned(),
        unit: "resident bytes",
        groups: rows.map(|row| (row.who.clone(), vec![bar(row)])).collect(),
        logarithmic: false,
    };
    grid(file, &[], &[panel], 1)
}

fn growth(results: &Results, file: &Path) -> Drawn {
    let everybody = results.contestants("growth");
    let picture = |measure, title: &str, unit, scale: f64| Curves {
        title: title.to_owned(),
        across: "connections",
        unit,
        curves: everybody
            .iter()
            .map(|who| {
                let rows = results.select("growth", measure);
                let points = rows.filter(|row| row.who == *who).filter_map(|row| {
                    let (low, high) = row.range();
                    Some(Point {
                        across: row.case.parse().ok()?,
                        figure: row.figure.quoted / scale,
                        low: low / scale,
                        high: high / scale,
                    })
                });
                ((*who).to_owned(), points.collect())
            })
            .collect(),
    };
    let pictures = [
        picture("CPU", "what an echo costs", "server CPU, ns an echo", 1.0),
        picture(
            "resident",
            "what the server weighs",
            "resident, MiB",
            f64::from(1 << 20),
        ),
    ];
    let whole = canvas(file, (960, 420))?;
    legend(&whole, &everybody)?;
    let (_, rest) = whole.split_vertically(LEGEND);
    for (area, picture) in rest.split_evenly((1, 2)).iter().zip(&pictures) {
        curves(area, picture)?;
    }
    whole.present()?;
    Ok(())
}

/// Draws the CPU time per request with hyper, and per connection.
fn http(results: &Results, file: &Path) -> Drawn {
    let cases = results.cases("servers").into_iter().filter(|case| {
        let words = ["hyper", "connection per request"];
        words.iter().any(|word| case.contains(word))
    });
    let panels: Vec<Panel> = cases
        .map(|case| cpu(results, "servers", case, "server CPU, ns a request"))
        .collect();
    grid(file, &[], &panels, 2)
}

/// Draws the CPU time per echo with a worker for each core.
fn cores(results: &Results, file: &Path) -> Drawn {
    let cases = results.cases("cores").into_iter();
    let panels: Vec<Panel> = cases
        .map(|case| cpu(results, "cores", case, "server CPU, ns an echo"))
        .collect();
    grid(file, &[], &panels, 2)
}

fn cpu(results: &Results, part: &str, case: &str, unit: &'static str) -> Panel {
    let rows = results.select(part, "CPU").filter(|row| row.case == case);
    Panel {
        title: case.to_owned(),
        unit,
        groups: rows.map(|row| (row.who.clone(), vec![bar(row)])).collect(),
        logarithmic: false,
    }
}

/// Draws panels side by side and below each other, with a legend unless the bars have their
/// names below them.
fn grid(file: &Path, everybody: &[&str], panels: &[Panel], columns: usize) -> Drawn {
    let lines = panels.len().div_ceil(columns).max(1);
    let top = if everybody.is_empty() { 0 } else { LEGEND };
    let height = 250 * u32::try_from(lines)? + u32::try_from(top)?;
    let width = if columns == 1 { 560 } else { 960 };
    let whole = canvas(file, (width, height))?;
    legend(&whole, everybody)?;
    let (_, rest) = whole.split_vertically(top);
    for (area, panel) in rest.split_evenly((lines, columns)).iter().zip(panels) {
        bars(&whole, area, panel)?;
    }
    whole.present()?;
    Ok(())
}

fn canvas(file: &Path, size: (u32, u32)) -> Result<Area<'_>, Box<dyn std::error::Error>> {
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area)
}

fn bars_of<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Bar> {
    rows.map(bar).collect()
}

fn bar(row: &Row) -> Bar {
    let (low, high) = row.range();
    Bar {
        who: row.who.clone(),
        figure: row.figure.quoted,
        low,
        high,
    }
}
