//! Curves: latencies over the share of records, and what grows with a number in which cases differ.

use super::{
    super::{
        figure::Better,
        latency::Curve,
        report::{CaseReport, Run},
    },
    colour, medians,
    scale::Scale,
    text,
};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// A plot for each kind of latency of the case: every run a line.
pub(super) fn latencies(case: &CaseReport, names: &[&str]) -> String {
    let mut kinds: Vec<&'static str> = Vec::new();
    for curve in case.runs.iter().flat_map(|run| &run.measured.curves) {
        if !kinds.contains(&curve.name) {
            kinds.push(curve.name);
        }
    }
    let plots: String = kinds.iter().map(|kind| latency(case, kind, names)).collect();
    if plots.is_empty() {
        plots
    } else {
        format!("<div class=\"plots\">\n{plots}</div>\n")
    }
}

/// How many nines a share has: 0.9 is one, 0.99 two. The greatest of a count stands where its own share would.
fn nines(quantile: f64, count: u64) -> f64 {
    let rest = (1.0 - quantile).max(1.0 / count.max(10) as f64);
    -rest.log10()
}

fn latency(case: &CaseReport, kind: &str, names: &[&str]) -> String {
    let of_run = |run: &Run| run.measured.curves.iter().find(|curve| curve.name == kind).cloned();
    let drawn: Vec<(usize, Curve)> = case
        .runs
        .iter()
        .filter_map(|run| Some((run.broker, of_run(run)?)))
        .collect();
    let points = || drawn.iter().flat_map(|(_, curve)| &curve.points);
    let most = drawn
        .iter()
        .flat_map(|(_, curve)| curve.points.iter().map(|point| nines(point.quantile, curve.count)));
    let most = most.fold(2.0, f64::max);
    let y = Scale::log(points().map(|point| point.ms), HEIGHT - BOTTOM, TOP);
    let x = |nines: f64| LEFT + nines / most * (WIDTH - LEFT - RIGHT);
    let mut svg = horizontal_grid(&y);
    for (quantile, label) in [
        (0.0, "0"),
        (0.9, "p90"),
        (0.99, "p99"),
        (0.999, "p99.9"),
        (0.9999, "p99.99"),
    ] {
        let at = nines(quantile, u64::MAX);
        if at <= most {
            svg += &vertical_mark(x(at), label);
        }
    }
    for (broker, curve) in &drawn {
        let points = curve
            .points
            .iter()
            .map(|point| (x(nines(point.quantile, curve.count)), y.at(point.ms)));
        svg += &line(*broker, names, points);
    }
    figure(
        &format!("{} <span>ms, {}</span>", text(kind), text(&case.facts.name)),
        &svg,
    )
}

/// A plot for each figure over the number in which the cases differ, where there is one.
pub(super) fn growth(cases: &[CaseReport], names: &[&str]) -> String {
    let with_axis = |case: &&CaseReport| case.facts.axis.is_some();
    let cases: Vec<&CaseReport> = cases.iter().filter(with_axis).collect();
    let [first, _, ..] = cases.as_slice() else {
        return String::new();
    };
    let figures = first
        .figures
        .iter()
        .filter(|figure| figure.figure.better != Better::Neither);
    let plots: String = figures
        .map(|figure| {
            let caption = format!(
                "{} <span>{}</span>",
                text(figure.figure.title),
                text(figure.figure.unit)
            );
            growing(&cases, names, figure.figure.key, &caption)
        })
        .collect();
    format!("<div class=\"plots\">\n{plots}</div>\n")
}

fn growing(cases: &[&CaseReport], names: &[&str], key: &str, caption: &str) -> String {
    let axis = |case: &CaseReport| case.facts.axis.map_or(0.0, |axis| axis.value);
    let title = cases[0].facts.axis.map_or("", |axis| axis.title);
    let values = cases
        .iter()
        .flat_map(|case| medians(case, key))
        .flatten()
        .map(|spread| spread.median);
    let y = Scale::linear(values, HEIGHT - BOTTOM, TOP);
    let greatest = cases.iter().map(|case| axis(case)).fold(1.0, f64::max);
    let x = |value: f64| LEFT + value / greatest * (WIDTH - LEFT - RIGHT);
    let mut svg = horizontal_grid(&y);
    for case in cases {
        svg += &vertical_mark(
            x(axis(case)),
            &super::super::report::number(axis(case))
                .replace(".00", "")
                .replace(".0", ""),
        );
    }
    for broker in 0..names.len() {
        let points = cases.iter().filter_map(|case| {
            let median = (*medians(case, key).get(broker)?)?.median;
            Some((x(axis(case)), y.at(median)))
        });
        svg += &line(broker, names, points);
    }
    figure(&format!("{caption} <span>by {}</span>", text(title)), &svg)
}

fn horizontal_grid(y: &Scale) -> String {
    let each = |(at, label): (f64, String)| {
        format!(
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            text(&label)
        )
    };
    y.marks().into_iter().map(each).collect()
}

fn vertical_mark(x: f64, label: &str) -> String {
    format!(
        "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/><text class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
        HEIGHT - BOTTOM,
        HEIGHT - BOTTOM + 18.0,
        text(label)
    )
}

fn line(broker: usize, names: &[&str], points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut dots = String::new();
    for (x, y) in points {
        path += &format!("{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        dots += &format!(
            "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>",
            colour(broker)
        );
    }
    let name = text(names.get(broker).copied().unwrap_or(""));
    format!(
        "<path class=\"{}\" d=\"{path}\"><title>{name}</title></path>{dots}\n",
        colour(broker)
    )
}

fn figure(caption: &str, svg: &str) -> String {
    format!(
        "<figure><figcaption>{caption}</figcaption>\n<svg class=\"plot\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\">\n{svg}</svg></figure>\n"
    )
}
