//! Charts as SVG, drawn by plotters. Colours are stand-ins: the style sheet knows each of them by its number and gives it
//! the colour of the reader's theme.

use maud::{Markup, PreEscaped};
use plotters::prelude::*;

use crate::monitor::history::{HistorySpan, POINTS};

/// Lines of a chart that have a colour of their own in the style sheet.
pub(super) const MOST_LINES: usize = 4;

const MESH: RGBColor = RGBColor(1, 0, 0);
const LABEL: RGBColor = RGBColor(1, 0, 1);

/// Width and height of a chart and of a small one, in the units of its own space; the page scales them.
const CHART: (u32, u32) = (560, 240);
const SPARK: (u32, u32) = (260, 48);

type Points = [f64; POINTS];

/// A chart with its axes.
pub(super) fn chart(lines: &[Points], span: HistorySpan, label: fn(f64) -> String) -> Markup {
    let mut text = String::new();
    // Writing to a String does not fail, and a chart that could not be drawn is better missing than the page.
    let drawn = draw(&mut text, lines, span, label);
    PreEscaped(if drawn.is_ok() { text } else { String::new() })
}

/// Lines alone, for a glance.
pub(super) fn spark(lines: &[Points]) -> Markup {
    let mut text = String::new();
    let drawn = sketch(&mut text, lines);
    PreEscaped(if drawn.is_ok() { text } else { String::new() })
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(text: &mut String, lines: &[Points], span: HistorySpan, label: fn(f64) -> String) -> Drawn {
    let unit = match span {
        HistorySpan::Minute => "s",
        HistorySpan::Hour => "min",
    };
    let root = SVGBackend::with_string(text, CHART).into_drawing_area();
    let mut builder = ChartBuilder::on(&root);
    builder.margin(8).margin_right(20).x_label_area_size(28).y_label_area_size(76);
    let mut chart = builder.build_cartesian_2d(oldest()..0, 0.0..top(lines))?;
    let style = ("sans-serif", 17).into_font().color(&LABEL);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(MESH)
        .axis_style(MESH)
        .label_style(style)
        .x_labels(7)
        .y_labels(5)
        .x_label_formatter(&|ago| if *ago == 0 { "now".to_owned() } else { format!("{ago} {unit}") })
        .y_label_formatter(&|value| label(*value))
        .draw()?;
    for (line, points) in lines.iter().enumerate() {
        chart.draw_series(LineSeries::new(placed(points), color(line).stroke_width(2)))?;
    }
    root.present()?;
    Ok(())
}

fn sketch(text: &mut String, lines: &[Points]) -> Drawn {
    let root = SVGBackend::with_string(text, SPARK).into_drawing_area();
    let mut chart = ChartBuilder::on(&root).margin(2).build_cartesian_2d(oldest()..0, 0.0..top(lines))?;
    for (line, points) in lines.iter().enumerate() {
        chart.draw_series(AreaSeries::new(placed(points), 0.0, color(line).mix(0.15)))?;
        chart.draw_series(LineSeries::new(placed(points), color(line).stroke_width(2)))?;
    }
    root.present()?;
    Ok(())
}

fn oldest() -> i32 {
    1 - POINTS as i32
}

fn placed(points: &Points) -> impl Iterator<Item = (i32, f64)> + '_ {
    (oldest()..=0).zip(points.iter().copied())
}

/// A little above the highest point, and never so low that nothing looks like much.
fn top(lines: &[Points]) -> f64 {
    let highest = lines.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    (highest * 1.1).max(1.0)
}

fn color(line: usize) -> RGBColor {
    RGBColor(2, 0, (line % MOST_LINES) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_for_each_and_only_colours_of_the_style_sheet() {
        let style = include_str!("style.css");
        let mut lines = [[0.0; POINTS]; MOST_LINES];
        lines.iter_mut().enumerate().for_each(|(line, points)| points[line] = 1e9 * line as f64);
        for svg in [chart(&lines, HistorySpan::Hour, |value| format!("{value}")).0, spark(&lines).0] {
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("style=") && !svg.contains("http://www.w3.org/1999"), "{svg}");
            for attribute in ["stroke", "fill"] {
                for color in svg.split(&format!(" {attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let known = style.contains(&format!("svg [{attribute}=\"{color}\"]"));
                    assert!(color == "none" || known, "{attribute} {color} is not in the style sheet");
                }
            }
            (0..MOST_LINES)
                .for_each(|line| assert!(svg.contains(&format!("stroke=\"#02000{line}\"")), "{line}: {svg}"));
        }
    }

    #[test]
    fn nothing_that_is_drawn_can_fail() {
        for value in [0.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
            assert!(
                chart(&[[value; POINTS]], HistorySpan::Minute, |value| format!("{value}")).0.contains("</svg>"),
                "{value}"
            );
        }
        assert!(chart(&[], HistorySpan::Minute, |value| format!("{value}")).0.contains("</svg>"));
    }
}
