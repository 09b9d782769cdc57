//! The report as one HTML file that needs nothing from elsewhere: plots are SVG in the text, light and dark follow the
//! reader's own setting.

mod bars;
mod curves;
mod scale;

use super::{
    report::{CaseReport, Report, Setting, number},
    table,
};

const STYLE: &str = include_str!("html/style.css");

/// The whole file.
pub fn page(report: &Report) -> String {
    let names = report.names();
    let mut body = String::new();
    body += &format!("<h1>{}</h1>\n", text(&title(&names)));
    body += &format!("<p class=\"lead\">{}. {}</p>\n", text(&report.date), READING);
    body += &summary(report);
    for cases in report.scenarios() {
        body += &scenario(cases, &names);
    }
    body += &circumstances(report);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        text(&title(&names))
    )
}

const READING: &str = "Figures are medians; a ratio is the median over pairs of neighbouring runs, with its range behind it. \
    Throughput is the growth of end offsets at the broker, processor time that of the broker's process, latency counts from \
    when a record was meant to be sent. Only ratios from the same run on the same machine compare brokers.";

fn title(names: &[&str]) -> String {
    match names {
        [] => "ottla bench".to_owned(),
        names => format!("ottla bench: {}", names.join(" beside ")),
    }
}

/// What may stand in text and in attributes.
pub(super) fn text(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The class that gives a broker its colour: one of four, the same everywhere on the page.
fn colour(broker: usize) -> String {
    format!("c{}", broker % 4)
}

/// All figures with a bar, in one table.
fn summary(report: &Report) -> String {
    let names = report.names();
    let mut rows = String::new();
    for case in &report.cases {
        for figure in case.figures.iter().filter(|figure| figure.figure.bar.is_some()) {
            let verdict = match figure.is_reached {
                Some(true) => "<td class=\"yes\">reached</td>",
                Some(false) => "<td class=\"no\">missed</td>",
                None => "<td class=\"quiet\">not told</td>",
            };
            let values = figure.of_brokers.iter().map(|of| {
                let shown = of.map_or("&ndash;".to_owned(), |of| number(of.median));
                format!("<td class=\"n\">{shown}</td>")
            });
            let values: String = values.collect();
            let bar = table::bar(figure);
            let bar = bar.trim_end_matches(" reached").trim_end_matches(" MISSED");
            let ratio = figure
                .ratios
                .iter()
                .flatten()
                .next()
                .map_or(String::new(), table::with_range);
            rows += &format!(
                "<tr><td><b>{}</b> {}<br><span class=\"quiet\">{}, {}</span></td>{values}<td class=\"n\">{ratio}</td>\
                 <td class=\"n\">{}</td>{verdict}</tr>\n",
                text(case.scenario),
                text(&case.facts.name),
                text(figure.figure.title),
                text(figure.figure.unit),
                text(bar),
            );
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let heads: String = names
        .iter()
        .map(|name| format!("<th class=\"n\">{}</th>", text(name)))
        .collect();
    format!(
        "<section>\n<h2>What was promised</h2>\n<div class=\"wide\"><table>\n<tr><th></th>{heads}<th class=\"n\">ratio</th>\
         <th class=\"n\">bar</th><th></th></tr>\n{rows}</table></div>\n</section>\n"
    )
}

fn scenario(cases: &[CaseReport], names: &[&str]) -> String {
    let Some(first) = cases.first() else {
        return String::new();
    };
    let mut html = format!(
        "<section>\n<h2>{}</h2>\n<p>{}</p>\n{}",
        text(first.scenario),
        text(first.asks),
        legend(names)
    );
    html += &curves::growth(cases, names);
    html += &bars::across(cases, names);
    for case in cases {
        html += &curves::latencies(case, names);
        html += &details(case, names);
    }
    html + "</section>\n"
}

fn legend(names: &[&str]) -> String {
    let each = |(broker, name): (usize, &&str)| {
        format!(
            "<span><svg class=\"key\" viewBox=\"0 0 12 12\"><rect class=\"{}\" width=\"12\" height=\"12\" rx=\"2\"/></svg> {}</span>",
            colour(broker),
            text(name)
        )
    };
    let entries: String = names.iter().enumerate().map(each).collect();
    format!("<p class=\"legend\">{entries}</p>\n")
}

/// The case's table, folded away but where something went wrong.
fn details(case: &CaseReport, names: &[&str]) -> String {
    let mut rows = String::new();
    for figure in case
        .figures
        .iter()
        .filter(|figure| figure.of_brokers.iter().any(Option::is_some))
    {
        let shown = figure.of_brokers.iter().map(|of| {
            let shown = of.as_ref().map_or("&ndash;".to_owned(), table::with_range);
            format!("<td class=\"n\">{shown}</td>")
        });
        let shown: String = shown.collect();
        let ratio = figure
            .ratios
            .iter()
            .flatten()
            .next()
            .map_or(String::new(), table::with_range);
        rows += &format!(
            "<tr><td>{}</td><td class=\"quiet\">{}</td>{shown}<td class=\"n\">{ratio}</td></tr>\n",
            text(figure.figure.title),
            text(figure.figure.unit)
        );
    }
    let troubles = case.troubles.iter().map(|trouble| {
        let class = if trouble.is_failure { "no" } else { "quiet" };
        format!(
            "<p class=\"{class}\">{}: {}</p>\n",
            text(&trouble.broker),
            text(&trouble.reason)
        )
    });
    let troubles: String = troubles.collect();
    let heads: String = names
        .iter()
        .map(|name| format!("<th class=\"n\">{}</th>", text(name)))
        .collect();
    let open = if case.troubles.is_empty() { "" } else { " open" };
    format!(
        "<details{open}><summary>{}</summary>\n{troubles}{}<div class=\"wide\"><table>\n<tr><th></th><th></th>{heads}\
         <th class=\"n\">ratio</th></tr>\n{rows}</table></div></details>\n",
        text(&case.facts.name),
        settings(&case.facts.settings)
    )
}

fn settings(settings: &[Setting]) -> String {
    let each = |setting: &Setting| format!("<code>{}={}</code>", text(&setting.key), text(&setting.value));
    format!(
        "<p class=\"settings\">{}</p>\n",
        settings.iter().map(each).collect::<Vec<_>>().join(" ")
    )
}

/// Machine, versions, settings, command line.
fn circumstances(report: &Report) -> String {
    let mut html = "<section>\n<h2>Circumstances</h2>\n".to_owned();
    html += &settings(&report.machine);
    html += &settings(&report.plan);
    for (number, broker) in report.brokers.iter().enumerate() {
        let reference = if report.reference == Some(number) {
            ", what others are compared with"
        } else {
            ""
        };
        html += &format!(
            "<h3>{}{reference}</h3>\n<p>{}</p>\n",
            text(&broker.name),
            text(&broker.version)
        );
        html += &settings(&broker.settings);
    }
    html + &format!("<pre>{}</pre>\n</section>\n", text(&report.command.join(" ")))
}

/// The value of a figure for each broker in a case.
fn medians(case: &CaseReport, key: &str) -> Vec<Option<super::statistics::Spread>> {
    let figure = case.figures.iter().find(|figure| figure.figure.key == key);
    figure.map_or(Vec::new(), |figure| figure.of_brokers.clone())
}

#[cfg(test)]
mod tests;
