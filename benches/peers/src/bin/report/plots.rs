//! Bars and curves, drawn as SVG on white, so that they are legible on any page.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Color, DrawingArea, IntoFont, IntoLogRange, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, WHITE,
};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, TextStyle};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), Box<dyn Error>>;

const FONT: &str = "sans-serif";
const GREY: RGBColor = RGBColor(0xd8, 0xd8, 0xd8);

/// Returns the colour of a contestant, which is the same in all pictures.
fn colour(who: &str) -> RGBColor {
    const COLOURS: [(&str, RGBColor); 9] = [
        ("bare", RGBColor(0x8a, 0x8a, 0x8a)),
        ("coreloop, tokio-io", RGBColor(0x7f, 0xa8, 0xe6)),
        ("coreloop", RGBColor(0x1b, 0x5e, 0xc9)),
        ("tokio", RGBColor(0xe6, 0x7e, 0x00)),
        ("monoio", RGBColor(0x2a, 0x9d, 0x5c)),
        ("smol", RGBColor(0x8e, 0x5b, 0xd0)),
        ("compio", RGBColor(0xcc, 0x3f, 0x7a)),
        ("glommio", RGBColor(0x8a, 0x5a, 0x2b)),
        ("worker", RGBColor(0x1b, 0x5e, 0xc9)),
    ];
    let found = COLOURS.iter().find(|(name, _)| who.starts_with(name));
    found.map_or(BLACK, |(_, colour)| *colour)
}

/// A figure and its range.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) who: String,
    pub(crate) figure: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Groups of bars on one scale.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) groups: Vec<(String, Vec<Bar>)>,
    pub(crate) logarithmic: bool,
}

/// A curve for each contestant, on logarithmic scales.
#[derive(Clone, Debug)]
pub(crate) struct Curves {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) curves: Vec<(String, Vec<Point>)>,
}

/// A point of a curve, and its range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) across: f64,
    pub(crate) figure: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Draws the legend of the colours, in a row.
pub(crate) fn legend(area: &Area<'_>, everybody: &[&str]) -> Drawn {
    let style = TextStyle::from((FONT, 14).into_font());
    let mut left = 16;
    for who in everybody {
        area.draw(&Rectangle::new(
            [(left, 12), (left + 14, 24)],
            colour(who).filled(),
        ))?;
        area.draw(&Text::new(
            (*who).to_owned(),
            (left + 20, 11),
            style.clone(),
        ))?;
        left += 44 + 8 * i32::try_from(who.len())?;
    }
    Ok(())
}

/// Draws bars in a part of the picture.
pub(crate) fn bars(whole: &Area<'_>, area: &Area<'_>, panel: &Panel) -> Drawn {
    let highs = panel.groups.iter().flat_map(|(_, bars)| bars);
    let highest = highs.clone().map(|bar| bar.high.max(bar.figure));
    let lowest = highs.map(|bar| bar.low.min(bar.figure));
    let highest = highest.fold(0.0, f64::max);
    if highest <= 0.0 {
        return Ok(());
    }
    if panel.logarithmic {
        let floor = lowest.fold(f64::INFINITY, f64::min).max(highest / 1e9);
        // Whole decades, so that each axis has at least two numbers.
        let floor = 10_f64.powf(floor.log10().floor());
        let top = 10_f64.powf(highest.log10().ceil());
        draw_bars(whole, area, panel, floor, Scale::Logarithmic(top))
    } else {
        draw_bars(whole, area, panel, 0.0, Scale::Linear(highest * 1.08))
    }
}

#[derive(Clone, Copy)]
enum Scale {
    Linear(f64),
    Logarithmic(f64),
}

/// Draws a panel. This is a macro, because the type of the axes depends on their scale, and
/// the drawing does not.
macro_rules! draw_on {
    ($whole:expr, $area:expr, $panel:expr, $floor:expr, $range:expr) => {{
        let panel = $panel;
        let width = panel.groups.len() as f64;
        let mut chart = ChartBuilder::on($area)
            .caption(&panel.title, (FONT, 15))
            .margin(10)
            .x_label_area_size(22)
            .y_label_area_size(62)
            .build_cartesian_2d(0.0..width, $range)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(6)
            .light_line_style(WHITE)
            .bold_line_style(GREY)
            .y_desc(panel.unit)
            .axis_desc_style((FONT, 13))
            .y_label_style((FONT, 12))
            .y_label_formatter(&|figure| short(*figure))
            .draw()?;
        let below = Pos::new(HPos::Center, VPos::Top);
        let style = TextStyle::from((FONT, 13).into_font()).pos(below);
        for (left, (name, bars)) in panel.groups.iter().enumerate() {
            let left = left as f64;
            let (x, y) = chart.backend_coord(&(left + 0.5, $floor));
            $whole.draw(&Text::new(name.clone(), (x, y + 6), style.clone()))?;
            let step = 0.86 / bars.len() as f64;
            for (index, bar) in bars.iter().enumerate() {
                let start = left + 0.07 + step * index as f64;
                let (start, end) = (start + 0.06 * step, start + 0.94 * step);
                let middle = f64::midpoint(start, end);
                let cap = (0.2 * step).min(0.05);
                let colour = colour(&bar.who);
                let body = [(start, $floor), (end, bar.figure)];
                chart.draw_series([Rectangle::new(body, colour.filled())])?;
                let whisker = |from, to| PathElement::new(vec![from, to], BLACK.stroke_width(1));
                chart.draw_series([
                    whisker((middle, bar.low), (middle, bar.high)),
                    whisker((middle - cap, bar.low), (middle + cap, bar.low)),
                    whisker((middle - cap, bar.high), (middle + cap, bar.high)),
                ])?;
            }
        }
    }};
}

fn draw_bars(whole: &Area<'_>, area: &Area<'_>, panel: &Panel, floor: f64, scale: Scale) -> Drawn {
    match scale {
        Scale::Linear(top) => draw_on!(whole, area, panel, floor, floor..top),
        Scale::Logarithmic(top) => draw_on!(whole, area, panel, floor, (floor..top).log_scale()),
    }
    Ok(())
}

/// Draws curves, with a whisker at each of their points.
pub(crate) fn curves(area: &Area<'_>, picture: &Curves) -> Drawn {
    let points = picture.curves.iter().flat_map(|(_, points)| points);
    let mut across = (f64::INFINITY, 0.0_f64);
    let mut up = (f64::INFINITY, 0.0_f64);
    for point in points {
        across = (across.0.min(point.across), across.1.max(point.across));
        up = (up.0.min(point.low), up.1.max(point.high));
    }
    if up.1 <= 0.0 {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .caption(&picture.title, (FONT, 15))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(66)
        .build_cartesian_2d(
            (across.0 / 1.3..across.1 * 1.3).log_scale(),
            (up.0 / 1.3..up.1 * 1.3).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GREY)
        .x_desc(picture.across)
        .y_desc(picture.unit)
        .axis_desc_style((FONT, 13))
        .label_style((FONT, 12))
        .x_label_formatter(&|figure| short(*figure))
        .y_label_formatter(&|figure| short(*figure))
        .draw()?;
    for (who, points) in &picture.curves {
        let colour = colour(who);
        let line = points.iter().map(|point| (point.across, point.figure));
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
        for point in points {
            let across = point.across;
            let whisker = |from, to| PathElement::new(vec![from, to], colour.stroke_width(1));
            let ends = [point.low, point.high];
            chart.draw_series([whisker((across, point.low), (across, point.high))])?;
            chart
                .draw_series(ends.map(|end| whisker((across / 1.05, end), (across * 1.05, end))))?;
        }
    }
    Ok(())
}

/// Formats a number on an axis: `12k`, `1.5M`.
fn short(figure: f64) -> String {
    let (figure, unit) = match figure.abs() {
        size if size >= 1e9 => (figure / 1e9, "G"),
        size if size >= 1e6 => (figure / 1e6, "M"),
        size if size >= 1e3 => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    let rounded = (figure * 100.0).round() / 100.0;
    format!("{rounded}{unit}")
}
