use super::*;
use crate::core::{
    figure::{Bar, Figure},
    latency::Latencies,
    report::{Axis, BrokerFacts, CaseFacts, Measured, Run, Trouble},
};

fn case(name: &str, axis: f64, troubles: Vec<Trouble>) -> CaseReport {
    let facts = CaseFacts {
        name: name.into(),
        settings: vec![Setting::new("acks", "all")],
        figures: vec![Figure::less("cpu", "broker CPU", "s/GB").with_bar(Bar::Ratio(0.5))],
        axis: Some(Axis {
            title: "groups",
            value: axis,
        }),
    };
    let mut latencies = Latencies::default();
    (1..3000).for_each(|us| latencies.record(us * us / 36));
    let run = |(turn, broker): (usize, usize)| Run {
        broker,
        turn,
        measured: Measured {
            curves: vec![latencies.curve("end to end")],
            ..Measured::default().with("cpu", 1.0 + broker as f64)
        },
    };
    let runs = [0, 1, 1, 0].into_iter().enumerate().map(run).collect();
    CaseReport::new(
        ("fanout", "What do readers cost?"),
        facts,
        &["ottla", "kafka"],
        runs,
        troubles,
    )
}

fn report() -> Report {
    let broker = |name: &str| BrokerFacts {
        name: name.into(),
        version: "1 <2>".into(),
        settings: vec![Setting::new("heap", "-Xmx1g")],
    };
    let trouble = Trouble {
        broker: "kafka".into(),
        reason: "<script>alert(1)</script>".into(),
        is_failure: true,
    };
    Report {
        date: "2026-11-29".into(),
        command: vec!["ottla".into(), "bench".into()],
        version: "0",
        machine: vec![Setting::new("cores", "2")],
        plan: vec![],
        brokers: vec![broker("ottla"), broker("kafka")],
        reference: Some(1),
        cases: vec![case("1 group", 1.0, vec![]), case("16 groups", 16.0, vec![trouble])],
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page(&report());
    for outside in ["http://", "https://", "src=", "@import", "url(", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn every_tag_is_closed_and_what_brokers_say_stays_text() {
    let page = page(&report());
    for tag in [
        "section", "svg", "figure", "details", "table", "tr", "td", "p", "div", "text", "title",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("1 &lt;2&gt;"));
}

#[test]
fn no_coordinate_is_a_number_that_is_none() {
    let page = page(&report());
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn bars_curves_growth_the_bar_and_the_circumstances_are_there() {
    let page = page(&report());
    for wanted in [
        "p99.9",
        "by groups",
        "less is better",
        "What was promised",
        "reached",
        "-Xmx1g",
        "acks=all",
        "0.50 (0.50 to 0.50)",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
}
