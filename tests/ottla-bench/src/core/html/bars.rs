//! Bars side by side: a plot for each figure of a scenario, a group of bars for each case, a bar for each broker.

use super::{
    super::{
        figure::Better,
        report::{CaseReport, number},
    },
    colour, medians,
    scale::Scale,
    text,
};

const WIDTH: f64 = 420.0;
/// Room for the value behind the longest bar.
const VALUE: f64 = 74.0;
const BAR: f64 = 15.0;
const NAME: f64 = 20.0;
const GAP: f64 = 10.0;

/// The plots of these cases. Figures that only say what happened have none.
pub(super) fn across(cases: &[CaseReport], names: &[&str]) -> String {
    let mut seen = Vec::new();
    let mut plots = String::new();
    for figure in cases.iter().flat_map(|case| &case.figures) {
        if figure.figure.better == Better::Neither || seen.contains(&figure.figure.key) {
            continue;
        }
        seen.push(figure.figure.key);
        let better = match figure.figure.better {
            Better::Less => "less is better",
            _ => "more is better",
        };
        let caption = format!(
            "{} <span>{}, {better}</span>",
            text(figure.figure.title),
            text(figure.figure.unit)
        );
        plots += &plot(cases, names, figure.figure.key, &caption);
    }
    format!("<div class=\"plots\">\n{plots}</div>\n")
}

fn plot(cases: &[CaseReport], names: &[&str], key: &str, caption: &str) -> String {
    let shown: Vec<_> = cases.iter().map(|case| (case, medians(case, key))).collect();
    let shown: Vec<_> = shown
        .into_iter()
        .filter(|(_, of)| of.iter().any(Option::is_some))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let values = shown
        .iter()
        .flat_map(|(_, of)| of.iter().flatten().map(|spread| spread.max));
    let scale = Scale::linear(values, 0.0, WIDTH - VALUE);
    let mut svg = String::new();
    let mut y = 0.0;
    for (case, of) in &shown {
        svg += &format!(
            "<text class=\"quiet\" x=\"0\" y=\"{:.0}\">{}</text>\n",
            y + 14.0,
            text(&case.facts.name)
        );
        y += NAME;
        for (broker, spread) in of.iter().enumerate() {
            let Some(spread) = spread else { continue };
            svg += &bar(&scale, y, broker, names.get(broker).copied().unwrap_or(""), spread);
            y += BAR + 2.0;
        }
        y += GAP;
    }
    format!(
        "<figure><figcaption>{caption}</figcaption>\n<svg class=\"plot\" viewBox=\"0 0 {WIDTH:.0} {y:.0}\" role=\"img\">\n{svg}</svg></figure>\n"
    )
}

fn bar(scale: &Scale, y: f64, broker: usize, name: &str, spread: &super::super::statistics::Spread) -> String {
    let (width, low, high) = (
        scale.at(spread.median).max(1.0),
        scale.at(spread.min),
        scale.at(spread.max),
    );
    let middle = y + BAR / 2.0;
    let mut svg = format!(
        "<rect class=\"{}\" x=\"0\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"><title>{}</title></rect>\n",
        colour(broker),
        text(&format!("{name}: {}", super::super::table::with_range(spread)))
    );
    if high - low > 2.0 {
        svg += &format!("<path class=\"range\" d=\"M{low:.1} {middle:.1}H{high:.1}\"/>\n");
    }
    let behind = width.max(high) + 6.0;
    svg + &format!(
        "<text x=\"{behind:.1}\" y=\"{:.1}\">{}</text>\n",
        middle + 4.0,
        number(spread.median)
    )
}
